//! The frame of the fault suite: a load of writers, followers whose records are kept, and a checker of all of it against the log.
//!
//! Flow: [`Run::start`] has followers stand and writers write; a test breaks something meanwhile, as often as it likes; [`Run::finish`] stops
//! the writers, waits until each follower has the last change, reads the log and compares. What is compared is in [`check`] and
//! [`linear`], which are pure and proven by broken records.

pub mod check;
pub mod client;
pub mod disk;
pub mod follow;
pub mod history;
pub mod linear;
pub mod load;
pub mod run;

pub use check::{Evidence, Record, Summary};
pub use client::Door;
pub use disk::Disk;
pub use history::{Act, Operation, Outcome, Seen};
pub use load::Load;
pub use run::Run;

/// Whether the long form was asked for: `COX_FAULTS=long`.
pub fn long() -> bool {
    std::env::var_os("COX_FAULTS").is_some_and(|form| form == "long")
}

/// How often something is to be done: as `COX_FAULTS_ROUNDS` says, else by the form.
pub fn rounds(short: u64, long_form: u64) -> u64 {
    let asked = std::env::var("COX_FAULTS_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(if long() { long_form } else { short })
}

/// What the random choices of a test begin with: `COX_FAULTS_SEED`, or another one each time. It is printed, to have a failure again.
pub fn seed() -> u64 {
    let asked = std::env::var("COX_FAULTS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = asked.unwrap_or_else(rand::random);
    println!("COX_FAULTS_SEED={seed}");
    seed
}
