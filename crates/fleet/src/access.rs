//! Who may do what: tokens and their rights. Pure.
//!
//! A token is kept as its SHA-256 only, and compared in a time that says nothing about it. Without any
//! token everybody may do everything: that is for a fleet that only its own machine reaches.

use std::{collections::BTreeSet, fmt, str::FromStr};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};

use crate::{
    name::SetName,
    target::{Pattern, match_part, match_parts},
};

/// What one token allows.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    token: Fingerprint,
    app: Box<str>,
    sets: Box<[SetPattern]>,
    rights: BTreeSet<Right>,
}

/// One thing that a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Be an instance of the token's application.
    Join,
    /// Read and watch the token's sets, secret values included.
    Read,
    /// Change the token's sets.
    Write,
    /// Send commands to the token's application.
    Command,
}

/// Names of sets: parts between `/`, `*` for any characters of one part, `?` for one of them, `**` for any
/// number of parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPattern(Box<str>);

/// All grants of a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Box<[Grant]>);

/// What somebody has shown on coming in. It is judged anew whenever something is done for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pass(Option<Fingerprint>);

/// What is wrong with grants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGrant {
    /// A token could be guessed.
    #[error("a token has at least {TOKEN_MIN} characters; use 32 random ones")]
    TokenTooShort,
    /// The same token twice.
    #[error("two grants are for the same token; join them")]
    Twice,
    /// There are more than anybody looks through.
    #[error("there are more than {GRANTS_MAX} tokens; give applications tokens, and not instances")]
    TooMany,
    /// A pattern is none.
    #[error("{0:?} is not a pattern of sets: {1}")]
    Pattern(Box<str>, &'static str),
    /// There are more patterns than anybody looks through.
    #[error("a token is for more than {PATTERNS_MAX} patterns of sets; use * and **")]
    TooManyPatterns,
    /// A word names no right.
    #[error("{0:?} is no right; there are join, read, write and command")]
    Right(Box<str>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

impl Grant {
    /// What this token allows: to be, or to command, an application (`*` for any characters of its name, so
    /// that `*` is all), and to use some sets.
    ///
    /// # Errors
    /// If the token is too short or there are too many patterns.
    pub fn new(
        token: &str,
        app: &str,
        sets: impl IntoIterator<Item = SetPattern>,
        rights: impl IntoIterator<Item = Right>,
    ) -> Result<Self, BadGrant> {
        if token.chars().count() < TOKEN_MIN {
            return Err(BadGrant::TokenTooShort);
        }
        let sets: Box<[_]> = sets.into_iter().collect();
        if sets.len() > PATTERNS_MAX {
            return Err(BadGrant::TooManyPatterns);
        }
        let rights = rights.into_iter().collect();
        Ok(Self { token: Fingerprint::of(token), app: app.into(), sets, rights })
    }

    fn has(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}

impl Grants {
    /// These grants, and no others.
    ///
    /// # Errors
    /// If there are too many, or two for one token.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Result<Self, BadGrant> {
        let grants: Box<[Grant]> = grants.into_iter().collect();
        if grants.len() > GRANTS_MAX {
            return Err(BadGrant::TooMany);
        }
        let tokens: BTreeSet<_> = grants.iter().map(|grant| grant.token.0).collect();
        match tokens.len() == grants.len() {
            true => Ok(Self(grants)),
            false => Err(BadGrant::Twice),
        }
    }

    /// Whether everybody may do everything.
    pub const fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether whoever shows this may come in at all.
    pub fn admits(&self, pass: Pass) -> bool {
        self.is_open() || self.find(pass).is_some()
    }

    /// Whether it may do this as an application, or to one.
    pub fn allows_app(&self, pass: Pass, right: Right, app: &str) -> bool {
        let is_for = |grant: &Grant| match_part(grant.app.as_bytes(), app.as_bytes());
        self.is_open() || self.find(pass).is_some_and(|grant| grant.has(right) && is_for(grant))
    }

    /// Whether it may do this to a set.
    pub fn allows_set(&self, pass: Pass, right: Right, set: &SetName) -> bool {
        let is_for = |grant: &Grant| grant.sets.iter().any(|pattern| pattern.matches(set));
        self.is_open() || self.find(pass).is_some_and(|grant| grant.has(right) && is_for(grant))
    }

    /// Whether it may have commands done by whomever this means: by an application that is named in full,
    /// or, if the token is for all, by anybody.
    pub fn allows_target(&self, pass: Pass, target: &Pattern) -> bool {
        let app = target.as_str().split(':').next().unwrap_or_default();
        let is_one = !app.contains(['*', '?']);
        let is_for = |grant: &Grant| {
            &*grant.app == "*" || is_one && match_part(grant.app.as_bytes(), app.as_bytes())
        };
        let may = |grant: &Grant| grant.has(Right::Command) && is_for(grant);
        self.is_open() || self.find(pass).is_some_and(may)
    }

    /// Looks at all of them, whichever it is.
    fn find(&self, pass: Pass) -> Option<&Grant> {
        let shown = pass.0?;
        let same = |grant: &&Grant| verify_slices_are_equal(&grant.token.0, &shown.0).is_ok();
        self.0.iter().filter(same).reduce(|_, found| found)
    }
}

impl Pass {
    /// Shows a token, or none.
    pub fn new(token: Option<&str>) -> Self {
        Self(token.map(Fingerprint::of))
    }
}

impl Fingerprint {
    fn of(token: &str) -> Self {
        let mut print = [0; 32];
        print.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(print)
    }
}

impl SetPattern {
    /// Whether a set is meant.
    pub fn matches(&self, set: &SetName) -> bool {
        let patterns: Vec<_> = self.0.split('/').collect();
        let parts: Vec<_> = set.as_str().split('/').collect();
        match_parts(&patterns, &parts)
    }
}

impl FromStr for SetPattern {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        let not = |why| BadGrant::Pattern(text.chars().take(PATTERN_MAX).collect(), why);
        if text.len() > PATTERN_MAX {
            return Err(not("it is too long"));
        }
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?/".contains(&byte);
        if !text.bytes().all(is_good) {
            return Err(not("letters, digits, '.', '_', '-', '*', '?' and '/' are allowed"));
        }
        if text.split('/').any(str::is_empty) {
            return Err(not("a part is empty"));
        }
        if text.split('/').filter(|part| *part == "**").count() > DEEP_MAX {
            return Err(not("** is more often in it than anybody needs"));
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for Right {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<Self, BadGrant> {
        Ok(match text {
            "join" => Self::Join,
            "read" => Self::Read,
            "write" => Self::Write,
            "command" => Self::Command,
            _ => return Err(BadGrant::Right(text.chars().take(PATTERN_MAX).collect())),
        })
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Join => "join",
            Self::Read => "read",
            Self::Write => "write",
            Self::Command => "command",
        })
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token: _, app, sets, rights } = self;
        let mut shown = f.debug_struct("Grant");
        shown.field("app", app).field("sets", sets).field("rights", rights).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Pass(a token)" } else { "Pass(no token)" })
    }
}

/// Characters of a token: 96 bits if each is one of 64.
pub const TOKEN_MIN: usize = 16;

/// Tokens of a fleet: all are looked through for each request.
pub const GRANTS_MAX: usize = 1000;

/// Patterns of one token.
pub const PATTERNS_MAX: usize = 100;

/// Bytes of a pattern.
const PATTERN_MAX: usize = 200;

/// How often `**` is in a pattern: each makes a match so much longer.
const DEEP_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = "token-of-the-shop";
    const DESK: &str = "token-of-the-desk";

    fn sets(patterns: &[&str]) -> Vec<SetPattern> {
        patterns.iter().map(|pattern| pattern.parse().unwrap()).collect()
    }

    fn grants() -> Grants {
        let shop = Grant::new(SHOP, "shop", sets(&["shop/**", "all"]), [Right::Join, Right::Read]);
        let desk = Grant::new(DESK, "*", sets(&["**"]), [Right::Write, Right::Command]);
        Grants::new([shop.unwrap(), desk.unwrap()]).unwrap()
    }

    fn set(text: &str) -> SetName {
        text.parse().unwrap()
    }

    #[test]
    fn pred_k14_a_token_allows_what_its_grant_says_and_nothing_else() {
        let grants = grants();
        let [shop, desk] = [SHOP, DESK].map(|token| Pass::new(Some(token)));
        for (set_name, is_allowed) in
            [("shop/prod", true), ("shop/eu/prod", true), ("all", true), ("bank", false)]
        {
            assert_eq!(grants.allows_set(shop, Right::Read, &set(set_name)), is_allowed);
            assert!(!grants.allows_set(shop, Right::Write, &set(set_name)), "{set_name}");
            assert!(grants.allows_set(desk, Right::Write, &set(set_name)), "{set_name}");
            assert!(!grants.allows_set(desk, Right::Read, &set(set_name)), "{set_name}");
        }
        assert!(grants.allows_app(shop, Right::Join, "shop"));
        assert!(!grants.allows_app(shop, Right::Join, "shopping"));
        assert!(!grants.allows_app(shop, Right::Command, "shop"));
        assert!(grants.allows_app(desk, Right::Command, "bank"));
        for nobody in [Pass::new(None), Pass::new(Some("")), Pass::new(Some("token-of-the-sho"))] {
            assert!(!grants.admits(nobody) && !grants.allows_app(nobody, Right::Join, "shop"));
            assert!(!grants.allows_set(nobody, Right::Read, &set("all")));
        }
    }

    #[test]
    fn a_token_for_an_application_commands_nobody_else() {
        let shops = Grant::new(SHOP, "shop*", [], [Right::Command]).unwrap();
        let all = Grant::new(DESK, "*", [], [Right::Command]).unwrap();
        let grants = Grants::new([shops, all]).unwrap();
        let [shop, desk] = [SHOP, DESK].map(|token| Pass::new(Some(token)));
        let target = |text: &str| text.parse::<Pattern>().unwrap();
        for mine in ["shop", "shop:3", "shop:**", "shopping:*:a"] {
            assert!(grants.allows_target(shop, &target(mine)), "{mine}");
        }
        // What is not named in full may mean others.
        for others in ["bank", "**", "*", "s*", "shop*", "sho?", "**:shop", "*:3"] {
            assert!(!grants.allows_target(shop, &target(others)), "{others}");
            assert!(grants.allows_target(desk, &target(others)), "{others}");
        }
        assert!(!grants.allows_target(Pass::new(None), &target("shop")));
    }

    #[test]
    fn without_tokens_everybody_may_do_everything() {
        let open = Grants::default();
        for pass in [Pass::new(None), Pass::new(Some("whatever"))] {
            assert!(open.admits(pass) && open.allows_set(pass, Right::Write, &set("all")));
            assert!(open.allows_app(pass, Right::Command, "shop"));
        }
    }

    #[test]
    fn pred_k16_no_token_is_shown() {
        let shown = format!("{:?} {:?}", grants(), Pass::new(Some(SHOP)));
        assert!(!shown.contains("token-of"), "{shown}");
    }

    #[test]
    fn patterns_are_over_parts() {
        for (pattern, name, is_meant) in [
            ("**", "a/b/c", true),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a", true),
            ("a/**/z", "a/b/c/z", true),
            ("a?", "ab", true),
            ("*/prod", "shop/prod", true),
            ("shop*", "shop/prod", false),
        ] {
            let pattern: SetPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&set(name)), is_meant, "{pattern:?} {name}");
        }
        for bad in ["", "/a", "a//b", "a b", "**/a/**/b/**", &"a".repeat(PATTERN_MAX + 1)] {
            assert!(bad.parse::<SetPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn grants_are_limited_and_said_once() {
        let grant = |token: &str| Grant::new(token, "*", [], []).unwrap();
        let token = |at: usize| format!("token of number {at}");
        assert!(Grants::new((0..GRANTS_MAX).map(|at| grant(&token(at)))).is_ok());
        let too_many = Grants::new((0..=GRANTS_MAX).map(|at| grant(&token(at))));
        assert_eq!(too_many, Err(BadGrant::TooMany));
        assert_eq!(Grants::new([grant(SHOP), grant(SHOP)]), Err(BadGrant::Twice));
        assert_eq!(Grant::new("short", "*", [], []), Err(BadGrant::TokenTooShort));
        let patterns = vec!["a".parse::<SetPattern>().unwrap(); PATTERNS_MAX + 1];
        assert_eq!(Grant::new(SHOP, "*", patterns, []), Err(BadGrant::TooManyPatterns));
        assert_eq!("write".parse(), Ok(Right::Write));
        assert!("admin".parse::<Right>().unwrap_err().to_string().contains("join, read, write"));
    }
}
