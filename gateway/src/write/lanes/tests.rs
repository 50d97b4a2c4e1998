//! Writes over lanes: one alone goes at once, those that wait travel together, and each gets its own answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cox_bus::{Head, StreamError, WriteOptions};
use cox_mirror::Mirror;
use cox_objects::RequestId;
use futures::future::{BoxFuture, join_all};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::*;
use crate::backend::Conversation;

/// Answers each write with its own id, once it is let go; notes how many came in each message.
struct Gate {
    open: Semaphore,
    messages: Mutex<Vec<usize>>,
    fails: AtomicUsize,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Gate { open: Semaphore::new(0), messages: Mutex::default(), fails: AtomicUsize::new(0) })
    }

    async fn pass(&self, requests: &[&ApiRequest]) -> Result<Vec<ApiReply>, CallError> {
        self.messages.lock().push(requests.len());
        self.open.acquire().await.unwrap().forget();
        if self.fails.load(Ordering::SeqCst) > 0 {
            return Err(CallError::PerhapsDone(Why::NotConnected));
        }
        Ok(requests.iter().map(|request| reply(request.id)).collect())
    }

    /// Waits until so many messages have come.
    async fn came(&self, messages: usize) -> Vec<usize> {
        while self.messages.lock().len() < messages {
            tokio::task::yield_now().await;
        }
        self.messages.lock().clone()
    }
}

impl Backend for Gate {
    fn call<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiReply, CallError>> {
        Box::pin(async move { Ok(self.pass(&[request]).await?.remove(0)) })
    }

    fn batch<'a>(&'a self, requests: &'a [&'a ApiRequest]) -> BoxFuture<'a, Result<Vec<ApiReply>, CallError>> {
        Box::pin(self.pass(requests))
    }

    fn head(&self, _: bool, _: Instant) -> BoxFuture<'_, Result<Head, CallError>> {
        unreachable!("lanes ask for no head")
    }

    fn reached<'a>(&'a self, _: &'a Mirror, _: &'a (dyn Fn(bool) + Sync)) -> BoxFuture<'a, Result<(), CallError>> {
        unreachable!("lanes have no mirror")
    }

    fn open<'a>(&'a self, _: &'a str, _: &'a str, _: Bytes) -> BoxFuture<'a, Result<Conversation, StreamError>> {
        unreachable!("lanes talk to no node")
    }
}

fn reply(id: RequestId) -> ApiReply {
    let revision = u64::try_from(id.0).unwrap();
    ApiReply { code: 201, revision, seen: revision, body: Bytes::new(), warnings: Vec::new(), retry_after: None }
}

fn request(id: u128, verb: Verb) -> Arc<ApiRequest> {
    Arc::new(ApiRequest {
        id: RequestId(id),
        deadline: now_ms() + 60_000,
        user: None,
        verb,
        group: String::new(),
        version: "v1".to_owned(),
        plural: "configmaps".to_owned(),
        subresource: String::new(),
        namespace: "default".to_owned(),
        name: String::new(),
        options: WriteOptions::default(),
        patch_type: None,
        body: Bytes::new(),
        observed: None,
        trigger: None,
        folded: Vec::new(),
        correlation: None,
        traceparent: None,
        guard: None,
    })
}

fn write(lanes: &Lanes, id: u128, verb: Verb) -> tokio::task::JoinHandle<Result<ApiReply, CallError>> {
    let (lanes, request) = (lanes.clone(), request(id, verb));
    tokio::spawn(async move { lanes.call(&request).await })
}

#[tokio::test]
async fn writes_that_find_all_lanes_taken_travel_together_and_are_answered_each_for_itself() {
    let gate = Gate::new();
    let lanes = Lanes::new(gate.clone(), Tasks::default());
    let mut writes = Vec::new();
    for id in 1..=10 {
        writes.push(write(&lanes, id, Verb::Create));
        gate.came(usize::try_from(id).unwrap().min(LANES)).await;
    }
    while lanes.traffic.lock().waiting.len() < 8 {
        tokio::task::yield_now().await;
    }
    gate.open.add_permits(1);
    assert_eq!(gate.came(3).await, [1, 1, 8]);
    gate.open.add_permits(2);
    for (id, answer) in (1..).zip(join_all(writes).await) {
        assert_eq!(answer.unwrap().unwrap().revision, id);
    }
    assert_eq!(lanes.traffic.lock().taken, 0, "all lanes are free again");
    gate.open.add_permits(1);
    assert_eq!(write(&lanes, 11, Verb::Update).await.unwrap().unwrap().revision, 11);
    assert_eq!(gate.came(4).await, [1, 1, 8, 1]);
}

#[tokio::test]
async fn what_may_take_long_goes_by_itself() {
    let gate = Gate::new();
    let lanes = Lanes::new(gate.clone(), Tasks::default());
    let writes: Vec<_> = (1..=5).map(|id| write(&lanes, id, Verb::Patch)).collect();
    assert_eq!(gate.came(5).await, [1; 5]);
    gate.open.add_permits(5);
    assert!(join_all(writes).await.into_iter().all(|answer| answer.unwrap().is_ok()));
}

#[tokio::test]
async fn a_message_without_an_answer_is_an_error_for_each_and_a_client_that_leaves_takes_nobody_along() {
    let gate = Gate::new();
    let lanes = Lanes::new(gate.clone(), Tasks::default());
    let mut writes: Vec<_> = (1..=6).map(|id| write(&lanes, id, Verb::Create)).collect();
    while lanes.traffic.lock().waiting.len() < 4 {
        tokio::task::yield_now().await;
    }
    // One in a lane, one who waits.
    for leaves in [4, 0] {
        let left = writes.remove(leaves);
        left.abort();
        assert!(left.await.unwrap_err().is_cancelled());
    }
    assert_eq!(gate.came(3).await, [1, 1, 3], "the lane of who left took those who still wait");
    gate.fails.store(1, Ordering::SeqCst);
    gate.open.add_permits(2);
    for answer in join_all(writes).await {
        assert_eq!(answer.unwrap().unwrap_err(), CallError::PerhapsDone(Why::NotConnected));
    }
    assert_eq!(lanes.traffic.lock().taken, 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_in_vain_hears_so_at_its_deadline() {
    let gate = Gate::new();
    let lanes = Lanes::new(gate.clone(), Tasks::default());
    let _under_way = (write(&lanes, 1, Verb::Create), write(&lanes, 2, Verb::Create));
    gate.came(LANES).await;
    let answer = write(&lanes, 3, Verb::Create).await.unwrap();
    assert_eq!(answer.unwrap_err(), CallError::PerhapsDone(Why::TimedOut));
}
