//! Clients of a hub that mean harm, against the binary as it is: what they are told, what they cost,
//! and that a witness who is connected meanwhile notices nothing.

mod fragments;
mod logs;
mod messages;
mod metrics;
mod pressure;
mod requests;
mod tokens;

use std::net::SocketAddr;

use everwire_testkit::{
    everwire::{Everwire, Setup},
    scripted::{
        Role, Wire,
        frame::{BINARY, CLOSE, Frame, TEXT},
    },
    wait::until_equal,
};

/// What the hub does: enough that everything is kept which is ever kept.
const METHODS: &str = r#"
[hubs.h.methods]
Echo = { send = "caller" }
Broadcast = { send = "all" }
Join = { join = "{0}" }
Leave = { leave = "{0}" }
"#;

/// What a process grows by now and then, whoever its clients are, and far less than an attack brings
/// that is kept.
const LITTLE: u64 = 4 << 20;

const HELLO: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const PING: &str = "{\"type\":6}\u{1e}";

/// A node with a hub, and a client of it that means no harm.
struct Stage {
    everwire: Everwire,
    witness: Client,
    memory: u64,
}

/// A client with its hands on each frame.
struct Client {
    wire: Wire,
}

/// How a connection ended: the text of the hub's last message, and the code of the Close.
#[derive(Debug)]
struct End {
    said: String,
    code: Option<u16>,
}

/// A hub at `/hub` with further keys.
fn with_hub(keys: &str) -> Setup {
    Setup::new().hubs(&format!("[hubs.h]\npath = \"/hub\"\n{keys}\n{METHODS}"))
}

impl Stage {
    /// A hub with further keys.
    async fn with(keys: &str) -> Self {
        Self::set(with_hub(keys)).await
    }

    async fn set(setup: Setup) -> Self {
        let everwire = Everwire::start(&setup).await;
        // What each thread needs for its first clients is not what an attack costs.
        for _ in 0..8 {
            let mut client = Client::json(everwire.address()).await;
            client.say(&"x".repeat(200_000)).await;
            client.is_sent_away("too large a message").await;
        }
        let mut witness = Client::json(everwire.address()).await;
        witness.is_served().await;
        let memory = everwire.memory();
        Self { everwire, witness, memory }
    }

    async fn client(&self) -> Client {
        Client::json(self.everwire.address()).await
    }

    /// Waits until a metric says this: what ends is counted when it has ended.
    async fn counts(&self, metric: &str, wanted: f64) {
        until_equal(metric, wanted, async || self.everwire.metric(metric).await).await;
    }

    /// The witness is served as ever, and the process has not grown by as much as this.
    async fn holds(&mut self, what: &str, grown_max: u64) {
        self.witness.is_served().await;
        let grown = self.everwire.memory().saturating_sub(self.memory);
        println!("{what}: {grown} bytes");
        assert!(!self.everwire.log().contains("panicked"), "{what}");
        assert!(grown < grown_max, "{what}: {grown} bytes");
    }
}

impl Client {
    /// A client that has shaken hands.
    async fn json(to: SocketAddr) -> Self {
        Self::with_protocol(to, "/hub", "json").await
    }

    async fn with_protocol(to: SocketAddr, path: &str, protocol: &str) -> Self {
        let mut client = Self { wire: Wire::upgrade(to, path, &[]).await };
        client.say(&HELLO.replace("json", protocol)).await;
        let answer = client.wire.next_message(Role::Client).await.expect("an answer");
        assert_eq!(answer.1, b"{}\x1e");
        client
    }

    /// Says something; the hub may have ended the connection already.
    async fn say(&mut self, text: &str) {
        self.wire.try_send(&Frame::new(TEXT, text).masked().encode()).await;
    }

    async fn say_bytes(&mut self, bytes: &[u8]) {
        self.wire.try_send(&Frame::new(BINARY, bytes).masked().encode()).await;
    }

    /// Is answered, whatever it is sent besides.
    async fn is_served(&mut self) {
        self.say("{\"type\":1,\"target\":\"Echo\",\"arguments\":[\"sign of life\"]}\u{1e}").await;
        loop {
            let (_, payload) = self.wire.next_message(Role::Client).await.expect("an answer");
            if String::from_utf8_lossy(&payload).contains("sign of life") {
                return;
            }
        }
    }

    /// Passes over everything until the end.
    async fn end(&mut self) -> End {
        let (mut said, mut code) = (String::new(), None);
        while let Some(frame) = self.wire.next_message_frame(Role::Client).await {
            match frame.opcode {
                CLOSE => code = frame.close_code(),
                _ => said = String::from_utf8_lossy(&frame.payload).into_owned(),
            }
            if code.is_some() {
                self.wire.try_send(&frame.answer().expect("a Close").masked().encode()).await;
                break;
            }
        }
        End { said, code }
    }

    /// Is told by a message of the hub's that it said what is not understood, and closed.
    async fn is_sent_away(&mut self, what: &str) {
        let End { said, code } = self.end().await;
        assert!(said.contains("Connection closed with an error."), "{what}: {said}");
        assert_eq!(code, Some(1000), "{what}");
    }
}
