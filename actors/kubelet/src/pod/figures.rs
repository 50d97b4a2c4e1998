//! What a worker adds to the figures of its node.

use std::time::Instant;

use cox_kit::Feed;
use cox_runtime::ContainerState;

use super::State;
use crate::figures::{Share, There};
use crate::spec::names::Role;

/// A worker's own.
pub(super) struct Own {
    share: Share,
    /// When the pod was seen first; none once it has started, or if it had begun before this worker came.
    seen: Option<Instant>,
}

impl Own {
    /// `begun` says that an earlier worker has seen to the pod.
    pub(super) fn new(share: Share, begun: bool) -> Self {
        Own { share, seen: (!begun).then(Instant::now) }
    }
}

impl<F: Feed> State<F> {
    /// Counts what the last look has found.
    pub(super) fn count(&mut self) {
        let mut there = There { sandbox: self.sandbox.as_ref().is_some_and(|s| s.ready), ..There::default() };
        for container in &self.containers {
            match container.state {
                ContainerState::Created => there.created += 1,
                ContainerState::Running { .. } => there.running += 1,
                _ => there.exited += 1,
            }
        }
        // What is finished is taken away, also from what was found before.
        self.figures.share.set(if self.memory.finished { There::default() } else { there });
        let runs =
            |name: &str| self.containers.iter().any(|c| c.name == name && (c.is_running() || c.ended().is_some()));
        let members = self.known().members();
        let mut main = members.iter().filter(|m| m.role == Role::Main).peekable();
        if main.peek().is_some()
            && main.all(|m| runs(&m.container.name))
            && let Some(seen) = self.figures.seen.take()
        {
            self.context.figures.started(seen.elapsed());
        }
    }
}
