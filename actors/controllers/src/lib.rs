//! The controllers: pure reconcilers that bring the cluster's objects to what their specs say, each under a user of its own.

mod accounts;
mod collector;
mod deployment;
mod endpoints;
mod hash;
mod model;
mod namespace;
mod node;
mod pod_collector;
mod pods;
mod protection;
mod replicas;
mod start;
#[cfg(test)]
mod testing;

use std::time::Duration;

pub use start::{Config, Deps, start};

/// The longest that a controller waits for a point in time before it looks again.
const LONGEST_TIMER: Duration = Duration::from_secs(3600);
