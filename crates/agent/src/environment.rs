//! The environment of a program: that of the process, and over it what the sets say.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

/// Puts values over an environment. A key that a set no longer has is simply not among them: what
/// the process had under its name shows again.
///
/// Gives also the keys that no environment can have, which are left out.
pub(crate) fn merge(
    process: impl IntoIterator<Item = (OsString, OsString)>,
    values: &BTreeMap<String, String>,
) -> (BTreeMap<OsString, OsString>, Vec<String>) {
    let mut merged: BTreeMap<OsString, OsString> = process.into_iter().collect();
    let mut unfit = Vec::new();
    for (key, value) in values {
        let fits = !key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0');
        if fits {
            merged.insert(OsStr::new(key).to_owned(), OsStr::new(value).to_owned());
        } else {
            unfit.push(key.clone());
        }
    }
    (merged, unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Vec<(OsString, OsString)> {
        [("PATH", "/bin"), ("LEVEL", "info")].map(|(key, value)| (key.into(), value.into())).into()
    }

    fn values(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_set_wins_over_the_process_until_its_key_is_deleted() {
        let of = |sets: &[(&str, &str)]| merge(process(), &values(sets)).0;
        let level = |sets: &[(&str, &str)]| of(sets).remove(OsStr::new("LEVEL")).unwrap();
        assert_eq!(level(&[("LEVEL", "debug")]), "debug");
        assert_eq!(level(&[]), "info");
        assert_eq!(of(&[("NEW", "")])[OsStr::new("NEW")], "");
        assert_eq!(of(&[("NEW", "1")])[OsStr::new("PATH")], "/bin");
    }

    #[test]
    fn what_no_environment_can_have_is_left_out_and_named() {
        let (merged, unfit) =
            merge(process(), &values(&[("", "1"), ("A=B", "1"), ("NUL", "\0"), ("GOOD", "1")]));
        assert_eq!((merged.len(), unfit), (3, vec![String::new(), "A=B".into(), "NUL".into()]));
    }
}
