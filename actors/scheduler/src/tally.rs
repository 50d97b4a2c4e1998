//! Counts by place: how many (or how much weight) for each value of each node label.

use std::collections::HashMap;
use std::sync::Arc;

use crate::node::Node;

/// Counts for the values of a few node labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    by_key: Vec<(Arc<str>, HashMap<String, i64>)>,
}

impl Tally {
    /// Counts for the place of a node; a node without the label is no place.
    pub(crate) fn add(&mut self, key: &Arc<str>, node: &Node, by: i64) {
        let Some(value) = node.label(key) else { return };
        let values = match self.by_key.iter_mut().position(|(k, _)| k == key) {
            Some(at) => self.by_key.get_mut(at).map(|(_, values)| values),
            None => {
                self.by_key.push((key.clone(), HashMap::new()));
                self.by_key.last_mut().map(|(_, values)| values)
            }
        };
        let Some(values) = values else { return };
        match values.get_mut(value) {
            Some(count) => *count += by,
            None => drop(values.insert(value.to_owned(), by)),
        }
    }

    /// The count for a value of a label.
    pub(crate) fn get(&self, key: &str, value: &str) -> i64 {
        let values = self.by_key.iter().find(|(k, _)| **k == *key);
        values.and_then(|(_, values)| values.get(value)).copied().unwrap_or(0)
    }

    /// The counts for all places that a node is in.
    pub(crate) fn of<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = i64> + 'a {
        self.by_key.iter().filter_map(|(key, values)| values.get(node.label(key)?).copied())
    }

    /// Whether nothing is counted anywhere.
    pub(crate) fn is_nothing(&self) -> bool {
        self.by_key.iter().all(|(_, values)| values.values().all(|count| *count == 0))
    }
}
