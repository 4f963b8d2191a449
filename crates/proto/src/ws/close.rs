//! Close frames, RFC 6455 sections 5.5.1 and 7.4: codes, reasons, and which of them may be sent.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::frame::{CONTROL_MAX, Violation};

/// A close code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// The protocol was broken.
    pub const PROTOCOL: Self = Self(1002);
    /// Never sent: a Close without a code was received.
    pub const NONE: Self = Self(1005);
    /// Never sent: the connection ended without a Close.
    pub const ABNORMAL: Self = Self(1006);
    /// Data was not what its type says, such as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A rule of the endpoint was broken.
    pub const POLICY: Self = Self(1008);
    /// A message was too large.
    pub const TOO_LARGE: Self = Self(1009);
    /// Something went wrong inside.
    pub const INTERNAL: Self = Self(1011);
    /// The service restarts.
    pub const RESTART: Self = Self(1012);
    /// Try again later.
    pub const TRY_AGAIN: Self = Self(1013);
    /// The credentials of the handshake are no longer accepted.
    pub const UNAUTHORIZED: Self = Self(4401);

    /// Whether an endpoint may send this code: those of RFC 6455 section 7.4.1 and of the registry
    /// of section 11.7 that are not reserved, and the ranges of libraries and applications.
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Code and reason of a Close frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The code; `None` where the frame had no payload.
    pub code: Option<CloseCode>,
    /// The reason in words; may be empty.
    pub reason: Box<str>,
}

impl Close {
    /// A Close with a code and a reason, the reason cut to what a control frame holds.
    pub fn new(code: CloseCode, reason: &str) -> Self {
        let mut end = reason.len().min(CONTROL_MAX - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self { code: Some(code), reason: reason[..end].into() }
    }

    /// Reads the payload of a Close frame.
    ///
    /// # Errors
    /// 1002 for half a code or one that must not be sent, 1007 for a reason that is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Self, Violation> {
        let (code, reason) = match payload {
            [] => return Ok(Self { code: None, reason: "".into() }),
            [_] => return Err(Violation::protocol("close frame with half a code")),
            [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        };
        if !code.may_be_sent() {
            return Err(Violation::protocol("close code that must not be sent"));
        }
        let reason = str::from_utf8(reason).map_err(|_| Violation {
            code: CloseCode::INVALID_DATA,
            reason: "close reason is not UTF-8",
        })?;
        Ok(Self { code: Some(code), reason: reason.into() })
    }

    /// The payload of a Close frame that says this.
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(2 + self.reason.len());
        if let Some(code) = self.code {
            payload.extend_from_slice(&code.0.to_be_bytes());
            payload.extend_from_slice(self.reason.as_bytes());
        }
        payload
    }

    /// The code to report: 1005 where there was none.
    pub fn reported_code(&self) -> CloseCode {
        self.code.unwrap_or(CloseCode::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_reads_as_it_was_written() {
        for close in [
            Close { code: None, reason: "".into() },
            Close::new(CloseCode::NORMAL, ""),
            Close::new(CloseCode(4999), "grüße"),
        ] {
            assert_eq!(Close::parse(&close.payload()), Ok(close));
        }
    }

    #[test]
    fn codes_that_must_not_be_sent_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            let refused = Close::parse(&u16::to_be_bytes(code)).expect_err("refused");
            assert_eq!(refused.code, CloseCode::PROTOCOL, "{code}");
        }
        assert_eq!(Close::parse(&[3]).expect_err("half").code, CloseCode::PROTOCOL);
        assert_eq!(Close::parse(&[3, 232, 0xff]).expect_err("utf-8").code, CloseCode::INVALID_DATA);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let close = Close::new(CloseCode::NORMAL, &"é".repeat(100));
        assert!(close.payload().len() <= CONTROL_MAX);
        assert_eq!(Close::parse(&close.payload()), Ok(close));
    }
}
