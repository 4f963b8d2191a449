//! What goes wrong in a method, and what the client is told of it.
//!
//! A client is told what an application wants it to know: a [`HubError`] made with
//! [`new`](HubError::new). Any other error says only that there was one, unless the hub is set to
//! [`ErrorDetail::Shown`]. The texts are the official server's to the letter, because clients and
//! their tests look at them.

use std::{error::Error, fmt};

use everwire_proto::signalr::payload::DecodeError;
use serde::{Deserialize, Serialize};

/// Why a method fails.
///
/// As in `anyhow`, every other error becomes one with `?`, and it is not itself a
/// [`std::error::Error`] for that reason.
///
/// ```
/// use everwire_hub::HubError;
///
/// fn parse(text: &str) -> Result<u32, HubError> {
///     let number = text.parse()?; // The client learns that there was an error, not which.
///     if number > 100 {
///         return Err(HubError::new("At most 100.")); // The client learns this.
///     }
///     Ok(number)
/// }
/// assert_eq!(parse("101").unwrap_err().to_string(), "At most 100.");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HubError {
    /// The kind as the official server names it, or the type of the application's error.
    kind: Box<str>,
    message: Box<str>,
    audience: Audience,
}

/// Who may read an error's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Client,
    Operator,
}

/// Whether clients are told of errors that an application did not make for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorDetail {
    /// They learn that there was one. The default: messages of errors are full of what strangers
    /// should not know.
    #[default]
    Hidden,
    /// They learn its type and message.
    Shown,
}

/// A call that was begun and has failed: where, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The arguments are not those of the method.
    Binding(HubError),
    /// The method failed.
    Invoking(HubError),
    /// The method's stream failed.
    Streaming(HubError),
}

impl HubError {
    /// An error whose message is meant for the client; a `HubException` in the official server.
    pub fn new(message: impl Into<Box<str>>) -> Self {
        Self { kind: "HubException".into(), message: message.into(), audience: Audience::Client }
    }

    /// An error that the client is told of only with [`ErrorDetail::Shown`], and then as
    /// `kind: message`.
    pub fn unexpected(kind: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        Self { kind: kind.into(), message: message.into(), audience: Audience::Operator }
    }

    /// A call that its client no longer wants, or whose client is gone.
    pub fn canceled() -> Self {
        Self::unexpected("OperationCanceledException", "The operation was canceled.")
    }

    /// The message, whoever may read it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Arguments that do not fit.
    pub(crate) fn binding(message: impl Into<Box<str>>) -> Self {
        Self::unexpected("InvalidDataException", message)
    }

    /// An argument of another type.
    pub(crate) fn decoding(error: &DecodeError) -> Self {
        Self::binding(error.to_string())
    }

    /// `what` happened, and why if the client may know.
    pub(crate) fn told(&self, what: &str, detail: ErrorDetail) -> Box<str> {
        match (self.audience, detail) {
            (Audience::Operator, ErrorDetail::Hidden) => what.into(),
            (Audience::Client, _) | (_, ErrorDetail::Shown) => {
                format!("{what} {}: {}", self.kind, self.message).into()
            }
        }
    }
}

impl<E: Error> From<E> for HubError {
    fn from(error: E) -> Self {
        Self::unexpected(type_name::<E>(), error.to_string())
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl fmt::Debug for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl Failure {
    /// What a client is told that called `target`.
    pub fn text(&self, target: &str, detail: ErrorDetail) -> Box<str> {
        match self {
            Self::Binding(error) => error.told(
                &format!("Failed to invoke '{target}' due to an error on the server."),
                detail,
            ),
            Self::Invoking(error) => error.told(&invoking(target), detail),
            Self::Streaming(error) => {
                error.told("An error occurred on the server while streaming results.", detail)
            }
        }
    }

    /// Why it failed.
    pub const fn error(&self) -> &HubError {
        match self {
            Self::Binding(error) | Self::Invoking(error) | Self::Streaming(error) => error,
        }
    }
}

/// What happened when a method was invoked in vain.
pub(crate) fn invoking(target: &str) -> String {
    format!("An unexpected error occurred invoking '{target}' on the server.")
}

/// The name of a type without its path and parameters.
fn type_name<E>() -> &'static str {
    let path = std::any::type_name::<E>();
    let path = path.split_once('<').map_or(path, |(before, _)| before);
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_what_is_meant_for_it_and_the_rest_only_on_request() {
        let told = Failure::Invoking(HubError::new("Not now."));
        let text =
            "An unexpected error occurred invoking 'Go' on the server. HubException: Not now.";
        assert_eq!(&*told.text("Go", ErrorDetail::Hidden), text);
        assert_eq!(&*told.text("Go", ErrorDetail::Shown), text);

        let parsing = "x".parse::<u32>().unwrap_err();
        let hidden = Failure::Invoking(parsing.into());
        assert_eq!(
            &*hidden.text("Go", ErrorDetail::Hidden),
            "An unexpected error occurred invoking 'Go' on the server."
        );
        assert_eq!(
            &*hidden.text("Go", ErrorDetail::Shown),
            "An unexpected error occurred invoking 'Go' on the server. ParseIntError: invalid digit \
             found in string"
        );
    }

    #[test]
    fn each_stage_of_a_call_has_its_text() {
        let detail = ErrorDetail::Shown;
        let error = || HubError::unexpected("InvalidOperationException", "Broken.");
        assert_eq!(
            &*Failure::Binding(error()).text("Go", detail),
            "Failed to invoke 'Go' due to an error on the server. InvalidOperationException: Broken."
        );
        assert_eq!(
            &*Failure::Streaming(error()).text("Go", detail),
            "An error occurred on the server while streaming results. InvalidOperationException: \
             Broken."
        );
        assert_eq!(
            &*Failure::Streaming(error()).text("Go", ErrorDetail::Hidden),
            "An error occurred on the server while streaming results."
        );
    }

    #[test]
    fn a_type_is_named_without_its_path_and_parameters() {
        assert_eq!(type_name::<std::num::ParseIntError>(), "ParseIntError");
        assert_eq!(type_name::<Vec<fmt::Error>>(), "Vec");
    }
}
