//! Who waits, who is woken, and what is left behind, on a clock that jumps.

use std::sync::atomic::AtomicUsize;

use tokio::task::JoinSet;

use super::*;

fn pool(count: u16) -> Pool {
    let backends = (1..=count).map(backend).collect();
    Pool::new("chat", PoolConfig { backends, ..PoolConfig::default() })
}

fn backend(port: u16) -> BackendConfig {
    BackendConfig::new(format!("ws://127.0.0.1:{port}").parse().expect("a URL"))
}

async fn place(pool: &Pool) -> DialGuard {
    pool.place(&Wish::default()).await.expect("a backend")
}

/// Sessions, dials in flight and dials that wait.
fn counts(pool: &Pool) -> (u32, u32, u32) {
    let backends = pool.backends();
    let sessions = backends.iter().map(|status| status.sessions).sum();
    let dials = backends.iter().map(|status| status.dials_in_flight).sum();
    (sessions, dials, pool.waiting())
}

const A: BackendId = BackendId(1);

#[tokio::test(start_paused = true)]
async fn guards_give_back_what_they_count() {
    let pool = pool(1);
    let (abandoned, answered, failed) =
        (place(&pool).await, place(&pool).await, place(&pool).await);
    let session = place(&pool).await.opened();
    assert_eq!(counts(&pool), (1, 3, 0));
    drop(abandoned);
    answered.answered();
    failed.failed("refused".to_owned());
    assert_eq!(counts(&pool), (1, 0, 0));
    assert!(session.is_wanted() && session.backend() == A);
    session.ended();
    assert_eq!(counts(&pool), (0, 0, 0));
    assert_eq!(pool.backends()[0].last_error.as_deref(), Some("refused"));
}

#[tokio::test(start_paused = true)]
async fn a_dial_waits_for_a_backend_to_be_added() {
    let pool = pool(0);
    let mut dials = JoinSet::new();
    for _ in 0..3 {
        let pool = pool.clone();
        dials.spawn(async move { place(&pool).await.opened() });
    }
    while pool.waiting() < 3 {
        tokio::task::yield_now().await;
    }
    pool.add_backend(backend(1)).expect("new");
    assert_eq!(dials.join_all().await.len(), 3);
    assert_eq!(counts(&pool), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_waits_and_is_dropped_leaves_nothing() {
    let pool = pool(0);
    let waits = tokio::time::timeout(Duration::from_secs(3), place(&pool));
    waits.await.expect_err("there is no backend");
    assert_eq!(counts(&pool), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn removing_is_over_when_the_last_session_has_gone() {
    let pool = pool(2);
    let (first, second) = (place(&pool).await.opened(), place(&pool).await.opened());
    assert_eq!((first.backend(), second.backend()), (A, BackendId(2)));
    let dial = place(&pool).await;
    assert_eq!(dial.backend(), A);
    pool.remove_backend(A).expect("there");
    assert!(!first.is_wanted() && second.is_wanted());
    let mut emptied = std::pin::pin!(pool.emptied(A));
    drop(first);
    let early = tokio::time::timeout(Duration::from_secs(60), emptied.as_mut()).await;
    assert!(early.is_err(), "a dial is under way");
    drop(dial.opened());
    emptied.await;
    assert_eq!((pool.url(A), pool.backends().len()), (None, 1));
    pool.emptied(A).await;
}

#[tokio::test(start_paused = true)]
async fn one_pipe_at_a_time_is_alone() {
    let pool = pool(1);
    let permit = pool.alone().await;
    assert!(permit.is_some());
    let second = tokio::time::timeout(Duration::from_secs(60), pool.alone()).await;
    assert!(second.is_err(), "somebody else is alone");
    drop(permit);
    assert!(pool.alone().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_url_is_found_however_it_is_written() {
    let pool = pool(1);
    assert_eq!(pool.find("WS://127.0.0.1:1/"), Some(A));
    assert_eq!(pool.url(A).as_deref(), Some("ws://127.0.0.1:1"));
    assert_eq!((pool.find("ws://127.0.0.1:2"), pool.find("nonsense")), (None, None));
    let twice = PoolConfig { backends: vec![backend(1), backend(1)], ..PoolConfig::default() };
    assert_eq!(Pool::new("twice", twice).backends().len(), 1);
}

/// A backend that refuses until `back`, and then takes a millisecond for each dial.
struct Fake {
    back: Time,
    refused: AtomicUsize,
    dialling: AtomicUsize,
    most: AtomicUsize,
}

impl Fake {
    /// Dials until there is a session, as a pipe does.
    async fn open(&self, pool: &Pool) -> SessionGuard {
        loop {
            let guard = place(pool).await;
            let dialling = self.dialling.fetch_add(1, Relaxed) + 1;
            self.most.fetch_max(dialling, Relaxed);
            let alive = clock::now() >= self.back;
            if alive {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.dialling.fetch_sub(1, Relaxed);
            if alive {
                return guard.opened();
            }
            self.refused.fetch_add(1, Relaxed);
            guard.failed("refused".to_owned());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn eight_thousand_pipes_do_not_hammer_a_dead_backend_and_are_back_within_a_second() {
    let pool = pool(1);
    let back = clock::now() + Duration::from_secs(30);
    let (refused, dialling, most) = Default::default();
    let fake = Arc::new(Fake { back, refused, dialling, most });
    let mut pipes = JoinSet::new();
    for _ in 0..8_000 {
        let (pool, fake) = (pool.clone(), fake.clone());
        pipes.spawn(async move { fake.open(&pool).await });
    }
    let sessions = pipes.join_all().await;
    let silence = clock::now().saturating_since(back);
    assert!(silence <= Duration::from_secs(1), "{silence:?} until the last was back");
    assert!(fake.refused.load(Relaxed) <= 128 + 30 * 4 + 6, "{:?} refused", fake.refused);
    assert!(fake.most.load(Relaxed) <= 128, "{:?} at a time", fake.most);
    assert_eq!(counts(&pool), (8_000, 0, 0));
    drop(sessions);
    assert_eq!(counts(&pool), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn eight_thousand_pipes_move_to_the_other_backend_at_once() {
    let pool = pool(2);
    place(&pool).await.failed("refused".to_owned());
    let (refused, dialling, most) = Default::default();
    let fake = Arc::new(Fake { back: clock::now(), refused, dialling, most });
    let start = clock::now();
    let mut pipes = JoinSet::new();
    for _ in 0..8_000 {
        let (pool, fake) = (pool.clone(), fake.clone());
        pipes.spawn(async move { fake.open(&pool).await });
    }
    let sessions = pipes.join_all().await;
    let silence = clock::now().saturating_since(start);
    assert!(silence <= Duration::from_millis(500), "{silence:?} until the last was back");
    assert!(fake.most.load(Relaxed) <= 128, "{:?} at a time", fake.most);
    drop(sessions);
}
