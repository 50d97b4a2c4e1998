//! The apiserver: the only writer of the log and the only publisher of its events. Every write in the cluster is an api request to it.
//!
//! Flow: requests come over the bus, are decided by the pure [`pipeline`] on committed state, committed to the log with their preconditions and
//! guards, and answered once they are durable. Guarantees: the same request gets the same answer; a decision that lost a race is made
//! again or refused, never half done. Absences: reads are served by mirrors, from the events, snapshots and ranges that this server gives out.

mod admission;
mod bootstrap;
pub mod checkpoint;
pub mod compaction;
mod config;
mod context;
mod execute;
mod expiry;
mod figures;
mod gate;
mod index;
pub mod integrators;
mod pipeline;
mod plan;
mod read_lease;
pub mod readiness;
mod replay;
mod requests;
pub mod rules;
mod server;
mod source;
mod state;
mod strategy;
pub mod token;
mod value;

pub use bootstrap::BootstrapError;
pub use config::Config;
pub use readiness::Readiness;
pub use server::{Apiserver, Deps, StartError, start};
pub use token::TokenKeys;

#[cfg(test)]
mod oracle;

/// Settings for tests.
#[cfg(test)]
pub(crate) fn test_config() -> Config {
    Config {
        service_cidr: "10.96.0.0/16".parse().unwrap(),
        node_ports: 30000..=32767,
        advertise_address: "192.0.2.1".parse().unwrap(),
        advertise_port: 6443,
        tokens: std::sync::Arc::new(token::tests::keys()),
        client_ca: String::new(),
        max_in_flight: 64,
        after_another: false,
        accept_loss: false,
        retention: compaction::Policy::default(),
        log: cox_log::Options::default(),
    }
}
