//! Where a head ends, found once per byte.
//!
//! Bare line feeds, carriage returns and NUL are found here too, because `httparse` takes a lone
//! line feed for a line end and another parser behind us may not.

/// Looks for the end of a head in bytes that arrive piece by piece; each byte is seen once.
#[derive(Clone, Copy, Debug)]
pub struct HeadScan {
    scanned: usize,
    limit: usize,
}

/// Why the bytes of a peer cannot be a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The peer sent as many bytes as the limit without ending the head.
    #[error("the head is longer than the limit")]
    TooLong,
    /// The peer sent a line feed without carriage return, the reverse, or NUL.
    #[error("the head has a bare line feed, carriage return or NUL")]
    ControlByte,
}

impl HeadScan {
    /// A scan that has seen nothing, of a head of at most `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { scanned: 0, limit }
    }

    /// Looks at what `received`, the same bytes as before plus new ones at the end, has gained.
    /// Returns the length of the head, its empty line included, once that has arrived.
    pub fn advance(&mut self, received: &[u8]) -> Result<Option<usize>, HeadError> {
        let window = &received[..received.len().min(self.limit)];
        while let Some(control) = window[self.scanned..].iter().position(|byte| *byte < b' ') {
            let at = self.scanned + control;
            match (window[at], window.get(at + 1)) {
                // A pair that is cut in two is looked at again when its other half is there.
                (b'\r', None) => {
                    self.scanned = at;
                    return self.more(received);
                }
                (b'\r', Some(b'\n')) if at >= 2 && window[at - 1] == b'\n' => {
                    return Ok(Some(at + 2));
                }
                (b'\r', Some(b'\n')) => self.scanned = at + 2,
                (b'\r' | b'\n' | 0, _) => return Err(HeadError::ControlByte),
                // Other control bytes are the parser's to judge: a tab may stand in a value.
                _ => self.scanned = at + 1,
            }
        }
        self.scanned = window.len();
        self.more(received)
    }

    fn more(&self, received: &[u8]) -> Result<Option<usize>, HeadError> {
        if received.len() >= self.limit { Err(HeadError::TooLong) } else { Ok(None) }
    }
}

/// Whether `head` is one whole head and nothing else.
pub(super) fn is_whole(head: &[u8], limit: usize) -> Result<bool, HeadError> {
    let end = HeadScan::new(limit).advance(head)?;
    Ok(end == Some(head.len()))
}
