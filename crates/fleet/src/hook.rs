//! Hooks that a Git host calls: a push becomes a command, as those of Spring Cloud Bus' `/monitor` know it.
//! Pure.
//!
//! A hook is believed by its signature (GitHub) or its token (GitLab), and by nothing else, before anything
//! of it is read. Hosts deliver again what was not answered in time: each delivery has an id, which becomes
//! the command's key, so that it is one command however often it comes.

mod push;

use std::fmt;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
    hmac,
};
use serde_json::Value;

use self::push::Push;
pub use self::push::{PATHS_BYTES_MAX, PATHS_MAX};
use crate::{access::TOKEN_MIN, name::SetName, target::Target};

/// What a Git host may call, and what becomes of it.
#[derive(Clone)]
pub struct Hook {
    name: Box<str>,
    proof: Proof,
    target: Target,
    command: Box<str>,
}

/// Whose hooks they are. `Debug` does not show what they are known by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// GitHub, and what speaks like it (Gitea, Forgejo): it signs what it sends with this secret.
    GitHub {
        /// The webhook's secret.
        secret: &'a str,
    },
    /// GitLab: it shows this token.
    GitLab {
        /// The webhook's secret token.
        token: &'a str,
    },
}

#[derive(Clone)]
enum Proof {
    Signature(Box<hmac::Key>),
    /// The token's SHA-256.
    Token([u8; 32]),
}

/// What is wrong with a hook as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHook {
    /// The name fits into no path.
    #[error("a hook's name has 1 to 100 letters, digits, '.', '_' and '-', not {0:?}")]
    Name(Box<str>),
    /// It could be guessed.
    #[error("a hook's secret has at least {TOKEN_MIN} characters; use 32 random ones")]
    SecretTooShort,
    /// Nothing would be commanded.
    #[error("a hook's command has a name")]
    NoCommand,
}

/// What a call comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Called {
    /// A command is to be sent; answer 202, or 200 if its key was known.
    Push(Box<Commanded>),
    /// The host tries the hook; answer 200.
    Ping,
    /// Something else has happened there; answer 202 and say so.
    Ignored {
        /// Why.
        why: Box<str>,
    },
}

/// What a push commands.
#[derive(Clone, Debug, PartialEq)]
pub struct Commanded {
    /// Whom it is for.
    pub target: Target,
    /// The command's name.
    pub name: Box<str>,
    /// `{"ref", "repository"?, "commit"?, "paths": […], "paths_cut"?: true}`: what was pushed to, and the
    /// files that changed, at most [`PATHS_MAX`] of them and [`PATHS_BYTES_MAX`] bytes.
    pub args: Value,
    /// `hook:NAME:DELIVERY`: a delivery that comes again is the same command.
    pub key: Box<str>,
    /// `hook:NAME`.
    pub by: Box<str>,
}

