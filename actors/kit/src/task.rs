//! The named tasks of an actor: work beside its mailbox that is shown in the tree, fails its actor and ends with it.
//!
//! An actor that waits for something (a pull, a probe's next turn, a stream) does it in a task and is told the outcome by a message.
//! Every task has a name below its actor's place, which `cox status` shows for as long as it is at work. It is cancelled when the
//! [`Task`] is dropped or the place is to stop: whatever it does must bear being dropped at any await and being done again. A panic is
//! told to the actor, which is to fail of it, so that its supervisor starts both anew.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::task::{AbortHandle, JoinHandle};

use crate::supervise::{Scope, State};

/// A running task. Dropped, it is cancelled and no longer shown.
#[derive(Debug)]
pub struct Task {
    handle: JoinHandle<()>,
    _shown: Shown,
}

/// The task's place in the tree, and its end.
#[derive(Debug)]
struct Shown {
    place: Scope,
    abort: AbortHandle,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.place.remove();
        self.abort.abort();
    }
}

impl Task {
    /// Starts a task of the actor at `scope`. `panicked` hears of a panic, and is to make the actor fail.
    pub fn start(
        scope: &Scope,
        name: &str,
        work: impl Future<Output = ()> + Send + 'static,
        panicked: impl FnOnce(String) + Send + 'static,
    ) -> Self {
        let place = scope.child(name);
        place.set(State::Running, None);
        place.set_task();
        let stop = place.cancelled().clone();
        let fault = place.faults().clone().strike(place.path().to_owned());
        let work = async move {
            tokio::select! {
                () = work => {}
                never = fault => match never {},
            }
        };
        let shown = place.clone();
        let handle = tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                outcome = AssertUnwindSafe(work).catch_unwind() => {
                    shown.remove();
                    if let Err(panic) = outcome {
                        panicked(panic_text(panic.as_ref()));
                    }
                }
            }
        });
        Task { _shown: Shown { place, abort: handle.abort_handle() }, handle }
    }

    /// Cancels the task; what is returned ends when nothing of it is at work any more.
    pub fn cancel(self) -> JoinHandle<()> {
        self.handle
    }
}

/// What a panic said, for logs and `cox status`.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "without a text".to_owned()))
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn ignored(_: String) {}

    #[tokio::test]
    async fn a_task_is_shown_while_it_is_held_and_cancelled_with_it() {
        let scope = Scope::root("c");
        let (held, mut gone) = oneshot::channel::<()>();
        let work = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        let task = Task::start(&scope, "waits", work, ignored);
        assert!(scope.tree().contains_key("c/waits"));
        assert!(gone.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Empty));
        drop(task);
        assert!(!scope.tree().contains_key("c/waits"));
        assert!(gone.await.is_err());
    }

    #[tokio::test]
    async fn a_task_ends_with_its_place() {
        let scope = Scope::root("c");
        let (held, gone) = oneshot::channel::<()>();
        let work = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        let _task = Task::start(&scope, "waits", work, ignored);
        scope.cancelled().cancel();
        assert!(gone.await.is_err());
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        let (tell, told) = oneshot::channel();
        let hear = |text| tell.send(text).unwrap();
        let _task = Task::start(&Scope::root("c"), "fails", async { panic!("no {}", 1) }, hear);
        assert_eq!(told.await.unwrap(), "panicked: no 1");
    }

    #[tokio::test]
    async fn nothing_is_at_work_after_a_cancellation_that_was_waited_for() {
        let (held, mut gone) = oneshot::channel::<()>();
        let work = async move {
            let _held = held;
            std::future::pending::<()>().await;
        };
        Task::start(&Scope::root("c"), "waits", work, ignored).cancel().await.unwrap_err();
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
