//! The queue against a plain vector, under random schedules.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Release(f64),
    Truncate(f64),
    WriteDownAndContinue,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0usize..5000).prop_map(Step::Append),
        1 => (30_000usize..90_000).prop_map(Step::Append),
        3 => (0.0..=1.0).prop_map(Step::Release),
        1 => (0.0..=1.0).prop_map(Step::Truncate),
        1 => Just(Step::WriteDownAndContinue),
    ];
    proptest::collection::vec(step, 0..40)
}

fn within(queue: &ByteQueue, share: f64) -> u64 {
    queue.start() + ((queue.end() - queue.start()) as f64 * share) as u64
}

fn content(queue: &ByteQueue) -> Vec<u8> {
    queue.slices(queue.start(), queue.end()).flatten().copied().collect()
}

proptest! {
    #[test]
    fn holds_what_was_appended_and_not_released(steps in steps()) {
        let mut queue = ByteQueue::default();
        let (mut model, mut model_start, mut value) = (Vec::new(), 0u64, 0u8);
        for step in steps {
            match step {
                Step::Append(count) => {
                    let bytes: Vec<u8> = (0..count).map(|_| { value = value.wrapping_add(7); value }).collect();
                    queue.append(&bytes);
                    model.extend_from_slice(&bytes);
                }
                Step::Release(share) => {
                    let to = within(&queue, share);
                    queue.release(to);
                    model.drain(..(to - model_start) as usize);
                    model_start = to;
                }
                Step::Truncate(share) => {
                    let to = within(&queue, share);
                    queue.truncate(to);
                    model.truncate((to - model_start) as usize);
                }
                Step::WriteDownAndContinue => {
                    let written = serde_json::to_string(&queue).unwrap();
                    queue = serde_json::from_str(&written).unwrap();
                }
            }
            prop_assert_eq!(queue.start(), model_start);
            prop_assert_eq!(content(&queue), model.clone());
            prop_assert!(queue.charged() >= model.len());
        }
    }
}

#[test]
fn an_empty_queue_holds_no_memory() {
    let mut queue = ByteQueue::default();
    assert_eq!(queue.charged(), 0);
    queue.append(&[1; 100_000]);
    queue.release(100_000);
    assert_eq!(queue.charged(), 0);
    queue.append(&[1; 10]);
    queue.truncate(0);
    assert_eq!(queue.charged(), 0);
}

#[test]
fn is_charged_at_most_twice_what_it_holds_once_it_holds_much() {
    let mut queue = ByteQueue::default();
    for _ in 0..200_000 {
        queue.append(&[1; 7]);
    }
    assert!(queue.charged() < 2 * 200_000 * 7, "{}", queue.charged());
}
