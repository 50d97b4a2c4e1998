//! Faults of the process and of the disk, end to end: the real binary is killed, its disk fills up, breaks, or goes back in time.

#[path = "faults_log/kill.rs"]
mod kill;
