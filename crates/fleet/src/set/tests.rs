use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{name::SetName, seal::Sealer};

fn name() -> SetName {
    "shop/prod".parse().unwrap()
}

fn sealer() -> Sealer {
    Sealer::new(["the secret of this year"]).unwrap()
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn put(at: &str, value: &str) -> Change {
    Change::Set { key: key(at), value: Value::new(value).unwrap(), secret: false }
}

fn secret(at: &str, value: &str) -> Change {
    Change::Set { key: key(at), value: Value::new(value).unwrap(), secret: true }
}

fn delete(at: &str) -> Change {
    Change::Delete { key: key(at) }
}

fn rename(from: &str, to: &str) -> Change {
    Change::Rename(Renamed { from: key(from), to: key(to) })
}

fn by(who: &str) -> About {
    About { by: who.into(), at: 7, ..About::default() }
}

impl Set {
    /// Plans a change and does it.
    fn change(&mut self, changes: &[Change]) -> Result<u64, ChangeError> {
        let plan = plan(self, &name(), changes, &sealer(), by("ann"))?;
        Ok(self.append(plan))
    }

    fn roll_back(&mut self, to: u64) -> Result<u64, ChangeError> {
        let plan = roll_back(self, &name(), to, &sealer(), by("ann"))?;
        Ok(self.append(plan))
    }

    fn append(&mut self, plan: Option<Plan>) -> u64 {
        if let Some(plan) = plan {
            assert_eq!(plan.after, self.version);
            self.apply(plan.after + 1, &plan.entry);
        }
        self.version
    }

    /// The values, opened.
    fn texts(&self) -> BTreeMap<String, String> {
        open(&self.items)
    }
}

fn open(items: &BTreeMap<Key, Item>) -> BTreeMap<String, String> {
    let texts = items.iter().map(|(key, item)| {
        let value = item.stored.open(&sealer(), &name(), key).unwrap();
        (key.to_string(), value.as_str().to_owned())
    });
    texts.collect()
}

fn texts<const N: usize>(texts: [(&str, &str); N]) -> BTreeMap<String, String> {
    texts.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

#[test]
fn each_change_is_one_version() {
    let mut set = Set::default();
    assert_eq!(set.change(&[put("A", "1"), put("B", "2")]), Ok(1));
    assert_eq!(set.change(&[put("A", "3"), delete("B"), put("C", "4")]), Ok(2));
    assert_eq!(set.texts(), texts([("A", "3"), ("C", "4")]));
    let latest = set.before(u64::MAX, 1).next().unwrap();
    assert_eq!((latest.version, &*latest.about.by, latest.about.at), (2, "ann", 7));
    let changed: Vec<_> = latest.changed.iter().map(|changed| changed.key.as_str()).collect();
    assert_eq!(changed, ["A", "B", "C"]);
}

#[test]
fn what_changes_nothing_makes_no_version() {
    let mut set = Set::default();
    set.change(&[put("A", "1"), secret("S", "x")]).unwrap();
    assert_eq!(set.change(&[]), Ok(1));
    assert_eq!(set.change(&[put("A", "1"), secret("S", "x"), delete("B")]), Ok(1));
    assert_eq!(set.change(&[put("A", "2"), put("A", "1")]), Ok(1));
    assert_eq!(set.change(&[rename("A", "B"), rename("B", "A")]), Ok(1));
    assert_eq!(set.change(&[delete("S"), secret("S", "x")]), Ok(1));
    assert_eq!(set.change(&[secret("A", "1")]), Ok(2), "it has become a secret");
}

#[test]
fn pred_k20_a_deletion_and_a_rename_are_changes_like_any_other() {
    let mut set = Set::default();
    set.change(&[put("A", "1"), put("B", "2")]).unwrap();
    set.change(&[delete("A"), rename("B", "C")]).unwrap();
    assert_eq!(set.texts(), texts([("C", "2")]));
    let record = set.before(3, 1).next().unwrap();
    assert_eq!(record.renames, [Renamed { from: key("B"), to: key("C") }]);
    let told = record.changed.iter().map(|it| (it.key.as_str(), it.after.is_some()));
    assert_eq!(told.collect::<Vec<_>>(), [("A", false), ("B", false), ("C", true)]);
}

#[test]
fn a_rename_neither_invents_nor_overwrites() {
    let mut set = Set::default();
    set.change(&[put("A", "1"), put("B", "2")]).unwrap();
    assert_eq!(set.change(&[rename("X", "Y")]), Err(ChangeError::NoSuchKey(key("X"))));
    assert_eq!(set.change(&[rename("A", "B")]), Err(ChangeError::KeyTaken(key("B"))));
    assert_eq!(set.change(&[delete("B"), rename("A", "B")]), Ok(2));
    assert_eq!(set.texts(), texts([("B", "1")]));
}

#[test]
fn pred_k16_a_secret_stays_one_and_is_never_in_the_log() {
    let mut set = Set::default();
    let first = plan(&set, &name(), &[secret("S", "hunter2")], &sealer(), by("ann")).unwrap();
    assert!(!String::from_utf8_lossy(&first.as_ref().unwrap().entry).contains("hunter2"));
    set.append(first);
    for change in [put("S", "hunter3"), rename("S", "T"), put("T", "hunter4")] {
        let next = plan(&set, &name(), &[change], &sealer(), by("ann")).unwrap().unwrap();
        let text = String::from_utf8_lossy(&next.entry).into_owned();
        assert!(text.contains("sealed") && !text.contains("hunter"), "{text}");
        set.append(Some(next));
    }
    assert_eq!(set.texts(), texts([("T", "hunter4")]));
    assert!(!String::from_utf8_lossy(&set.save()).contains("hunter"));
    assert!(!format!("{set:?}").contains("hunter"));
    assert_eq!(set.change(&[delete("T"), put("T", "plain")]), Ok(5));
    assert!(!set.items[&key("T")].stored.is_secret(), "it was deleted first");
}

#[test]
fn without_a_secret_to_seal_with_there_are_no_secret_values() {
    let none = Sealer::new([""; 0]).unwrap();
    let refused = plan(&Set::default(), &name(), &[secret("S", "x")], &none, by("ann"));
    assert!(refused.unwrap_err().to_string().contains("set `cluster.secrets`"));
    let plain = plan(&Set::default(), &name(), &[put("S", "x")], &none, by("ann"));
    assert!(plain.unwrap().is_some());
}

#[test]
fn a_set_goes_back_to_how_it_was() {
    let mut set = Set::default();
    set.change(&[put("A", "1"), secret("S", "x")]).unwrap();
    set.change(&[put("A", "2"), rename("S", "T"), put("B", "3")]).unwrap();
    assert_eq!(set.roll_back(1), Ok(3));
    assert_eq!(set.texts(), texts([("A", "1"), ("S", "x")]));
    assert_eq!(set.before(4, 1).next().unwrap().about.rolled_back_to, Some(1));
    assert_eq!(set.roll_back(3), Ok(3), "nothing is different");
    assert_eq!(set.roll_back(0), Ok(4));
    assert_eq!(set.texts(), texts([]));
    let refused = set.roll_back(5).unwrap_err();
    assert!(
        refused.to_string().contains("the oldest that is kept is 0, the latest 4"),
        "{refused}"
    );
}

#[test]
fn differences_are_between_any_two_versions() {
    let mut set = Set::default();
    set.change(&[put("A", "1"), put("B", "2"), secret("S", "x")]).unwrap();
    set.change(&[put("A", "2"), delete("B"), secret("S", "y")]).unwrap();
    set.change(&[put("C", "2"), secret("S", "x")]).unwrap();
    let between = |from, to| {
        let open = |key: &Key, item: &Item| item.stored.open(&sealer(), &name(), key).unwrap();
        let is_same = |key: &Key, one: &Item, other: &Item| open(key, one) == open(key, other);
        let (from, to) = (set.items_at(from).unwrap(), set.items_at(to).unwrap());
        let keys = diff(&from, &to, is_same).into_iter().map(|it| it.key.to_string());
        keys.collect::<Vec<_>>()
    };
    assert_eq!(between(1, 3), ["A", "B", "C"], "the secret is what it was");
    assert_eq!(between(3, 2), ["C", "S"]);
    assert!(between(2, 2).is_empty());
}

#[test]
fn every_limit_of_a_set_is_kept() {
    let many: Vec<_> = (0..CHANGES_MAX).map(|at| put(&format!("K{at}"), "")).collect();
    let mut set = Set::default();
    assert_eq!(set.change(&many), Ok(1));
    assert_eq!(set.change(&[put("one more", "")]), Err(ChangeError::TooManyKeys(KEYS_MAX + 1)));
    assert_eq!(set.change(&[delete("K1"), put("one more", "")]), Ok(2));
    let too_many = [&many[..], &[put("one more", "")]].concat();
    assert_eq!(set.change(&too_many), Err(ChangeError::TooMuch));

    let mut set = Set::default();
    let large = "v".repeat(VALUE_MAX);
    for at in 0..SET_BYTES_MAX / VALUE_MAX - 1 {
        set.change(&[put(&format!("K{at}"), &large)]).unwrap();
    }
    let refused = set.change(&[put("L", &large), put("M", "")]).unwrap_err();
    assert!(matches!(refused, ChangeError::TooLarge(bytes) if bytes > SET_BYTES_MAX), "{refused}");
    assert!(set.change(&[put("L", &large[1000..])]).is_ok());

    // Each line end takes two bytes in an entry.
    let lines = "\n".repeat(VALUE_MAX);
    let changes: Vec<_> = (0..40).map(|at| put(&format!("K{at}"), &lines)).collect();
    assert_eq!(Set::default().change(&changes), Err(ChangeError::TooMuch));

    let wordy = About { by: "a".repeat(BY_MAX + 1).into(), ..About::default() };
    let change = [put("A", "1")];
    let plan = |about| plan(&Set::default(), &name(), &change, &sealer(), about);
    assert_eq!(plan(wordy), Err(ChangeError::TooWordy));
    let note = Some("n".repeat(NOTE_MAX + 1).into());
    assert_eq!(plan(About { note, ..About::default() }), Err(ChangeError::TooWordy));
}

#[test]
fn the_history_is_limited_in_versions_and_in_bytes() {
    let mut set = Set::default();
    for value in 0..VERSIONS_MAX + 5 {
        set.change(&[put("A", &value.to_string())]).unwrap();
    }
    assert_eq!((set.version(), set.oldest()), (VERSIONS_MAX as u64 + 5, 5));
    assert!(set.items_at(4).is_none() && set.since(4).is_none());
    assert_eq!(open(&set.items_at(5).unwrap()), texts([("A", "4")]));
    assert_eq!(set.since(5).unwrap().count(), VERSIONS_MAX);
    assert!(matches!(set.roll_back(4), Err(ChangeError::NoSuchVersion { oldest: 5, .. })));

    let mut set = Set::default();
    for round in 0..100 {
        let large = round.to_string().repeat(VALUE_MAX / 2);
        set.change(&[put("A", &large)]).unwrap();
    }
    let kept = set.since(set.oldest()).unwrap().count();
    assert!((50..100).contains(&kept), "{kept} versions");
}

#[test]
fn what_is_not_understood_is_counted_and_still_a_version() {
    let mut set = Set::default();
    set.change(&[put("A", "1")]).unwrap();
    set.apply(2, b"{\"v\":9}");
    set.apply(3, br#"{"v":1,"changes":[{"copy":1},{"key":"B","value":"2"}],"by":"a","at":1}"#);
    assert_eq!((set.version(), set.skipped()), (3, 2));
    assert_eq!(set.texts(), texts([("A", "1"), ("B", "2")]));
    let saved = Set::load(&set.save()).unwrap();
    assert_eq!((saved.version(), saved.skipped(), saved.texts()), (3, 2, set.texts()));
    set.apply(3, br#"{"v":1,"changes":[{"key":"B","value":"3"}],"by":"a","at":1}"#);
    assert_eq!(set.texts(), texts([("A", "1"), ("B", "2")]), "entry 3 is here already");
    set.apply(9, br#"{"v":1,"changes":[{"key":"B","value":"3"}],"by":"a","at":1}"#);
    assert_eq!((set.version(), set.oldest()), (9, 8), "nobody knows what was between");
    assert!(Set::load(b"{}").is_none() && Set::load(b"").is_none());
}

fn any_change() -> impl Strategy<Value = Change> {
    let at = "[A-D]";
    prop_oneof![
        4 => (at, "[0-2]", any::<bool>()).prop_map(|(at, value, is_secret)| match is_secret {
            true => secret(&at, &value),
            false => put(&at, &value),
        }),
        1 => at.prop_map(|at| delete(&at)),
        1 => (at, at).prop_map(|(from, to)| rename(&from, &to)),
    ]
}

/// What changes do to plain texts; `None` if they cannot be made.
fn model(texts: &BTreeMap<String, String>, changes: &[Change]) -> Option<BTreeMap<String, String>> {
    let mut texts = texts.clone();
    for change in changes {
        match change {
            Change::Set { key, value, .. } => {
                texts.insert(key.to_string(), value.as_str().to_owned());
            }
            Change::Delete { key } => drop(texts.remove(key.as_str())),
            Change::Rename(Renamed { from, to }) => {
                if from != to && texts.contains_key(to.as_str()) {
                    return None;
                }
                let moved = texts.remove(from.as_str())?;
                texts.insert(to.to_string(), moved);
            }
        }
    }
    Some(texts)
}

proptest! {
    #[test]
    fn a_set_is_what_its_changes_say_and_every_version_is_there_again(
        rounds in prop::collection::vec(prop::collection::vec(any_change(), 0..4), 1..30),
    ) {
        let mut set = Set::default();
        let mut versions = vec![BTreeMap::new()];
        for changes in rounds {
            let wanted = model(&versions[versions.len() - 1], &changes);
            let before = set.version();
            match (set.change(&changes), wanted) {
                (Ok(version), Some(wanted)) => {
                    prop_assert_eq!(set.texts(), wanted.clone());
                    prop_assert!(version - before <= 1);
                    if version > before {
                        versions.push(wanted);
                    }
                }
                (Err(_), None) => {}
                (result, wanted) => prop_assert!(false, "{result:?}, not {wanted:?}"),
            }
        }
        let saved = Set::load(&set.save()).unwrap();
        for (version, wanted) in versions.iter().enumerate() {
            for set in [&set, &saved] {
                prop_assert_eq!(&open(&set.items_at(version as u64).unwrap()), wanted);
            }
        }
        let told = |set: &Set| set.since(0).unwrap().cloned().collect::<Vec<_>>();
        prop_assert_eq!(told(&set), told(&saved));
        let mut back = saved;
        back.roll_back(versions.len() as u64 / 2).unwrap();
        prop_assert_eq!(&back.texts(), &versions[versions.len() / 2]);
    }
}
