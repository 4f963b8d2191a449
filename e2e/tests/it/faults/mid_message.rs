//! P2: a backend is lost in the middle of a message. Whole messages are the unit of forwarding.

use everwire_testkit::{
    client::{Client, Heard},
    everwire::{Everwire, Setup},
    message::Kind,
    scripted::{
        Listener, Role, Wire,
        frame::{BINARY, CONTINUATION, Frame, TEXT},
    },
};
use tokio::join;

/// How a leg ends.
#[derive(Clone, Copy)]
enum Ending {
    Reset,
    Fin,
}

#[tokio::test]
async fn fault_p2_half_a_frame_from_a_backend_never_reaches_the_client() {
    let half = Frame::new(TEXT, [b'x'; 1000]).encode()[..400].to_vec();
    for ending in [Ending::Reset, Ending::Fin] {
        client_hears_only_the_next_leg(&half, ending).await;
    }
}

#[tokio::test]
async fn fault_p2_fragments_without_an_end_never_reach_the_client() {
    let start = Frame::new(TEXT, [b'x'; 500]).unfinished().encode();
    let more = Frame::new(CONTINUATION, [b'x'; 500]).unfinished().encode();
    for ending in [Ending::Reset, Ending::Fin] {
        client_hears_only_the_next_leg(&[&start[..], &more[..]].concat(), ending).await;
    }
}

/// The first leg leaves `torn` behind and ends; the second sends a whole message.
async fn client_hears_only_the_next_leg(torn: &[u8], ending: Ending) {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    leg.send(torn).await;
    end(leg, ending).await;
    let mut next = backend.accept_leg().await;
    next.send_frame(&Frame::new(BINARY, b"whole")).await;
    assert_eq!(client.hear().await, Heard::Message(Kind::Binary, b"whole".to_vec()));
}

#[tokio::test]
async fn fault_p2_a_message_half_read_by_a_backend_goes_to_the_next_one_whole_and_once() {
    let backend = Listener::bind().await;
    let everwire = Everwire::start(&Setup::new().backend(backend.url())).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    let message = vec![0xAB; 1 << 20];
    client.send(Kind::Binary, message.clone()).await;
    leg.stream().readable().await.unwrap();
    leg.reset();

    let mut next = backend.accept_leg().await;
    assert_eq!(next.next_message(Role::Server).await, Some((BINARY, message)));
    client.send_text("after").await;
    assert_eq!(next.next_message(Role::Server).await, Some((TEXT, b"after".to_vec())));
}

#[tokio::test]
async fn fault_p2_a_message_too_large_to_hold_ends_with_an_announced_1012() {
    let backend = Listener::bind().await;
    let setup = Setup::new().backend(backend.url()).route("buffer_max", r#""64KiB""#);
    let everwire = Everwire::start(&setup).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    let half = Frame::new(BINARY, vec![1; 8 << 20]).encode()[..4 << 20].to_vec();
    let lose = async {
        leg.send(&half).await;
        leg.reset();
    };
    let ((), (code, reason)) = join!(lose, client.hear_close());
    assert_eq!(code, 1012, "{reason}");
    assert!(!reason.is_empty(), "the reason names the cause");
}

#[tokio::test]
async fn fault_p2_an_upload_too_large_to_keep_ends_with_an_announced_1012() {
    let backend = Listener::bind().await;
    let setup = Setup::new().backend(backend.url()).route("buffer_max", r#""64KiB""#);
    let everwire = Everwire::start(&setup).await;
    let (mut client, mut leg) =
        join!(Client::open(everwire.address(), "/", "c"), backend.accept_leg());
    let upload = client.try_send(Kind::Binary, vec![1; 16 << 20]);
    let lose = async {
        read_at_least(&mut leg, 1 << 20).await;
        leg.reset();
    };
    let (_, ()) = join!(upload, lose);
    let (code, reason) = client.hear_close().await;
    assert_eq!(code, 1012, "{reason}");
}

async fn end(mut leg: Wire, ending: Ending) {
    match ending {
        Ending::Reset => leg.reset(),
        Ending::Fin => leg.finish().await,
    }
}

async fn read_at_least(leg: &mut Wire, count: usize) {
    use tokio::io::AsyncReadExt;
    let mut bytes = vec![0; count];
    leg.stream().read_exact(&mut bytes).await.expect("the upload streams through");
}
