//! Failing children come back; those that never stop failing take the tree down; shutdown runs backwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::*;

async fn until(what: impl Fn() -> bool) {
    let waited = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.expect("in time");
}

#[tokio::test]
async fn a_failed_worker_is_started_again_and_the_others_go_on() {
    let starts = Arc::new(AtomicUsize::new(0));
    let counted = starts.clone();
    let flaky = worker("flaky", move |scope| {
        let round = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match round {
                0 => Err("first".into()),
                1 => panic!("second"),
                _ => {
                    scope.cancelled().cancelled().await;
                    Ok(())
                }
            }
        }
    });
    let steady = worker("steady", |scope| async move {
        scope.cancelled().cancelled().await;
        Ok(())
    });
    let running = Running::start(Scope::root("test"), vec![flaky, steady]).await.unwrap();
    until(|| starts.load(Ordering::SeqCst) == 3).await;
    until(|| running.scope().tree()["test/flaky"].state == State::Running).await;
    let tree = running.scope().tree();
    assert_eq!(tree["test/flaky"].restarts, 2);
    assert_eq!(tree["test/flaky"].last_error.as_deref(), Some("panicked: second"));
    assert_eq!(tree["test/steady"].restarts, 0);
    running.stop().await;
}

#[tokio::test]
async fn endless_failure_ends_the_component() {
    let hopeless = worker("hopeless", |_| async { Err("never".into()) });
    let mut running = Running::start(Scope::root("test"), vec![hopeless]).await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(60), running.failed()).await.unwrap();
    assert!(error.contains("never"), "{error}");
}

#[tokio::test]
async fn a_failed_first_start_is_the_components_error_and_stops_what_stood() {
    let stopped = Arc::new(AtomicUsize::new(0));
    let seen = stopped.clone();
    let first = worker("first", move |scope| {
        let seen = seen.clone();
        async move {
            scope.cancelled().cancelled().await;
            seen.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let second = Child::new("second", |_, _| Box::pin(async { Err("port in use".into()) }));
    let error = Running::start(Scope::root("test"), vec![first, second]).await.err().unwrap();
    assert_eq!(error.to_string(), "test could not start: port in use");
    assert_eq!(stopped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shutdown_stops_in_reverse_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let child = |name: &'static str| {
        let order = order.clone();
        worker(name, move |scope| {
            let order = order.clone();
            async move {
                scope.cancelled().cancelled().await;
                order.lock().push(name);
                Ok(())
            }
        })
    };
    let nested = Child::supervisor("nested", vec![child("b"), child("c")]);
    let running = Running::start(Scope::root("test"), vec![child("a"), nested]).await.unwrap();
    running.stop().await;
    assert_eq!(*order.lock(), ["c", "b", "a"]);
}

/// What is told to panic comes back with what is below it, and nothing else does: a worker, a supervisor, the root.
#[tokio::test]
async fn only_what_panics_starts_again() {
    let steady = |name| {
        worker(name, |scope: Scope| async move {
            scope.cancelled().cancelled().await;
            Ok(())
        })
    };
    let nested = Child::supervisor("nested", vec![steady("b"), steady("c")]);
    let running = Running::start(Scope::root("test"), vec![steady("a"), nested]).await.unwrap();
    let all = ["test", "test/a", "test/nested", "test/nested/b", "test/nested/c"];
    for path in ["test/a", "test/nested/b", "test/nested", "test"].into_iter().cycle().take(4 * INTENSITY) {
        let before = running.scope().tree();
        assert_eq!(before.keys().collect::<Vec<_>>(), all);
        // So that what starts again does so later.
        until(|| crate::clock::now_ms() > before.values().map(|node| node.since).max().unwrap()).await;
        running.scope().tell_to_panic(path);
        let back = |tree: BTreeMap<String, Node>| {
            tree.len() == all.len()
                && tree[path].restarts == before[path].restarts + 1
                && tree.values().all(|node| node.state == State::Running)
        };
        until(|| back(running.scope().tree())).await;
        let after = running.scope().tree();
        for other in all {
            let below = other.starts_with(path);
            assert_eq!(after[other].since != before[other].since, below, "{other} after {path}");
        }
        assert_eq!(after[path].last_error.as_deref(), Some("panicked: told to panic by a test"));
    }
    running.stop().await;
}

/// An actor below a supervisor that panics is killed; nothing of it may go on beside its successor.
#[tokio::test]
async fn what_is_killed_leaves_nothing_at_work() {
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let (counted, seen) = (alive.clone(), most.clone());
    let deaf = worker("deaf", move |_| {
        let (alive, most) = (counted.clone(), seen.clone());
        async move {
            most.fetch_max(alive.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _one = Counted(alive);
            std::future::pending().await
        }
    });
    let running = Running::start(Scope::root("test"), vec![Child::supervisor("nested", vec![deaf])]).await.unwrap();
    until(|| alive.load(Ordering::SeqCst) == 1).await;
    running.scope().tell_to_panic("test/nested");
    let back = |tree: BTreeMap<String, Node>| tree.get("test/nested/deaf").is_some_and(|n| n.state == State::Running);
    until(|| running.scope().tree()["test/nested"].restarts == 1 && back(running.scope().tree())).await;
    until(|| alive.load(Ordering::SeqCst) == 1).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
}
