//! A pull reader of JSON text that keeps numbers as written and words its errors as Go's encoding/json does.

use std::borrow::Cow;

/// How deep values may be nested: what the store's own JSON reader takes back.
const MAX_DEPTH: usize = 120;

/// A text that is not JSON, in the words of Go's scanner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(String);

/// What stands at the reader's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    /// The name that Go's errors have for it.
    pub(super) fn go(self) -> &'static str {
        match self {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Bool => "bool",
            Kind::Null => "null",
        }
    }
}

/// A place in a JSON text.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

type Result<T> = std::result::Result<T, SyntaxError>;

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Reader { text, at: 0, depth: 0 }
    }

    /// What value comes next.
    pub(super) fn peek(&mut self) -> Result<Kind> {
        match self.byte()? {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::String),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' | b'f' => Ok(Kind::Bool),
            b'n' => Ok(Kind::Null),
            _ => Err(self.unexpected("looking for beginning of value")),
        }
    }

    /// The next key of the object, or its end. `first` right after [`Reader::open`].
    pub(super) fn key(&mut self, first: bool) -> Result<Option<String>> {
        match (self.byte()?, first) {
            (b'}', _) => {
                self.close();
                return Ok(None);
            }
            (b',', false) => self.at += 1,
            (_, false) => return Err(self.unexpected("after object key:value pair")),
            (_, true) => {}
        }
        if self.byte()? != b'"' {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let key = self.string()?;
        if self.byte()? != b':' {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(Some(key.into_owned()))
    }

    /// Whether the array has another item. `first` right after [`Reader::open`].
    pub(super) fn item(&mut self, first: bool) -> Result<bool> {
        match (self.byte()?, first) {
            (b']', _) => {
                self.close();
                Ok(false)
            }
            (b',', false) => {
                self.at += 1;
                Ok(true)
            }
            (_, false) => Err(self.unexpected("after array element")),
            (_, true) => Ok(true),
        }
    }

    /// Enters the object or array that [`Reader::peek`] saw.
    pub(super) fn open(&mut self) -> Result<()> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(SyntaxError("exceeded max depth".to_owned())) } else { Ok(()) }
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Reads the literal that [`Reader::peek`] saw: true, false or null (as `None`).
    pub(super) fn literal(&mut self) -> Result<Option<bool>> {
        let (word, value) = match self.byte()? {
            b't' => ("true", Some(true)),
            b'f' => ("false", Some(false)),
            _ => ("null", None),
        };
        for (i, expected) in word.bytes().enumerate() {
            if self.here()? != expected {
                let (letter, _) = word.split_at_checked(i + 1).unwrap_or((word, ""));
                let letter = letter.chars().last().unwrap_or_default();
                return Err(self.unexpected(&format!("in literal {word} (expecting {letter:?})")));
            }
            self.at += 1;
        }
        Ok(value)
    }

    /// Reads the number that [`Reader::peek`] saw, as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str> {
        let start = self.at;
        if self.current() == Some(b'-') {
            self.at += 1;
        }
        match self.here()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits(),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.current() == Some(b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.current(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.current(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        Ok(std::str::from_utf8(self.since(start)).unwrap_or_default())
    }

    fn some_digits(&mut self, context: &str) -> Result<()> {
        if !self.here()?.is_ascii_digit() {
            return Err(self.unexpected(context));
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while self.current().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// Reads the string that [`Reader::peek`] saw. What is no valid Unicode is replaced, as Go does.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>> {
        self.byte()?;
        self.at += 1;
        let start = self.at;
        self.plain();
        match self.here()? {
            b'"' => {}
            b'\\' => return self.escaped(start),
            _ => return Err(self.unexpected("in string literal")),
        }
        let raw = self.since(start);
        self.at += 1;
        Ok(String::from_utf8_lossy(raw))
    }

    /// The rest of a string from its first escape on.
    fn escaped(&mut self, start: usize) -> Result<Cow<'a, str>> {
        let mut out = self.since(start).to_vec();
        let push = |out: &mut Vec<u8>, c: char| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        loop {
            match self.here()? {
                b'"' => {
                    self.at += 1;
                    return Ok(Cow::Owned(String::from_utf8_lossy(&out).into_owned()));
                }
                b'\\' => {
                    self.at += 1;
                    let c = match self.here()? {
                        c @ (b'"' | b'\\' | b'/') => char::from(c),
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => {
                            self.at += 1;
                            let c = self.unicode()?;
                            push(&mut out, c);
                            continue;
                        }
                        _ => return Err(self.unexpected("in string escape code")),
                    };
                    self.at += 1;
                    push(&mut out, c);
                }
                0..0x20 => return Err(self.unexpected("in string literal")),
                _ => {
                    let run = self.at;
                    self.plain();
                    out.extend_from_slice(self.since(run));
                }
            }
        }
    }

    /// Passes over what stands for itself in a string.
    fn plain(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
        self.at += end.unwrap_or(rest.len());
    }

    /// What `\u` stands for, its second half included if it has one.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let after = self.at;
        if self.text.get(after..after + 2) == Some(b"\\u") {
            self.at += 2;
            let second = self.hex()?;
            let pair = [first as u16, second as u16];
            if let Some(Ok(c)) = char::decode_utf16(pair).next() {
                return Ok(c);
            }
            self.at = after;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32> {
        let mut value = 0;
        for _ in 0..4 {
            let Some(digit) = char::from(self.here()?).to_digit(16) else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }

    /// Passes over a value; gives its text.
    pub(super) fn skip(&mut self) -> Result<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        match self.peek()? {
            Kind::Object => {
                self.open()?;
                let mut first = true;
                while self.key(first)?.is_some() {
                    self.skip()?;
                    first = false;
                }
            }
            Kind::Array => {
                self.open()?;
                let mut first = true;
                while self.item(first)? {
                    self.skip()?;
                    first = false;
                }
            }
            Kind::String => drop(self.string()?),
            Kind::Number => drop(self.number()?),
            Kind::Bool | Kind::Null => drop(self.literal()?),
        }
        Ok(self.since(start))
    }

    /// Nothing but space may follow the value.
    pub(super) fn end(&mut self) -> Result<()> {
        self.space();
        if self.current().is_some() { Err(self.unexpected("after top-level value")) } else { Ok(()) }
    }

    /// The next byte that is not space.
    fn byte(&mut self) -> Result<u8> {
        self.space();
        self.here()
    }

    fn space(&mut self) {
        while matches!(self.current(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn here(&self) -> Result<u8> {
        self.current().ok_or_else(|| SyntaxError("unexpected end of JSON input".to_owned()))
    }

    fn current(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn unexpected(&self, context: &str) -> SyntaxError {
        SyntaxError(format!("invalid character {} {context}", quote(self.current().unwrap_or_default())))
    }
}

/// A byte as Go quotes it in these errors.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        byte => format!("'{}'", char::from(byte)),
    }
}
