//! Writing hub messages as MessagePack, every number and length as short as it can be.

use crate::signalr::{
    Protocol,
    message::{Call, Close, Completion, Headers, HubMessage, Outcome, SequenceId},
    payload::{EncodeError, Payload},
};

/// Appends a message behind its length.
pub(in crate::signalr) fn write(message: &HubMessage, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = to.len();
    write_body(message, to)?;
    let length = i32::try_from(to.len() - start).map_err(|_| EncodeError::TooLong)?;
    let (prefix, used) = prefix(length.unsigned_abs());
    to.splice(start..start, prefix.into_iter().take(used));
    Ok(())
}

/// A length in 7 bits per byte, the lowest first, and how many bytes that takes.
fn prefix(mut length: u32) -> ([u8; 5], usize) {
    let mut prefix = [0; 5];
    let mut used = 0;
    loop {
        let [lowest, ..] = length.to_le_bytes();
        length >>= 7;
        prefix[used] = lowest & 0x7f | u8::from(length > 0) << 7;
        used += 1;
        if length == 0 {
            return (prefix, used);
        }
    }
}

fn write_body(message: &HubMessage, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    match message {
        HubMessage::Invocation(invocation) => {
            begin(6, 1, &invocation.headers, to);
            match &invocation.id {
                Some(id) => write_text(id.as_str(), to),
                None => to.push(NIL),
            }
            write_call(&invocation.call, to)?;
        }
        HubMessage::StreamInvocation(invocation) => {
            begin(6, 4, &invocation.headers, to);
            write_text(invocation.id.as_str(), to);
            write_call(&invocation.call, to)?;
        }
        HubMessage::StreamItem(item) => {
            begin(4, 2, &item.headers, to);
            write_text(item.id.as_str(), to);
            write_payload(&item.item, to)?;
        }
        HubMessage::Completion(completion) => write_completion(completion, to)?,
        HubMessage::CancelInvocation(cancel) => {
            begin(3, 5, &cancel.headers, to);
            write_text(cancel.id.as_str(), to);
        }
        HubMessage::Ping => to.extend_from_slice(&[0x91, 6]),
        HubMessage::Close(close) => write_close(close, to),
        HubMessage::Ack(id) => write_sequence(8, *id, to),
        HubMessage::Sequence(id) => write_sequence(9, *id, to),
    }
    Ok(())
}

fn begin(items: usize, kind: u64, headers: &Headers, to: &mut Vec<u8>) {
    write_array(items, to);
    write_number(kind, to);
    write_map(headers.len(), to);
    for (name, value) in headers.iter() {
        write_text(name, to);
        write_text(value, to);
    }
}

fn write_completion(completion: &Completion, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (items, kind) = match completion.outcome {
        Outcome::Error(_) => (5, 1),
        Outcome::Void => (4, 2),
        Outcome::Result(_) => (5, 3),
    };
    begin(items, 3, &completion.headers, to);
    write_text(completion.id.as_str(), to);
    to.push(kind);
    match &completion.outcome {
        Outcome::Error(error) => write_text(error, to),
        Outcome::Void => {}
        Outcome::Result(result) => write_payload(result, to)?,
    }
    Ok(())
}

fn write_close(close: &Close, to: &mut Vec<u8>) {
    to.extend_from_slice(&[0x93, 7]);
    match &close.error {
        Some(error) => write_text(error, to),
        None => to.push(NIL),
    }
    to.push(if close.allow_reconnect { TRUE } else { FALSE });
}

fn write_sequence(kind: u8, id: SequenceId, to: &mut Vec<u8>) {
    to.extend_from_slice(&[0x92, kind]);
    write_number(id.0, to);
}

fn write_call(call: &Call, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    write_text(&call.target, to);
    write_payload(call.arguments.payload(), to)?;
    write_array(call.streams.len(), to);
    for id in &call.streams {
        write_text(id.as_str(), to);
    }
    Ok(())
}

fn write_payload(payload: &Payload, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    to.extend_from_slice(&payload.to_bytes(Protocol::MessagePack)?);
    Ok(())
}

/// Appends the beginning of an array of so many values.
pub(in crate::signalr) fn write_array(count: usize, to: &mut Vec<u8>) {
    write_count(count, 0x90, 0xdc, to);
}

/// Appends the beginning of a map of so many pairs.
pub(in crate::signalr) fn write_map(count: usize, to: &mut Vec<u8>) {
    write_count(count, 0x80, 0xde, to);
}

/// Appends a count of values or pairs: in the first byte, or in the 2 or 4 after it.
fn write_count(count: usize, short: u8, long: u8, to: &mut Vec<u8>) {
    match u16::try_from(count) {
        Ok(count @ 0..16) => to.push(short | count.to_le_bytes()[0]),
        Ok(count) => {
            to.push(long);
            to.extend_from_slice(&count.to_be_bytes());
        }
        Err(_) => {
            to.push(long + 1);
            to.extend_from_slice(&(count as u32).to_be_bytes());
        }
    }
}

/// Appends text. What is longer than 4 GiB is never written: its message is too long.
pub(in crate::signalr) fn write_text(text: &str, to: &mut Vec<u8>) {
    match u8::try_from(text.len()) {
        Ok(length @ 0..32) => to.push(0xa0 | length),
        _ => write_length(text.len(), 0xd9, to),
    }
    to.extend_from_slice(text.as_bytes());
}

/// Appends a number that is not negative.
pub(in crate::signalr) fn write_number(number: u64, to: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let (marker, width) = match number {
        0..0x80 => return to.push(bytes[7]),
        0x80..0x100 => (0xcc, 1),
        0x100..0x1_0000 => (0xcd, 2),
        0x1_0000..0x1_0000_0000 => (0xce, 4),
        _ => (0xcf, 8),
    };
    to.push(marker);
    to.extend_from_slice(&bytes[8 - width..]);
}

/// Appends a number that may be negative.
pub(in crate::signalr) fn write_signed(number: i64, to: &mut Vec<u8>) {
    if let Ok(number) = u64::try_from(number) {
        return write_number(number, to);
    }
    let bytes = number.to_be_bytes();
    let (marker, width) = match number {
        -0x20.. => return to.push(bytes[7]),
        -0x80.. => (0xd0, 1),
        -0x8000.. => (0xd1, 2),
        -0x8000_0000.. => (0xd2, 4),
        _ => (0xd3, 8),
    };
    to.push(marker);
    to.extend_from_slice(&bytes[8 - width..]);
}

/// Appends bytes. What is longer than 4 GiB is never written: its message is too long.
pub(in crate::signalr) fn write_binary(bytes: &[u8], to: &mut Vec<u8>) {
    write_length(bytes.len(), 0xc4, to);
    to.extend_from_slice(bytes);
}

/// Appends an extension, in the form without a length if there is one.
pub(in crate::signalr) fn write_extension(kind: i8, data: &[u8], to: &mut Vec<u8>) {
    match data.len() {
        1 => to.push(0xd4),
        2 => to.push(0xd5),
        4 => to.push(0xd6),
        8 => to.push(0xd7),
        16 => to.push(0xd8),
        length => write_length(length, 0xc7, to),
    }
    to.extend_from_slice(&kind.to_be_bytes());
    to.extend_from_slice(data);
}

/// Appends a length of 1, 2 or 4 bytes behind the marker of its width.
fn write_length(length: usize, first: u8, to: &mut Vec<u8>) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) => to.extend_from_slice(&[first, length]),
        (_, Ok(length)) => {
            to.push(first + 1);
            to.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            to.push(first + 2);
            to.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

const NIL: u8 = 0xc0;
const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;
