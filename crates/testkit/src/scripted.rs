//! Peers that do exactly what a test says, byte for byte: as clients and as backends.
//!
//! [`Wire`] is one TCP connection. A test that plays a backend takes its legs from a [`Listener`],
//! or hands a [`Backend`] what each leg is to do; a [`Recorder`] is a well-behaved backend that
//! keeps every byte, to prove what did not arrive.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    loopback::unique_address,
    namespace::Namespace,
    wait::{SOON, soon, until_equal, within},
};

pub mod frame;

use frame::{CLOSE, Frame, PING, PONG};

/// One TCP connection, in the hands of a test.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// Bytes that were read and not taken yet.
    ahead: Vec<u8>,
    /// The head that opened it, where this side was asked to upgrade.
    pub head: String,
}

impl Wire {
    /// Connects, and sends nothing.
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = soon("a connection", TcpStream::connect(to)).await;
        Self::over(stream.unwrap_or_else(|error| panic!("connect to {to}: {error}")))
    }

    /// Connects and upgrades as a client, with further headers.
    pub async fn upgrade(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut wire = Self::connect(to).await;
        wire.send(upgrade_request(to, path, headers).as_bytes()).await;
        wire.head = wire.read_head().await;
        assert!(wire.head.starts_with("HTTP/1.1 101 "), "refused: {}", wire.head);
        wire
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a connected stream has options");
        Self { stream, ahead: Vec::new(), head: String::new() }
    }

    /// Writes bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = soon("bytes sent", self.stream.write_all(bytes)).await;
        sent.unwrap_or_else(|error| panic!("send {} bytes: {error}", bytes.len()));
    }

    /// Writes bytes as they are for as long as the other side takes them; false once it refuses.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Writes a frame.
    pub async fn send_frame(&mut self, frame: &Frame) {
        self.send(&frame.encode()).await;
    }

    /// Reads an HTTP head through its empty line; an empty text if the connection ends before.
    pub async fn read_head(&mut self) -> String {
        self.read_through("\r\n\r\n").await
    }

    /// Reads through `end`; gives an empty text if the connection ends before.
    pub async fn read_through(&mut self, end: &str) -> String {
        soon(&format!("{end:?}"), async {
            loop {
                let mut windows = self.ahead.windows(end.len());
                if let Some(at) = windows.position(|window| window == end.as_bytes()) {
                    let text: Vec<u8> = self.ahead.drain(..at + end.len()).collect();
                    return String::from_utf8_lossy(&text).into_owned();
                }
                if !self.read_more().await {
                    return String::new();
                }
            }
        })
        .await
    }

    /// Reads so many bytes; fewer if the connection ends before.
    pub async fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        soon("the bytes of a body", async {
            while self.ahead.len() < count && self.read_more().await {}
            self.ahead.drain(..count.min(self.ahead.len())).collect()
        })
        .await
    }

    /// What was read beyond what was asked for.
    pub fn take_ahead(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.ahead)
    }

    /// The header `name` of the head that was read, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Answers an upgrade as a backend must, with further headers.
    pub async fn welcome(&mut self, headers: &[(&str, &str)]) {
        let answer = welcome_head(&self.head, headers);
        self.send(answer.as_bytes()).await;
    }

    /// The next frame, or `None` at the end of the connection, however it came.
    pub async fn next_frame(&mut self) -> Option<Frame> {
        soon("a frame or the end", self.next_frame_whenever()).await
    }

    /// The next frame, however long it takes.
    pub async fn next_frame_whenever(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::decode(&self.ahead) {
                self.ahead.drain(..length);
                return Some(frame);
            }
            if !self.read_more().await {
                return None;
            }
        }
    }

    /// The next frame that is no Ping or Pong; Pings are answered as `role` must.
    pub async fn next_message_frame(&mut self, role: Role) -> Option<Frame> {
        soon("a message or the end", self.next_message_frame_whenever(role)).await
    }

    /// The same, however long it takes.
    pub async fn next_message_frame_whenever(&mut self, role: Role) -> Option<Frame> {
        loop {
            match self.next_frame_whenever().await? {
                ping if ping.opcode == PING => {
                    let pong = role.dress(Frame::new(PONG, &ping.payload));
                    if !self.try_send(&pong.encode()).await {
                        return None;
                    }
                }
                pong if pong.opcode == PONG => {}
                frame => return Some(frame),
            }
        }
    }

    /// The next whole message, its frames put together: opcode and payload. Pings are answered.
    pub async fn next_message(&mut self, role: Role) -> Option<(u8, Vec<u8>)> {
        let mut frame = self.next_message_frame(role).await?;
        let (opcode, mut payload) = (frame.opcode, frame.payload);
        while !frame.fin {
            frame = self.next_message_frame(role).await?;
            payload.extend(&frame.payload);
        }
        Some((opcode, payload))
    }

    /// Passes over everything until a Close, and gives its code; `None` if there is none.
    pub async fn next_close(&mut self) -> Option<u16> {
        soon("a Close or the end", async {
            loop {
                let frame = self.next_frame_whenever().await?;
                if let Some(code) = frame.close_code() {
                    return Some(code);
                }
            }
        })
        .await
    }

    /// Fails the test unless the other side ends the connection within `limit`.
    pub async fn ends_within(&mut self, limit: Duration) {
        within(limit, "the end of a connection", self.ended()).await;
    }

    /// Waits, however long it takes, until the other side ends the connection.
    pub async fn ended(&mut self) {
        while self.read_more().await {}
    }

    /// Everything until the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        self.ends_within(SOON).await;
        std::mem::take(&mut self.ahead)
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a connected stream has options");
    }

    /// Says that nothing more will be sent: FIN.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The stream below, for what a test does that no helper knows.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// False at the end of the connection, or once it was reset.
    async fn read_more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.ahead).await, Ok(read) if read > 0)
    }
}

