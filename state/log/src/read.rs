//! Reads: current objects, objects at a revision, events, histories.

use cox_objects::{Key, Object, Revision};

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The revision at which the list is as it is.
    pub revision: Revision,
    /// The objects, in key order.
    pub items: Vec<(Key, Object)>,
    /// Whether there are more after the last.
    pub more: bool,
}
