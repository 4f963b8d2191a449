//! Writing hub messages as JSON, the properties in the official server's order.

use super::SEPARATOR;
use crate::signalr::{
    Protocol,
    message::{Call, Close, Completion, Headers, HubMessage, Outcome, SequenceId},
    payload::{EncodeError, Payload},
};

/// Appends a message and its separator.
pub(in crate::signalr) fn write(message: &HubMessage, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    match message {
        HubMessage::Invocation(invocation) => {
            begin(1, &invocation.headers, to)?;
            if let Some(id) = &invocation.id {
                property("invocationId", id.as_str(), to)?;
            }
            write_call(&invocation.call, to)?;
        }
        HubMessage::StreamInvocation(invocation) => {
            begin(4, &invocation.headers, to)?;
            property("invocationId", invocation.id.as_str(), to)?;
            write_call(&invocation.call, to)?;
        }
        HubMessage::StreamItem(item) => {
            begin(2, &item.headers, to)?;
            property("invocationId", item.id.as_str(), to)?;
            write_payload("item", &item.item, to)?;
        }
        HubMessage::Completion(completion) => write_completion(completion, to)?,
        HubMessage::CancelInvocation(cancel) => {
            begin(5, &cancel.headers, to)?;
            property("invocationId", cancel.id.as_str(), to)?;
        }
        HubMessage::Ping => to.extend_from_slice(b"{\"type\":6"),
        HubMessage::Close(close) => write_close(close, to)?,
        HubMessage::Ack(id) => write_sequence(8, *id, to)?,
        HubMessage::Sequence(id) => write_sequence(9, *id, to)?,
    }
    to.extend_from_slice(&[b'}', SEPARATOR]);
    Ok(())
}

fn begin(kind: u8, headers: &Headers, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    to.extend_from_slice(b"{\"type\":");
    to.push(b'0' + kind);
    for (index, (name, value)) in headers.iter().enumerate() {
        to.extend_from_slice(if index == 0 { b",\"headers\":{" } else { b"," });
        string(name, to)?;
        to.push(b':');
        string(value, to)?;
    }
    if !headers.is_empty() {
        to.push(b'}');
    }
    Ok(())
}

fn write_completion(completion: &Completion, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    begin(3, &completion.headers, to)?;
    property("invocationId", completion.id.as_str(), to)?;
    match &completion.outcome {
        Outcome::Void => Ok(()),
        Outcome::Result(result) => write_payload("result", result, to),
        Outcome::Error(error) => property("error", error, to),
    }
}

fn write_close(close: &Close, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    to.extend_from_slice(b"{\"type\":7");
    if let Some(error) = &close.error {
        property("error", error, to)?;
    }
    if close.allow_reconnect {
        to.extend_from_slice(b",\"allowReconnect\":true");
    }
    Ok(())
}

fn write_sequence(kind: u8, id: SequenceId, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    begin(kind, &Headers::default(), to)?;
    write_name("sequenceId", to);
    serde_json::to_writer(to, &id).map_err(EncodeError::Json)
}

fn write_call(call: &Call, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    property("target", &call.target, to)?;
    write_payload("arguments", call.arguments.payload(), to)?;
    for (index, id) in call.streams.iter().enumerate() {
        to.extend_from_slice(if index == 0 { b",\"streamIds\":[" } else { b"," });
        string(id.as_str(), to)?;
    }
    if !call.streams.is_empty() {
        to.push(b']');
    }
    Ok(())
}

fn write_payload(name: &str, payload: &Payload, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    write_name(name, to);
    to.extend_from_slice(&payload.to_bytes(Protocol::Json)?);
    Ok(())
}

fn property(name: &str, value: &str, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    write_name(name, to);
    string(value, to)
}

fn write_name(name: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
}

fn string(text: &str, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    serde_json::to_writer(to, text).map_err(EncodeError::Json)
}
