//! What an instance's answer to a command means.
//!
//! | answer | outcome |
//! |---|---|
//! | nothing, or null | done |
//! | `"pending"` | none yet: the instance will `Report` |
//! | `{"outcome":"failed","detail":…}`, or done, refused, interrupted | that |
//! | any other value | done, with it as detail |
//! | the error `Client didn't provide a result.` | refused |
//! | any other error | failed, with its text as detail |

use everwire_hub::InvokeError;
use serde_json::Value;

use crate::{command::Outcome, ledger::commands::DETAIL_MAX};

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// This has become of it.
    Said(Outcome, Option<Box<str>>),
    /// Nothing yet: the instance will say so, or comes back, or the deadline ends it.
    Later,
    /// The instance was not asked, and is to be.
    NotAsked,
}

/// What an answer means.
pub(crate) fn meaning(answer: Result<Value, InvokeError>) -> Meaning {
    match answer {
        Ok(Value::String(text)) if text == PENDING => Meaning::Later,
        Ok(value) => {
            let (outcome, detail) = said(value);
            Meaning::Said(outcome, detail)
        }
        Err(InvokeError::Failed(text)) if &*text == NO_RESULT => {
            Meaning::Said(Outcome::Refused, None)
        }
        Err(InvokeError::Failed(text)) => Meaning::Said(Outcome::Failed, Some(cut(&text))),
        // It was done, and has a result that JSON does not have.
        Err(InvokeError::Decode(_)) => Meaning::Said(Outcome::Done, None),
        Err(InvokeError::Encode(error)) => {
            Meaning::Said(Outcome::Failed, Some(cut(&error.to_string())))
        }
        Err(InvokeError::Refused(_) | InvokeError::TooMany) => Meaning::NotAsked,
        Err(
            InvokeError::Disconnected(_)
            | InvokeError::Late(_)
            | InvokeError::Unknown(_)
            | InvokeError::Unreached(_),
        ) => Meaning::Later,
    }
}

/// The outcome that a value names, or done with the value as detail.
fn said(mut value: Value) -> (Outcome, Option<Box<str>>) {
    let named = value.get("outcome").and_then(Value::as_str).and_then(named);
    match named {
        Some(outcome) => (outcome, value.get_mut("detail").map(Value::take).and_then(detail)),
        None => (Outcome::Done, detail(value)),
    }
}

/// The outcome that an instance may say of itself; the others are for the manager to say.
pub(crate) fn named(text: &str) -> Option<Outcome> {
    let outcome: Outcome = text.parse().ok()?;
    use Outcome::{Done, Failed, Interrupted, Refused};
    matches!(outcome, Done | Failed | Refused | Interrupted).then_some(outcome)
}

/// A value as detail: what is text as it is, what is null not at all.
pub(crate) fn detail(value: Value) -> Option<Box<str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(cut(&text)),
        other => Some(cut(&other.to_string())),
    }
}

/// A text that is no longer than a detail may be; one that is cut says so.
fn cut(text: &str) -> Box<str> {
    if text.len() <= DETAIL_MAX {
        return text.into();
    }
    let end = text.floor_char_boundary(DETAIL_MAX - CUT.len());
    format!("{}{CUT}", &text[..end]).into()
}

/// What an instance answers that will say later what has become of a command.
pub(crate) const PENDING: &str = "pending";

/// What clients say of methods that they do not have.
const NO_RESULT: &str = "Client didn't provide a result.";

/// The end of what was longer.
const CUT: &str = "… (cut)";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pred_m11_an_answer_is_an_outcome() {
        let said = |outcome, detail: &str| Meaning::Said(outcome, Some(detail.into()));
        for (answer, wanted) in [
            (json!(null), Meaning::Said(Outcome::Done, None)),
            (json!("pending"), Meaning::Later),
            (json!("ok"), said(Outcome::Done, "ok")),
            (json!({"a": 1}), said(Outcome::Done, r#"{"a":1}"#)),
            (json!({"outcome": "refused"}), Meaning::Said(Outcome::Refused, None)),
            (json!({"outcome": "failed", "detail": "disk"}), said(Outcome::Failed, "disk")),
            (json!({"outcome": "interrupted", "detail": 7}), said(Outcome::Interrupted, "7")),
            (json!({"outcome": "gone"}), said(Outcome::Done, r#"{"outcome":"gone"}"#)),
        ] {
            assert_eq!(meaning(Ok(answer.clone())), wanted, "{answer}");
        }
        let failed = |text: &str| meaning(Err(InvokeError::Failed(text.into())));
        assert_eq!(failed(NO_RESULT), Meaning::Said(Outcome::Refused, None));
        assert_eq!(failed("broken"), said(Outcome::Failed, "broken"));
        assert_eq!(meaning(Err(InvokeError::TooMany)), Meaning::NotAsked);
    }

    #[test]
    fn a_detail_is_cut_and_says_so() {
        let whole = "ä".repeat(DETAIL_MAX / 2);
        assert_eq!(detail(json!(whole)).unwrap().len(), DETAIL_MAX);
        let cut = detail(json!(format!("{whole}ä"))).unwrap();
        assert!(cut.len() <= DETAIL_MAX && cut.ends_with("ä… (cut)"), "{}", cut.len());
    }
}
