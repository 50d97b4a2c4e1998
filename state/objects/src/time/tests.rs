//! Times, durations and ages in Go's words.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

#[test]
fn times_are_read_with_any_offset_and_written_in_utc() {
    assert_eq!(format(parse("2024-05-01T12:00:00+02:00").unwrap()), "2024-05-01T10:00:00Z");
    assert_eq!(format(parse("2024-05-01T10:00:00.5Z").unwrap()), "2024-05-01T10:00:00Z");
    assert_eq!(format_micro(parse_micro("2024-05-01T12:00:00.123456+02:00").unwrap()), "2024-05-01T10:00:00.123456Z");
    assert!(is_zero(parse("0001-01-01T00:00:00Z").unwrap()));
}

#[test]
fn faults_are_worded_as_go_words_them() {
    let faults = [
        ("", r#"parsing time "" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "2006""#),
        ("2024-05-01", r#"parsing time "2024-05-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#),
        ("2024-13-01T00:00:00Z", r#"parsing time "2024-13-01T00:00:00Z": month out of range"#),
        ("2024-02-30T00:00:00Z", r#"parsing time "2024-02-30T00:00:00Z": day out of range"#),
        ("2024-02-03T24:00:00Z", r#"parsing time "2024-02-03T24:00:00Z": hour out of range"#),
        (
            "2024-02-03T00:00:00",
            r#"parsing time "2024-02-03T00:00:00" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00""#,
        ),
        ("2024-02-03T00:00:00Zx", r#"parsing time "2024-02-03T00:00:00Zx": extra text: "x""#),
    ];
    for (text, fault) in faults {
        assert_eq!(parse(text).unwrap_err().to_string(), fault);
    }
    assert_eq!(
        parse_micro("2024-05-01T10:00:00.1Z").unwrap_err().to_string(),
        r#"parsing time "2024-05-01T10:00:00.1Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse ".1Z" as ".000000""#
    );
}

#[test]
fn durations_are_read_and_written_as_go_does() {
    for text in ["0s", "1ns", "1.5µs", "100ms", "1s", "1.5s", "1m0s", "1h0m0s", "-2m30s", "26h3m0.000000001s"] {
        assert_eq!(format_duration(parse_duration(text).unwrap()), text);
    }
    assert_eq!(format_duration(parse_duration("90s").unwrap()), "1m30s");
    assert_eq!(parse_duration("1").unwrap_err().to_string(), r#"time: missing unit in duration "1""#);
    assert_eq!(parse_duration("1d").unwrap_err().to_string(), r#"time: unknown unit "d" in duration "1d""#);
    for text in ["", "-", "x", ".s", "1.2.3s", "9999999h"] {
        assert_eq!(parse_duration(text).unwrap_err(), DurationError::Invalid(text.to_owned()));
    }
}

#[test]
fn ages_have_two_or_three_figures() {
    let (m, h, d, y) = (60, 3600, 86400, 31_536_000);
    let ages = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (200, "3m20s"),
        (10 * m, "10m"),
        (179 * m, "179m"),
        (3 * h, "3h"),
        (3 * h + 5 * m, "3h5m"),
        (8 * h + m, "8h"),
        (47 * h, "47h"),
        (2 * d, "2d"),
        (2 * d + 3 * h, "2d3h"),
        (8 * d + h, "8d"),
        (2 * y, "2y"),
        (2 * y + 15 * d, "2y15d"),
        (8 * y + d, "8y"),
    ];
    for (seconds, age) in ages {
        assert_eq!(human_duration(SignedDuration::from_secs(seconds)), age);
    }
}

proptest! {
    #[test]
    fn written_times_are_read_back(second in -62_000_000_000i64..250_000_000_000, micro in 0i32..1_000_000) {
        let time = Timestamp::new(second, micro * 1000 * if second < 0 { -1 } else { 1 }).unwrap();
        prop_assert_eq!(parse_micro(&format_micro(time)).unwrap(), time);
        prop_assert_eq!(parse(&format(time)).unwrap().as_second(), time.as_second() - i64::from(second < 0 && micro > 0));
    }

    #[test]
    fn written_durations_are_read_back(nanos: i64) {
        let duration = SignedDuration::from_nanos(nanos);
        prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
    }

    #[test]
    fn no_text_panics(text in "[-+0-9.hmsZT:µ]{0,30}") {
        let _ = (parse(&text), parse_micro(&text), parse_duration(&text));
    }
}
