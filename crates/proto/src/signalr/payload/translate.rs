//! A value from one encoding in the other, for receivers that speak another than the sender.
//!
//! Recursion is as deep as the value, which is at most [`DEPTH_MAX`]: deeper ones are refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    EncodeError,
    timestamp::{self, Timestamp},
};
use crate::signalr::{DEPTH_MAX, json, msgpack};

/// JSON as MessagePack.
pub(super) fn to_msgpack(json: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let text = str::from_utf8(json).map_err(|_| EncodeError::Untranslatable("not UTF-8"))?;
    let mut msgpack = Vec::with_capacity(json.len());
    pack(&mut json::Scan::new(text, 0), 0, &mut msgpack)?;
    Ok(msgpack)
}

/// MessagePack as JSON.
pub(super) fn to_json(msgpack: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let mut json = Vec::with_capacity(msgpack.len() * 2);
    spell(&mut msgpack::Scan::new(msgpack, 0), 0, &mut json)?;
    Ok(json)
}

fn pack(scan: &mut json::Scan<'_>, depth: usize, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    match scan.peek() {
        Some(b'{') => pack_all(true, scan, depth, to),
        Some(b'[') => pack_all(false, scan, depth, to),
        Some(b'"') => {
            msgpack::write_text(&scan.string().map_err(unreadable)?, to);
            Ok(())
        }
        _ => pack_word(scan.value(depth).map_err(unreadable)?, to),
    }
}

/// Writes what lies in an array or object, and its count when that is known.
fn pack_all(
    is_object: bool,
    scan: &mut json::Scan<'_>,
    depth: usize,
    to: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    if depth == DEPTH_MAX {
        return Err(TOO_DEEP);
    }
    let (begin, end) = if is_object { (b'{', b'}') } else { (b'[', b']') };
    scan.expect(begin, "neither an array nor an object").map_err(unreadable)?;
    let start = to.len();
    let mut count = 0;
    while scan.take_separator(count == 0, end).map_err(unreadable)? {
        count += 1;
        if is_object {
            msgpack::write_text(&scan.name().map_err(unreadable)?, to);
        }
        pack(scan, depth + 1, to)?;
    }
    let mut header = Vec::new();
    if is_object {
        msgpack::write_map(count, &mut header);
    } else {
        msgpack::write_array(count, &mut header);
    }
    to.splice(start..start, header);
    Ok(())
}

/// Writes a number, a truth value or nothing.
fn pack_word(word: &str, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    match word {
        "null" => to.push(0xc0),
        "false" => to.push(0xc2),
        "true" => to.push(0xc3),
        number => {
            if let Ok(number) = number.parse() {
                msgpack::write_number(number, to);
            } else if let Ok(number) = number.parse() {
                msgpack::write_signed(number, to);
            } else {
                let number = number.parse::<f64>();
                let number = number.map_err(|_| EncodeError::Untranslatable("a number"))?;
                to.push(0xcb);
                to.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
    Ok(())
}

fn spell(scan: &mut msgpack::Scan<'_>, depth: usize, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    match scan.token().map_err(unreadable)? {
        msgpack::Token::Nil => to.extend_from_slice(b"null"),
        msgpack::Token::Bool(value) => write(&value, to)?,
        msgpack::Token::Unsigned(number) => write(&number, to)?,
        msgpack::Token::Signed(number) => write(&number, to)?,
        // What JSON cannot say becomes null, as in JavaScript.
        msgpack::Token::Float(number) => write(&number, to)?,
        msgpack::Token::Text(text) => write(utf8(text)?, to)?,
        msgpack::Token::Binary(bytes) => write(&STANDARD.encode(bytes), to)?,
        msgpack::Token::Extension(timestamp::EXTENSION, data) => {
            let known = Timestamp::from_data(data);
            write(&known.ok_or(EncodeError::Untranslatable("a date"))?, to)?;
        }
        msgpack::Token::Extension(..) => {
            return Err(EncodeError::Untranslatable("an extension of MessagePack"));
        }
        msgpack::Token::Array(_) | msgpack::Token::Map(_) if depth == DEPTH_MAX => {
            return Err(TOO_DEEP);
        }
        msgpack::Token::Array(count) => {
            to.push(b'[');
            for index in 0..count {
                if index > 0 {
                    to.push(b',');
                }
                spell(scan, depth + 1, to)?;
            }
            to.push(b']');
        }
        msgpack::Token::Map(count) => {
            to.push(b'{');
            for index in 0..count {
                if index > 0 {
                    to.push(b',');
                }
                spell_name(scan, to)?;
                to.push(b':');
                spell(scan, depth + 1, to)?;
            }
            to.push(b'}');
        }
    }
    Ok(())
}

/// Writes the key of a map: text, or a number in words.
fn spell_name(scan: &mut msgpack::Scan<'_>, to: &mut Vec<u8>) -> Result<(), EncodeError> {
    match scan.token().map_err(unreadable)? {
        msgpack::Token::Text(text) => write(utf8(text)?, to),
        msgpack::Token::Unsigned(number) => write(&number.to_string(), to),
        msgpack::Token::Signed(number) => write(&number.to_string(), to),
        _ => Err(EncodeError::Untranslatable("a key that is neither text nor a number")),
    }
}

fn write(value: &(impl serde::Serialize + ?Sized), to: &mut Vec<u8>) -> Result<(), EncodeError> {
    serde_json::to_writer(to, value).map_err(EncodeError::Json)
}

fn utf8(text: &[u8]) -> Result<&str, EncodeError> {
    str::from_utf8(text).map_err(|_| EncodeError::Untranslatable("text that is not UTF-8"))
}

/// What was judged when it came in reads; half a surrogate pair is what that leaves to others.
fn unreadable(_: crate::signalr::ReadError) -> EncodeError {
    EncodeError::Untranslatable("text with half a surrogate pair")
}

const TOO_DEEP: EncodeError = EncodeError::Untranslatable("nested too deep");

#[cfg(test)]
pub(in crate::signalr) mod tests;
