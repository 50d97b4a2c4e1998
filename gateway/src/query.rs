//! The query string, read as Go's `net/url` and Kubernetes' parameter conversion read it.

use cox_objects::Status;
use percent_encoding::percent_decode_str;

/// The parameters of a request in their order; names are matched with case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a raw query string. Pairs that are badly escaped or hold a semicolon are left out, as Go does.
    pub fn parse(raw: &str) -> Self {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        Query(
            pairs
                .filter_map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((unescape(name)?, unescape(value)?))
                })
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first value, or the empty text.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether the parameter is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A truth value: given and neither `0` nor `false`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 with Go's words if the value is none, also if it is empty.
    pub fn number(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let digits = value.strip_prefix(['+', '-']).unwrap_or(value);
        let whole = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match value.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) if whole => {
                Err(Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: value out of range")))
            }
            Err(_) => Err(Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: invalid syntax"))),
        }
    }
}

/// A component of a query; none if an escape is broken.
fn unescape(text: &str) -> Option<String> {
    let broken = text.split('%').skip(1).any(|after| {
        let mut digits = after.bytes().take(2);
        !(digits.next().is_some_and(|b| b.is_ascii_hexdigit()) && digits.next().is_some_and(|b| b.is_ascii_hexdigit()))
    });
    if broken {
        return None;
    }
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests;
