//! Times as bodies may have them: read as Go's time package does, with its errors, and written in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::quote::quote;

/// The layouts of Go that the API reads times by; errors show them.
const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Reads a time, in whole seconds (`v1.Time`): any fraction is accepted and dropped.
pub(super) fn seconds(text: &str) -> Result<String, String> {
    let (at, _) = parse(text, SECONDS)?;
    Ok(written(at))
}

/// The time that is so many seconds after the epoch, as a `v1.Time` is written; none if there is no such time.
pub(crate) fn seconds_at(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|at| written(Offset::UTC.to_datetime(at)))
}

/// The same for a `v1.MicroTime`.
pub(crate) fn micros_at(seconds: i64, nanos: i32) -> Option<String> {
    let at = Timestamp::new(seconds, nanos).ok()?;
    Some(written_micros(Offset::UTC.to_datetime(at), nanos.unsigned_abs()))
}

fn written(at: DateTime) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn written_micros(at: DateTime, nanos: u32) -> String {
    format!("{}.{:06}Z", at.strftime("%Y-%m-%dT%H:%M:%S"), nanos / 1000)
}

/// Reads a time in microseconds (`v1.MicroTime`): the fraction has to have six digits.
pub(super) fn micros(text: &str) -> Result<String, String> {
    let (at, nanos) = parse(text, MICROS)?;
    Ok(written_micros(at, nanos))
}

/// The time in UTC, and its nanoseconds.
fn parse(text: &str, layout: &'static str) -> Result<(DateTime, u32), String> {
    let mut scan = Scan { text, rest: text, layout };
    let year = scan.digits(4, "2006")?;
    scan.expect("-", "-")?;
    let month = scan.digits(2, "01")?;
    if !(1..=12).contains(&month) {
        return Err(scan.range("month"));
    }
    scan.expect("-", "-")?;
    let day = scan.digits(2, "02")?;
    scan.expect("T", "T")?;
    let hour = scan.digits(2, "15")?;
    if hour > 23 {
        return Err(scan.range("hour"));
    }
    scan.expect(":", ":")?;
    let minute = scan.digits(2, "04")?;
    if minute > 59 {
        return Err(scan.range("minute"));
    }
    scan.expect(":", ":")?;
    let second = scan.digits(2, "05")?;
    if second > 59 {
        return Err(scan.range("second"));
    }
    let nanos = scan.fraction(layout == MICROS)?;
    let offset = scan.zone()?;
    if !scan.rest.is_empty() {
        return Err(format!("parsing time {}: extra text: {}", quote(text), quote(scan.rest)));
    }
    let out_of_range = |_| scan.range("day");
    let local = DateTime::new(year as i16, month as i8, day as i8, hour as i8, minute as i8, second as i8, 0)
        .map_err(out_of_range)?;
    let instant = offset.to_timestamp(local).map_err(out_of_range)?;
    Ok((Offset::UTC.to_datetime(instant), nanos))
}

struct Scan<'a> {
    text: &'a str,
    rest: &'a str,
    layout: &'static str,
}

impl Scan<'_> {
    fn digits(&mut self, count: usize, element: &str) -> Result<i32, String> {
        match self.rest.split_at_checked(count) {
            Some((head, rest)) if head.bytes().all(|b| b.is_ascii_digit()) => {
                self.rest = rest;
                head.parse().map_err(|_| self.cannot(element))
            }
            _ => Err(self.cannot(element)),
        }
    }

    fn expect(&mut self, literal: &str, element: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(literal).ok_or_else(|| self.cannot(element))?;
        Ok(())
    }

    /// A fraction of a second, in nanoseconds.
    fn fraction(&mut self, six_digits: bool) -> Result<u32, String> {
        let count = self.rest.get(1..).unwrap_or_default().bytes().take_while(u8::is_ascii_digit).count();
        let begins = self.rest.starts_with(['.', ',']) && count > 0;
        if six_digits && !(begins && count == 6) {
            return Err(self.cannot(".000000"));
        }
        if !begins {
            return Ok(0);
        }
        let (digits, rest) = self.rest.get(1..).unwrap_or_default().split_at_checked(count).unwrap_or_default();
        self.rest = rest;
        let nine: String = digits.chars().chain(std::iter::repeat('0')).take(9).collect();
        nine.parse().map_err(|_| self.cannot(".000000"))
    }

    fn zone(&mut self) -> Result<Offset, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(Offset::UTC);
        }
        let (zone, rest) = self.rest.split_at_checked(6).ok_or_else(|| self.cannot("Z07:00"))?;
        let mut inner = Scan { text: self.text, rest: zone.get(1..).unwrap_or_default(), layout: self.layout };
        let hours = inner.digits(2, "").map_err(|_| self.cannot("Z07:00"))?;
        inner.expect(":", "").map_err(|_| self.cannot("Z07:00"))?;
        let minutes = inner.digits(2, "").map_err(|_| self.cannot("Z07:00"))?;
        let sign = match zone.as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.cannot("Z07:00")),
        };
        self.rest = rest;
        Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).map_err(|_| self.range("time zone offset"))
    }

    fn cannot(&self, element: &str) -> String {
        let (text, layout, rest) = (quote(self.text), quote(self.layout), quote(self.rest));
        format!("parsing time {text} as {layout}: cannot parse {rest} as {}", quote(element))
    }

    fn range(&self, what: &str) -> String {
        format!("parsing time {}: {what} out of range", quote(self.text))
    }
}
