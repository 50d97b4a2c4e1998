//! The gateway over TLS, as clients see it, with an apiserver and a node in memory.

#[path = "http/client.rs"]
mod client;
#[path = "http/cluster.rs"]
mod cluster;
#[path = "http/conversations.rs"]
mod conversations;
#[path = "http/reads.rs"]
mod reads;
#[path = "http/writes.rs"]
mod writes;
