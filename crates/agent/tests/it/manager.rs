//! A manager in this process: a hub that says to instances what a manager does, and remembers what
//! they say.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use everwire_hub::{ConnectionId, Context, Hub, HubError};
use everwire_testkit::wait::{eventually, soon};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

/// A manager of the fleet `one`, or of another.
pub(crate) struct Manager {
    hub: Hub,
    address: SocketAddr,
    known: Arc<Mutex<Known>>,
    _server: JoinSet<()>,
}

/// What a manager knows. It survives the manager if a test wants it to.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) cluster: String,
    pub(crate) sets: BTreeMap<String, (u64, BTreeMap<String, String>)>,
    /// Who came, in order: connections and the names of their instances.
    pub(crate) joined: Vec<(ConnectionId, String)>,
    /// Their first requests.
    pub(crate) queries: Vec<String>,
    /// What was watched, and from where.
    pub(crate) watched: Vec<(String, Option<String>)>,
    /// What was reported of commands.
    pub(crate) reports: Vec<Report>,
    /// Whether nobody says Welcome.
    pub(crate) is_mute: bool,
    /// Why no set is shown.
    pub(crate) refusal: Option<String>,
}

/// What an instance reports of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) id: String,
    pub(crate) outcome: String,
    pub(crate) detail: Option<String>,
}

impl Manager {
    /// A manager at a port of the system's choice.
    pub(crate) async fn start() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(any, Known { cluster: "one".into(), ..Known::default() }).await
    }

    /// A manager there that knows this.
    pub(crate) async fn start_at(address: SocketAddr, known: Known) -> Self {
        let known = Arc::new(Mutex::new(known));
        let hub = hub(&known);
        let listener = listen(address);
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().nest_service("/fleet", hub.service());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { hub, address, known, _server: server }
    }

    /// Ends; everything that it knows is given back.
    pub(crate) async fn stop(mut self) -> (SocketAddr, Known) {
        self._server.shutdown().await;
        self.hub.stop();
        eventually("nobody there", async || (self.hub.connected() == 0).then_some(())).await;
        let known = std::mem::take(&mut *self.known());
        (self.address, known)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/fleet", self.address)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// Waits until so many connections have joined in all, and gives the last.
    pub(crate) async fn joined(&self, count: usize) -> (ConnectionId, String) {
        eventually("an instance that joins", async || {
            let known = self.known();
            (known.joined.len() >= count).then(|| known.joined.last().cloned()).flatten()
        })
        .await
    }

    /// Gives a command to the instance that joined last; what it answers at once.
    pub(crate) async fn command(&self, id: &str, name: &str, args: Value) -> Result<Value, String> {
        let cluster = self.known().cluster.clone();
        self.order(json!({"id": id, "name": name, "args": args, "cluster": cluster})).await
    }

    /// The same with all that there is to say of it.
    pub(crate) async fn order(&self, order: Value) -> Result<Value, String> {
        let (to, _) = self.joined(1).await;
        let client = self.hub.connection(to);
        let answer = soon("an answer", client.invoke::<Value>("Command", &[order])).await;
        answer.map_err(|error| error.to_string())
    }

    /// Gives a command and waits for what is reported of it.
    pub(crate) async fn outcome(&self, id: &str, name: &str, args: Value) -> Report {
        assert_eq!(self.command(id, name, args).await, Ok(json!("pending")));
        self.report(id).await
    }

    /// Waits for what is reported of a command.
    pub(crate) async fn report(&self, id: &str) -> Report {
        eventually(&format!("a report of {id}"), async || {
            self.known().reports.iter().find(|report| report.id == id).cloned()
        })
        .await
    }

    /// Changes keys of a set, and tells whoever watches it; gives the version.
    pub(crate) fn change(&self, set: &str, changes: &[(&str, Option<&str>)]) -> u64 {
        let mut known = self.known();
        let (version, values) = known.sets.entry(set.to_owned()).or_default();
        *version += 1;
        for (key, value) in changes {
            match value {
                Some(value) => values.insert((*key).to_owned(), (*value).to_owned()),
                None => values.remove(*key),
            };
        }
        let changes: Vec<Value> =
            changes.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let changed = json!({"set": set, "version": *version, "epoch": 1, "changes": changes});
        self.hub.group(set).send("ConfigurationChanged", &[changed]).unwrap();
        *version
    }

    /// Says something to everybody, as no manager should.
    pub(crate) fn say(&self, method: &str, what: Value) {
        self.hub.all().send(method, &[what]).unwrap();
    }

    /// Ends all connections with a reason, and wants nobody to come back for it.
    pub(crate) fn end_all(&self, reason: &str) {
        self.hub.all().end(Some(reason)).unwrap();
    }
}

fn hub(known: &Arc<Mutex<Known>>) -> Hub {
    let [greeted, joining, watching, reporting] = [(); 4].map(|()| Arc::clone(known));
    Hub::builder()
        .own_ids()
        .connected(move |cx: Context| {
            let known = Arc::clone(&greeted);
            let part = |name: &str| cx.request().parameter(name).unwrap_or_default();
            let name = [part("app"), part("index"), part("id")];
            async move {
                let mut known = known.lock().unwrap();
                known.queries.push(cx.request().query().unwrap_or_default().to_owned());
                // Who does not say who it is in its address has to join.
                if name[0].is_empty() { Ok(()) } else { greet(&cx, &mut known, &name) }
            }
        })
        .method("Join", move |cx: Context, who: Value| {
            let known = Arc::clone(&joining);
            let part = |name: &str| who[name].as_str().unwrap_or_default().to_owned();
            let name = [part("app"), part("index"), part("id")];
            async move { greet(&cx, &mut known.lock().unwrap(), &name) }
        })
        .method("Watch", move |cx: Context, set: String, cursor: Option<String>| {
            let known = Arc::clone(&watching);
            async move { watch(&cx, &mut known.lock().unwrap(), &set, cursor) }
        })
        .method("Report", move |_: Context, id: String, outcome: String, detail: Option<String>| {
            reporting.lock().unwrap().reports.push(Report { id, outcome, detail });
            async {}
        })
        .build()
        .unwrap()
}

fn greet(cx: &Context, known: &mut Known, name: &[String; 3]) -> Result<(), HubError> {
    let instance = name.join(":");
    known.joined.push((cx.connection_id(), instance.clone()));
    if !known.is_mute {
        cx.caller().send("Welcome", &[json!({"cluster": known.cluster, "instance": instance})])?;
    }
    Ok(())
}

/// Shows a set: what has changed if that is little, else all.
fn watch(
    cx: &Context,
    known: &mut Known,
    set: &str,
    cursor: Option<String>,
) -> Result<(), HubError> {
    let version = known.sets.entry(set.to_owned()).or_default().0;
    let is_behind = cursor != Some(format!("1-{version}"));
    known.watched.push((set.to_owned(), cursor));
    if let Some(refusal) = &known.refusal {
        return Err(HubError::new(refusal.as_str()));
    }
    let (version, values) = &known.sets[set];
    cx.hub().groups().add(cx.connection_id(), set)?;
    if is_behind {
        let all = json!({"set": set, "version": version, "epoch": 1, "values": values});
        cx.caller().send("Snapshot", &[all])?;
    }
    Ok(())
}

/// A port that was used a moment ago can be used again.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(1024).unwrap()
}
