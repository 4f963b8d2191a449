//! What a request's query says beside its path. Pure.

use std::time::Duration;

use everwire_hub::ConnectionId;
use everwire_proto::signalr::negotiate::parameters;

use crate::problem::Problem;

/// The parameters that any request may have; those that one has no use for are ignored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// Which description of the API the client follows.
    pub(super) version: Option<String>,
    /// Connections that are left out; what cannot be an id is nobody.
    pub(super) excluded: Vec<ConnectionId>,
    /// What clients are told whose connections end.
    pub(super) reason: Option<String>,
    /// How long a user is to be in a group.
    pub(super) ttl: Option<Duration>,
    /// How many members are wanted in all, and on one page.
    pub(super) top: Option<usize>,
    pub(super) page_max: Option<usize>,
    /// The last member of the page before.
    pub(super) after: Option<ConnectionId>,
    /// Whom a token is for, and for how long.
    pub(super) user: Option<String>,
    pub(super) minutes: Option<u64>,
}

impl Query {
    /// Reads a query string.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in parameters(text) {
            query.take(&name.to_ascii_lowercase(), value)?;
        }
        Ok(query)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), Problem> {
        match name {
            "api-version" if !VERSIONS.contains(&value.as_str()) => {
                let known = VERSIONS.join(", ");
                let what = format!("api-version={value} is not known here; known are {known}");
                return Err(Problem::bad_request(what).coded("ApiVersion.NotSupported"));
            }
            "api-version" => self.version = Some(value),
            // Some clients repeat the parameter, others separate by commas, which no id has in it.
            "excluded" => self.excluded.extend(value.split(',').filter_map(id)),
            "reason" => self.reason = Some(within("reason", REASON_MAX, value)?),
            "ttl" => self.ttl = Some(Duration::from_secs(number("ttl", &value, 0, u64::MAX)?)),
            "top" => self.top = Some(count("top", &value, u64::MAX)?),
            "maxpagesize" => self.page_max = Some(count("maxpagesize", &value, PAGE_MAX)?),
            "continuationtoken" => self.after = Some(continuation(&value)?),
            "userid" => self.user = Some(value).filter(|user| !user.is_empty()),
            "minutestoexpire" => {
                self.minutes = Some(number("minutesToExpire", &value, 1, MINUTES_MAX)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The name of the hub that is meant by a path with `hub` and this query: an application's hubs begin
/// with its name.
pub(super) fn hub_name(hub: &str, query: &str) -> String {
    let mut all = parameters(query);
    match all.find(|(name, _)| name.eq_ignore_ascii_case("application")) {
        Some((_, application)) if !application.is_empty() => format!("{application}_{hub}"),
        _ => hub.to_owned(),
    }
}

fn id(text: &str) -> Option<ConnectionId> {
    text.parse().ok()
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64, Problem> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| {
        Problem::bad_request(format!("{name}: is not a number from {least} to {most}"))
    })
}

fn count(name: &str, value: &str, most: u64) -> Result<usize, Problem> {
    number(name, value, 1, most).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
}

fn continuation(value: &str) -> Result<ConnectionId, Problem> {
    let wrong = "continuationToken: is not one that was given with the page before";
    value.parse().map_err(|_| Problem::bad_request(wrong))
}

/// A text of at most so many bytes.
pub(super) fn within(name: &str, most: usize, value: String) -> Result<String, Problem> {
    if value.len() <= most {
        return Ok(value);
    }
    Err(Problem::bad_request(format!("{name}: is longer than {most} bytes")))
}

/// The published descriptions. What has changed between them was added.
const VERSIONS: [&str; 5] = ["2022-06-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01"];

/// The largest page, as described; also how large a page is if nobody says.
pub(super) const PAGE_MAX: u64 = 200;

/// A token that is good for longer than 30 days is rather a key.
const MINUTES_MAX: u64 = 30 * 24 * 60;

/// The longest reason: clients keep it as the text of an error.
const REASON_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_in_any_case_and_as_often_as_they_come() {
        let [a, b, c] = ["a", "b", "c"].map(|letter| format!("{}A", letter.repeat(21)));
        let text =
            format!("api-version=2022-06-01&excluded={a},{b}&Excluded={c}&excluded=nobody&x=y");
        let query = Query::read(&text).unwrap();
        assert_eq!(query.version.as_deref(), Some("2022-06-01"));
        let ids: Vec<_> = query.excluded.iter().map(ToString::to_string).collect();
        assert_eq!(ids, [a, b, c]);
        assert_eq!(hub_name("chat", "x=y&Application=App"), "App_chat");
        assert_eq!(hub_name("chat", "application=&ttl=x"), "chat");
        let query = Query::read("application=App&minutesToExpire=5&ttl=0&userId=&top=7").unwrap();
        assert_eq!((query.minutes, query.ttl), (Some(5), Some(Duration::ZERO)));
        assert_eq!((query.user, query.top), (None, Some(7)));
        assert_eq!(Query::read("").unwrap(), Query::default());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let long = format!("reason={}", "x".repeat(REASON_MAX + 1));
        for wrong in [
            "api-version=2021-01-01",
            "api-version=",
            "ttl=-1",
            "ttl=x",
            "top=0",
            "maxpagesize=0",
            "maxpagesize=201",
            "continuationToken=x",
            "minutesToExpire=0",
            "minutesToExpire=43201",
            &long,
        ] {
            assert!(Query::read(wrong).is_err(), "{wrong}");
        }
        assert!(Query::read("maxpagesize=200&minutesToExpire=43200").is_ok());
    }
}
