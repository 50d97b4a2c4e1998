//! Any text as one token of a subject, and back.

use std::fmt::Write;

/// Any text as one token: bytes that a token cannot hold become `%XX`, the empty text `_`.
pub fn escape(text: &str) -> String {
    match text {
        "" => return "_".to_owned(),
        "_" => return "%5F".to_owned(),
        _ => {}
    }
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'.' | b'*' | b'>' | b'%' | 0..=b' ' | 0x7f.. => {
                // Writing to a string does not fail.
                let _ = write!(token, "%{byte:02X}");
            }
            plain => token.push(plain as char),
        }
    }
    token
}

/// The text of a token; none if no text escapes to it, so that an object has one subject only.
pub fn unescape(token: &str) -> Option<String> {
    let text = match token {
        "_" => return Some(String::new()),
        token if !token.contains('%') => token.to_owned(),
        token => decode(token)?,
    };
    (escape(&text) == token).then_some(text)
}

fn decode(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}
