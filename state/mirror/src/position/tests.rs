//! Waiters are woken once, at their revision or their deadline.

use std::time::Duration;

use super::*;
use crate::testing::at;

#[tokio::test(start_paused = true)]
async fn waiters_are_woken_at_their_revision_or_deadline() {
    let waiters = Waiters::default();
    let soon = Instant::now() + Duration::from_secs(3);
    let wait = |wanted| waiters.wait_for(wanted, soon);
    let (first, second, never) = tokio::join!(wait(5), wait(6), async {
        waiters.reached(at(4));
        waiters.reached(at(6));
        wait(9).await
    });
    assert_eq!((first, second), (Ok(()), Ok(())));
    assert_eq!(never, Err(Lagging { wanted: 9, current: 6 }));
    assert_eq!(Instant::now(), soon, "the deadline ended it");
    assert_eq!(wait(6).await, Ok(()), "what is there is not waited for");
    assert!(waiters.waiting.lock().by_revision.is_empty(), "nobody is left behind");
}

#[tokio::test]
async fn a_waiter_that_is_dropped_leaves_no_trace() {
    let waiters = Waiters::default();
    let late = Instant::now() + Duration::from_secs(60);
    assert!(futures::FutureExt::now_or_never(waiters.wait_for(1, late)).is_none());
    assert!(waiters.waiting.lock().by_revision.is_empty());
}
