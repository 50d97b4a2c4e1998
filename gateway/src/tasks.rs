//! Tasks that outlive the handler that began them: conversations after the protocol was switched.

use std::future::Future;

use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The tasks of one gateway. They watch its closing token themselves; shutdown waits for them.
#[derive(Clone, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Begins a task of some kind. A panic ends that task only.
    pub fn spawn(&self, kind: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::debug_span!("task", kind);
        self.0.spawn(task.instrument(span));
    }

    /// Waits until all have ended.
    pub async fn ended(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
