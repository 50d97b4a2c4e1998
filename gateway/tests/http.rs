//! The gateway over TLS, as clients see it, with an apiserver and a node in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a test that panics has failed, and says where"
)]

#[path = "http/client.rs"]
mod client;
#[path = "http/cluster.rs"]
mod cluster;
#[path = "http/conversations.rs"]
mod conversations;
#[path = "http/freshness.rs"]
mod freshness;
#[path = "http/reads.rs"]
mod reads;
#[path = "http/writes.rs"]
mod writes;
