//! What holds under any schedule.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    backend::{Pongs, Style},
    world::{Step, World},
};
use crate::config::{Delivery, OnFull, RouteConfig};

fn config(delivery: Delivery) -> impl Strategy<Value = RouteConfig> {
    let on_full = prop_oneof![Just(OnFull::Close), Just(OnFull::Pause)];
    let linger = prop_oneof![3 => Just(0u64), 1 => Just(300)];
    (on_full, linger, 1usize..4).prop_map(move |(on_full, linger, buffer)| RouteConfig {
        delivery,
        on_full,
        confirm_linger: Duration::from_millis(linger),
        buffer_max: buffer * 4096,
        ..RouteConfig::default()
    })
}

fn styles() -> impl Strategy<Value = Style> {
    let pongs = prop_oneof![
        4 => Just(Pongs::Prompt),
        2 => Just(Pongs::Late),
        2 => Just(Pongs::Latest),
        1 => Just(Pongs::Never),
    ];
    (pongs, any::<bool>()).prop_map(|(pongs, echoes)| Style { pongs, echoes })
}

fn steps(size_max: usize) -> impl Strategy<Value = Vec<Step>> {
    let size = move || prop_oneof![3 => 0usize..200, 1 => 0usize..size_max];
    let bytes = || prop_oneof![2 => 1usize..20, 3 => 20usize..400, 1 => Just(1usize << 14)];
    let pieces = || prop_oneof![2 => Just(1usize), 1 => 2usize..6];
    let traffic = prop_oneof![
        4 => (size(), pieces()).prop_map(|(size, pieces)| Step::ClientSends { size, pieces }),
        1 => Just(Step::ClientPings),
        6 => bytes().prop_map(Step::ClientArrives),
        4 => bytes().prop_map(Step::ClientTakes),
        6 => bytes().prop_map(Step::LegArrives),
        6 => bytes().prop_map(Step::LegTakes),
        6 => bytes().prop_map(Step::BackendReads),
        3 => (size(), pieces()).prop_map(|(size, pieces)| Step::BackendPushes { size, pieces }),
        2 => Just(Step::BackendPongs),
        4 => styles().prop_map(Step::Dials),
        2 => prop_oneof![1u64..100, 100u64..1000, 1000u64..12_000].prop_map(Step::Waits),
    ];
    let trouble = prop_oneof![
        4 => (0usize..300).prop_map(|sent| Step::BackendDies { sent }),
        4 => Just(Step::BackendRestarts),
        2 => Just(Step::BackendFreezes),
        1 => Just(Step::BackendBreaksRules),
        2 => Just(Step::Moves),
        1 => any::<bool>().prop_map(Step::Pauses),
        1 => prop_oneof![Just(Step::ClientCloses), Just(Step::ClientVanishes)],
    ];
    proptest::collection::vec(prop_oneof![12 => traffic, 1 => trouble], 1..150)
}

fn check(config: RouteConfig, style: Style, steps: &[Step]) {
    let mut world = World::new(config, style);
    for step in steps {
        world.step(step);
    }
    world.calm();
}

fn cases(usual: u32) -> ProptestConfig {
    let standard = ProptestConfig::default();
    let more = standard.cases / PROPTEST_STANDARD;
    ProptestConfig { cases: usual * more.max(1), failure_persistence: None, ..standard }
}

proptest! {
    #![proptest_config(cases(CASES))]

    #[test]
    fn at_least_once_loses_nothing(
        config in config(Delivery::AtLeastOnce), style in styles(), steps in steps(700)
    ) {
        check(config, style, &steps);
    }

    #[test]
    fn at_most_once_doubles_nothing(
        config in config(Delivery::AtMostOnce), style in styles(), steps in steps(700)
    ) {
        check(config, style, &steps);
    }

    #[test]
    fn exactly_once_is_exact(
        config in config(Delivery::ExactlyOnce), style in styles(), steps in steps(700)
    ) {
        check(config, style, &steps);
    }
}

proptest! {
    #![proptest_config(cases(CASES / 4))]

    #[test]
    fn messages_larger_than_the_buffer_arrive_whole_or_end_the_pipe(
        config in config(Delivery::AtLeastOnce), style in styles(), steps in steps(40_000)
    ) {
        check(config, style, &steps);
    }
}

/// How many cases proptest runs unless `PROPTEST_CASES` asks for more.
const PROPTEST_STANDARD: u32 = 256;
/// Schedules per property in a usual run; more in proportion where more are asked for.
const CASES: u32 = 100;
