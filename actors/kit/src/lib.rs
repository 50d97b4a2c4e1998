//! What the components share: supervision, the reconcile shell and its queue, leadership, and commands that name their cause.
//!
//! A component decides in a pure core (`fn reconcile(&mut self, &View, &Key, now) -> Decision`) and lives in a supervision tree
//! whose actors do the IO. Everything here is about the shell around the core.

pub mod api;
pub mod clock;
pub mod command;
pub mod feed;
pub mod lease;
pub mod metrics;
pub mod queue;
pub mod reconcile;
pub mod recorder;
pub mod supervise;
pub mod task;
pub mod typed;
pub mod view;
pub mod why;

pub use api::Api;
pub use command::{Command, Decision, Propagation};
pub use feed::Feed;
pub use metrics::Registry;
pub use reconcile::Reconciler;
pub use supervise::{Child, Running, Scope};
pub use task::Task;
pub use typed::Typed;
pub use view::View;
pub use why::{Reason, Why};
