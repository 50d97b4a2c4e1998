//! Overload, end to end: one user writes on more connections than it may have requests, watchers do not read, and everyone else is served.

#[path = "faults_overload/flood.rs"]
mod flood;
#[path = "faults_overload/line.rs"]
mod line;
