//! An instance, which is nothing but a SignalR client.

use serde_json::{Value, json as value};

use crate::{
    hubs::client::Client,
    process::{Node, http, json, status},
};

/// One that has joined.
pub(super) struct Instance(pub(super) Client);

impl Instance {
    /// Joins by the URL, and is welcome.
    pub(super) async fn join(node: &Node, query: &str) -> Self {
        let mut client = Self::connect(node, query).await.expect("it is let in");
        let (target, arguments) = client.called().await;
        assert_eq!(target, "Welcome", "{arguments}");
        Self(client)
    }

    /// Connects as clients do that negotiate: the token comes behind what the address has.
    pub(super) async fn connect(node: &Node, query: &str) -> Option<Client> {
        let line = format!("POST /fleet/negotiate?{query}&negotiateVersion=1");
        let answer = http(node.gateway, &line, &[], "");
        if status(&answer) != 200 {
            return None;
        }
        let token = json(&answer)["connectionToken"].as_str().map(str::to_owned)?;
        Client::try_connect(node.gateway, &format!("/fleet?{query}&id={token}")).await.ok()
    }

    /// The next command: the id of the call, and what is asked for.
    pub(super) async fn command(&mut self) -> (Value, Value) {
        let next = self.0.next().await.expect("a command comes");
        assert_eq!(next["target"], "Command", "{next}");
        (next["invocationId"].clone(), next["arguments"][0].clone())
    }

    /// Answers a command with a result.
    pub(super) async fn answer(&mut self, call: &Value, result: Value) {
        self.0.say(&value!({ "type": 3, "invocationId": call, "result": result })).await;
    }

    /// Answers a command with an error.
    pub(super) async fn fail(&mut self, call: &Value, error: &str) {
        self.0.say(&value!({ "type": 3, "invocationId": call, "error": error })).await;
    }
}
