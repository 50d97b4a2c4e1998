//! Go's `time.Parse` for the two layouts of the API, with its leniencies and its words.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

const SECONDS: &str = "2006-01-02T15:04:05Z07:00";
const MICROS: &str = "2006-01-02T15:04:05.000000Z07:00";

/// Why a text is not a time: the text of Go's parser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parsing time {value:?}{fault}")]
pub struct TimeError {
    value: String,
    fault: String,
}

struct Reader<'a> {
    rest: &'a str,
    layout: &'static str,
}

impl<'a> Reader<'a> {
    fn cannot(&self, at: &str, element: &str) -> String {
        format!(" as {:?}: cannot parse {at:?} as {element:?}", self.layout)
    }

    fn literal(&mut self, expected: char) -> Result<(), String> {
        let rest = self.rest.strip_prefix(expected).ok_or_else(|| self.cannot(self.rest, &expected.to_string()))?;
        self.rest = rest;
        Ok(())
    }

    /// A number of exactly `places` digits.
    fn number(&mut self, places: usize, element: &str) -> Result<i32, String> {
        let digits = self.rest.get(..places).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
        let number = digits.and_then(|t| t.parse().ok()).ok_or_else(|| self.cannot(self.rest, element))?;
        self.rest = self.rest.get(places..).unwrap_or_default();
        Ok(number)
    }

    fn ranged(&mut self, element: &str, what: &str, range: std::ops::RangeInclusive<i32>) -> Result<i8, String> {
        // Go takes an hour of one digit.
        let next_is_digit = self.rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let places = if element == "15" && !next_is_digit { 1 } else { 2 };
        let number = self.number(places, element)?;
        match i8::try_from(number) {
            Ok(n) if range.contains(&number) => Ok(n),
            _ => Err(format!(": {what} out of range")),
        }
    }

    fn fraction(&mut self, micro: bool) -> Result<i32, String> {
        let pointed = self.rest.starts_with(['.', ',']);
        let after = self.rest.get(1..).unwrap_or_default();
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if micro && !(pointed && count >= 6) {
            return Err(self.cannot(self.rest, ".000000"));
        }
        if !pointed || count == 0 {
            return Ok(0);
        }
        let taken = if micro { 6 } else { count };
        let digits: String = after.chars().take(taken.min(9)).chain("000000000".chars()).take(9).collect();
        self.rest = after.get(taken..).unwrap_or_default();
        Ok(digits.parse().unwrap_or(0))
    }

    fn offset(&mut self) -> Result<i32, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let fault = || self.cannot(self.rest, "Z07:00");
        let sign = match self.rest.as_bytes() {
            [b'+', _, _, b':', _, _, ..] => 1,
            [b'-', _, _, b':', _, _, ..] => -1,
            _ => return Err(fault()),
        };
        let two = |range| self.rest.get(range).filter(|t: &&str| t.bytes().all(|b| b.is_ascii_digit()));
        let (hours, minutes) = two(1..3).zip(two(4..6)).ok_or_else(fault)?;
        let (hours, minutes): (i32, i32) = (hours.parse().unwrap_or(0), minutes.parse().unwrap_or(0));
        if hours > 24 {
            return Err(": time zone offset hour out of range".to_owned());
        }
        if minutes > 60 {
            return Err(": time zone offset minute out of range".to_owned());
        }
        self.rest = self.rest.get(6..).unwrap_or_default();
        Ok(sign * (hours * 3600 + minutes * 60))
    }
}

pub(super) fn parse(text: &str, micro: bool) -> Result<Timestamp, TimeError> {
    let layout = if micro { MICROS } else { SECONDS };
    read(&mut Reader { rest: text, layout }, micro).map_err(|fault| TimeError { value: text.to_owned(), fault })
}

fn read(reader: &mut Reader<'_>, micro: bool) -> Result<Timestamp, String> {
    let year = reader.number(4, "2006")?;
    reader.literal('-')?;
    let month = reader.ranged("01", "month", 1..=12)?;
    reader.literal('-')?;
    let day = reader.ranged("02", "day", 0..=99)?;
    reader.literal('T')?;
    let hour = reader.ranged("15", "hour", 0..=23)?;
    reader.literal(':')?;
    let minute = reader.ranged("04", "minute", 0..=59)?;
    reader.literal(':')?;
    let second = reader.ranged("05", "second", 0..=59)?;
    let nanos = reader.fraction(micro)?;
    let offset = reader.offset()?;
    if !reader.rest.is_empty() {
        return Err(format!(": extra text: {:?}", reader.rest));
    }
    let out_of_range = |_| ": day out of range".to_owned();
    let date = i16::try_from(year).map_err(|_| ": year out of range".to_owned())?;
    let date = Date::new(date, month, day).map_err(out_of_range)?;
    let time = Time::new(hour, minute, second, nanos).map_err(out_of_range)?;
    let offset = Offset::from_seconds(offset).map_err(out_of_range)?;
    offset.to_timestamp(DateTime::from_parts(date, time)).map_err(out_of_range)
}
