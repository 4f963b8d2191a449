//! Cookies: what a balancer gives a client, so that all its requests meet the same server.
//!
//! As much of RFC 6265 as that takes. A cookie goes back to the host that gave it and to no other,
//! even where its `Domain` would let it; and it lasts as long as the client, unless it has expired
//! by the date of the very answer that gives it, which is how servers take cookies back.

use http::{HeaderMap, HeaderValue, header};
use httpdate::HttpDate;

use crate::address::Address;

/// The cookies of one client, the oldest first.
#[derive(Default)]
pub(crate) struct Cookies(Vec<Cookie>);

struct Cookie {
    host: Box<str>,
    path: Box<str>,
    is_for_tls: bool,
    name: Box<str>,
    value: Box<str>,
}

impl Cookies {
    /// Takes what an answer sets. The oldest makes room for what is too many.
    pub(crate) fn take(&mut self, from: &Address, answer: &HeaderMap) {
        let date = answer.get(header::DATE).and_then(|date| date.to_str().ok()?.parse().ok());
        for set in answer.get_all(header::SET_COOKIE) {
            let Ok(set) = set.to_str() else { continue };
            let Some((cookie, is_over)) = parse(from, set, date) else { continue };
            self.0.retain(|known| !known.is_same(&cookie));
            if is_over {
                continue;
            }
            if self.0.len() >= COOKIES_MAX {
                self.0.remove(0);
            }
            self.0.push(cookie);
        }
    }

    /// Adds those that belong to an address to what the application says itself.
    pub(crate) fn give(&self, to: &Address, request: &mut HeaderMap) {
        let own = request.get(header::COOKIE).and_then(|own| own.to_str().ok()).map(str::to_owned);
        let ours = self.0.iter().filter(|cookie| cookie.belongs_to(to));
        let ours = ours.map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let all: Vec<String> = own.into_iter().chain(ours).collect();
        if !all.is_empty()
            && let Ok(all) = HeaderValue::try_from(all.join("; "))
        {
            request.insert(header::COOKIE, all);
        }
    }
}

impl Cookie {
    fn is_same(&self, other: &Self) -> bool {
        (&self.host, &self.path, &self.name) == (&other.host, &other.path, &other.name)
    }

    fn belongs_to(&self, address: &Address) -> bool {
        let is_below = address.path().strip_prefix(&*self.path).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        *self.host == *address.endpoint().0 && is_below && (address.is_secure() || !self.is_for_tls)
    }
}

/// A cookie, and whether it is over by now. Nothing where it is none, or too long.
fn parse(from: &Address, set: &str, now: Option<HttpDate>) -> Option<(Cookie, bool)> {
    if set.len() > COOKIE_MAX {
        return None;
    }
    let mut parts = set.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim_end(), value.trim_start());
    if name.is_empty() {
        return None;
    }
    let mut cookie = Cookie {
        host: from.endpoint().0.into(),
        path: folder(from.path()).into(),
        is_for_tls: false,
        name: name.into(),
        value: value.into(),
    };
    let (mut age, mut end) = (None, None);
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.trim_end().to_ascii_lowercase().as_str() {
            "secure" => cookie.is_for_tls = true,
            "path" if value.starts_with('/') => cookie.path = value.into(),
            "max-age" => age = value.parse::<i64>().ok(),
            "expires" => end = value.parse::<HttpDate>().ok(),
            _ => {}
        }
    }
    let is_over = match age {
        Some(seconds) => seconds <= 0,
        None => end.zip(now).is_some_and(|(end, now)| end <= now),
    };
    Some((cookie, is_over))
}

/// Where a cookie belongs that does not say so.
fn folder(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}

/// What is in a cookie may be secret.
impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cookies({})", self.0.len())
    }
}

