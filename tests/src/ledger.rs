//! What a writer was told about its writes, to be compared with what is there afterwards.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// What is known of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It exists and holds this value.
    Holds(u64),
    /// It does not exist.
    Absent,
}

#[derive(Debug)]
struct Entry {
    acknowledged: State,
    asked: Option<State>,
}

/// The book of one writer, which alone writes its objects, one write after the other.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
}

impl Ledger {
    /// A write is sent.
    pub fn ask(&mut self, name: &str, state: State) {
        let entry = self.entries.entry(name.to_owned());
        entry.or_insert(Entry { acknowledged: State::Absent, asked: None }).asked = Some(state);
    }

    /// The last write of this object was acknowledged.
    pub fn acknowledge(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name)
            && let Some(state) = entry.asked.take()
        {
            entry.acknowledged = state;
        }
    }

    /// Compares with what is there: what was acknowledged, or what was asked for after that without an answer. From then on, what is there counts.
    ///
    /// # Errors
    /// If something acknowledged is missing, or something is there that nobody asked for.
    pub fn settle(&mut self, found: &BTreeMap<String, u64>) -> Result<()> {
        for name in found.keys() {
            ensure!(self.entries.contains_key(name), "{name} exists and nobody wrote it");
        }
        for (name, entry) in &mut self.entries {
            let actual = found.get(name).map_or(State::Absent, |value| State::Holds(*value));
            let fits = actual == entry.acknowledged || Some(actual) == entry.asked;
            ensure!(fits, "{name} is {actual:?}; acknowledged {:?}, perhaps {:?}", entry.acknowledged, entry.asked);
            *entry = Entry { acknowledged: actual, asked: None };
        }
        Ok(())
    }

    /// How many objects it knows.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests;
