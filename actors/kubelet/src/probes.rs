//! Probes: what they ask, how often, and when their answers count.

pub mod run;
mod tls;
pub mod tracker;
pub mod watch;
