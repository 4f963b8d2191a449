//! Names of methods, whatever the case of their letters.

use std::cmp::Ordering;

/// A name as it compares: the official server's `OrdinalIgnoreCase`, which raises each letter by
/// itself, in no language.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Folded(Box<str>);

impl Folded {
    pub(super) fn new(name: &str) -> Self {
        Self(fold(name).collect::<String>().into())
    }

    /// How this name stands to one that has not been folded.
    pub(super) fn compare(&self, name: &str) -> Ordering {
        self.0.chars().cmp(fold(name))
    }
}

fn fold(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(raise)
}

/// The letter's capital, if that is one letter. The dotless i and the long s keep to themselves.
fn raise(letter: char) -> char {
    let mut capitals = letter.to_uppercase();
    match (letter, capitals.next(), capitals.next()) {
        ('\u{131}' | '\u{17f}', ..) => letter,
        (_, Some(capital), None) => capital,
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_in_any_language() {
        for name in ["SendMessage", "sendmessage", "SENDMESSAGE"] {
            assert_eq!(Folded::new("sendMessage").compare(name), Ordering::Equal, "{name}");
        }
        assert_eq!(Folded::new("Größe").compare("GRÖßE"), Ordering::Equal);
        assert_ne!(Folded::new("Größe").compare("GRÖSSE"), Ordering::Equal);
        assert_ne!(Folded::new("list").compare("l\u{131}st"), Ordering::Equal);
        assert_ne!(Folded::new("Send").compare("Send\u{17f}"), Ordering::Equal);
        assert_ne!(Folded::new("Send").compare("Sen"), Ordering::Equal);
    }
}
