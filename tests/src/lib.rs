//! End-to-end tests; what several of them need is here: a real `cox` in a folder of its own, clients of it, and waiting.

pub mod apart;
pub mod cluster;
pub mod collector;
pub mod faults;
pub mod image;
pub mod kubectl;
pub mod ledger;
pub mod log;
pub mod machine;
pub mod process;
pub mod wait;

pub use cluster::{Cluster, Node};
pub use kubectl::{Kubectl, Output};
