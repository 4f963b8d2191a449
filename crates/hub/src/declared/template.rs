//! Texts with places that a call fills in: `room-{0}`. Pure.

use std::{fmt, str::FromStr};

/// A text with places: `{0}` and so on for the arguments of a call, `{user}` and `{connection}` for
/// who calls, `{node}` for the [node](crate::Hub::node) that it calls. Everything else stands for
/// itself; there is no way to write a brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// It stands for itself.
    Text(Box<str>),
    /// An argument of the call.
    Argument(usize),
    /// The caller's user id.
    User,
    /// The caller's connection id.
    Connection,
    /// The id of the node that is called.
    Node,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It names nothing.
    #[error("is empty")]
    Empty,
    /// A brace has no other.
    #[error("has a brace without its other one")]
    Unbalanced,
    /// There is no such place.
    #[error("has {{{0}}}, which is not one of {{0}} to {{9}}, {{user}}, {{connection}}, {{node}}")]
    UnknownPlace(Box<str>),
}

impl Template {
    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether it has this argument in it.
    pub(super) fn takes(&self, argument: usize) -> bool {
        self.0.contains(&Part::Argument(argument))
    }

    /// The argument that it is, if it is nothing else: that is passed on whatever its type.
    pub(super) fn as_argument(&self) -> Option<usize> {
        match self.0[..] {
            [Part::Argument(argument)] => Some(argument),
            _ => None,
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let Some(at) = rest.find(['{', '}']) else {
                parts.push(Part::Text(rest.into()));
                break;
            };
            if at > 0 {
                parts.push(Part::Text(rest[..at].into()));
            }
            let inside = rest[at..].strip_prefix('{').ok_or(TemplateError::Unbalanced)?;
            let (name, behind) = inside.split_once('}').ok_or(TemplateError::Unbalanced)?;
            parts.push(place(name)?);
            rest = behind;
        }
        if parts.is_empty() { Err(TemplateError::Empty) } else { Ok(Self(parts)) }
    }
}

fn place(name: &str) -> Result<Part, TemplateError> {
    match name.as_bytes() {
        b"user" => Ok(Part::User),
        b"connection" => Ok(Part::Connection),
        b"node" => Ok(Part::Node),
        [digit @ b'0'..=b'9'] => Ok(Part::Argument(usize::from(digit - b'0'))),
        _ => Err(TemplateError::UnknownPlace(name.into())),
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Argument(index) => write!(f, "{{{index}}}"),
            Part::User => f.write_str("{user}"),
            Part::Connection => f.write_str("{connection}"),
            Part::Node => f.write_str("{node}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_read_as_it_is_written() {
        for text in
            ["{0}", "lobby", "room-{1}", "{0}:{2}", "{user}", "a{connection}b", "{node}", "ä{9}"]
        {
            let template: Template = text.parse().expect(text);
            assert_eq!(template.to_string(), text);
        }
        let room: Template = "room-{1}".parse().expect("a template");
        assert!(room.takes(1) && !room.takes(0) && room.as_argument().is_none());
        assert_eq!("{3}".parse().map(|only: Template| only.as_argument()), Ok(Some(3)));
    }

    #[test]
    fn what_is_no_template_is_told_why() {
        let told = |text: &str| text.parse::<Template>().expect_err(text).to_string();
        assert_eq!(told(""), "is empty");
        for text in ["{", "}", "a{0", "a}b", "{0}}"] {
            assert_eq!(told(text), "has a brace without its other one", "{text}");
        }
        assert!(told("{10}").starts_with("has {10}, which is not one of {0} to {9}, {user}"));
        for text in ["{}", "{name}", "{-1}", "{{0}}"] {
            assert!(told(text).contains("which is not one of"), "{text}");
        }
    }
}
