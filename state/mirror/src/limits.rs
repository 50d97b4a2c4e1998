//! How much of the past a mirror remembers.

/// Bounds of the windows of recent changes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Changes of one resource.
    pub entries: usize,
    /// Bytes of objects in all windows together.
    pub bytes: usize,
    /// Age in milliseconds.
    pub age: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { entries: 16_384, bytes: 64 << 20, age: 15 * 60 * 1000 }
    }
}
