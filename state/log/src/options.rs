//! How a log is opened.

use std::time::Duration;

/// Bounds and sizes of a log; the defaults are those of a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Transactions that may wait for the writer; more make `commit` wait.
    pub queue: usize,
    /// Transactions of one batch, at most.
    pub batch: usize,
    /// The largest object, in bytes of JSON.
    pub max_object: usize,
    /// Free space on the disk, in bytes, under which nothing is written any more.
    pub reserve: u64,
    /// How long outcomes of requests are kept.
    pub keep_outcomes: Duration,
    /// Refusals kept in memory, at most; the oldest go first.
    pub max_refusals: usize,
    /// RocksDB's block cache, in bytes.
    pub cache: usize,
    /// The newest events that are kept in memory for who follows the log, in bytes.
    pub recent_events: usize,
    /// The objects that are kept in memory because they were written or decided about last, in bytes.
    pub recent_objects: usize,
    /// RocksDB's memtables of all column families, in bytes: written out beyond this.
    pub write_buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            queue: 1024,
            batch: 512,
            max_object: 3 << 20,
            reserve: 64 << 20,
            keep_outcomes: Duration::from_secs(600),
            max_refusals: 16_384,
            cache: 8 << 20,
            recent_events: 2 << 20,
            recent_objects: 4 << 20,
            write_buffer: 12 << 20,
        }
    }
}
