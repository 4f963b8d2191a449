//! What the arguments of the command `environment` mean.

use serde_json::Value;

/// Keys and their values; without one a key is left to the sets again.
type Override = (String, Option<String>);

/// Reads texts like `KEY=VALUE`, or `KEY` alone, and objects of `name` and `value`: one, or a list.
///
/// # Errors
/// In words.
pub(super) fn overrides(args: &Value) -> Result<Vec<Override>, String> {
    let all = match args {
        Value::Array(all) => all.iter().map(one).collect::<Result<Vec<_>, _>>()?,
        single => vec![one(single)?],
    };
    if all.is_empty() { Err(USAGE.to_owned()) } else { Ok(all) }
}

fn one(argument: &Value) -> Result<Override, String> {
    let (key, value) = match argument {
        Value::String(text) => match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text.as_str(), None),
        },
        Value::Object(fields) => {
            let name = fields.get("name").and_then(Value::as_str).ok_or(USAGE)?;
            (name, fields.get("value").map_or(Ok(None), text_of)?)
        }
        _ => return Err(USAGE.to_owned()),
    };
    if key.is_empty() { Err(USAGE.to_owned()) } else { Ok((key.to_owned(), value)) }
}

fn text_of(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(USAGE.to_owned()),
    }
}

const USAGE: &str = "environment wants KEY=VALUE, or {\"name\": …, \"value\": …}";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_read_and_all_else_is_refused() {
        let read = |args| overrides(&args).map_err(|_| ());
        let of = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        assert_eq!(read(json!(["A=1=2", "B="])), Ok(vec![of("A", Some("1=2")), of("B", Some(""))]));
        assert_eq!(read(json!({"name": "A", "value": "x"})), Ok(vec![of("A", Some("x"))]));
        assert_eq!(read(json!([{"name": "A", "value": 5}])), Ok(vec![of("A", Some("5"))]));
        assert_eq!(read(json!(["A"])), Ok(vec![of("A", None)]));
        assert_eq!(read(json!([{"name": "A", "value": null}])), Ok(vec![of("A", None)]));
        for bad in [json!(null), json!([]), json!(["=1"]), json!([1]), json!([{"value": "1"}])] {
            assert_eq!(read(bad.clone()), Err(()), "{bad}");
        }
    }
}