/// Cookies of a client, and bytes of each: what RFC 6265 section 6.1 asks of clients at least.
const COOKIES_MAX: usize = 50;
const COOKIE_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sat, 21 Nov 2026 18:00:00 GMT";

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    fn take(cookies: &mut Cookies, from: &str, set: &[&str]) {
        let mut answer = HeaderMap::new();
        answer.insert(header::DATE, HeaderValue::from_static(NOW));
        for set in set {
            answer.append(header::SET_COOKIE, HeaderValue::from_str(set).unwrap());
        }
        cookies.take(&address(from), &answer);
    }

    fn given(cookies: &Cookies, to: &str) -> String {
        let mut request = HeaderMap::new();
        cookies.give(&address(to), &mut request);
        request.get(header::COOKIE).map_or("", |all| all.to_str().unwrap()).to_owned()
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_path_and_to_no_other() {
        for (set, goes_to, stays_from) in [
            ("a=1; path=/", "http://h:81/x", "http://g/x"),
            ("a=1; Path=/hub", "http://h/hub/x", "http://h/hubs"),
            ("a=1; Path=/hub/", "http://h/hub/x", "http://h/hub"),
            ("a=1", "http://h/hub", "http://h/other"),
            ("a=1; path=/; Secure; HttpOnly", "wss://h/hub", "ws://h/hub"),
            ("a=1; Path=/; Domain=example", "http://h/hub", "http://example/hub"),
        ] {
            let mut cookies = Cookies::default();
            take(&mut cookies, "https://h/hub/negotiate", &[set]);
            assert_eq!(given(&cookies, goes_to), "a=1", "{set}");
            assert_eq!(given(&cookies, stays_from), "", "{set}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_and_taken_back() {
        let mut cookies = Cookies::default();
        let set = ["a=1; path=/", "b=2; path=/", "c=3; path=/", "a=4; path=/"];
        take(&mut cookies, "http://h/", &set);
        assert_eq!(given(&cookies, "http://h/"), "b=2; c=3; a=4");
        let over = "b=; expires=Sat, 01 Jan 2000 00:00:00 GMT; path=/";
        let lasts = "c=5; Expires=Sun, 22 Nov 2026 18:00:00 GMT; path=/";
        take(&mut cookies, "http://h/", &[over, lasts, "a=; Max-Age=0; path=/"]);
        assert_eq!(given(&cookies, "http://h/"), "c=5");
        take(&mut cookies, "http://h/", &["c=6; Max-Age=9; Expires=Sat, 01 Jan 2000 00:00:00 GMT"]);
        assert_eq!(given(&cookies, "http://h/"), "c=6", "an age precedes a date");
    }

    #[test]
    fn what_is_no_cookie_or_too_long_is_none() {
        let mut cookies = Cookies::default();
        let fits = format!("a={}", "x".repeat(COOKIE_MAX - 2));
        let long = format!("b={}", "x".repeat(COOKIE_MAX - 1));
        take(&mut cookies, "http://h/", &["", "=1", "a", ";", &long, &fits]);
        assert_eq!(given(&cookies, "http://h/"), fits);
    }

    #[test]
    fn the_oldest_makes_room_for_one_too_many() {
        let mut cookies = Cookies::default();
        for number in 0..=COOKIES_MAX {
            take(&mut cookies, "http://h/", &[&format!("c{number}=1")]);
        }
        let given = given(&cookies, "http://h/");
        assert_eq!(given.split("; ").count(), COOKIES_MAX);
        assert!(given.starts_with("c1=1; c2=1") && given.ends_with("c50=1"), "{given}");
    }

    #[test]
    fn what_the_application_says_itself_stands_first() {
        let mut cookies = Cookies::default();
        take(&mut cookies, "http://h/", &["a=1"]);
        let mut request = HeaderMap::new();
        request.insert(header::COOKIE, HeaderValue::from_static("own=1"));
        cookies.give(&address("http://h/"), &mut request);
        assert_eq!(request[header::COOKIE], "own=1; a=1");
        assert_eq!(format!("{cookies:?}"), "Cookies(1)", "values are not shown");
    }
}
