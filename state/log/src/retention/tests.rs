//! Where floors go, without a disk.

use super::*;

fn floors(dense_from: Revision, all: Revision, own: &[(Resource, Revision)]) -> Floors {
    Floors { dense_from, kept: ByResource { all, own: own.iter().cloned().collect() } }
}

/// A log that writes one revision a second and is at `head`: a transaction of two from each even revision on.
fn decided(retention: &Retention, now: &Floors, head: Revision, over: Revision) -> Floors {
    let until = |ago: Duration| Ok::<_, ()>(head.saturating_sub(ago.as_secs()));
    decide(retention, now, &Seen { head, over }, until, |revision| Ok(revision & !1)).unwrap()
}

const HOUR: Revision = 3_600;

#[test]
fn a_week_of_objects_and_a_quarter_of_an_hour_of_all() {
    let policy = Retention { window_revisions: 100, ..Retention::default() };
    let new = floors(1, 0, &[]);
    assert_eq!(decided(&policy, &new, 500, 0), floors(1, 0, &[(Resource::LEASES, 0), (Resource::EVENTS, 0)]));
    let after = decided(&policy, &new, 200 * HOUR, 0);
    let dense = 200 * HOUR - 900;
    assert_eq!(after, floors(dense, 32 * HOUR, &[(Resource::LEASES, dense - 1), (Resource::EVENTS, dense - 1)]));
    assert_eq!(decided(&policy, &after, 200 * HOUR, 0), after, "asked again it is the same");
    let counted = Retention { window_revisions: 10 * HOUR, ..policy.clone() };
    assert_eq!(decided(&counted, &new, 200 * HOUR, 0).dense_from, 190 * HOUR);
    let leapt = floors(200 * HOUR + 1, 5, &[]);
    assert_eq!(decided(&policy, &leapt, 200 * HOUR, 0).dense_from, 200 * HOUR + 1, "a new epoch begins dense");
}

#[test]
fn a_full_disk_shortens_the_time_and_not_the_number() {
    let policy = Retention { window_revisions: 100, keep: Keep::Forever, ..Retention::default() };
    let new = floors(1, 0, &[]);
    let after = decided(&policy, &new, 100_000, 99_500);
    assert_eq!((after.dense_from, after.kept.all), (99_500, 99_499), "also what is kept forever");
    assert_eq!(decided(&policy, &new, 100_000, 99_990).dense_from, 99_900);
    assert_eq!(decided(&policy, &new, 100_000, 0).kept.all, 0);
}

#[test]
fn times_to_keep_are_read_and_printed() {
    for text in ["7d", "12h", "90m", "1s", "250ms", "newest", "forever"] {
        assert_eq!(text.parse::<Keep>().unwrap().to_string(), text);
    }
    assert_eq!("1h30m".parse(), Ok(Keep::For(Duration::from_secs(5400))));
    assert_eq!("24h".parse::<Keep>().unwrap().to_string(), "1d");
    for wrong in ["", "7", "never", "1w", "-1d"] {
        assert!(wrong.parse::<Keep>().is_err(), "{wrong}");
    }
}
