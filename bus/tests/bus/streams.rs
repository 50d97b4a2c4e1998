//! Streams over the real bus: in order and whole, bounded, ended by either side, and broken visibly.

use std::time::Duration;

use bytes::Bytes;
use cox_bus::{Bus, Duplex, Identity, StreamError};
use cox_objects::Status;

use crate::harness::{Cluster, LONG, until, within};

/// The two ends of a stream from a gateway to a node.
async fn pair(gateway: &Bus, node: &Bus) -> (Duplex, Duplex) {
    let mut acceptor = node.serve_streams(node.subjects().node("n1", "exec")).await.unwrap();
    let opening = gateway.open(gateway.subjects().node("n1", "exec"), Bytes::from_static(b"hello"));
    let accepting = async {
        let offer = acceptor.next().await.unwrap();
        assert_eq!(&offer.hello[..], b"hello");
        assert_eq!(node.subjects().parse_node(&offer.subject), Some(("n1".into(), "exec".into())));
        offer.accept().await.unwrap()
    };
    let (opened, accepted) = within(async { tokio::join!(opening, accepting) }).await;
    (opened.unwrap(), accepted)
}

async fn ends(cluster: &Cluster) -> (Bus, Bus) {
    (cluster.bus(Identity::Gateway).await, cluster.bus(Identity::Node("n1".into())).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_goes_both_ways_at_once_whole_and_in_order() {
    let cluster = Cluster::start().await;
    let (gateway, node) = ends(&cluster).await;
    let (a, b) = pair(&gateway, &node).await;
    let copy = async |stream: Duplex, seed: u8| {
        let (mut sink, mut source) = stream.split();
        let sending = async {
            // 48 MiB in pieces from a byte to more than the window.
            for n in 0..600usize {
                let length = [1, 100, 32 << 10, 64 << 10, 300 << 10][n % 5];
                sink.send(Bytes::from(vec![seed ^ n as u8; length])).await.unwrap();
            }
            sink.send(Bytes::from(vec![seed; 3 << 20])).await.unwrap();
            sink.finish().await.unwrap();
        };
        let receiving = async {
            let mut n = 0usize;
            while let Some(message) = source.recv().await.unwrap() {
                let expected = if n == 600 { seed ^ 1 } else { seed ^ 1 ^ n as u8 };
                assert!(message.iter().all(|b| *b == expected), "message {n}");
                n += 1;
            }
            n
        };
        tokio::join!(sending, receiving).1
    };
    let (left, right) = within(async { tokio::join!(copy(a, 6), copy(b, 7)) }).await;
    assert_eq!((left, right), (601, 601));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_waits_for_its_reader() {
    let cluster = Cluster::start().await;
    let (gateway, node) = ends(&cluster).await;
    let (mut a, mut b) = pair(&gateway, &node).await;
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(300), a.send(Bytes::from(vec![0; 64 << 10]))).await.is_ok() {
        sent += 1;
        assert!(sent < 100, "nothing holds the sender back");
    }
    assert_eq!(sent, 15, "a window of a mebibyte");
    assert!(within(b.recv()).await.unwrap().is_some());
    for _ in 0..8 {
        within(b.recv()).await.unwrap();
    }
    within(a.send(Bytes::from(vec![0; 64 << 10]))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_side_ends_and_the_other_learns_why() {
    let cluster = Cluster::start().await;
    let (gateway, node) = ends(&cluster).await;

    let (mut a, mut b) = pair(&gateway, &node).await;
    a.close().await.unwrap();
    assert_eq!(within(b.recv()).await, Ok(None));
    b.send(Bytes::from_static(b"after the other's end")).await.unwrap();
    assert!(within(a.recv()).await.unwrap().is_some());
    b.fail(Status::internal("broken pipe")).await;
    assert_eq!(within(a.recv()).await, Err(StreamError::Failed(Status::internal("broken pipe"))));

    let (mut a, b) = pair(&gateway, &node).await;
    drop(b);
    assert!(matches!(within(a.recv()).await, Err(StreamError::Failed(_))), "abandoned");
    until("the sender is stopped", async || a.send(Bytes::from_static(b"x")).await == Err(StreamError::Stopped)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_served_or_not_wanted_is_refused() {
    let cluster = Cluster::start().await;
    let (gateway, node) = ends(&cluster).await;
    let subject = gateway.subjects().node("n2", "exec");
    let error = within(gateway.open(subject.clone(), Bytes::new())).await.err().unwrap();
    assert_eq!(error, StreamError::NobodyServes(subject));

    let mut acceptor = node.serve_streams(node.subjects().node("n1", "logs")).await.unwrap();
    let refusing = async {
        acceptor.next().await.unwrap().refuse(Status::bad_request("no such container"));
        drop(acceptor.next().await.unwrap());
    };
    let subject = gateway.subjects().node("n1", "logs");
    let opening = async {
        let first = gateway.open(subject.clone(), Bytes::new()).await.err();
        (first, gateway.open(subject, Bytes::new()).await.err())
    };
    let ((first, second), ()) = within(async { tokio::join!(opening, refusing) }).await;
    assert_eq!(first, Some(StreamError::Refused(Status::bad_request("no such container"))));
    assert!(matches!(second, Some(StreamError::Refused(status)) if status.code == 503));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_never_makes_a_gap_or_a_false_end() {
    let cluster = Cluster::start().await;
    let (gateway, node) = ends(&cluster).await;
    let (mut a, mut b) = pair(&gateway, &node).await;
    let sending = tokio::spawn(async move {
        let mut n = 0u64;
        loop {
            if let Err(error) = a.send(Bytes::copy_from_slice(&n.to_be_bytes())).await {
                return error;
            }
            n += 1;
        }
    });
    let mut next = 0u64;
    let deadline = tokio::time::Instant::now() + LONG;
    let error = loop {
        assert!(tokio::time::Instant::now() < deadline, "the loss of the server does not show");
        match within(b.recv()).await {
            Ok(Some(message)) => {
                assert_eq!(message, next.to_be_bytes().as_slice(), "in order, without a gap");
                next += 1;
                if next.is_multiple_of(20_000) {
                    cluster.kill();
                }
            }
            Ok(None) => panic!("an end that nobody sent"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StreamError::Lost), "{error}");
    drop(b);
    let error = within(sending).await.unwrap();
    assert!(matches!(error, StreamError::Stopped | StreamError::Lost), "{error}");
    // And a new one works.
    pair(&gateway, &node).await;
}
