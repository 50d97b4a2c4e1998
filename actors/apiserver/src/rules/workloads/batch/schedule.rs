//! The five fields of a cron schedule, with the faults worded as the library that Kubernetes uses words them.

/// The first parts of the names of time zones.
pub(super) const AREAS: [&str; 62] = [
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Brazil",
    "Canada",
    "Chile",
    "Etc",
    "Europe",
    "Indian",
    "Mexico",
    "Pacific",
    "US",
    "CET",
    "CST6CDT",
    "Cuba",
    "EET",
    "EST",
    "EST5EDT",
    "Egypt",
    "Eire",
    "Factory",
    "GB",
    "GB-Eire",
    "GMT",
    "GMT+0",
    "GMT-0",
    "GMT0",
    "Greenwich",
    "HST",
    "Hongkong",
    "Iceland",
    "Iran",
    "Israel",
    "Jamaica",
    "Japan",
    "Kwajalein",
    "Libya",
    "MET",
    "MST",
    "MST7MDT",
    "NZ",
    "NZ-CHAT",
    "Navajo",
    "PRC",
    "PST8PDT",
    "Poland",
    "Portugal",
    "ROC",
    "ROK",
    "Singapore",
    "Turkey",
    "UCT",
    "UTC",
    "Universal",
    "W-SU",
    "WET",
    "Zulu",
    "posix",
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MACROS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// The bounds of a field, and names for its numbers beginning with the lower bound.
struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { low: 0, high: 59, names: &[] },
    Field { low: 0, high: 23, names: &[] },
    Field { low: 1, high: 31, names: &[] },
    Field { low: 1, high: 12, names: &MONTHS },
    Field { low: 0, high: 6, names: &DAYS },
];

/// Why a schedule cannot be read.
pub(super) fn check(schedule: &str) -> Result<(), String> {
    if schedule.starts_with('@') {
        let every = schedule.strip_prefix("@every ");
        return match every {
            Some(duration) if cox_objects::time::parse_duration(duration).is_ok() => Ok(()),
            Some(duration) => Err(format!("failed to parse duration {schedule}: time: invalid duration {duration:?}")),
            None if MACROS.contains(&schedule) => Ok(()),
            None => Err(format!("unrecognized descriptor: {schedule}")),
        };
    }
    let parts: Vec<&str> = schedule.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    for (part, field) in parts.iter().zip(&FIELDS) {
        for expression in part.split(',') {
            range(expression, field)?;
        }
    }
    Ok(())
}

fn range(expression: &str, field: &Field) -> Result<(), String> {
    let (range, step) = match expression.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return Err(format!("too many slashes: {expression}")),
        Some((range, step)) => (range, Some(step)),
        None => (expression, None),
    };
    let (mut start, mut end) = (field.low, field.high);
    if range != "*" && range != "?" {
        let (first, last) = match range.split_once('-') {
            Some((_, rest)) if rest.contains('-') => return Err(format!("too many hyphens: {expression}")),
            Some((first, last)) => (first, Some(last)),
            None => (range, None),
        };
        start = number(first, field)?;
        end = match last {
            Some(last) => number(last, field)?,
            None if step.is_some() => field.high,
            None => start,
        };
    }
    let step = match step {
        Some(text) => digits(text)?,
        None => 1,
    };
    if start < field.low {
        return Err(format!("beginning of range ({start}) below minimum ({}): {expression}", field.low));
    }
    if end > field.high {
        return Err(format!("end of range ({end}) above maximum ({}): {expression}", field.high));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {expression}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {expression}"));
    }
    Ok(())
}

fn number(text: &str, field: &Field) -> Result<u32, String> {
    let named = field.names.iter().zip(field.low..).find(|(name, _)| text.eq_ignore_ascii_case(name));
    named.map_or_else(|| digits(text), |(_, number)| Ok(number))
}

fn digits(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn schedules_are_read_as_cron_reads_them() {
        for good in ["*/5 * * * *", "0 0 1 1 *", "0-30/2,45 8-18 ? jan-MAR mon-fri", "@hourly", "@every 1h30m"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("61 * * * *").unwrap_err(), "end of range (61) above maximum (59): 61");
        assert_eq!(check("* * 0 * *").unwrap_err(), "beginning of range (0) below minimum (1): 0");
        assert_eq!(check("5-1 * * * *").unwrap_err(), "beginning of range (5) beyond end of range (1): 5-1");
        assert_eq!(check("*/0 * * * *").unwrap_err(), "step of range should be a positive number: */0");
        assert_eq!(check("every day").unwrap_err(), "expected exactly 5 fields, found 2: [every day]");
    }
}
