//! The log: the system of record. One append-only sequence of events in RocksDB, written by one thread, and every object as their fold.
//!
//! Flow: callers hand [`Transaction`]s to the writer thread, which takes all that wait, decides each one against committed state plus what
//! stands before it in the batch , writes one batch with one synced WAL, and then answers all of them. Readers read RocksDB, and the newest from memory.
//!
//! Guarantees: an answer comes after the sync that made it durable; revisions are dense; a transaction is whole or absent, also after
//! SIGKILL; a request id is carried out once; one process owns a log. Caveats: objects are opaque JSON here; what a guard means is
//! the [`Arbiter`]'s business; below its floors the past is not kept (`retention`, `compact`).

pub mod compact;
pub mod cut;
pub mod error;
pub mod floors;
pub mod format;
pub mod guard;
pub mod options;
pub mod outcome;
pub mod past;
pub mod retention;
pub mod snapshot;
pub mod stage;
pub mod transaction;
pub mod verify;

mod db;
mod handle;
mod lock;
mod open;
mod read;
mod recent;
mod space;
mod writer;

pub use compact::{Step, Usage};
pub use cut::{CutError, Until, cut};
pub use error::{CommitError, LogError, OpenError};
pub use floors::{ByResource, Floors};
pub use guard::{Arbiter, Guard, LeaseHeld, Refusal, Staged};
pub use handle::{LEAP, Log};
pub use lock::is_free;
pub use options::Options;
pub use outcome::Outcome;
pub use past::Past;
pub use read::Listed;
pub use retention::{Keep, NoKeep, Retention};
pub use snapshot::Snapshot;
pub use transaction::{Committed, Existence, Precondition, Transaction, Write};
pub use verify::{Report, VerifyError, verify};
