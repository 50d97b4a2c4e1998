//! Named background tasks that end with what they serve.

use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// Tasks that are cancelled when this is dropped. On error they log and end: what they serve notices by its deadlines.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Vec<JoinHandle<()>>>);

impl Tasks {
    /// Starts a task; the name stands in logs.
    pub(crate) fn start(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::debug_span!("task", name);
        let mut tasks = self.0.lock();
        tasks.retain(|t| !t.is_finished());
        tasks.push(tokio::spawn(tracing::Instrument::instrument(task, span)));
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.lock().drain(..) {
            task.abort();
        }
    }
}
