//! How an instance says who it is: in the URL of its connection, or as the argument of `Join`.
//!
//! `?app=shop&index=3&id=7f&label.zone=a&version=1.4`, or `{"app":"shop","index":3,"id":"7f",
//! "labels":{"zone":"a"},"version":"1.4"}`. The index may be left out and is 0 then.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    name::{InstanceName, NotAName, PART_MAX},
    roster::Labels,
};

/// What an instance says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// Its name.
    pub instance: InstanceName,
    /// In pairs, for targets to look at.
    pub labels: Labels,
    /// Which version of the application it runs.
    pub version: Option<Arc<str>>,
}

/// What `Join` is called with. What it does not know is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Joining {
    /// The application.
    app: String,
    /// Which of its copies.
    #[serde(default, deserialize_with = "text_or_number")]
    index: Option<String>,
    /// Which of those that were that copy.
    #[serde(default, deserialize_with = "text_or_number")]
    id: Option<String>,
    /// In pairs.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Which version of the application it runs.
    #[serde(default)]
    version: Option<String>,
}

/// This says of no instance who it is. The text is for who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnInstance {
    /// It has no id.
    #[error(
        "an instance gives app and id, such as ?app=shop&index=0&id=7f: without an id nobody could \
         tell it from another copy, or that it is back"
    )]
    NoId,
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// It has too many labels.
    #[error("an instance has at most {LABELS_MAX} labels")]
    TooManyLabels,
    /// A label is none.
    #[error(
        "label {0:?}: a name has 1 to {PART_MAX} letters, digits, '.', '_', '-'; a value at most \
         {VALUE_MAX} bytes without control characters"
    )]
    Label(Box<str>),
    /// The version is none.
    #[error("a version has at most {VALUE_MAX} bytes without control characters")]
    Version,
}

impl Introduction {
    /// What the parameters of a URL say; `None` if they name no application.
    ///
    /// # Errors
    /// If they do, and are not those of an instance.
    pub fn from_query(
        parameters: impl Iterator<Item = (String, String)>,
    ) -> Result<Option<Self>, NotAnInstance> {
        let mut joining = Joining::default();
        let mut app = None;
        for (name, value) in parameters {
            match &*name {
                "app" => app = app.or(Some(value)),
                "index" => joining.index = joining.index.or(Some(value)),
                "id" => joining.id = joining.id.or(Some(value)),
                "version" => joining.version = joining.version.or(Some(value)),
                _ => {
                    let Some(label) = name.strip_prefix("label.") else { continue };
                    joining.labels.entry(label.to_owned()).or_insert(value);
                }
            }
        }
        app.map(|app| Joining { app, ..joining }.try_into()).transpose()
    }
}

impl TryFrom<Joining> for Introduction {
    type Error = NotAnInstance;

    fn try_from(joining: Joining) -> Result<Self, NotAnInstance> {
        let Joining { app, index, id, labels, version } = joining;
        let id = id.ok_or(NotAnInstance::NoId)?;
        let instance = InstanceName::new(&app, index.as_deref().unwrap_or("0"), &id)?;
        if version.as_ref().is_some_and(|version| !is_value(version)) {
            return Err(NotAnInstance::Version);
        }
        let labels = Arc::new(check_labels(labels)?);
        Ok(Self { instance, labels, version: version.map(Into::into) })
    }
}

/// Labels, if they are such.
///
/// # Errors
/// If there are too many, or one is none.
pub fn check_labels<T: Into<Box<str>>>(
    labels: BTreeMap<T, T>,
) -> Result<BTreeMap<Box<str>, Box<str>>, NotAnInstance> {
    if labels.len() > LABELS_MAX {
        return Err(NotAnInstance::TooManyLabels);
    }
    let check = |(name, value): (T, T)| {
        let (name, value) = (name.into(), value.into());
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = !name.is_empty() && name.len() <= PART_MAX && name.bytes().all(is_good);
        match is_name && is_value(&value) {
            true => Ok((name, value)),
            false => {
                Err(NotAnInstance::Label(name.chars().take(PART_MAX).collect::<String>().into()))
            }
        }
    };
    labels.into_iter().map(check).collect()
}

fn is_value(value: &str) -> bool {
    value.len() <= VALUE_MAX && !value.chars().any(char::is_control)
}

/// An index is often a number.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(u64),
    }
    let either = Option::<Either>::deserialize(deserializer)
        .map_err(|_| D::Error::custom("an index or an id is a text or a number from 0"))?;
    Ok(either.map(|either| match either {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    }))
}

/// Labels of an instance, and of a target.
pub const LABELS_MAX: usize = 16;

/// Bytes of a label's value, and of a version.
pub const VALUE_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Option<Introduction>, NotAnInstance> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Introduction::from_query(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn a_url_and_an_argument_say_the_same() {
        let url =
            query("set=x&app=shop&index=3&id=7f&label.zone=a&label.tier=1&version=1.4&app=no");
        let json = r#"{"app":"shop","index":3,"id":"7f","labels":{"zone":"a","tier":"1"},
            "version":"1.4","set":"x"}"#;
        let joining: Joining = serde_json::from_str(json).unwrap();
        let introduction = Introduction::try_from(joining).unwrap();
        assert_eq!(url, Ok(Some(introduction.clone())));
        assert_eq!(introduction.instance.as_str(), "shop:3:7f");
        assert_eq!(introduction.labels.len(), 2);
        let short = query("app=shop&id=1").unwrap().unwrap();
        assert_eq!(short.instance.as_str(), "shop:0:1");
        assert_eq!(query("id=1"), Ok(None), "it does not say that it is an instance");
    }

    #[test]
    fn what_is_no_instance_is_told_why() {
        assert_eq!(query("app=shop"), Err(NotAnInstance::NoId));
        assert!(matches!(query("app=sh*p&id=1"), Err(NotAnInstance::Name(_))));
        assert!(matches!(query("app=shop&id=1&label.=a"), Err(NotAnInstance::Label(_))));
        assert!(matches!(query("app=shop&id=1&label.a=\n"), Err(NotAnInstance::Label(_))));
        let long = "x".repeat(VALUE_MAX + 1);
        let version = |version: &str| query(&format!("app=shop&id=1&version={version}"));
        assert_eq!(version(&long), Err(NotAnInstance::Version));
        assert!(version(&long[1..]).is_ok());
        let labels = |count| {
            let labels: Vec<_> = (0..count).map(|number| format!("label.l{number}=x")).collect();
            query(&format!("app=shop&id=1&{}", labels.join("&")))
        };
        assert!(labels(LABELS_MAX).is_ok());
        assert_eq!(labels(LABELS_MAX + 1), Err(NotAnInstance::TooManyLabels));
        assert!(serde_json::from_str::<Joining>(r#"{"app":"a","id":-1}"#).is_err());
    }
}
