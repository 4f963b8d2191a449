//! What is named in a fleet: applications and their instances, sets, keys.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// One running copy of an application, `app:index:id` as in Spring Cloud Bus.
///
/// The index tells copies apart that run for long, the id one that replaces another. Each part has 1 to
/// [`PART_MAX`] characters out of letters, digits and `.`, `_`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceName(Arc<str>);

/// The name of a set: 1 to [`SET_NAME_MAX`] characters, parts as in [`InstanceName`] with `/` between.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SetName(Arc<str>);

/// A text is not the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {why}")]
pub struct NotAName {
    text: String,
    what: &'static str,
    why: &'static str,
}

impl InstanceName {
    /// Puts a name together.
    ///
    /// # Errors
    /// If a part is not as it must be.
    pub fn new(app: &str, index: &str, id: &str) -> Result<Self, NotAName> {
        format!("{app}:{index}:{id}").parse()
    }

    /// What the instance runs.
    pub fn app(&self) -> &str {
        self.parts()[0]
    }

    /// Which of the copies it is.
    pub fn index(&self) -> &str {
        self.parts()[1]
    }

    /// Which of those that were this copy.
    pub fn id(&self) -> &str {
        self.parts()[2]
    }

    /// App, index and id.
    pub fn parts(&self) -> [&str; 3] {
        let mut parts = self.0.split(':');
        [(); 3].map(|()| parts.next().unwrap_or_default())
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SetName {
    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let not = |why| NotAName { text: text.to_owned(), what: "an instance", why };
        let parts: Vec<_> = text.split(':').collect();
        if parts.len() != 3 {
            return Err(not("it is not app:index:id"));
        }
        parts.into_iter().try_for_each(check_part).map_err(not)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for SetName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let not = |why| NotAName { text: text.to_owned(), what: "a set", why };
        if text.len() > SET_NAME_MAX {
            return Err(not("it is too long"));
        }
        text.split('/').try_for_each(check_part).map_err(not)?;
        Ok(Self(text.into()))
    }
}

fn check_part(part: &str) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("a part is empty");
    }
    if part.len() > PART_MAX {
        return Err("a part is too long");
    }
    if part == "." || part == ".." {
        return Err("a part would mean another path in a URL");
    }
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match part.bytes().all(is_good) {
        true => Ok(()),
        false => Err("letters, digits, '.', '_' and '-' are allowed in each part"),
    }
}

/// Names as texts: in JSON, in messages to people.
macro_rules! text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NotAName;

            fn try_from(text: String) -> Result<Self, NotAName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

text!(InstanceName, SetName);

/// Characters in each part of a name.
pub const PART_MAX: usize = 100;

/// Characters in the name of a set.
pub const SET_NAME_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_three_parts() {
        let name: InstanceName = "shop:3:c0f-1".parse().unwrap();
        assert_eq!((name.app(), name.index(), name.id()), ("shop", "3", "c0f-1"));
        assert_eq!(name, InstanceName::new("shop", "3", "c0f-1").unwrap());
        for bad in ["", "shop", "shop:3", "shop:3:", "shop:3:a:b", "sh*p:3:a", "shop:3:ä"] {
            assert!(bad.parse::<InstanceName>().is_err(), "{bad}");
        }
        let long = "a".repeat(PART_MAX + 1);
        assert!(InstanceName::new("shop", "0", &long).is_err());
        assert!(InstanceName::new("shop", "0", &long[1..]).is_ok());
    }

    #[test]
    fn a_set_may_have_a_path() {
        for good in ["shop", "shop/prod", "a.b/c_d/e-f"] {
            assert_eq!(good.parse::<SetName>().unwrap().as_str(), good);
        }
        let long = ["a".repeat(100), "b".repeat(100)].join("/");
        for bad in ["", "/", "shop/", "/prod", "a//b", "a b", "a:b", "..", "a/../b", &long] {
            assert!(bad.parse::<SetName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_checked_when_they_are_read() {
        assert!(serde_json::from_str::<InstanceName>("\"shop:0:a\"").is_ok());
        let refused = serde_json::from_str::<SetName>("\"a b\"").unwrap_err();
        assert!(refused.to_string().contains("letters, digits"), "{refused}");
    }
}
