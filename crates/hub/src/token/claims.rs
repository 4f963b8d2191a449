//! What a token says, and how that is written.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::{id::UserId, identity::Identity, method::Claims};

/// What a token says. Times are since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// The user, if it names one.
    pub user: Option<String>,
    /// Whom it is for; anybody if nobody is named.
    pub audiences: Vec<String>,
    /// When it is no longer good.
    pub expires: Duration,
    /// When it begins to be good, if it says so.
    pub begins: Option<Duration>,
    /// Everything else, for policies and methods to look at: of a list each item, of what is no text
    /// its JSON.
    pub claims: Claims,
}

impl Token {
    /// The claims of the token.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut all = Map::new();
        for (name, value) in self.claims.iter() {
            add(&mut all, name, value);
        }
        self.audiences.iter().for_each(|audience| add(&mut all, "aud", audience));
        if let Some(user) = &self.user {
            all.insert("sub".into(), user.as_str().into());
        }
        if let Some(begins) = self.begins {
            all.insert("nbf".into(), begins.as_secs().into());
        }
        all.insert("exp".into(), self.expires.as_secs().into());
        all
    }

    /// Reads claims; `None` if they do not say when the token expires.
    pub(super) fn from_json(mut all: Map<String, Value>) -> Option<Self> {
        let expires = time(&all.remove("exp")?)?;
        let begins = all.remove("nbf").as_ref().and_then(time);
        let audiences = all.remove("aud").map(texts).unwrap_or_default();
        let user = USER.iter().find_map(|name| all.get(*name)?.as_str());
        let user = user.filter(|user| !user.is_empty()).map(str::to_owned);
        let mut claims = Claims::default();
        for (name, value) in all {
            texts(value).into_iter().for_each(|text| claims.add(name.as_str(), text));
        }
        Some(Self { user, audiences, expires, begins, claims })
    }
}

impl From<Token> for Identity {
    fn from(token: Token) -> Self {
        // A time that no clock reaches is none.
        let expires = UNIX_EPOCH.checked_add(token.expires);
        Self { user: token.user.map(UserId::from), claims: token.claims, expires }
    }
}

/// Adds a value; what has several is a list.
fn add(all: &mut Map<String, Value>, name: &str, value: &str) {
    match all.get_mut(name) {
        None => {
            all.insert(name.into(), value.into());
        }
        Some(Value::Array(values)) => values.push(value.into()),
        Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
    }
}

/// Seconds since 1970, which may have a fraction.
fn time(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

fn texts(value: Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text],
        Value::Array(items) => items.into_iter().flat_map(texts_of_item).collect(),
        other => vec![other.to_string()],
    }
}

/// Lists within lists stay JSON: so deep no claim is meant to be compared.
fn texts_of_item(item: Value) -> Option<String> {
    match item {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// The claims that may name the user, the surest first.
const USER: [&str; 4] = [
    "asrs.s.uid",
    "nameid",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
    "sub",
];
