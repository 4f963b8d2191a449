//! One pass over JSON text that judges all of it and takes nothing apart that nobody asked for.
//!
//! Strict as RFC 8259, because values are passed on as they are and must not break a receiver. Of
//! the escapes in a value that is skipped only the form is judged: a lone surrogate is the business
//! of whoever decodes it. Nothing recurses; what is open is one bit per level.

use std::borrow::Cow;

use crate::signalr::{DEPTH_MAX, ReadError};

/// A place in JSON text.
#[derive(Debug, Clone, Copy)]
pub(in crate::signalr) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// What is open around a place: a bit for each level, set for objects, the innermost lowest.
#[derive(Debug, Clone, Copy)]
struct Open {
    objects: u64,
    depth: usize,
    /// Levels around the value that is scanned, which it must not close.
    around: usize,
}

// A bit for each level.
const _: () = assert!(DEPTH_MAX <= u64::BITS as usize);

impl<'a> Scan<'a> {
    pub(in crate::signalr) const fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    pub(in crate::signalr) const fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is not white space, which stays.
    pub(in crate::signalr) fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blank.count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes this byte and the white space before it, if it is next.
    pub(in crate::signalr) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    pub(in crate::signalr) fn expect(
        &mut self,
        byte: u8,
        reason: &'static str,
    ) -> Result<(), ReadError> {
        if self.take(byte) { Ok(()) } else { Err(ReadError::Malformed(reason)) }
    }

    /// That nothing but white space is left.
    pub(in crate::signalr) fn expect_end(&mut self) -> Result<(), ReadError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(ReadError::Malformed("something follows the value")),
        }
    }

    /// Whether another element of an array or object begins, where `first` says that none has.
    pub(in crate::signalr) fn take_separator(
        &mut self,
        first: bool,
        end: u8,
    ) -> Result<bool, ReadError> {
        if self.take(end) {
            return Ok(false);
        }
        if !first {
            self.expect(b',', "neither a comma nor an end after a value")?;
        }
        Ok(true)
    }

    /// A string with its escapes resolved.
    pub(in crate::signalr) fn string(&mut self) -> Result<Cow<'a, str>, ReadError> {
        let (raw, is_escaped) = self.raw_string()?;
        if !is_escaped {
            return Ok(Cow::Borrowed(&raw[1..raw.len() - 1]));
        }
        let resolved = serde_json::from_str::<String>(raw);
        resolved.map(Cow::Owned).map_err(|_| ReadError::Malformed("half a surrogate pair"))
    }

    /// The name of a property and the colon after it.
    pub(in crate::signalr) fn name(&mut self) -> Result<Cow<'a, str>, ReadError> {
        let name = self.string()?;
        self.expect(b':', "no colon after a name")?;
        Ok(name)
    }

    /// A value as it stands, with `around` levels around it.
    pub(in crate::signalr) fn value(&mut self, around: usize) -> Result<&'a str, ReadError> {
        self.peek();
        let start = self.at;
        let mut open = Open { objects: 0, depth: around, around };
        loop {
            let ended = match self.peek() {
                Some(b'{') => self.enter(&mut open, true)?,
                Some(b'[') => self.enter(&mut open, false)?,
                Some(b'"') => self.raw_string().map(|_| true)?,
                Some(b'-' | b'0'..=b'9') => self.number().map(|()| true)?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                Some(_) => return Err(ReadError::Malformed("not the beginning of a value")),
                None => return Err(ReadError::Malformed("the text ends where a value should be")),
            };
            if ended && !self.leave(&mut open)? {
                return Ok(&self.text[start..self.at]);
            }
        }
    }

    /// Enters an array or object; whether it has ended already.
    fn enter(&mut self, open: &mut Open, is_object: bool) -> Result<bool, ReadError> {
        if open.depth >= DEPTH_MAX {
            return Err(ReadError::TooDeep);
        }
        self.at += 1;
        let end = if is_object { b'}' } else { b']' };
        if self.take(end) {
            return Ok(true);
        }
        open.objects = open.objects << 1 | u64::from(is_object);
        open.depth += 1;
        if is_object {
            self.raw_name()?;
        }
        Ok(false)
    }

    /// Leaves what ends after a value; whether another value follows.
    fn leave(&mut self, open: &mut Open) -> Result<bool, ReadError> {
        while open.depth > open.around {
            let is_object = open.objects & 1 == 1;
            if self.take_separator(false, if is_object { b'}' } else { b']' })? {
                if is_object {
                    self.raw_name()?;
                }
                return Ok(true);
            }
            open.objects >>= 1;
            open.depth -= 1;
        }
        Ok(false)
    }

    fn raw_name(&mut self) -> Result<(), ReadError> {
        self.raw_string()?;
        self.expect(b':', "no colon after a name")
    }

    /// A string with its quotation marks, and whether there are escapes in it.
    fn raw_string(&mut self) -> Result<(&'a str, bool), ReadError> {
        self.expect(b'"', "a name or string does not begin")?;
        let start = self.at - 1;
        let bytes = self.text.as_bytes();
        let mut is_escaped = false;
        loop {
            self.at += plain(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((&self.text[start..self.at], is_escaped));
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.at += escape(&bytes[self.at + 1..])? + 1;
                }
                Some(_) => return Err(ReadError::Malformed("a control character in a string")),
                None => return Err(ReadError::Malformed("a string does not end")),
            }
        }
    }

    fn number(&mut self) -> Result<(), ReadError> {
        let wrong = ReadError::Malformed("not a number");
        let bytes = self.text.as_bytes();
        let digits =
            |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut at = self.at + usize::from(bytes[self.at] == b'-');
        let whole = digits(at);
        if whole == 0 || (whole > 1 && bytes[at] == b'0') {
            return Err(wrong);
        }
        at += whole;
        if bytes.get(at) == Some(&b'.') {
            let fraction = digits(at + 1);
            if fraction == 0 {
                return Err(wrong);
            }
            at += 1 + fraction;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let exponent = digits(at);
            if exponent == 0 {
                return Err(wrong);
            }
            at += exponent;
        }
        self.at = at;
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<bool, ReadError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(ReadError::Malformed("not the beginning of a value"));
        }
        self.at += word.len();
        Ok(true)
    }
}

/// How many bytes at the front are neither end of string, escape nor control character.
fn plain(bytes: &[u8]) -> usize {
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // Sixteen at a time without a branch, which compiles to vector instructions.
    let blocks = bytes.chunks_exact(16);
    let clean =
        blocks.take_while(|block| !block.iter().fold(false, |any, byte| any | special(byte)));
    let skipped = clean.count() * 16;
    skipped + bytes[skipped..].iter().take_while(|byte| !special(byte)).count()
}

/// Length of an escape after its backslash.
fn escape(bytes: &[u8]) -> Result<usize, ReadError> {
    match bytes {
        [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(1),
        [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()) => Ok(5),
        _ => Err(ReadError::Malformed("not an escape")),
    }
}
