//! Requests are answered, over a killed server too, and nobody asks under another's name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cox_bus::{ApiReply, CallError, Identity, Incoming, Why};
use cox_objects::{Epoch, Position, RequestId, User};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::{Cluster, LONG, request, until, within};

/// How often each request arrived, and from whom.
type Seen = Arc<Mutex<HashMap<RequestId, (Identity, u32)>>>;

fn ok(id: RequestId) -> ApiReply {
    ApiReply {
        code: 201,
        revision: id.0 as u64,
        seen: 0,
        body: id.to_string().into(),
        warnings: vec![],
        retry_after: None,
    }
}

/// An apiserver that answers with the request's id.
async fn serve(cluster: &Cluster) -> (Seen, JoinSet<()>) {
    let seen = Seen::default();
    let record = seen.clone();
    let mut server = cluster.bus(Identity::Apiserver).await.serve_api().await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let count = |from: &Identity, id| record.lock().entry(id).or_insert((from.clone(), 0)).1 += 1;
        while let Some(incoming) = server.next().await {
            match incoming {
                Incoming::Api { from, request, reply } => {
                    count(&from, request.id);
                    reply.answer(&ok(request.id)).await;
                }
                Incoming::Batch { from, requests, reply } => {
                    let answer = |r: Result<cox_bus::ApiRequest, _>| match r {
                        Ok(request) => {
                            count(&from, request.id);
                            ok(request.id)
                        }
                        Err(status) => ApiReply::error(&status),
                    };
                    reply.answer(&requests.into_iter().map(answer).collect()).await;
                }
                Incoming::Head { reply, .. } => {
                    let position = Position { epoch: Epoch(5), revision: 77 };
                    reply.answer(&cox_bus::Head { position, lease: false }).await;
                }
            }
        }
    });
    (seen, tasks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_a_batch_and_the_head_are_answered() {
    let cluster = Cluster::start().await;
    let (seen, _tasks) = serve(&cluster).await;
    let controllers = cluster.bus(Identity::Controllers).await;
    let deployments = controllers.under(Identity::Controller("deployment-controller".into()));

    let reply = within(deployments.call(&request(1, LONG))).await.unwrap();
    assert_eq!((reply.code, reply.revision), (201, 1));
    let requests: Vec<_> = (10..710).map(|id| request(id, LONG)).collect();
    let replies = within(controllers.batch(&requests.iter().collect::<Vec<_>>())).await.unwrap();
    let revisions: Vec<u64> = replies.iter().map(|r| r.revision).collect();
    assert_eq!(revisions, (10..710).collect::<Vec<_>>());
    let head = within(controllers.head(Instant::now() + LONG)).await.unwrap();
    assert_eq!(head, Position { epoch: Epoch(5), revision: 77 });

    let seen = seen.lock();
    assert_eq!(seen[&RequestId(1)].0.to_string(), "controller:deployment-controller");
    assert_eq!(seen[&RequestId(10)].0, Identity::Controllers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_server_is_killed_under_load() {
    let cluster = Cluster::start().await;
    let (seen, _tasks) = serve(&cluster).await;
    let gateway = cluster.bus(Identity::Gateway).await;
    let mut writers = JoinSet::new();
    for writer in 0..16u128 {
        let bus = gateway.clone();
        writers.spawn(async move {
            for n in 0..250 {
                let id = 1 + writer * 1000 + n;
                let reply = bus.call(&request(id, LONG)).await.unwrap();
                assert_eq!(reply.body, RequestId(id).to_string().as_bytes(), "the answer is that of its own request");
            }
        });
    }
    // Killed while requests are on their way, twice.
    for share in [500, 1500] {
        until("some requests are through", async || seen.lock().len() >= share).await;
        let old = cluster.kill();
        until("the server is back", async || cluster.server.pid().is_some_and(|pid| Some(pid) != old)).await;
    }
    while let Some(done) = within(writers.join_next()).await {
        done.unwrap();
    }
    assert_eq!(seen.lock().len(), 16 * 250, "each request arrived under its own id, and no other did");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reached_nobody_is_surely_not_done_and_what_was_not_answered_perhaps() {
    let cluster = Cluster::start().await;
    let scheduler = cluster.bus(Identity::Scheduler).await;
    // On a loaded machine the last question may still be on its way at the deadline, and then nothing is sure.
    let mut error = scheduler.call(&request(1, Duration::from_millis(300))).await.unwrap_err();
    for _ in 0..10 {
        if error != CallError::PerhapsDone(Why::TimedOut) {
            break;
        }
        error = scheduler.call(&request(1, Duration::from_millis(300))).await.unwrap_err();
    }
    assert!(matches!(error, CallError::SurelyNotDone(Why::NobodyServes(_))), "{error}");

    let mut server = cluster.bus(Identity::Apiserver).await.serve_api().await.unwrap();
    let unanswered = request(2, Duration::from_secs(2));
    let (error, arrived) = within(async { tokio::join!(scheduler.call(&unanswered), server.next()) }).await;
    assert_eq!(error.unwrap_err(), CallError::PerhapsDone(Why::TimedOut));
    assert!(matches!(arrived, Some(Incoming::Api { request, .. }) if request.id == RequestId(2)));
    // What it finds after its deadline it does not do: the next that arrives is another one.
    scheduler.call(&request(4, Duration::from_millis(100))).await.unwrap_err();
    let late = request(5, Duration::from_secs(2));
    let (_, arrived) = within(async { tokio::join!(scheduler.call(&late), server.next()) }).await;
    assert!(matches!(arrived, Some(Incoming::Api { request, .. }) if request.id == RequestId(5)));

    let mut large = request(3, LONG);
    large.body = vec![0; 9 << 20].into();
    let error = scheduler.call(&large).await.unwrap_err();
    assert!(matches!(error, CallError::SurelyNotDone(Why::TooLarge(_))), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waits_for_the_server_is_sent_when_it_is_there() {
    let cluster = Cluster::start().await;
    let scheduler = cluster.bus(Identity::Scheduler).await;
    let calling = tokio::spawn(async move { scheduler.call(&request(1, LONG)).await });
    let (_seen, _tasks) = serve(&cluster).await;
    assert_eq!(within(calling).await.unwrap().unwrap().code, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_asks_under_anothers_name() {
    let cluster = Cluster::start().await;
    let (seen, _tasks) = serve(&cluster).await;
    let scheduler = cluster.bus(Identity::Scheduler).await;
    let mut refusals = scheduler.refusals();

    let forged = scheduler.under(Identity::Gateway);
    let error = forged.call(&request(1, Duration::from_millis(500))).await.unwrap_err();
    assert!(error.perhaps_done(), "a refused publication looks like silence: {error}");
    within(refusals.wait_for(|n| *n == 1)).await.unwrap();
    let mut posing = request(2, LONG);
    posing.user = Some(User { name: "kubernetes-admin".into(), ..User::default() });
    assert_eq!(within(scheduler.call(&posing)).await.unwrap().code, 403);
    let replies = within(scheduler.batch(&[&posing, &request(3, LONG)])).await.unwrap();
    assert_eq!(replies.iter().map(|r| r.code).collect::<Vec<_>>(), [403, 201]);
    let gateway = cluster.bus(Identity::Gateway).await;
    assert_eq!(within(gateway.call(&posing)).await.unwrap().code, 201);
    assert!(!seen.lock().contains_key(&RequestId(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_and_the_events_are_the_apiservers_alone() {
    let cluster = Cluster::start().await;
    let purge = format!("$JS.API.STREAM.PURGE.{}", cox_bus::Subjects::new("test").stream());
    for identity in [Identity::Gateway, Identity::Node("n1".into()), Identity::Ops] {
        let bus = cluster.bus(identity.clone()).await;
        let mut refusals = bus.refusals();
        for subject in [purge.clone(), "cox.test.events.core.pods.default.x".to_owned(), bus.subjects().head()] {
            let before = *refusals.borrow_and_update();
            bus.publish(subject.clone(), "{}".into()).await.unwrap();
            within(refusals.wait_for(|n| *n > before)).await.unwrap_or_else(|e| panic!("{identity} {subject}: {e}"));
        }
    }
}
