//! The whole kubelet with a real apiserver, log, mirror and nats-server, and a runtime without processes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "kubelet/cluster.rs"]
mod cluster;
#[path = "kubelet/failures.rs"]
mod failures;
#[path = "kubelet/faults.rs"]
mod faults;
#[path = "kubelet/faulty.rs"]
mod faulty;
#[path = "kubelet/lives.rs"]
mod lives;
#[path = "kubelet/probes.rs"]
mod probes;
#[path = "kubelet/rest.rs"]
mod rest;
#[path = "kubelet/restart.rs"]
mod restart;
