//! Seats under contention: never too many, never one lost.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use futures::future::join_all;

use super::*;

const BOUNDS: Bounds = Bounds { all: 100, flow: 60 };
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn whoever_waits_gets_the_seat_that_becomes_free() {
    let level = Level::new(1, BOUNDS, LONG);
    let seat = level.try_sit().unwrap();
    assert!(level.try_sit().is_none());
    let (mut first, mut second) = (Box::pin(level.wait(1)), Box::pin(level.wait(1)));
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    assert_eq!((level.taken(), level.waiting()), (1, 2));
    drop(seat);
    assert!(level.try_sit().is_none(), "it is the other's");
    let seat = first.await.unwrap();
    assert!(futures::poll!(&mut second).is_pending());
    drop(seat);
    drop(second.await.unwrap());
    assert_eq!((level.taken(), level.waiting()), (0, 0));
}

#[tokio::test]
async fn one_who_leaves_takes_no_seat_along() {
    let level = Level::new(1, BOUNDS, LONG);
    let seat = level.try_sit().unwrap();
    let (mut leaves, mut stays) = (Box::pin(level.wait(1)), Box::pin(level.wait(2)));
    assert!(futures::poll!(&mut leaves).is_pending() && futures::poll!(&mut stays).is_pending());
    // The seat is handed over, but the request is gone before it looks.
    drop(seat);
    drop(leaves);
    drop(stays.await.unwrap());
    let mut alone = Box::pin(level.wait(1));
    drop(futures::poll!(&mut alone));
    drop(alone);
    assert_eq!((level.taken(), level.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends() {
    let level = Level::new(1, Bounds { all: 3, flow: 2 }, LONG);
    let _seat = level.try_sit().unwrap();
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(level.wait(1))).collect();
    for place in &mut waiting {
        assert!(futures::poll!(place).is_pending());
    }
    assert_eq!(level.wait(1).await.err(), Some(Refused::QueueFull));
    waiting.extend([Box::pin(level.wait(2)), Box::pin(level.wait(3))]);
    let refused: Vec<Refused> = join_all(waiting).await.into_iter().filter_map(Result::err).collect();
    // The newest of the flow that had two made room for the last one.
    assert_eq!(refused, [Refused::TimeOut, Refused::QueueFull, Refused::TimeOut, Refused::TimeOut]);
    assert_eq!((level.taken(), level.waiting()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn seats_are_never_too_many_and_none_is_lost() {
    const SEATS: usize = 3;
    let level = Arc::new(Level::new(SEATS as u32, Bounds { all: 10_000, flow: 10_000 }, LONG));
    let (sitting, most, served) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks = (0..64u64).map(|flow| {
        let (level, sitting, most, served) = (level.clone(), sitting.clone(), most.clone(), served.clone());
        tokio::spawn(async move {
            for n in 0..200 {
                // Every fifth does not wait for long: it leaves at any moment of a handover.
                let enter = async {
                    match level.try_sit() {
                        Some(seat) => Ok(seat),
                        None => level.wait(flow % 7).await,
                    }
                };
                let seat = if (flow + n) % 5 == 0 {
                    tokio::select! {
                        biased;
                        () = tokio::task::yield_now() => None,
                        seat = enter => seat.ok(),
                    }
                } else {
                    Some(enter.await.unwrap())
                };
                let Some(_seat) = seat else { continue };
                most.fetch_max(sitting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                sitting.fetch_sub(1, Ordering::SeqCst);
                served.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    for ended in join_all(tasks).await {
        ended.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), SEATS, "all are used, and no more");
    assert!(served.load(Ordering::SeqCst) >= 64 * 160);
    assert_eq!((level.taken(), level.waiting()), (0, 0));
}
