//! What a keyshade-like server publishes, and the change that it means. Pure.
//!
//! Its code publishes `{"environmentId", "name", "value", "isPlaintext"}` to `configuration-updates`, and
//! what was written about it `{"environmentId", "name", "value", "isSecret"}` to `change-notifier`. Other
//! fields are passed over. A value that nobody calls plain is a secret; one that comes encrypted stays
//! as it is, for whoever has the key to it.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value as Json};

use crate::{
    name::{NotAName, SetName},
    set::{Change, Key, NotAValue, Value},
};

/// Which set a message is for: a set's name with fields of the message in braces, each within one part
/// of it, such as `{environmentId}` or `keyshade/{environmentId}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetTemplate(Box<[Piece]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Field(Box<str>),
}

/// The text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATemplate {
    /// A brace has no other.
    #[error("a field of the message is written in braces, {{environmentId}}")]
    Braces,
    /// What comes of it is never a set's name.
    #[error(transparent)]
    Name(#[from] NotAName),
}

/// Why a message changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAChange {
    /// It is larger than any change.
    #[error("it has more than {MESSAGE_MAX} bytes")]
    TooLarge,
    /// It is not JSON.
    #[error("it is no JSON object")]
    NotJson,
    /// A field is missing or of another kind.
    #[error("it has no fit {0:?}")]
    Field(Box<str>),
    /// The set cannot be called so.
    #[error("its set has no name: {0}")]
    Name(NotAName),
    /// The key or the value cannot be kept.
    #[error(transparent)]
    Value(#[from] NotAValue),
}

impl SetTemplate {
    /// Reads a message: which set it changes, and how.
    ///
    /// # Errors
    /// It means no change.
    pub fn read(&self, message: &[u8]) -> Result<(SetName, Change), NotAChange> {
        if message.len() > MESSAGE_MAX {
            return Err(NotAChange::TooLarge);
        }
        let fields: Map<String, Json> =
            serde_json::from_slice(message).map_err(|_| NotAChange::NotJson)?;
        let set = self.fill(|field| part(&fields, field))?;
        let set = set.parse().map_err(NotAChange::Name)?;
        let key: Key = text(&fields, "name")?.parse()?;
        let value = match fields.get("value") {
            Some(Json::String(text)) => Value::new(text)?,
            Some(Json::Bool(value)) => Value::new(&value.to_string())?,
            Some(Json::Number(value)) => Value::new(&value.to_string())?,
            _ => return Err(NotAChange::Field("value".into())),
        };
        let secret = match (flag(&fields, "isSecret")?, flag(&fields, "isPlaintext")?) {
            // Encrypted, whatever else is said of it.
            (_, Some(false)) => true,
            (Some(secret), _) => secret,
            (None, is_plain) => is_plain.is_none(),
        };
        Ok((set, Change::Set { key, value, secret }))
    }

    fn fill<'a, E>(&'a self, field: impl Fn(&'a str) -> Result<&'a str, E>) -> Result<String, E> {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(&**text),
            Piece::Field(name) => field(name),
        });
        pieces.collect()
    }
}

impl FromStr for SetTemplate {
    type Err = NotATemplate;

    fn from_str(text: &str) -> Result<Self, NotATemplate> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once('{') {
            let (field, after) = behind.split_once('}').ok_or(NotATemplate::Braces)?;
            if field.is_empty() || field.contains('{') || before.contains('}') {
                return Err(NotATemplate::Braces);
            }
            pieces.extend([Piece::Text(before.into()), Piece::Field(field.into())]);
            rest = after;
        }
        if rest.contains('}') {
            return Err(NotATemplate::Braces);
        }
        pieces.push(Piece::Text(rest.into()));
        let template = Self(pieces.into());
        // As with any short id.
        let example: String = template.fill(|_| Ok::<_, NotAName>("x"))?;
        example.parse::<SetName>()?;
        Ok(template)
    }
}

impl fmt::Display for SetTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Field(field) => write!(f, "{{{field}}}"),
        })
    }
}

/// A field that becomes a part of a name, and never more than one: who may publish for one environment
/// does not get at another's set by what is in its id.
fn part<'a>(fields: &'a Map<String, Json>, field: &str) -> Result<&'a str, NotAChange> {
    let part = text(fields, field)?;
    match part.is_empty() || part.contains('/') {
        true => Err(NotAChange::Field(field.into())),
        false => Ok(part),
    }
}

fn text<'a>(fields: &'a Map<String, Json>, field: &str) -> Result<&'a str, NotAChange> {
    fields.get(field).and_then(Json::as_str).ok_or_else(|| NotAChange::Field(field.into()))
}

fn flag(fields: &Map<String, Json>, field: &str) -> Result<Option<bool>, NotAChange> {
    match fields.get(field) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(NotAChange::Field(field.into())),
    }
}

