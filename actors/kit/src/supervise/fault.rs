//! Panics on demand, for tests of what a panic leads to. Builds without debug assertions, which releases are, have none of it.
//!
//! A test names an actor by its path in the tree, or a key of a controller; the ctl subject `panic` of a component carries the wish.

pub(crate) use imp::Faults;
pub use imp::Point;

#[cfg(debug_assertions)]
mod imp {
    use std::collections::{BTreeSet, HashMap};
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::sync::Notify;
    use tokio::task::AbortHandle;

    use super::super::Scope;

    /// What a panic on demand says.
    const TOLD: &str = "told to panic by a test";

    /// What is wished for in one tree.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Faults {
        actors: Arc<Mutex<HashMap<String, Arc<Notify>>>>,
        keys: Arc<Mutex<BTreeSet<(String, String)>>>,
    }

    impl Faults {
        fn of(&self, path: &str) -> Arc<Notify> {
            self.actors.lock().entry(path.to_owned()).or_default().clone()
        }

        /// Panics once the actor is told to; never returns otherwise.
        pub(crate) async fn strike(self, path: String) -> std::convert::Infallible {
            self.of(&path).notified().await;
            panic!("{TOLD}");
        }

        /// Panics if work on this key is to.
        pub(crate) fn strike_at(&self, path: &str, key: &impl ToString) {
            let strikes = self.keys.lock().contains(&(path.to_owned(), key.to_string()));
            assert!(!strikes, "{TOLD}");
        }

        /// Whether a failure was wished for: it says nothing of whether the actor can go on.
        pub(crate) fn wished_for(error: &str) -> bool {
            error.contains(TOLD)
        }
    }

    /// Where an actor with a mailbox of its own is told to fail. Dropped with the actor's state.
    #[derive(Debug)]
    pub struct Point(AbortHandle);

    impl Drop for Point {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    impl Scope {
        /// Tells the actor at a path to panic.
        pub fn tell_to_panic(&self, path: &str) {
            self.faults().of(path).notify_one();
        }

        /// Makes work on a key of the controller at a path panic, until it is no longer to.
        pub fn let_key_panic(&self, path: &str, key: &str, panics: bool) {
            let mut keys = self.faults().keys.lock();
            let wish = (path.to_owned(), key.to_owned());
            if panics {
                keys.insert(wish)
            } else {
                keys.remove(&wish)
            };
        }

        /// Makes an actor with a mailbox of its own fail when a test wants it: `fail` sends it the message at which it does.
        pub fn fault_point(&self, fail: impl FnOnce(String) + Send + 'static) -> Point {
            let told = self.faults().of(self.path());
            let waits = tokio::spawn(async move {
                told.notified().await;
                fail(format!("panicked: {TOLD}"));
            });
            Point(waits.abort_handle())
        }
    }
}

#[cfg(not(debug_assertions))]
mod imp {
    use super::super::Scope;

    /// No faults.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Faults;

    impl Faults {
        pub(crate) async fn strike(self, _: String) -> std::convert::Infallible {
            std::future::pending().await
        }

        pub(crate) fn strike_at(&self, _: &str, _: &impl ToString) {}

        pub(crate) fn wished_for(_: &str) -> bool {
            false
        }
    }

    /// Nothing.
    #[derive(Debug)]
    pub struct Point;

    impl Scope {
        /// Nothing: there are no faults on demand in this build.
        pub fn fault_point(&self, _: impl FnOnce(String) + Send + 'static) -> Point {
            Point
        }
    }
}
