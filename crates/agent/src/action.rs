//! What is done to a program when its configuration has changed.
//!
//! | written | what is done |
//! |---|---|
//! | `signal:HUP` | the child is sent the signal: HUP, INT, TERM, QUIT, USR1, USR2, WINCH, CONT |
//! | `exec:COMMAND` | `sh -c COMMAND` runs, with the values, `EVERWIRE_SET`, `EVERWIRE_VERSION` and `EVERWIRE_CHANGED` in its environment; it has 60 s and succeeds with exit code 0 |
//! | `http:URL` | the change is posted to the URL as JSON; an answer of status 200 to 299 within 10 s is success. `http:` may be left out |
//! | `file:PATH` | the values are written there, whole or not at all, for the owner alone: JSON if it ends in `.json`, else a line `KEY=VALUE` each |
//! | `restart` | the child is ended and started anew |
//! | `none` | nothing: the program watches for itself |

mod exec;
mod file;
mod post;

use std::{path::PathBuf, str::FromStr, time::Duration};

use rustix::process::Signal;

use crate::{
    sets::Change,
    supervise::{Child, Environment},
};

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The child is sent a signal.
    Signal(Signal),
    /// A command runs.
    Exec(String),
    /// The change is posted there.
    Http(String),
    /// The values are written there.
    File(PathBuf),
    /// The child is ended and started anew.
    Restart,
    /// Nothing.
    None,
}

/// A text is no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAction {
    /// It begins with nothing that is known.
    #[error(
        "{0:?} is no action: write signal:HUP, exec:COMMAND, http:URL, file:PATH, restart or none"
    )]
    Unknown(String),
    /// There is no such signal, or none that makes sense.
    #[error("{0:?} is none of the signals HUP, INT, TERM, QUIT, USR1, USR2, WINCH, CONT")]
    Signal(String),
    /// It does not say what.
    #[error("{0} needs something behind its colon")]
    Empty(String),
}

impl Action {
    /// Does it. `environment` is the child's from this change on.
    ///
    /// # Errors
    /// In words, what did not work.
    pub async fn perform(
        &self,
        change: &Change,
        environment: Environment,
        child: &Child,
    ) -> Result<(), String> {
        let done = match self {
            Self::Signal(signal) => child.signal(*signal).await,
            Self::Exec(command) => exec::run(command, change, environment, EXEC_TIMEOUT).await,
            Self::Http(url) => post::post(url, change, POST_TIMEOUT).await,
            Self::File(path) => file::write(path.clone(), change.values.clone()).await,
            Self::Restart => child.restart(environment).await,
            Self::None => Ok(()),
        };
        done.map_err(|error| format!("{}: {error}", self.name()))
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Signal(_) => "signal",
            Self::Exec(_) => "exec",
            Self::Http(_) => "http",
            Self::File(_) => "file",
            Self::Restart => "restart",
            Self::None => "none",
        }
    }
}

impl FromStr for Action {
    type Err = NotAnAction;

    fn from_str(text: &str) -> Result<Self, NotAnAction> {
        let (kind, what) = text.split_once(':').unwrap_or((text, ""));
        match (kind, what) {
            ("restart", "") => Ok(Self::Restart),
            ("none", "") => Ok(Self::None),
            ("signal" | "exec" | "http" | "https" | "file", "") => {
                Err(NotAnAction::Empty(kind.to_owned()))
            }
            ("signal", name) => {
                signal(name).map(Self::Signal).ok_or_else(|| NotAnAction::Signal(name.to_owned()))
            }
            ("exec", command) => Ok(Self::Exec(command.to_owned())),
            ("http" | "https", rest) if rest.starts_with("//") => Ok(Self::Http(text.to_owned())),
            ("http", url) => Ok(Self::Http(url.to_owned())),
            ("file", path) => Ok(Self::File(path.into())),
            _ => Err(NotAnAction::Unknown(text.to_owned())),
        }
    }
}

fn signal(name: &str) -> Option<Signal> {
    match name.strip_prefix("SIG").unwrap_or(name) {
        "HUP" => Some(Signal::HUP),
        "INT" => Some(Signal::INT),
        "TERM" => Some(Signal::TERM),
        "QUIT" => Some(Signal::QUIT),
        "USR1" => Some(Signal::USR1),
        "USR2" => Some(Signal::USR2),
        "WINCH" => Some(Signal::WINCH),
        "CONT" => Some(Signal::CONT),
        _ => None,
    }
}

const EXEC_TIMEOUT: Duration = Duration::from_secs(60);
const POST_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_and_mistakes_named() {
        let read = |text: &str| text.parse::<Action>().unwrap();
        assert_eq!(read("signal:SIGHUP"), Action::Signal(Signal::HUP));
        assert_eq!(read("exec:echo a:b"), Action::Exec("echo a:b".into()));
        assert_eq!(read("http:http://h/x"), Action::Http("http://h/x".into()));
        assert_eq!(read("https://h/x"), Action::Http("https://h/x".into()));
        assert_eq!(read("file:/a.json"), Action::File("/a.json".into()));
        assert_eq!((read("restart"), read("none")), (Action::Restart, Action::None));
        for (text, why) in [
            ("signal:KILL", "none of the signals"),
            ("signal:", "needs something"),
            ("exec", "needs something"),
            ("reload", "is no action"),
            ("restart:now", "is no action"),
        ] {
            let error = text.parse::<Action>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

#[cfg(test)]
mod tests_kit {
    use std::collections::BTreeMap;

    use crate::sets::{Change, SetChange};

    /// A change of two keys, one of which is gone.
    pub(super) fn change() -> Change {
        let keys = vec!["COLOR".to_owned(), "SIZE".to_owned()];
        let values = BTreeMap::from([("COLOR".to_owned(), "red".to_owned())]);
        Change {
            sets: vec![SetChange { set: "shop/prod".to_owned(), version: 7, keys }],
            values: values.into(),
            is_first: false,
            is_offline: false,
        }
    }
}
