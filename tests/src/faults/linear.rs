//! Whether what the clients of one object saw can have happened in one order that time allows: linearizability.
//!
//! Each operation must take effect at one moment between its request and its answer; one without an answer at any moment after its
//! request, or never. The search is Wing and Gong's, with Lowe's memory of what was tried ("Testing for linearizability", 2017).

use std::collections::HashSet;

use anyhow::{Result, bail};

use super::history::{Act, Operation, Outcome};

/// Checks the operations on one object, which does not exist before the first. Those that were surely not done take no part.
///
/// # Errors
/// If there is no such order; the longest attempt and what does not fit after it are named.
pub fn check(operations: &[&Operation]) -> Result<()> {
    let mut calls: Vec<&Operation> = operations.iter().copied().filter(|call| takes_part(call)).collect();
    calls.sort_by_key(|call| call.invoked);
    Search { tried: HashSet::new(), calls: &calls }.run()
}

fn takes_part(call: &Operation) -> bool {
    match &call.outcome {
        Outcome::Done { .. } | Outcome::Refused => true,
        // A read that nobody saw the end of says nothing.
        Outcome::Perhaps => call.act != Act::Get,
        Outcome::Never | Outcome::Wrong(_) => false,
    }
}

/// When the answer was there; never, if there was none.
fn end(call: &Operation) -> u64 {
    if call.outcome == Outcome::Perhaps { u64::MAX } else { call.returned }
}

/// Which calls have taken effect, a bit each.
type Done = Vec<u64>;

struct Search<'a> {
    /// Those that take part, in the order of their requests.
    calls: &'a [&'a Operation],
    tried: HashSet<(Done, Option<&'a str>)>,
}

/// Where the search is: what has taken effect, what the object holds then, and what is still to be tried from here.
struct Place<'a> {
    done: Done,
    holds: Option<&'a str>,
    next: Vec<usize>,
}

impl<'a> Search<'a> {
    fn run(mut self) -> Result<()> {
        let none = vec![0; self.calls.len().div_ceil(64)];
        let mut furthest: (Done, Option<&str>) = (none.clone(), None);
        let mut way = vec![self.place(none, None)];
        while let Some(place) = way.last_mut() {
            if self.open(&place.done).all(|(_, call)| end(call) == u64::MAX) {
                return Ok(());
            }
            if count(&place.done) > count(&furthest.0) {
                furthest = (place.done.clone(), place.holds);
            }
            let Some(n) = place.next.pop() else {
                way.pop();
                continue;
            };
            let Some(holds) = self.calls.get(n).copied().and_then(|call| effect(call, place.holds)) else { continue };
            let mut done = place.done.clone();
            set(&mut done, n);
            let place = self.place(done, holds);
            if self.tried.insert((place.done.clone(), holds)) {
                way.push(place);
            }
        }
        let (done, holds) = furthest;
        let left: Vec<String> = self.open(&done).take(8).map(|(_, call)| describe(call)).collect();
        let (fit, all) = (count(&done), self.calls.len());
        bail!(
            "not linearizable: after {fit} of {all} calls it holds {holds:?}, and of these none fits: {}",
            left.join("; ")
        )
    }

    /// Those that have not taken effect.
    fn open(&self, done: &Done) -> impl Iterator<Item = (usize, &'a Operation)> {
        self.calls.iter().copied().enumerate().filter(|(n, _)| !has(done, *n))
    }

    /// What may come next: no call whose request came after the answer of another that has not taken effect.
    fn next(&self, done: &Done) -> Vec<usize> {
        let until = self.open(done).map(|(_, call)| end(call)).min().unwrap_or(u64::MAX);
        self.open(done).filter(|(_, call)| call.invoked <= until).map(|(n, _)| n).collect()
    }

    /// A place in the search. What may come next, fits, and changes nothing has taken effect there: later it would fit no better, and it is in
    /// nobody's way.
    fn place(&self, mut done: Done, holds: Option<&'a str>) -> Place<'a> {
        loop {
            let mut next = self.next(&done);
            let still = |n: &usize| {
                let call = self.calls.get(*n);
                call.is_some_and(|call| end(call) < u64::MAX && effect(call, holds) == Some(holds))
            };
            let fitting: Vec<usize> = next.iter().copied().filter(still).collect();
            if fitting.is_empty() {
                // The last is tried first: what was answered first, and what has no answer when nothing else is left.
                next.sort_by_key(|n| std::cmp::Reverse(self.calls.get(*n).map_or(0, |call| end(call))));
                return Place { done, holds, next };
            }
            fitting.into_iter().for_each(|n| set(&mut done, n));
        }
    }
}

/// What the object holds after a call that found it so; nothing if it cannot have been answered so.
fn effect<'a>(call: &'a Operation, holds: Option<&'a str>) -> Option<Option<&'a str>> {
    let fits = match &call.act {
        Act::Get => true,
        Act::Create(_) => holds.is_none(),
        Act::Put(_) | Act::Delete => holds.is_some(),
        Act::Swap(from, _) => holds == Some(from),
    };
    match (&call.outcome, fits) {
        (Outcome::Done { value, .. }, true) if call.act == Act::Get => (value.as_deref() == holds).then_some(holds),
        (Outcome::Done { .. } | Outcome::Perhaps, true) => Some(call.act.value()),
        (Outcome::Refused, false) => Some(holds),
        _ => None,
    }
}

fn describe(call: &Operation) -> String {
    let Operation { writer, act, invoked, returned, outcome, .. } = call;
    let (from, to) = (invoked / 1000, returned / 1000);
    format!("{from}–{to} µs writer {writer} {act:?}: {outcome:?}")
}

fn count(done: &Done) -> u32 {
    done.iter().map(|word| word.count_ones()).sum()
}

fn has(done: &Done, n: usize) -> bool {
    done.get(n / 64).is_some_and(|word| word >> (n % 64) & 1 == 1)
}

fn set(done: &mut Done, n: usize) {
    if let Some(word) = done.get_mut(n / 64) {
        *word |= 1 << (n % 64);
    }
}

#[cfg(test)]
mod tests;
