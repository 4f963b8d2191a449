//! SignalR clients that somebody else wrote, and the fixture that they talk to.
//!
//! A [`Peer`] is a process that obeys orders and says what comes of them, one JSON object a line;
//! `e2e/README.md` lists both. Peers of all makes obey the same, so that a test can be run with
//! each of them.

use std::{
    ffi::OsStr,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock},
};

use serde_json::{Value, json};

use crate::{
    everwire::build,
    foreign::Launch,
    http::{self, Answer},
    process::Process,
    wait::{PATIENCE, eventually_within, now, until_equal},
};

/// A running conformance fixture. Dropping it kills it.
#[derive(Debug)]
pub struct Fixture {
    process: Process,
    address: SocketAddr,
    tls: SocketAddr,
}

impl Fixture {
    /// Starts one on a port of the kernel's choice.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await
    }

    /// Starts one there.
    pub async fn start_at(listen: SocketAddr) -> Self {
        Self::launch(listen, &[]).await
    }

    /// Starts one that serves its hubs with all others that know this secret.
    pub async fn start_node(secret: &str) -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self::launch(listen, &["--secret".as_ref(), secret.as_ref()]).await
    }

    /// The same, and what is said at one of them reaches the clients of all, over this Redis.
    pub async fn start_node_on(secret: &str, redis: &str) -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let options = ["--secret", secret, "--redis", redis];
        Self::launch(listen, &options.map(AsRef::as_ref)).await
    }

    /// Starts one whose certificate and key, files in PEM, are these.
    pub async fn start_with(certificate: &Path, key: &Path) -> Self {
        let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let identity = ["--certificate".as_ref(), certificate, "--key".as_ref(), key];
        Self::launch(listen, &identity.map(Path::as_os_str)).await
    }

    async fn launch(listen: SocketAddr, options: &[&OsStr]) -> Self {
        static BINARY: OnceLock<PathBuf> = OnceLock::new();
        let binary = BINARY.get_or_init(|| build("everwire-conformance", "everwire-conformance"));
        let mut command = Command::new(binary);
        let anywhere = SocketAddr::new(listen.ip(), 0).to_string();
        command.args(["--listen", &listen.to_string(), "--listen-tls", &anywhere]);
        command.args(options);
        let mut process = Process::start("everwire-conformance", &mut command);
        let address = process.ready("its listener", |line| listening(line, false)).await;
        let tls = process.ready("its listener with TLS", |line| listening(line, true)).await;
        Self { process, address, tls }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of one of its paths.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens with TLS.
    pub fn tls_address(&self) -> SocketAddr {
        self.tls
    }

    /// The same with TLS. Nobody vouches for the certificate but whoever brought it.
    pub fn tls_url(&self, path: &str) -> String {
        format!("https://{}{path}", self.tls)
    }

    /// A request.
    pub async fn request(&self, method: &str, path: &str) -> Answer {
        http::request(self.address, method, path, None).await
    }

    /// The process, to be looked at.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Told to end, it sends its clients away and does.
    pub async fn stop_gracefully(mut self) {
        self.process.terminate();
        let status = self.process.ended().await;
        assert!(status.success(), "{status}:\n{}", self.process.transcript());
    }
}

/// A SignalR client in a process of its own. Dropping it kills it.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    calls: u64,
    /// What it has said, as far as that has been looked at.
    heard: Mutex<Vec<Value>>,
}

