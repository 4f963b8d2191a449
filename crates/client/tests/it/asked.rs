//! Requests of a client, answered one by one, each over a connection of its own.

use everwire_testkit::wait::soon;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::peer::Peer;

/// A negotiation that offers all transports, with this id.
pub(crate) fn offer(id: &str) -> String {
    format!(
        r#"{{"negotiateVersion":1,"connectionId":"{id}","connectionToken":"{id}","availableTransports":[
        {{"transport":"WebSockets","transferFormats":["Text","Binary"]}},
        {{"transport":"ServerSentEvents","transferFormats":["Text"]}},
        {{"transport":"LongPolling","transferFormats":["Text","Binary"]}}]}}"#
    )
}

pub(crate) const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";

/// A request that waits for its answer.
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
    stream: TcpStream,
}

impl Peer {
    /// The next request.
    pub(crate) async fn asked(&self) -> Asked {
        Asked::read(self.accept().await).await
    }

    /// The next request, which must begin like this.
    pub(crate) async fn asked_for(&self, wanted: &str) -> Asked {
        let asked = self.asked().await;
        assert!(asked.head.starts_with(wanted), "{wanted}: {}", asked.head);
        asked
    }

    /// Takes a client through negotiation and handshake by polls; gives the poll that waits then.
    pub(crate) async fn serve_polls(&self, negotiation: &str) -> Asked {
        self.negotiate(negotiation).await;
        self.asked_for("GET /hub?id=").await.answer("200 OK", "").await;
        let (poll, post) = self.poll_and_post().await;
        assert_eq!(post.body, HANDSHAKE);
        post.answer("200 OK", "").await;
        poll.answer("200 OK", "{}\u{1e}").await;
        self.asked_for("GET /hub?id=").await
    }

    /// A poll and something said, which come in any order.
    pub(crate) async fn poll_and_post(&self) -> (Asked, Asked) {
        let (one, other) = (self.asked().await, self.asked().await);
        if one.head.starts_with("GET ") { (one, other) } else { (other, one) }
    }
}

impl Asked {
    async fn read(mut stream: TcpStream) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("a request", stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        soon("a body", stream.read_exact(&mut body)).await.unwrap();
        Self { head, body: String::from_utf8_lossy(&body).into_owned(), stream }
    }

    /// Answers with this body, and waits for another request over the same connection.
    pub(crate) async fn answer_and_go_on(mut self, body: &str) -> Self {
        let length = body.len();
        self.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")).await;
        Self::read(self.stream).await
    }

    /// Answers with this status and body.
    pub(crate) async fn answer(self, status: &str, body: &str) {
        self.answer_with(status, "", body).await;
    }

    /// The same with further header lines.
    pub(crate) async fn answer_with(mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        // A client that wants to know no more may be gone by now.
        let _ = self.stream.write_all(answer.as_bytes()).await;
    }

    /// Answers with events that follow.
    pub(crate) async fn begin_events(mut self) -> Self {
        self.say(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n:\r\n",
        )
        .await;
        self
    }

    /// Writes whatever is to be said.
    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Waits until the client hangs up.
    pub(crate) async fn ended(mut self) {
        let mut rest = Vec::new();
        // A connection that is reset is over as well.
        let _ = soon("an end", self.stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty(), "{rest:?}");
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.head.lines().any(|it| it.eq_ignore_ascii_case(line))
    }
}
