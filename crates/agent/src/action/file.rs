//! Writes values to a file that a program reads.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use crate::store::write_whole;

/// Writes them, in a form that the name's end tells.
pub(super) async fn write(
    path: PathBuf,
    values: Arc<BTreeMap<String, String>>,
) -> Result<(), String> {
    let text = match path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) {
        true => format!("{:#}\n", serde_json::json!(*values)),
        false => lines(&values)?,
    };
    let shown = path.display().to_string();
    let written = tokio::task::spawn_blocking(move || write_whole(&path, text.as_bytes())).await;
    written.unwrap_or(Ok(())).map_err(|error| format!("{shown}: {error}"))
}

/// `KEY=VALUE` lines, as shells and most dotenv libraries read them alike.
fn lines(values: &BTreeMap<String, String>) -> Result<String, String> {
    let line = |(key, value): (&String, &String)| match is_name(key) {
        true => Ok(format!("{key}={}\n", quoted(value))),
        false => {
            Err(format!("{key:?} cannot stand before =; a file that ends in .json can have it"))
        }
    };
    values.iter().map(line).collect()
}

fn is_name(key: &str) -> bool {
    let begins_well = key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins_well && key.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,-".contains(c);
    if value.chars().all(is_plain) {
        value.to_owned()
    } else if !value.contains('\'') {
        // Nothing has a meaning between these.
        format!("'{value}'")
    } else {
        let special = |c| matches!(c, '"' | '\\' | '$' | '`');
        let escaped = value.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c]));
        format!("\"{}\"", escaped.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, process::Command};

    use everwire_testkit::everwire::Folder;

    use super::*;

    fn hard() -> BTreeMap<String, String> {
        let hard = [
            ("EMPTY", ""),
            ("PLAIN", "postgres://u:p@h:5432/db"),
            ("SPACES", " a  b "),
            ("DOLLAR", "$HOME `id` \\n"),
            ("QUOTES", "it's \"$5\" \\ `x`"),
            ("LINES", "one\ntwo"),
            ("UMLAUT", "äöü #no comment"),
        ];
        hard.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    #[tokio::test]
    async fn a_shell_reads_back_what_was_written() {
        let folder = Folder::new();
        let path = folder.0.join("values.env");
        write(path.clone(), hard().into()).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for (key, value) in hard() {
            let script = format!(". {} && printf %s \"${key}\"", path.display());
            let read = Command::new("sh").arg("-c").arg(script).output().unwrap().stdout;
            assert_eq!(String::from_utf8(read).unwrap(), value, "{key}");
        }
    }

    #[tokio::test]
    async fn json_has_every_key_and_lines_refuse_those_that_they_cannot_have() {
        let folder = Folder::new();
        let mut values = hard();
        values.insert("a key".to_owned(), "1".to_owned());
        let path = folder.0.join("values.JSON");
        write(path.clone(), values.clone().into()).await.unwrap();
        let read: BTreeMap<String, String> =
            serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(read, values);
        let refused = write(folder.0.join("values"), values.into()).await.unwrap_err();
        assert!(refused.contains("\"a key\" cannot stand before ="), "{refused}");
        let nowhere = write(folder.0.join("no/such/folder"), hard().into()).await.unwrap_err();
        assert!(nowhere.contains("no/such/folder"), "{nowhere}");
    }
}
