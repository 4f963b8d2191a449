//! Where an agent connects: the manager's address and in it who connects, so that whoever sees a
//! connection knows whose it is.

/// The manager's address with the instance in its query.
pub(crate) fn address(
    url: &str,
    name: &str,
    version: Option<&str>,
    labels: &[(String, String)],
) -> String {
    let names = ["app", "index", "id"].into_iter();
    let parts = names.zip(name.split(':')).map(|(name, value)| (name.to_owned(), value));
    let version = version.map(|version| ("version".to_owned(), version));
    let labels = labels.iter().map(|(name, value)| (format!("label.{name}"), value.as_str()));
    let parameters = parts.chain(version).chain(labels);
    let parameters: Vec<_> =
        parameters.map(|(name, value)| format!("{}={}", escaped(&name), escaped(value))).collect();
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{}", parameters.join("&"))
}

/// A text as a part of a query: all but what no URL gives a meaning is escaped.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let piece = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_is_in_the_address() {
        let labels = [("zone".to_owned(), "a b&c=ä".to_owned())];
        assert_eq!(
            address("http://h:1/fleet", "shop:3:x-1", Some("1.2"), &labels),
            "http://h:1/fleet?app=shop&index=3&id=x-1&version=1.2&label.zone=a%20b%26c%3D%C3%A4"
        );
        let other = address("http://h/fleet?tenant=7", "shop:0:x", None, &[]);
        assert_eq!(other, "http://h/fleet?tenant=7&app=shop&index=0&id=x");
    }
}
