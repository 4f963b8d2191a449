//! A push as GitHub and GitLab tell of it. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What was pushed. Both hosts use the same names for what is read here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Push {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    commits: Vec<Commit>,
    #[serde(default)]
    repository: Option<Repository>,
    #[serde(default)]
    project: Option<Repository>,
}

#[derive(Debug, Default, Deserialize)]
struct Commit {
    #[serde(default)]
    added: Vec<String>,
    #[serde(default)]
    modified: Vec<String>,
    #[serde(default)]
    removed: Vec<String>,
}

/// GitHub calls it `full_name`, GitLab, of a project, `path_with_namespace`.
#[derive(Debug, Default, Deserialize)]
struct Repository {
    #[serde(default, alias = "path_with_namespace")]
    full_name: Option<String>,
}

impl Push {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let push: Self = serde_json::from_slice(body).ok()?;
        let is_good = |text: &str| text.len() <= WORD_MAX;
        (is_good(&push.reference) && is_good(&push.after)).then_some(push)
    }

    /// A branch that is gone has a commit of zeros.
    pub(super) fn is_deletion(&self) -> bool {
        !self.after.is_empty() && self.after.bytes().all(|byte| byte == b'0')
    }

    pub(super) fn into_args(self) -> Value {
        let mut args = Map::new();
        args.insert("ref".into(), self.reference.into());
        let names = [self.project, self.repository].into_iter().flatten();
        let name = names.filter_map(|of| of.full_name).find(|name| name.len() <= WORD_MAX);
        if let Some(name) = name {
            args.insert("repository".into(), name.into());
        }
        if !self.after.is_empty() {
            args.insert("commit".into(), self.after.into());
        }
        let (paths, is_cut) = paths(self.commits);
        args.insert("paths".into(), json!(paths));
        if is_cut {
            args.insert("paths_cut".into(), true.into());
        }
        Value::Object(args)
    }
}

/// The files that changed, each once and in order, and whether there were more.
fn paths(commits: Vec<Commit>) -> (BTreeSet<String>, bool) {
    let (mut paths, mut bytes) = (BTreeSet::new(), 0);
    let all = commits.into_iter().flat_map(|it| [it.added, it.modified, it.removed]).flatten();
    for path in all {
        if paths.contains(&path) {
            continue;
        }
        bytes += path.len();
        if paths.len() >= PATHS_MAX || bytes > PATHS_BYTES_MAX {
            return (paths, true);
        }
        paths.insert(path);
    }
    (paths, false)
}

/// Files that a command names.
pub const PATHS_MAX: usize = 200;

/// Bytes of their names: a command goes to every instance.
pub const PATHS_BYTES_MAX: usize = 16 << 10;

/// Bytes of a ref, a commit, a repository.
const WORD_MAX: usize = 512;
