//! Whether a backend took all that was written to it, asked after its FIN was read.
//!
//! A FIN alone does not say so. A backend that exits right after its Close sends one too, and what
//! reaches it later is answered with RST, which arrives after the FIN. But once we have ended our
//! half as well, the peer's TCP says one of two things: it acknowledges our FIN, and with it every
//! byte before, or it resets. Linux shows the first as a socket without a peer and without an
//! error. Waiting costs a round trip, and nothing where our FIN was there first.
//!
//! A backend that shuts its half down, leaves bytes unread in its socket and exits later has taken
//! them as far as TCP goes: nobody can tell.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use everwire_socket::bytes::ByteSocket;
use tokio::{
    net::TcpStream,
    time::{Sleep, sleep},
};

/// Waits for the peer's TCP to have taken everything, or not.
#[derive(Debug, Default)]
pub(super) struct Receipt {
    again: Option<Pin<Box<Sleep>>>,
}

impl Receipt {
    /// Ends our half of a socket whose other half has ended; ready with whether all was taken.
    ///
    /// It waits for as long as the peer's TCP is silent: the caller has the deadline.
    pub(super) fn poll(
        &mut self,
        socket: &mut ByteSocket<TcpStream>,
        cx: &mut Context<'_>,
    ) -> Poll<bool> {
        loop {
            socket.poll_finish(cx);
            let stream = socket.stream();
            // In this order: a reset leaves its error first, and then no peer either.
            let closed = stream.peer_addr().is_err();
            match stream.take_error() {
                Ok(None) if closed => return Poll::Ready(true),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Poll::Ready(false),
            }
            // The kernel wakes nobody for an acknowledgement.
            let again = self.again.get_or_insert_with(|| Box::pin(sleep(LOOK_EVERY)));
            ready!(again.as_mut().poll(cx));
            self.again = None;
        }
    }
}

/// Below what a restart costs anyway, and above a usual round trip.
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, net::Ipv4Addr, task::Waker};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (ByteSocket<TcpStream>, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (ByteSocket::new(ours), listener.accept().await.unwrap().0)
    }

    async fn write(socket: &mut ByteSocket<TcpStream>) {
        let written = poll_fn(|cx| socket.poll_write(cx, &[b"a close"])).await;
        assert_eq!(written.unwrap(), 7);
    }

    async fn end_is_read(socket: &mut ByteSocket<TcpStream>) {
        assert_eq!(poll_fn(|cx| socket.poll_read(cx, |_| {})).await.unwrap(), 0);
    }

    async fn all_taken(socket: &mut ByteSocket<TcpStream>) -> bool {
        let mut receipt = Receipt::default();
        poll_fn(|cx| receipt.poll(socket, cx)).await
    }

    #[tokio::test]
    async fn a_peer_that_read_everything_before_it_ended_has_taken_it() {
        for ended_first in [true, false] {
            let (mut ours, mut theirs) = pair().await;
            write(&mut ours).await;
            if ended_first {
                ours.poll_finish(&mut Context::from_waker(Waker::noop()));
            }
            theirs.read_exact(&mut [0; 7]).await.unwrap();
            drop(theirs);
            end_is_read(&mut ours).await;
            assert!(all_taken(&mut ours).await, "we ended first: {ended_first}");
        }
    }

    #[tokio::test]
    async fn bytes_that_reach_a_peer_after_its_end_are_not_taken_although_the_end_was_in_order() {
        let (mut ours, theirs) = pair().await;
        drop(theirs);
        ours.stream().readable().await.unwrap();
        write(&mut ours).await;
        end_is_read(&mut ours).await;
        assert!(!all_taken(&mut ours).await);
    }

    #[tokio::test]
    async fn a_peer_that_reads_on_behind_its_own_end_takes_what_comes() {
        let (mut ours, mut theirs) = pair().await;
        theirs.shutdown().await.unwrap();
        end_is_read(&mut ours).await;
        write(&mut ours).await;
        assert!(all_taken(&mut ours).await);
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"a close");
    }
}
