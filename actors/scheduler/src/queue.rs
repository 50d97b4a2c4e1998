//! The pods that wait for a node: those to try now by priority, those that back off, those that wait for something to change. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use cox_kit::Reason;
use cox_kit::queue::PANICS_TO_PARK;
use cox_objects::Key;

use crate::filter::Plugins;

/// The first delay after an attempt; it doubles with each further one.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest delay between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// How long a pod waits for a change before it is tried anyway.
const PARKED: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be tried, in this order among its priority.
    Active(u64),
    /// To be tried at this time; the number tells its timer.
    Delayed(Duration, u64),
    /// To be tried when something changes that one of these looks at, or at this time.
    Parked(Plugins, Duration, u64),
    /// Being tried.
    InHand,
    /// Not to be tried before it changes: each time that it was, this panicked.
    LeftAlone,
}

#[derive(Debug)]
struct Entry {
    priority: i32,
    state: State,
    attempts: u32,
    /// How often in a row an attempt panicked.
    panics: u32,
    /// When it was tried last.
    tried: Duration,
    /// The change of the pod that made it one to be tried.
    own: Option<Reason>,
    /// What else brought it back, since it was tried last.
    woken: Option<Reason>,
}

/// How many pods wait, by what they wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Their turn.
    pub active: usize,
    /// The end of their backoff.
    pub backoff: usize,
    /// A change of what rejected them, or of themselves.
    pub unschedulable: usize,
}

/// The queue. Time is an offset from any fixed start, passed in; nothing here waits.
#[derive(Debug, Default)]
pub struct Queue {
    entries: HashMap<Key, Entry>,
    active: BTreeMap<(Reverse<i32>, u64), Key>,
    timers: BTreeMap<(Duration, u64), Key>,
    parked: HashMap<Key, Plugins>,
    left_alone: BTreeSet<Key>,
    sequence: u64,
}

impl Queue {
    /// A new pod; one that is there already is tried again, after its backoff: it has changed.
    pub fn add(&mut self, key: &Key, priority: i32, reason: Option<Reason>, now: Duration) {
        match self.entries.get_mut(key) {
            None => {
                let state = State::InHand;
                let (own, tried) = (reason, now);
                let entry = Entry { priority, state, attempts: 0, panics: 0, tried, own, woken: None };
                self.entries.insert(key.clone(), entry);
                self.activate(key, None);
            }
            Some(entry) => {
                entry.priority = priority;
                if reason.is_some() {
                    (entry.own, entry.woken) = (reason, None);
                }
                match entry.state {
                    State::InHand => {}
                    // Back to its place, which its priority may have moved.
                    State::Active(number) => {
                        self.active.retain(|(_, n), _| *n != number);
                        self.activate(key, None);
                    }
                    State::Delayed(..) | State::Parked(..) | State::LeftAlone => {
                        entry.panics = 0;
                        self.wake(key, None, now);
                    }
                }
            }
        }
    }