/// Why a call is not believed or not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCalled {
    /// Nothing says who calls.
    #[error("{0} is missing: give the webhook its secret")]
    Unproven(&'static str),
    /// It is not the host that has the secret.
    #[error(
        "the signature or the token is wrong: is the webhook's secret the one configured here?"
    )]
    Wrong,
    /// More than any push needs.
    #[error("a hook's body has at most {BODY_MAX} bytes")]
    TooLarge,
    /// The host sends forms.
    #[error("the webhook's content type is to be application/json")]
    NotJson,
    /// It makes no sense.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Hook {
    /// A hook of this name, for this host, that commands this of these instances.
    ///
    /// # Errors
    /// A name is none, or the secret could be guessed.
    pub fn new(name: &str, host: Host<'_>, target: Target, command: &str) -> Result<Self, BadHook> {
        if name.contains('/') || name.parse::<SetName>().is_err() {
            return Err(BadHook::Name(name.into()));
        }
        if command.is_empty() {
            return Err(BadHook::NoCommand);
        }
        let (Host::GitHub { secret } | Host::GitLab { token: secret }) = host;
        if secret.chars().count() < TOKEN_MIN {
            return Err(BadHook::SecretTooShort);
        }
        let proof = match host {
            Host::GitHub { secret } => {
                Proof::Signature(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
            }
            Host::GitLab { token } => Proof::Token(sha256(token.as_bytes())),
        };
        Ok(Self { name: name.into(), proof, target, command: command.into() })
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Judges a call by its headers, whose names are asked for in small letters, and its body.
    ///
    /// # Errors
    /// It is not to be believed, or not to be understood.
    pub fn call<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a [u8]>,
        body: &[u8],
    ) -> Result<Called, NotCalled> {
        if body.len() > BODY_MAX {
            return Err(NotCalled::TooLarge);
        }
        self.believe(&header, body)?;
        if header("content-type").is_some_and(|kind| kind.starts_with(b"application/x-www-form")) {
            return Err(NotCalled::NotJson);
        }
        let (event, delivery) = match &self.proof {
            Proof::Signature(_) => ("x-github-event", header("x-github-delivery")),
            Proof::Token(_) => {
                let key = header("idempotency-key").or_else(|| header("x-gitlab-event-uuid"));
                ("x-gitlab-event", key)
            }
        };
        let event = header(event).ok_or(NotCalled::Malformed("the event's name is missing"))?;
        match event {
            b"push" | b"Push Hook" => {
                let push = Push::read(body).ok_or(NotCalled::Malformed("this is no push"))?;
                Ok(self.pushed(push, &delivery_id(delivery, body)?))
            }
            b"ping" => Ok(Called::Ping),
            other => {
                let other = String::from_utf8_lossy(&other[..other.len().min(SHOWN_MAX)]);
                Ok(Called::Ignored { why: format!("{other:?} is not a push").into() })
            }
        }
    }

    /// Whether it comes from the host. Takes as long whatever is wrong.
    fn believe<'a>(
        &self,
        header: &impl Fn(&str) -> Option<&'a [u8]>,
        body: &[u8],
    ) -> Result<(), NotCalled> {
        let is_right = match &self.proof {
            Proof::Signature(key) => {
                let signed = header(SIGNATURE).ok_or(NotCalled::Unproven(SIGNATURE))?;
                let tag = signed.strip_prefix(b"sha256=").and_then(tag).ok_or(NotCalled::Wrong)?;
                hmac::verify(key, body, &tag).is_ok()
            }
            Proof::Token(print) => {
                let shown = header(TOKEN).ok_or(NotCalled::Unproven(TOKEN))?;
                verify_slices_are_equal(print, &sha256(shown)).is_ok()
            }
        };
        if is_right { Ok(()) } else { Err(NotCalled::Wrong) }
    }

    fn pushed(&self, push: Push, delivery: &str) -> Called {
        if push.is_deletion() {
            return Called::Ignored { why: "a branch was deleted, and nothing is new".into() };
        }
        Called::Push(Box::new(Commanded {
            target: self.target.clone(),
            name: self.command.clone(),
            args: push.into_args(),
            key: format!("hook:{}:{delivery}", self.name).into(),
            by: format!("hook:{}", self.name).into(),
        }))
    }
}

impl NotCalled {
    /// The HTTP status that says so.
    pub const fn status(self) -> u16 {
        match self {
            Self::Unproven(_) => 401,
            Self::Wrong => 403,
            Self::TooLarge => 413,
            Self::NotJson => 415,
            Self::Malformed(_) => 400,
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitHub { .. } => "GitHub",
            Self::GitLab { .. } => "GitLab",
        })
    }
}

/// The delivery's id. Without one, as of hosts that are old, the same body is the same delivery.
fn delivery_id(delivery: Option<&[u8]>, body: &[u8]) -> Result<String, NotCalled> {
    let Some(id) = delivery else { return Ok(hex(&sha256(body))) };
    let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    if id.is_empty() || id.len() > DELIVERY_MAX || !id.iter().all(is_id) {
        return Err(NotCalled::Malformed("the delivery's id is none"));
    }
    Ok(String::from_utf8_lossy(id).into_owned())
}

/// The 32 bytes that 64 hexadecimal digits stand for.
fn tag(text: &[u8]) -> Option<[u8; 32]> {
    let mut tag = [0; 32];
    if text.len() != 2 * tag.len() {
        return None;
    }
    for (byte, pair) in tag.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(tag)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut print = [0; 32];
    print.copy_from_slice(digest(&SHA256, bytes).as_ref());
    print
}

/// Bytes of a body: a push of the 2,048 commits that a host tells of at most fits, if they are not long.
pub const BODY_MAX: usize = 4 << 20;

/// Bytes of a delivery's id.
const DELIVERY_MAX: usize = 128;

/// Bytes of an event's name that are shown.
const SHOWN_MAX: usize = 64;

const SIGNATURE: &str = "x-hub-signature-256";
const TOKEN: &str = "x-gitlab-token";

#[cfg(test)]
mod tests;
