//! The scheduler: which node each pod runs on. A pure core (snapshot, filters, scores, queue) in an actor that follows the mirror and binds.
//!
//! Flow: changes become facts ([`intake`]), facts change the [`snapshot`] and the [`queue`], the [`planner`] tries one pod after the other
//! ([`schedule`]), steps become api requests ([`commands`]). Guarantees: no decision is made on half of a state; a pod is bound once (the
//! apiserver refuses the second binding); each decision is kept with its filters and scores ([`journal`]). Absences: no volumes, no
//! devices, no plugins of others.

pub mod check;
pub mod commands;
pub mod filter;
pub mod intake;
pub mod journal;
mod memo;
pub mod message;
pub mod node;
pub mod planner;
pub mod pod;
pub mod preempt;
pub mod queue;
pub mod resources;
pub mod schedule;
pub mod score;
pub mod snapshot;
pub mod term;

mod decisions;
mod figures;
mod scheduler;
mod start;
mod tally;
#[cfg(test)]
mod testing;

pub use decisions::DECISIONS;
pub use start::{Deps, LEASE, start};