/// Which end of a connection a test plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Masks what it sends.
    Client,
    /// Does not.
    Server,
}

impl Role {
    fn dress(self, frame: Frame) -> Frame {
        if self == Self::Client { frame.masked() } else { frame }
    }
}

/// A valid upgrade request with further headers.
pub fn upgrade_request(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// The answer to `request` that RFC 6455 section 4.2.2 asks for, with further headers.
pub fn welcome_head(request: &str, headers: &[(&str, &str)]) -> String {
    let key = header(request, "Sec-WebSocket-Key").unwrap_or_default();
    let hash = Sha1::new().chain_update(key).chain_update(ACCEPT_SALT).finalize();
    let accept = BASE64_STANDARD.encode(hash);
    let mut head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head + "\r\n"
}

/// The value of the first header `name` in a head, whatever its case.
pub fn header<'head>(head: &'head str, name: &str) -> Option<&'head str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// A port where a test plays the backend, leg by leg.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
}

impl Listener {
    /// Listens at an address of its own.
    pub async fn bind() -> Self {
        Self::bind_at(SocketAddr::from((unique_address(), 0))).await
    }

    /// Listens at `address`.
    pub async fn bind_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await;
        Self { listener: listener.unwrap_or_else(|error| panic!("bind {address}: {error}")) }
    }

    /// Listens inside a namespace.
    pub fn within(namespace: &Namespace) -> Self {
        let listener = namespace.listener();
        listener.set_nonblocking(true).expect("a listener has options");
        Self { listener: TcpListener::from_std(listener).expect("a runtime takes a listener") }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a listener has an address")
    }

    /// Its URL without a path.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// The next connection, whose request has been read and not answered.
    pub async fn accept(&self) -> Wire {
        soon("a leg", self.accept_whenever()).await
    }

    /// The next leg, already welcomed.
    pub async fn accept_leg(&self) -> Wire {
        let mut wire = self.accept().await;
        wire.welcome(&[]).await;
        wire
    }

    /// The next connection, however long it takes.
    pub async fn accept_whenever(&self) -> Wire {
        let (stream, _) = self.listener.accept().await.expect("a listener accepts");
        let mut wire = Wire::over(stream);
        wire.head = wire.read_head().await;
        wire
    }
}

