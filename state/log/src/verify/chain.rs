//! What must hold of the events in the order of their revisions.

use cox_objects::{Event, Revision};
use serde::de::IgnoredAny;

use super::{Fault, Wrong};

/// The events up to one.
pub(super) struct Chain {
    base: Revision,
    dense_from: Revision,
    /// The revision and the transaction of the newest event.
    before: Option<(Revision, (Revision, Revision))>,
    transactions: u64,
}

impl Chain {
    /// None yet, of a log whose epoch begins after `base` and that misses nothing from `dense_from` on.
    pub(super) fn new(base: Revision, dense_from: Revision) -> Self {
        Chain { base, dense_from, before: None, transactions: 0 }
    }

    /// Takes the next event that there is.
    pub(super) fn next(&mut self, event: &Event) -> Result<(), Fault> {
        let revision = event.revision();
        let fault = |what| Err(Fault { revision, what });
        let expected = self.before.map_or(0, |(before, _)| before + 1).max(self.dense_from);
        if revision > expected {
            return Err(Fault { revision: expected, what: Wrong::Missing });
        }
        let (first, last) = event.transaction;
        if !(first..=last).contains(&revision) || (first <= self.base && self.base < last) {
            return fault(Wrong::Outside(first, last));
        }
        let continues = self.before.is_some_and(|(_, transaction)| transaction == (first, last));
        if let Some((before, open)) = self.before {
            let adjacent = before + 1 == revision;
            let fits = continues || (open.1 < first && (!adjacent || open.1 == before));
            if !fits {
                return Err(Fault { revision: before, what: Wrong::Cut(open.0, open.1) });
            }
        }
        // Where events may be missing, so may the first ones of a transaction.
        let complete = first >= self.dense_from;
        if !continues && complete && revision != first {
            return fault(Wrong::Cut(first, last));
        }
        if event.object.revision() != revision {
            return fault(Wrong::Version(event.object.revision()));
        }
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(event.object.bytes()) {
            return fault(Wrong::Object(error.to_string()));
        }
        self.transactions += u64::from(!continues);
        self.before = Some((revision, (first, last)));
        Ok(())
    }

    /// There are no more: gives how many transactions there are.
    pub(super) fn end(self) -> Result<u64, Fault> {
        match self.before {
            Some((newest, (first, last))) if last != newest && last >= self.dense_from => {
                Err(Fault { revision: newest, what: Wrong::Cut(first, last) })
            }
            _ => Ok(self.transactions),
        }
    }
}
