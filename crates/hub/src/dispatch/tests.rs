//! What a client says, in JSON, and what is done about it, in words.

mod asking;
mod calls;
mod flooding;
mod random;
mod uploading;

use everwire_proto::signalr::{MESSAGE_MAX, Protocol, Reader};

use super::*;

/// A connection and the methods that it may call.
pub(super) struct Connection {
    dispatch: Dispatch,
}

impl Connection {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self { dispatch: Dispatch::new(limits, ErrorDetail::Shown) }
    }

    /// What is done about messages of the client.
    fn say(&mut self, json: &str) -> Vec<String> {
        for message in messages(json) {
            self.dispatch.handle_message(message, find);
        }
        self.actions()
    }

    /// What is done about a call's result.
    fn answer(&mut self, call: u64, json: &'static str) -> Vec<String> {
        self.dispatch.handle_end(CallKey(call), Ok(Some(payload(json))));
        self.actions()
    }

    /// What is done about an item of a call.
    fn item(&mut self, call: u64, json: &'static str) -> Vec<String> {
        self.dispatch.handle_item(CallKey(call), payload(json));
        self.actions()
    }

    /// What is done about the end of a stream.
    fn end(&mut self, call: u64) -> Vec<String> {
        self.dispatch.handle_end(CallKey(call), Ok(None));
        self.actions()
    }

    /// What is done about a call's failure.
    fn fail(&mut self, call: u64, failure: Failure) -> Vec<String> {
        self.dispatch.handle_end(CallKey(call), Err(failure));
        self.actions()
    }

    fn disconnect(&mut self) -> Vec<String> {
        self.dispatch.handle_disconnect();
        self.actions()
    }

    fn actions(&mut self) -> Vec<String> {
        let actions = std::iter::from_fn(|| self.dispatch.poll_action());
        actions.map(|action| in_words(&action)).collect()
    }
}

/// The methods of the hub by what they do; any other name is none.
fn find(target: &str) -> Found {
    let (answers, uploads) = match target {
        "Once" => (Answers::Once, 0),
        "Stream" => (Answers::Stream, 0),
        "Upload" => (Answers::Once, 1),
        "UploadTwo" => (Answers::Once, 2),
        "Both" => (Answers::Stream, 1),
        "Secret" => return Found::Forbidden,
        _ => return Found::Nothing,
    };
    Found::Method(MethodId(uploads), Signature { answers, arguments: None, uploads })
}

fn messages(json: &str) -> Vec<HubMessage> {
    let text = json.lines().map(|line| format!("{}\u{1e}", line.trim())).collect::<String>();
    let mut reader = Reader::new(Protocol::Json, MESSAGE_MAX);
    let mut input = text.as_bytes();
    std::iter::from_fn(|| reader.next(&mut input).unwrap()).collect()
}

fn payload(json: &'static str) -> Payload {
    Payload::parse(Protocol::Json, json.as_bytes().into()).unwrap()
}

fn id(name: &str) -> InvocationId {
    InvocationId::new(name).unwrap()
}

fn json(message: &HubMessage) -> String {
    let bytes = Protocol::Json.encode(message).unwrap();
    String::from_utf8(bytes[..bytes.len() - 1].to_vec()).unwrap()
}

fn text(payload: &Payload) -> String {
    String::from_utf8(payload.to_bytes(Protocol::Json).unwrap().to_vec()).unwrap()
}

fn in_words(action: &Action) -> String {
    let upload = |key: &UploadKey| format!("{}.{}", key.call.0, key.index);
    match action {
        Action::Start(Start { call, arguments, .. }) => {
            format!("start {} {}", call.0, text(arguments.payload()))
        }
        Action::Feed(key, item) => format!("feed {} {}", upload(key), text(item)),
        Action::EndUpload(key, None) => format!("end upload {}", upload(key)),
        Action::EndUpload(key, Some(error)) => format!("fail upload {} {error:?}", upload(key)),
        Action::Cancel(call) => format!("cancel {}", call.0),
        Action::Send(message) => json(message),
        Action::Answer(id, outcome) => {
            let completion = HubMessage::completion(id.clone(), outcome.clone());
            format!("answer {}", json(&completion))
        }
        Action::Unanswered(id) => format!("unanswered {id}"),
        Action::Closed(close) => format!("closed {:?} {}", close.error, close.allow_reconnect),
        Action::Refused(refusal) => format!("refused {refusal:?}"),
        Action::Ignored(ignored) => format!("ignored {ignored:?}"),
    }
}

fn invoke(id: &str, target: &str) -> String {
    format!(r#"{{"type":1,"invocationId":"{id}","target":"{target}","arguments":[]}}"#)
}

fn send(target: &str) -> String {
    format!(r#"{{"type":1,"target":"{target}","arguments":[]}}"#)
}

fn stream(id: &str, target: &str) -> String {
    format!(r#"{{"type":4,"invocationId":"{id}","target":"{target}","arguments":[]}}"#)
}

fn upload(id: &str, target: &str, streams: &[&str]) -> String {
    format!(
        r#"{{"type":1,"invocationId":"{id}","target":"{target}","arguments":[],"streamIds":{streams:?}}}"#
    )
}

fn item(stream: &str, json: &str) -> String {
    format!(r#"{{"type":2,"invocationId":"{stream}","item":{json}}}"#)
}

fn complete(id: &str) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}"}}"#)
}

fn cancel(id: &str) -> String {
    format!(r#"{{"type":5,"invocationId":"{id}"}}"#)
}
