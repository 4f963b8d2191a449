//! Server-sent events, as a client reads them: the data of one event after another, out of a stream
//! of bytes whose pieces mean nothing.
//!
//! This is the event stream of the HTML standard, section 9.2.6, without what SignalR has no use
//! for: names of events, their ids and times to wait are read over, as comments are.

use std::mem::take;

use memchr::memchr2;

/// Reads one server's events. Holds nothing but the beginning of an unfinished one.
#[derive(Debug, Clone)]
pub struct EventReader {
    event_max: usize,
    /// The line that is not at its end.
    line: Vec<u8>,
    /// The data of the event that is not at its end; `None` before its first line of data.
    data: Option<Vec<u8>>,
    /// Whether the last line ended in a carriage return, of which a line feed would be a part.
    after_return: bool,
    /// Whether no line has ended yet: the first may begin with a byte order mark.
    is_first: bool,
}

/// An event, or a line that is none of its data, is longer than what is read: the server's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {event_max} bytes")]
pub struct EventTooLarge {
    /// The limit in bytes.
    pub event_max: usize,
}

impl EventReader {
    /// Reads events of at most `event_max` bytes, the field's name in the last of its lines included.
    pub const fn new(event_max: usize) -> Self {
        Self { event_max, line: Vec::new(), data: None, after_return: false, is_first: true }
    }

    /// The data of the next event, its lines joined by line feeds; `None` when all input is used.
    ///
    /// # Errors
    /// If it is too long; the reader is of no use after that.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, EventTooLarge> {
        while !input.is_empty() {
            if take(&mut self.after_return) && input[0] == b'\n' {
                *input = &input[1..];
                continue;
            }
            let Some(end) = memchr2(b'\r', b'\n', input) else {
                self.hold(take(input))?;
                break;
            };
            self.hold(&input[..end])?;
            self.after_return = input[end] == b'\r';
            *input = &input[end + 1..];
            if let Some(data) = self.end_line() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), EventTooLarge> {
        let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        if part.len() > self.event_max.saturating_sub(held) {
            return Err(EventTooLarge { event_max: self.event_max });
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Takes a line in; gives the event that ends with it, which is an empty one.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let held = take(&mut self.line);
        let mut line = &held[..];
        if take(&mut self.is_first) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.data.take();
        }
        let value = line.strip_prefix(b"data")?;
        let value = match value {
            [] => value,
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            // The name only begins like this one.
            _ => return None,
        };
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        None
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests;