/// What a client was told that called in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl Peer {
    /// Starts a peer, and waits until it is connected.
    pub async fn start(launch: &Launch) -> Self {
        let mut peer = Self::unconnected(launch);
        let said = peer.try_connect().await;
        assert_eq!(said["event"], "started", "{}", peer.process.transcript());
        peer
    }

    /// Starts a peer that has not connected.
    pub fn unconnected(launch: &Launch) -> Self {
        Self { process: launch.start(&[]), calls: 0, heard: Mutex::default() }
    }

    /// Has it connect; what it says of that.
    pub async fn try_connect(&mut self) -> Value {
        let earlier = self.all(is_beginning).len();
        self.order(&json!({ "order": "start" }));
        let what = format!("{}: a beginning", self.process.id());
        let begun = async || self.all(is_beginning).get(earlier).cloned();
        eventually_within(PATIENCE, &what, begun).await
    }

    /// The connection's id as the client knows it.
    pub fn connection(&self) -> Option<String> {
        let said = self.all(|event| is_beginning(event) || event["event"] == "reconnected");
        said.last()?["connection"].as_str().map(str::to_owned)
    }

    /// Calls a method and awaits its result.
    pub async fn invoke(&mut self, method: &str, arguments: Value) -> Result<Value, Refused> {
        let call = self.begin("invoke", method, arguments);
        self.end_of(call).await
    }

    /// Calls a method that must succeed.
    pub async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let what = format!("{method}{arguments}");
        let result = self.invoke(method, arguments).await;
        result.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Calls a method that must fail, and gives what the client is told.
    pub async fn fail(&mut self, method: &str, arguments: Value) -> String {
        let what = format!("{method}{arguments}");
        match self.invoke(method, arguments).await {
            Ok(result) => panic!("{what}: {result}"),
            Err(Refused(error)) => error,
        }
    }

    /// Calls a method and wants no answer; ready when it has been sent.
    pub async fn send(&mut self, method: &str, arguments: Value) {
        let call = self.begin("send", method, arguments);
        self.said(|event| event["event"] == "sent" && event["call"] == call).await;
    }

    /// Begins to call a method, in one of the ways that there are.
    pub fn begin(&mut self, order: &str, method: &str, arguments: Value) -> u64 {
        self.begin_with(json!({ "order": order, "method": method, "arguments": arguments }))
    }

    /// Uploads a stream to a method that takes nothing else.
    pub async fn upload(
        &mut self,
        method: &str,
        items: Value,
        error: Option<&str>,
    ) -> Result<Value, Refused> {
        let order = json!({
            "order": "upload", "method": method, "arguments": [], "items": items, "error": error,
        });
        let call = self.begin_with(order);
        self.end_of(call).await
    }

    /// The items of a stream, and how it ended.
    pub async fn stream(
        &mut self,
        method: &str,
        arguments: Value,
    ) -> (Vec<Value>, Result<Value, Refused>) {
        let call = self.begin("stream", method, arguments);
        let end = self.end_of(call).await;
        (self.items(call), end)
    }

    /// The items of a stream so far.
    pub fn items(&self, call: u64) -> Vec<Value> {
        let items = self.all(|event| event["event"] == "item" && event["call"] == call);
        items.into_iter().map(|event| event["item"].clone()).collect()
    }

    /// Wants no more of a stream.
    pub fn cancel(&mut self, call: u64) {
        self.order(&json!({ "order": "cancel", "call": call }));
    }

    /// Listens to what it is called by the server.
    pub fn on(&mut self, method: &str) {
        self.order(&json!({ "order": "on", "method": method }));
    }

    /// Answers the server's calls of a method with a result, or fails with an error.
    pub fn answer(&mut self, method: &str, answer: Result<Value, &str>) {
        let order = match answer {
            Ok(result) => json!({ "order": "answer", "method": method, "result": result }),
            Err(error) => json!({ "order": "answer", "method": method, "error": error }),
        };
        self.order(&order);
    }

    /// The arguments of each call of a method by the server so far.
    pub fn called(&self, method: &str) -> Vec<Value> {
        let calls = self.all(|event| event["event"] == "called" && event["method"] == method);
        calls.into_iter().map(|event| event["arguments"].clone()).collect()
    }

    /// Waits until the server has called a method with exactly these arguments, one after another.
    pub async fn called_with(&self, method: &str, arguments: &[Value]) {
        until_equal(method, arguments.to_vec(), async || self.called(method)).await;
    }

    /// Says goodbye; gives the error that the client closed with, if it did with one.
    pub async fn stop(&mut self) -> Option<String> {
        self.order(&json!({ "order": "stop" }));
        self.closed().await
    }

    /// Waits until the client gives up its connection; gives the error that it names.
    pub async fn closed(&self) -> Option<String> {
        let closed = self.said(|event| event["event"] == "closed").await;
        closed["error"].as_str().map(str::to_owned)
    }

    /// Waits until the client has come back so many times.
    pub async fn reconnected(&self, times: usize) {
        until_equal("reconnected", times, async || self.count("reconnected")).await;
    }

    /// How often it has said this.
    pub fn count(&self, event: &str) -> usize {
        self.all(|said| said["event"] == event).len()
    }

    /// The process, to be signalled.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// How a call that has begun ends.
    pub async fn end_of(&self, call: u64) -> Result<Value, Refused> {
        let ends = |event: &Value| event["event"] == "answered" || event["event"] == "refused";
        let end = self.said(|event| ends(event) && event["call"] == call).await;
        match &end["error"] {
            Value::String(error) => Err(Refused(error.clone())),
            _ => Ok(end["result"].clone()),
        }
    }

    fn begin_with(&mut self, mut order: Value) -> u64 {
        self.calls += 1;
        order["call"] = self.calls.into();
        self.order(&order);
        self.calls
    }

    fn order(&mut self, order: &Value) {
        self.process.tell(&order.to_string());
    }

    /// Waits for the first thing said of which this is true.
    async fn said(&self, is_meant: impl Fn(&Value) -> bool) -> Value {
        let start = now();
        let found = async || {
            // Here rather than at the end of patience, so that the transcript is shown.
            let patient = start.elapsed() < PATIENCE;
            assert!(patient, "not said:\n{}", self.process.transcript());
            self.all(&is_meant).into_iter().next()
        };
        eventually_within(2 * PATIENCE, "something said", found).await
    }

    fn all(&self, is_meant: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard = self.heard.lock().unwrap();
        for line in self.process.stdout().after(heard.len()) {
            let event = serde_json::from_str(&line);
            heard.push(event.unwrap_or_else(|error| panic!("{error}: {line}")));
        }
        heard.iter().filter(|event| is_meant(event)).cloned().collect()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_beginning(event: &Value) -> bool {
    event["event"] == "started" || event["event"] == "failed"
}

fn listening(line: &str, with_tls: bool) -> Option<SocketAddr> {
    let (_, after) = line.split_once("listening on ")?;
    let (address, rest) = after.split_once(' ').unwrap_or((after, ""));
    (rest.contains("TLS") == with_tls).then(|| address.parse().ok())?
}
