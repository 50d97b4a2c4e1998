//! Which revision a time had: a binary search over the times of events.

use std::ops::RangeInclusive;

use cox_objects::Revision;

use crate::source::{EventSource, SourceError};

/// The newest revision that was there at `time` (milliseconds since the Unix epoch); none if all that is kept is later.
///
/// # Errors
/// If the log cannot be read.
pub(super) fn find<S: EventSource>(source: &S, time: u64) -> Result<Option<Revision>, SourceError> {
    let head = *source.head().borrow();
    // Where events are missing the next one counts: between the two nothing changed that can still be read.
    last_until(source.begin()..=head, time, |revision| match source.read(revision, 1)?.first() {
        Some(event) => Ok(event.time),
        // A new epoch has begun, and nothing has happened yet.
        None => Ok(u64::MAX),
    })
}

/// The last revision of a range whose time is at or before `time`. Where times go back, as those of a clock that was set do, it is one whose
/// successor is later, or the last. Asks for the times of about log2 of the range.
fn last_until<E>(
    range: RangeInclusive<Revision>,
    time: u64,
    mut time_of: impl FnMut(Revision) -> Result<u64, E>,
) -> Result<Option<Revision>, E> {
    // All below `low` are known to be in time, all from `high` on to be later; in between it is not known.
    let (first, mut low, mut high) = (*range.start(), *range.start(), range.end().saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        if time_of(middle)? <= time {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok((low > first).then(|| low - 1))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    const FIRST: Revision = 7;

    fn search(times: &[u64], time: u64) -> (Option<Revision>, u32) {
        let mut asked = 0;
        let found = last_until(FIRST..=FIRST + times.len() as u64 - 1, time, |revision| {
            asked += 1;
            Ok::<_, Infallible>(times[(revision - FIRST) as usize])
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn the_end_of_a_transaction_is_found_and_nothing_before_the_first() {
        let times = [10, 20, 20, 20, 30];
        let found = |time| search(&times, time).0;
        assert_eq!([found(9), found(10), found(19)], [None, Some(7), Some(7)]);
        assert_eq!([found(20), found(29), found(30), found(u64::MAX)], [Some(10), Some(10), Some(11), Some(11)]);
        assert_eq!(search(&[], 5), (None, 0));
    }

    proptest! {
        #[test]
        fn it_is_the_last_one_in_time(mut times in proptest::collection::vec(0..50_u64, 0..200), time in 0..60_u64) {
            times.sort_unstable();
            let (found, asked) = search(&times, time);
            let expected = times.iter().rposition(|at| *at <= time).map(|index| FIRST + index as u64);
            prop_assert_eq!(found, expected);
            prop_assert!(asked <= times.len().max(1).ilog2() + 1);
        }

        #[test]
        fn also_after_the_clock_went_back_its_successor_is_later(times in proptest::collection::vec(0..50_u64, 1..200), time in 0..60_u64) {
            let at = |revision: Revision| times.get((revision - FIRST) as usize).copied();
            match search(&times, time).0 {
                None => prop_assert!(times[0] > time),
                Some(found) => {
                    prop_assert!(at(found).unwrap() <= time);
                    prop_assert!(at(found + 1).is_none_or(|next| next > time));
                }
            }
        }
    }
}