/// Bytes of a message: the largest value as JSON, all of it escaped, with its key.
pub const MESSAGE_MAX: usize = 512 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(template: &str, message: &Json) -> Result<(SetName, Change), NotAChange> {
        template.parse::<SetTemplate>().unwrap().read(message.to_string().as_bytes())
    }

    fn change(key: &str, value: &str, secret: bool) -> Change {
        Change::Set { key: key.parse().unwrap(), value: Value::new(value).unwrap(), secret }
    }

    #[test]
    fn both_forms_of_keyshades_message_become_changes() {
        for (message, secret) in [
            (json!({"isPlaintext": true}), false),
            (json!({"isPlaintext": false}), true),
            (json!({"isSecret": false}), false),
            (json!({"isSecret": true}), true),
            (json!({"isSecret": false, "isPlaintext": false}), true),
            (json!({"isSecret": true, "isPlaintext": true}), true),
            (json!({}), true),
            (json!({"isPlaintext": null, "unknown": [1, {}]}), true),
        ] {
            let mut message = message;
            message["environmentId"] = "clx3".into();
            message["name"] = "URL".into();
            message["value"] = "postgres://db".into();
            let wanted = ("clx3".parse().unwrap(), change("URL", "postgres://db", secret));
            assert_eq!(read("{environmentId}", &message), Ok(wanted), "{message}");
        }
    }

    #[test]
    fn numbers_and_truths_are_kept_as_text() {
        for (value, wanted) in [(json!(8080), "8080"), (json!(true), "true"), (json!(""), "")] {
            let message =
                json!({"environmentId": "e", "name": "K", "value": value, "isPlaintext": true});
            assert_eq!(read("{environmentId}", &message).unwrap().1, change("K", wanted, false));
        }
    }

    #[test]
    fn what_lacks_something_is_refused() {
        let whole = json!({"environmentId": "e", "name": "K", "value": "v", "isPlaintext": true});
        assert!(read("{environmentId}", &whole).is_ok());
        for field in ["environmentId", "name", "value"] {
            for wrong in [None, Some(json!(null)), Some(json!([])), Some(json!({}))] {
                let mut message = whole.clone();
                message.as_object_mut().unwrap().remove(field);
                if let Some(wrong) = wrong {
                    message[field] = wrong;
                }
                assert_eq!(read("{environmentId}", &message), Err(NotAChange::Field(field.into())));
            }
        }
        let mut message = whole.clone();
        message["isSecret"] = "no".into();
        assert_eq!(read("{environmentId}", &message), Err(NotAChange::Field("isSecret".into())));
        message = whole;
        message["name"] = "A=B".into();
        assert!(matches!(read("{environmentId}", &message), Err(NotAChange::Value(_))));
        message["name"] = "K".into();
        message["value"] = "x".repeat(crate::set::VALUE_MAX + 1).into();
        assert!(matches!(read("{environmentId}", &message), Err(NotAChange::Value(_))));
        message["value"] = "x".repeat(MESSAGE_MAX).into();
        assert_eq!(read("{environmentId}", &message), Err(NotAChange::TooLarge));
    }

    #[test]
    fn the_largest_value_fits_however_it_is_escaped() {
        let value = "\u{1}".repeat(crate::set::VALUE_MAX);
        let message = json!({"environmentId": "e", "name": "K", "value": value});
        assert!(read("{environmentId}", &message).is_ok());
    }

    #[test]
    fn attack_an_id_names_no_set_but_its_own() {
        for id in ["", "/", "a/b", "..", "../prod", "a b", "prod/", &"x".repeat(101)] {
            let message = json!({"environmentId": id, "name": "K", "value": "v"});
            let refused = read("keyshade/{environmentId}", &message);
            assert!(
                matches!(refused, Err(NotAChange::Field(_) | NotAChange::Name(_))),
                "{id}: {refused:?}"
            );
        }
        let message = json!({"environmentId": "prod", "name": "K", "value": "v"});
        let (set, _) = read("keyshade/{environmentId}", &message).unwrap();
        assert_eq!(set.as_str(), "keyshade/prod");
    }

    #[test]
    fn a_template_makes_names_of_sets() {
        for good in ["{environmentId}", "shop", "a/{b}-{c}/d", "{x}.{y}"] {
            assert_eq!(good.parse::<SetTemplate>().unwrap().to_string(), good);
        }
        for bad in ["", "{", "}", "{}", "{a", "a}", "{{a}}", "a b/{x}", "/{x}", "{x}//y", "}{x}{"] {
            assert!(bad.parse::<SetTemplate>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn attack_no_message_breaks_anything(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            text in "\\{(\"(name|value|environmentId|isSecret)\":[\\[\\]{}\",a1:]{0,6},?){0,5}\\}",
        ) {
            let template: SetTemplate = "{environmentId}".parse().unwrap();
            prop_assert!(template.read(&bytes).is_err());
            // Whatever comes of it, it comes.
            drop(template.read(text.as_bytes()));
        }
    }
}