    /// A pod needs no node any more.
    pub fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.leave(key, entry.priority, entry.state);
        }
    }

    /// Takes the pod to try next, with what brought it here (the newest first, the pod's own change last) and the number of this attempt.
    pub fn take(&mut self, now: Duration) -> Option<(Key, Vec<Reason>, u32)> {
        self.ring(now);
        let (_, key) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&key)?;
        entry.state = State::InHand;
        entry.attempts += 1;
        entry.tried = now;
        let reasons = entry.woken.take().into_iter().chain(entry.own.clone()).collect();
        Some((key, reasons, entry.attempts))
    }

    /// A pod found no node: it waits for a change of what rejected it.
    pub fn park(&mut self, key: &Key, by: Plugins, now: Duration) {
        self.sequence += 1;
        let number = self.sequence;
        let Some(entry) = self.entries.get_mut(key) else { return };
        (entry.state, entry.panics) = (State::Parked(by, now + PARKED, number), 0);
        self.timers.insert((now + PARKED, number), key.clone());
        self.parked.insert(key.clone(), by);
    }

    /// An attempt failed for a reason outside of it: the pod is tried again after its backoff.
    pub fn retry(&mut self, key: &Key, now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.panics = 0;
        self.again(key, now);
    }

    /// An attempt panicked: the pod is tried again after its backoff, but after the third panic in a row not before it changes. Returns whether
    /// it is left alone so.
    pub fn panicked(&mut self, key: &Key, now: Duration) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        entry.panics += 1;
        if entry.panics < PANICS_TO_PARK {
            self.again(key, now);
            return false;
        }
        let (priority, state) = (entry.priority, std::mem::replace(&mut entry.state, State::LeftAlone));
        self.leave(key, priority, state);
        self.left_alone.insert(key.clone())
    }

    /// The pods that are left alone because attempts panicked.
    pub fn left_alone(&self) -> &BTreeSet<Key> {
        &self.left_alone
    }

    fn again(&mut self, key: &Key, now: Duration) {
        let Some(entry) = self.entries.get(key) else { return };
        let (priority, state) = (entry.priority, entry.state);
        self.leave(key, priority, state);
        self.delay(key, Some(Reason::timer("backoff")), now);
    }

    /// Something changed that these look at: pods that they rejected are tried again, after their backoff.
    pub fn changed(&mut self, plugins: Plugins, reason: &Reason, now: Duration) {
        // A pod that nothing rejected found no node at all.
        let concerned = |by: Plugins| by.meets(plugins) || by.is_empty();
        let keys: Vec<Key> = self.parked.iter().filter(|(_, by)| concerned(**by)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.wake(&key, Some(reason.clone()), now);
        }
    }

    /// When the next pod is due; none if no time is waited for.
    pub fn next_due(&self) -> Option<Duration> {
        self.timers.keys().next().map(|(due, _)| *due)
    }

    /// Whether a pod is to be tried now.
    pub fn is_ready(&self) -> bool {
        !self.active.is_empty()
    }

    /// How many pods wait for what; those being tried do not wait.
    pub fn waiting(&self) -> Waiting {
        let (parked, left_alone) = (self.parked.len(), self.left_alone.len());
        // Who is parked has a timer, too.
        let backoff = self.timers.len().saturating_sub(parked);
        Waiting { active: self.active.len(), backoff, unschedulable: parked + left_alone }
    }

    /// How many pods wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no pod waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn wake(&mut self, key: &Key, woken: Option<Reason>, now: Duration) {
        let Some(entry) = self.entries.get(key) else { return };
        let (priority, state) = (entry.priority, entry.state);
        self.leave(key, priority, state);
        self.delay(key, woken, now);
    }

    /// Tries a pod once its backoff is over.
    fn delay(&mut self, key: &Key, woken: Option<Reason>, now: Duration) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let due = entry.tried + backoff(entry.attempts);
        if due <= now {
            self.activate(key, woken);
            return;
        }
        self.sequence += 1;
        entry.state = State::Delayed(due, self.sequence);
        if woken.is_some() {
            entry.woken = woken;
        }
        self.timers.insert((due, self.sequence), key.clone());
    }

    fn activate(&mut self, key: &Key, woken: Option<Reason>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.sequence += 1;
        entry.state = State::Active(self.sequence);
        if woken.is_some() {
            entry.woken = woken;
        }
        self.active.insert((Reverse(entry.priority), self.sequence), key.clone());
    }

    /// Takes a pod out of where its state keeps it.
    fn leave(&mut self, key: &Key, priority: i32, state: State) {
        match state {
            State::Active(number) => drop(self.active.remove(&(Reverse(priority), number))),
            State::Delayed(due, number) => drop(self.timers.remove(&(due, number))),
            State::Parked(_, due, number) => {
                self.timers.remove(&(due, number));
                self.parked.remove(key);
            }
            State::LeftAlone => drop(self.left_alone.remove(key)),
            State::InHand => {}
        }
    }

    fn ring(&mut self, now: Duration) {
        while let Some(first) = self.timers.first_entry().filter(|first| first.key().0 <= now) {
            let key = first.remove();
            let timed_out = self.parked.remove(&key).is_some();
            self.activate(&key, timed_out.then(|| Reason::timer("unschedulable")));
        }
    }
}

fn backoff(attempts: u32) -> Duration {
    match attempts {
        0 => Duration::ZERO,
        n => BACKOFF.saturating_mul(1 << (n - 1).min(10)).min(MAX_BACKOFF),
    }
}

#[cfg(test)]
mod tests;