/// A backend in this process that does the same on every leg, for as long as it is held.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    legs: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Backend {
    /// Runs `serve` on every leg, with the leg's number from 1. The request has been read; whether
    /// it is answered is up to `serve`.
    pub async fn start<S, F>(serve: S) -> Self
    where
        S: Fn(Wire, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_on(Listener::bind().await, serve)
    }

    /// Runs `serve` on every leg that comes to `listener`.
    pub fn start_on<S, F>(listener: Listener, serve: S) -> Self
    where
        S: Fn(Wire, usize) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.address();
        let legs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&legs);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let wire = listener.accept_whenever().await;
                serving.spawn(serve(wire, count.fetch_add(1, Ordering::SeqCst) + 1));
            }
        });
        Self { address, legs, _tasks: tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL without a path.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// How many legs it was asked for.
    pub fn legs(&self) -> usize {
        self.legs.load(Ordering::SeqCst)
    }

    /// Waits until it was asked for `count` legs.
    pub async fn legs_reach(&self, count: usize) {
        until_equal("legs", count, async || self.legs().min(count)).await;
    }
}

/// A well-behaved backend that keeps what arrives and echoes nothing.
#[derive(Debug)]
pub struct Recorder {
    backend: Backend,
    records: Arc<Mutex<Vec<Record>>>,
}

/// What arrived on one leg.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The request.
    pub head: String,
    /// The frames, in order, those after a Close too.
    pub frames: Vec<Frame>,
    /// Bytes at the end that make no frame.
    pub torn: Vec<u8>,
    /// The leg has ended.
    pub ended: bool,
}

impl Record {
    /// The frames that carry messages.
    pub fn data(&self) -> Vec<Frame> {
        self.frames.iter().filter(|frame| !frame.is_control()).cloned().collect()
    }
}

impl Recorder {
    /// Starts at an address of its own.
    pub async fn start() -> Self {
        let records: Arc<Mutex<Vec<Record>>> = Arc::default();
        let shared = Arc::clone(&records);
        let backend = Backend::start(move |wire, _| record(wire, Arc::clone(&shared))).await;
        Self { backend, records }
    }

    /// Its URL without a path.
    pub fn url(&self) -> String {
        self.backend.url()
    }

    /// What has arrived so far, leg by leg.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }

    /// The frames with messages that have arrived so far, on all legs.
    pub fn data(&self) -> Vec<Frame> {
        self.records().iter().flat_map(Record::data).collect()
    }

    /// Waits until every leg has ended, of which there were `count`.
    pub async fn legs_end(&self, count: usize) {
        let ended = async || self.records().iter().filter(|record| record.ended).count();
        until_equal("ended legs", count, ended).await;
        assert_eq!(self.records().len(), count, "further legs");
    }
}

async fn record(mut wire: Wire, records: Arc<Mutex<Vec<Record>>>) {
    let leg = {
        let mut records = records.lock().unwrap();
        records.push(Record { head: wire.head.clone(), ..Record::default() });
        records.len() - 1
    };
    wire.try_send(welcome_head(&wire.head, &[]).as_bytes()).await;
    while let Some(frame) = wire.next_frame_whenever().await {
        records.lock().unwrap()[leg].frames.push(frame.clone());
        if let Some(answer) = frame.answer() {
            wire.try_send(&answer.encode()).await;
        }
        if frame.opcode == CLOSE {
            wire.finish().await;
        }
    }
    let record = &mut records.lock().unwrap()[leg];
    record.torn = std::mem::take(&mut wire.ahead);
    record.ended = true;
}

/// What RFC 6455 section 1.3 has the server append to the key.
const ACCEPT_SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
