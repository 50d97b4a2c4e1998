//! Failing children come back; those that never stop failing take the tree down; shutdown runs backwards.

use std::sync::atomic::{AtomicUsize, Ordering};

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
