//! Who waits for a seat: the requests of one flow in their order, the flows in turn, and a bound on all of them. Pure.
//!
//! Guarantees: a flow that waits is served before any other is served twice; what waits is bounded; where there is no room left, a flow takes
//! that of the one which waits with the most requests, so that nobody is kept out by another's requests.

use std::collections::{HashMap, VecDeque};

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In all.
    pub all: usize,
    /// Of one flow.
    pub flow: usize,
}

/// The place of one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    flow: u64,
    number: u64,
}

/// Those that wait.
#[derive(Debug)]
pub struct Queues<T> {
    bounds: Bounds,
    flows: HashMap<u64, VecDeque<(u64, T)>>,
    /// The flows of which some wait, each once; the one whose turn it is comes first.
    turns: VecDeque<u64>,
    waiting: usize,
    numbers: u64,
}

impl<T> Queues<T> {
    /// Nobody yet.
    pub fn new(bounds: Bounds) -> Self {
        Queues { bounds, flows: HashMap::new(), turns: VecDeque::new(), waiting: 0, numbers: 0 }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes in one of a flow; gives its place, and whoever had to leave for it.
    ///
    /// # Errors
    /// Gives it back if there is no room: its flow has all that one flow may have, or no other has more than this one.
    pub fn join(&mut self, flow: u64, item: T) -> Result<(Ticket, Option<T>), T> {
        let own = self.flows.get(&flow).map_or(0, VecDeque::len);
        if own >= self.bounds.flow {
            return Err(item);
        }
        let mut out = None;
        if self.waiting >= self.bounds.all {
            let longest = self.flows.values_mut().max_by_key(|waiting| waiting.len());
            let Some(longest) = longest.filter(|longest| longest.len() > own + 1) else { return Err(item) };
            out = longest.pop_back().map(|(_, item)| item);
            self.waiting -= usize::from(out.is_some());
        }
        self.numbers += 1;
        let ticket = Ticket { flow, number: self.numbers };
        self.flows.entry(flow).or_default().push_back((ticket.number, item));
        if own == 0 {
            self.turns.push_back(flow);
        }
        self.waiting += 1;
        Ok((ticket, out))
    }

    /// Whose turn it is; none if nobody waits.
    pub fn turn(&mut self) -> Option<T> {
        let flow = self.turns.pop_front()?;
        let waiting = self.flows.get_mut(&flow)?;
        let (_, item) = waiting.pop_front()?;
        if waiting.is_empty() {
            self.flows.remove(&flow);
        } else {
            self.turns.push_back(flow);
        }
        self.waiting -= 1;
        Some(item)
    }

    /// Takes out one that does not want to wait any longer; tells whether it was still there.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let Some(waiting) = self.flows.get_mut(&ticket.flow) else { return false };
        // Numbers ascend within a flow.
        let Ok(place) = waiting.binary_search_by_key(&ticket.number, |(number, _)| *number) else { return false };
        waiting.remove(place);
        if waiting.is_empty() {
            self.flows.remove(&ticket.flow);
            self.turns.retain(|flow| *flow != ticket.flow);
        }
        self.waiting -= 1;
        true
    }
}

#[cfg(test)]
mod tests;
