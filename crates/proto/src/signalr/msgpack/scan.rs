//! One pass over MessagePack that judges all of it and takes nothing apart that nobody asked for.
//!
//! Every length and count is compared with the bytes that are there before anything is done with
//! it. Nothing recurses; what is open is one count per level. Text in a value that is skipped need
//! not be UTF-8: that is the business of whoever decodes it.

use crate::signalr::{DEPTH_MAX, ReadError};

/// A place in MessagePack bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::signalr) struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One value without what lies in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::signalr) enum Token<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a [u8]),
    Binary(&'a [u8]),
    /// An array of so many values.
    Array(usize),
    /// A map of so many pairs.
    Map(usize),
    /// An extension's type and data.
    Extension(i8, &'a [u8]),
}

impl<'a> Scan<'a> {
    pub(in crate::signalr) const fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    pub(in crate::signalr) const fn at(&self) -> usize {
        self.at
    }

    /// That nothing is left.
    pub(in crate::signalr) const fn expect_end(&self) -> Result<(), ReadError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(ReadError::Malformed("something follows the value"))
        }
    }

    /// The next value without what lies in it.
    pub(in crate::signalr) fn token(&mut self) -> Result<Token<'a>, ReadError> {
        Ok(match self.take::<1>()?[0] {
            byte @ 0x00..=0x7f => Token::Unsigned(u64::from(byte)),
            byte @ 0x80..=0x8f => self.map(usize::from(byte & 0x0f))?,
            byte @ 0x90..=0x9f => self.array(usize::from(byte & 0x0f))?,
            byte @ 0xa0..=0xbf => Token::Text(self.slice(usize::from(byte & 0x1f))?),
            0xc0 => Token::Nil,
            0xc1 => return Err(ReadError::Malformed("a byte that means nothing")),
            byte @ 0xc2..=0xc3 => Token::Bool(byte == 0xc3),
            byte @ 0xc4..=0xc6 => {
                let length = self.count(byte - 0xc4)?;
                Token::Binary(self.slice(length)?)
            }
            byte @ 0xc7..=0xc9 => {
                let length = self.count(byte - 0xc7)?;
                self.extension(length)?
            }
            0xca => Token::Float(f64::from(f32::from_be_bytes(self.take()?))),
            0xcb => Token::Float(f64::from_be_bytes(self.take()?)),
            0xcc => Token::Unsigned(u64::from(u8::from_be_bytes(self.take()?))),
            0xcd => Token::Unsigned(u64::from(u16::from_be_bytes(self.take()?))),
            0xce => Token::Unsigned(u64::from(u32::from_be_bytes(self.take()?))),
            0xcf => Token::Unsigned(u64::from_be_bytes(self.take()?)),
            0xd0 => Token::Signed(i64::from(i8::from_be_bytes(self.take()?))),
            0xd1 => Token::Signed(i64::from(i16::from_be_bytes(self.take()?))),
            0xd2 => Token::Signed(i64::from(i32::from_be_bytes(self.take()?))),
            0xd3 => Token::Signed(i64::from_be_bytes(self.take()?)),
            byte @ 0xd4..=0xd8 => self.extension(1 << (byte - 0xd4))?,
            byte @ 0xd9..=0xdb => {
                let length = self.count(byte - 0xd9)?;
                Token::Text(self.slice(length)?)
            }
            byte @ 0xdc..=0xdd => {
                let count = self.count(byte - 0xdc + 1)?;
                self.array(count)?
            }
            byte @ 0xde..=0xdf => {
                let count = self.count(byte - 0xde + 1)?;
                self.map(count)?
            }
            byte @ 0xe0..=0xff => Token::Signed(i64::from(i8::from_be_bytes([byte]))),
        })
    }

    /// A value as it stands, with `around` levels around it.
    pub(in crate::signalr) fn value(&mut self, around: usize) -> Result<&'a [u8], ReadError> {
        let start = self.at;
        // How many values are still to come, on each level.
        let mut open = [0; DEPTH_MAX];
        let mut depth = around;
        loop {
            let inside = match self.token()? {
                Token::Array(count) => Some(count),
                Token::Map(count) => Some(2 * count),
                _ => None,
            };
            if let Some(count) = inside {
                *open.get_mut(depth).ok_or(ReadError::TooDeep)? = count;
                depth += 1;
            }
            while depth > around && open[depth - 1] == 0 {
                depth -= 1;
            }
            if depth == around {
                return Ok(&self.bytes[start..self.at]);
            }
            open[depth - 1] -= 1;
        }
    }

    /// A count of 1, 2 or 4 bytes: 2 to the power of `width`.
    fn count(&mut self, width: u8) -> Result<usize, ReadError> {
        Ok(match width {
            0 => usize::from(u8::from_be_bytes(self.take()?)),
            1 => usize::from(u16::from_be_bytes(self.take()?)),
            _ => u32::from_be_bytes(self.take()?) as usize,
        })
    }

    fn array(&self, count: usize) -> Result<Token<'a>, ReadError> {
        if count > self.left() { Err(SHORT) } else { Ok(Token::Array(count)) }
    }

    fn map(&self, count: usize) -> Result<Token<'a>, ReadError> {
        if count > self.left() / 2 { Err(SHORT) } else { Ok(Token::Map(count)) }
    }

    fn extension(&mut self, length: usize) -> Result<Token<'a>, ReadError> {
        let kind = i8::from_be_bytes(self.take()?);
        Ok(Token::Extension(kind, self.slice(length)?))
    }

    const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let slice = self.bytes[self.at..].get(..length).ok_or(SHORT)?;
        self.at += length;
        Ok(slice)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let taken = self.bytes[self.at..].first_chunk().ok_or(SHORT)?;
        self.at += N;
        Ok(*taken)
    }
}

/// Less is there than was announced; a count is judged by the least that its values could take.
const SHORT: ReadError = ReadError::Malformed("less is there than was announced");
