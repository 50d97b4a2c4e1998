//! The keyed work queue: each key once, in order of arrival, not while it is in hand, with backoff after failures.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use cox_objects::Cause;

use crate::why::Reason;

/// First delay after a failure; it doubles with each further one.
const BASE_DELAY: Duration = Duration::from_millis(5);
/// The longest delay between two tries of a key.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// After how many panics in a row a key is parked.
pub const PANICS_TO_PARK: u32 = 3;

/// A key to work on, with why.
#[derive(Debug, PartialEq, Eq)]
pub struct Job<K> {
    /// The key.
    pub key: K,
    /// What brought it here, the newest first: at most one more than [`Cause::MAX_FOLDED`].
    pub reasons: Vec<Reason>,
    /// How long it was ready.
    pub waited: Duration,
}

/// What went through a queue since this was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Keys that were added, or came due.
    pub added: u64,
    /// Keys that are tried again after a failure.
    pub retried: u64,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well; forget earlier failures.
    Done,
    /// Try again with backoff.
    Failed,
    /// The core panicked; after the third time in a row the key is parked.
    Panicked,
}

#[derive(Debug, Default)]
struct Entry {
    /// What no job has taken, the newest first.
    reasons: Vec<Reason>,
    /// What the job in hand has taken: should it fail, the next try has the same reasons.
    taken: Vec<Reason>,
    /// Work has arrived that no job has taken.
    wanted: bool,
    queued: bool,
    /// When it was queued, if it is.
    since: Duration,
    in_hand: bool,
    failures: u32,
    panics: u32,
    parked: bool,
    timer: Option<(Duration, &'static str)>,
}

/// The queue. Time is an offset from any fixed start, passed in; nothing here waits.
#[derive(Debug)]
pub struct Queue<K> {
    entries: HashMap<K, Entry>,
    ready: VecDeque<K>,
    delayed: BTreeMap<(Duration, u64), K>,
    sequence: u64,
    passed: Passed,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let (entries, ready, delayed) = (HashMap::new(), VecDeque::new(), BTreeMap::new());
        Queue { entries, ready, delayed, sequence: 0, passed: Passed::default() }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Adds a key, for a reason. A change of a parked key unparks it: its input is another one now. Returns whether it was parked.
    pub fn add(&mut self, key: K, reason: Reason, now: Duration) -> bool {
        let entry = self.entries.entry(key.clone()).or_default();
        let parked = entry.parked;
        if parked {
            entry.parked = false;
            entry.panics = 0;
        }
        entry.reasons.insert(0, reason);
        entry.reasons.truncate(Cause::MAX_FOLDED + 1);
        self.passed.added += u64::from(!entry.wanted);
        entry.wanted = true;
        if !entry.queued && !entry.in_hand {
            (entry.queued, entry.since) = (true, now);
            self.ready.push_back(key);
        }
        parked
    }

    /// Adds a key after a delay, unless its timer stands earlier already.
    pub fn add_after(&mut self, key: K, now: Duration, delay: Duration, timer: &'static str) {
        let due = now + delay;
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.timer.is_some_and(|(before, _)| before <= due) {
            return;
        }
        entry.timer = Some((due, timer));
        self.sequence += 1;
        self.delayed.insert((due, self.sequence), key);
    }

    /// Takes the next key that is due. It is in hand until [`Queue::finish`].
    pub fn take(&mut self, now: Duration) -> Option<Job<K>> {
        self.wake(now);
        let key = self.ready.pop_front()?;
        let entry = self.entries.entry(key.clone()).or_default();
        entry.queued = false;
        entry.in_hand = true;
        entry.wanted = false;
        let reasons = std::mem::take(&mut entry.reasons);
        entry.taken.clone_from(&reasons);
        let waited = now.saturating_sub(entry.since);
        Some(Job { key, reasons, waited })
    }

    /// Gives a key back. What arrived meanwhile is ready at once after success, after the backoff otherwise.
    /// Returns whether the key has just been parked.
    pub fn finish(&mut self, key: &K, now: Duration, outcome: Outcome) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        entry.in_hand = false;
        let taken = std::mem::take(&mut entry.taken);
        match outcome {
            Outcome::Done => {
                entry.failures = 0;
                entry.panics = 0;
                if entry.wanted {
                    (entry.queued, entry.since) = (true, now);
                    self.ready.push_back(key.clone());
                } else if entry.timer.is_none() {
                    self.entries.remove(key);
                }
                false
            }
            Outcome::Failed | Outcome::Panicked => {
                entry.failures = entry.failures.saturating_add(1);
                entry.panics = if outcome == Outcome::Panicked { entry.panics + 1 } else { 0 };
                if entry.panics >= PANICS_TO_PARK {
                    entry.parked = true;
                    entry.timer = None;
                    return true;
                }
                entry.reasons.extend(taken.into_iter().filter(Reason::is_event));
                entry.reasons.truncate(Cause::MAX_FOLDED + 1);
                let delay = BASE_DELAY.saturating_mul(1 << entry.failures.min(20).saturating_sub(1)).min(MAX_DELAY);
                self.passed.retried += 1;
                // The backoff stands instead of an earlier timer: sooner would be no backoff.
                entry.timer = None;
                self.add_after(key.clone(), now, delay, "backoff");
                false
            }
        }
    }

    /// When the next delayed key is due; none if nothing is delayed.
    pub fn next_due(&self) -> Option<Duration> {
        self.delayed.keys().next().map(|(due, _)| *due)
    }

    /// How many keys wait, are delayed or in hand.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many keys could be taken now, as far as the queue was told the time.
    pub fn ready(&self) -> usize {
        self.ready.len()
    }

    /// What went through since this was asked last.
    pub fn take_passed(&mut self) -> Passed {
        std::mem::take(&mut self.passed)
    }

    /// The parked keys.
    pub fn parked(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().filter(|(_, e)| e.parked).map(|(k, _)| k)
    }

    fn wake(&mut self, now: Duration) {
        while let Some(first) = self.delayed.first_entry() {
            let (due, _) = *first.key();
            if due > now {
                break;
            }
            let key = first.remove();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            // A timer that was replaced or dropped leaves its place behind; it rings for nobody.
            let Some((_, name)) = entry.timer.filter(|(at, _)| *at == due) else { continue };
            entry.timer = None;
            // What happened since is a better reason than the time that has passed; what was tried before is not.
            if !entry.wanted {
                entry.reasons.insert(0, Reason::timer(name));
                entry.reasons.truncate(Cause::MAX_FOLDED + 1);
            }
            self.passed.added += u64::from(!entry.wanted);
            entry.wanted = true;
            if !entry.queued && !entry.in_hand {
                (entry.queued, entry.since) = (true, now);
                self.ready.push_back(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
