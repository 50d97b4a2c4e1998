//! The node feed: what concerns one node, spoken over a bus stream; for kubelets and proxies, which hold no mirror of the cluster.
//!
//! Flow: the node opens a stream and says for what; the server sends everything that concerns it ([`Message::Begin`], objects,
//! [`Message::Whole`]), then changes as they come, and now and then how far it is. Guarantees: what a pod names (its Secrets, ConfigMaps,
//! ServiceAccount, Namespace) comes before the pod and goes after it; a message holds whole transactions; message numbers are dense. The whole
//! set is sent on each connection: what the node had beyond it is gone. Absences: no resuming; a set is small, and a lost connection rare.

mod client;
mod interest;
mod message;
mod router;
mod serve;

pub use interest::{Interest, Scope};
pub use message::{Hello, Message, WirePut};
pub use serve::serve;
