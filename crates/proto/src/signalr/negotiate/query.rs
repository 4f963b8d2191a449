//! Names and values of a query string.

/// All names and values with their escapes resolved; what does not resolve stays as it is.
pub fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (resolve(name), resolve(value))
    })
}

/// A segment of a path with its escapes resolved; `None` if that is no text.
pub fn segment(text: &str) -> Option<String> {
    String::from_utf8(bytes_of(text, b'+')).ok()
}

fn resolve(text: &str) -> String {
    String::from_utf8_lossy(&bytes_of(text, b' ')).into_owned()
}

/// The bytes of a text with escapes, where a plus stands for `plus`.
fn bytes_of(text: &str, plus: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, escaped(after)) {
            (b'+', _) => bytes.push(plus),
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

/// The byte of the two digits after a percent sign.
fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}
