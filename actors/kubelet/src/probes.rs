//! Probes: what they ask, how often, and when their answers count.

mod grpc;
pub mod run;
mod tls;
pub mod tracker;
pub mod watch;
