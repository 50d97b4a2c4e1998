//! A read never shares a question that was sent before it came, and shares one that was not.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cox_bus::{ApiReply, ApiRequest, CallError, StreamError};
use cox_mirror::Limits;
use cox_objects::{Epoch, Position};

use super::*;
use crate::backend::Conversation;

/// Its head is as many as there were questions; an answer takes a while.
#[derive(Default)]
struct Counting(AtomicU64);

impl Backend for Counting {
    fn call<'a>(&'a self, _: &'a ApiRequest) -> BoxFuture<'a, Result<ApiReply, CallError>> {
        unreachable!("a fence writes nothing")
    }

    fn head(&self, lease: bool, _: Instant) -> BoxFuture<'_, Result<Head, CallError>> {
        let revision = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(Head { position: Position { epoch: Epoch(1), revision }, lease })
        })
    }

    fn reached<'a>(&'a self, _: &'a Mirror, stands: &'a (dyn Fn(bool) + Sync)) -> BoxFuture<'a, Result<(), CallError>> {
        stands(true);
        Box::pin(std::future::pending())
    }

    fn open<'a>(&'a self, _: &'a str, _: &'a str, _: Bytes) -> BoxFuture<'a, Result<Conversation, StreamError>> {
        unreachable!("a fence talks to no node")
    }
}

fn fence(revision: u64) -> (Fence, Arc<Counting>) {
    let backend = Arc::new(Counting::default());
    let mirror = Mirror::new(Limits::default());
    mirror.update(|state| state.reset(Position { epoch: Epoch(1), revision }, []));
    (Fence::new(backend.clone(), mirror, Tasks::default(), Duration::from_millis(300)), backend)
}

#[tokio::test]
async fn readers_share_a_question_that_is_not_sent_yet() {
    let (fence, backend) = fence(100);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let fence = fence.clone();
        readers.spawn(async move { fence.pass().await });
    }
    assert!(readers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(backend.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_a_question_is_under_way_the_next_one_gathers() {
    let (fence, backend) = fence(100);
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let fence = fence.clone();
        readers.spawn(async move { fence.pass().await });
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(backend.0.load(Ordering::SeqCst), 1, "the first asked at once");
    assert!(readers.join_all().await.iter().all(Result::is_ok));
    assert_eq!(backend.0.load(Ordering::SeqCst), 2, "the others together");
}

#[tokio::test]
async fn a_later_reader_asks_again() {
    let (fence, backend) = fence(100);
    let early = tokio::spawn({
        let fence = fence.clone();
        async move { fence.pass().await }
    });
    while backend.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fence.pass().await.unwrap(), 2);
    assert_eq!(early.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn one_who_leaves_does_not_strand_the_others() {
    let (fence, _) = fence(100);
    let mut first = Box::pin(fence.pass());
    assert!(futures::poll!(&mut first).is_pending());
    let second = fence.pass();
    drop(first);
    assert_eq!(second.await.unwrap(), 1);
}

#[tokio::test]
async fn a_mirror_that_stays_behind_is_a_504() {
    let (fence, _) = fence(0);
    assert_eq!(fence.pass().await.unwrap_err().code, 504);
}

#[tokio::test]
async fn with_a_lease_readers_do_not_ask_and_see_what_was_told() {
    let (fence, backend) = fence(100);
    let answering = fence.answer();
    let reading = async {
        assert_eq!(fence.pass().await.unwrap(), 1);
        for _ in 0..100 {
            assert_eq!(fence.pass().await.unwrap(), 1);
        }
        fence.told(60);
        assert_eq!(fence.pass().await.unwrap(), 60);
        assert_eq!(backend.0.load(Ordering::SeqCst), 1, "one question for all");
        fence.told(101);
        assert_eq!(fence.pass().await.unwrap_err().code, 504, "the mirror does not have it");
    };
    tokio::select! {
        _ = answering => unreachable!("it answers for ever"),
        () = reading => {}
    }
}

#[tokio::test]
async fn without_an_answer_for_the_mirror_there_is_no_lease() {
    let (fence, backend) = fence(100);
    fence.pass().await.unwrap();
    fence.pass().await.unwrap();
    assert_eq!(backend.0.load(Ordering::SeqCst), 2);
}
