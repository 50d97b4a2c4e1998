//! The mirror: the log's objects in memory, with what lists, watches and components need of them.
//!
//! Flow: [`Mirror::follow`] takes a snapshot from the apiserver, then every event in order; a transaction is applied whole. Readers take
//! shared bytes out; watchers hold a cursor into each resource's window of recent changes and are woken after each turn.
//!
//! Guarantees: what is read is whole up to [`Mirror::position`]; a watch delivers every change in order exactly once, or ends.
//! Assumptions: revisions are dense, so that a gap shows. Caveats: a watcher that falls out of the window ends (410) and nothing is
//! ever buffered for it. Absences: no authorization, no encoding, no notion of any kind.

pub mod changes;
pub mod entry;
pub mod feed;
pub mod follow;
pub mod item;
pub mod join;
pub mod limits;
pub mod mirror;
pub mod past;
pub mod position;
pub mod query;
pub mod state;
pub mod watch;

mod age;
mod table;
#[cfg(test)]
mod testing;

pub use changes::{Change, Changes};
pub use entry::{Entry, Frames};
pub use item::Item;
pub use limits::Limits;
pub use mirror::Mirror;
pub use past::PastError;
pub use position::Lagging;
pub use query::{ListQuery, Listing, Selected, Start, WatchError, WatchQuery};
pub use state::State;
pub use watch::{Batch, EventKind, Segment, Watch, WatchEvent};
