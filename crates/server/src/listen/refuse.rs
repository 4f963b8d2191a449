//! Answers a client that does not get a session, so that the answer arrives.

use std::time::Duration;

use everwire_proto::ws::upgrade::Refusal;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Writes the refusal and closes.
pub(super) async fn answer<S>(mut stream: S, refusal: &Refusal)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let written = timeout(WRITE_TIMEOUT, stream.write_all(&refusal.to_bytes())).await;
    if matches!(written, Ok(Ok(()))) {
        linger(stream).await;
    }
}

/// The node has as many clients as it may.
pub(super) async fn full(stream: TcpStream) {
    let mut refusal = Refusal::unavailable("this node has as many clients as it may");
    refusal.headers.push("Retry-After", b"1");
    answer(stream, &refusal).await;
}

/// Closing a socket with unread bytes resets it, and a reset overtakes the answer. So what the
/// client is still sending is read and thrown away for a moment.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut sink = [0; 1024];
    let mut left = LINGER_BYTES_MAX;
    let read_to_end = async {
        while left > 0 {
            match stream.read(&mut sink).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    };
    let _ = timeout(LINGER, read_to_end).await;
}

const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 256 << 10;
