//! Probes decide what is ready and what is started again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cox_runtime::{ExecOutcome, ExecOutput};
use serde_json::json;

use crate::cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_comes_and_goes_and_liveness_restarts() {
    let cluster = cluster::start().await;
    let good: Arc<[AtomicBool; 2]> = Arc::new([AtomicBool::new(false), AtomicBool::new(true)]);
    let answers = good.clone();
    cluster.runtime.on_exec(Arc::new(move |_, command| {
        let answer = answers[usize::from(command.first().is_some_and(|word| word == "alive"))].load(Ordering::SeqCst);
        ExecOutput { outcome: ExecOutcome::Exited(i32::from(!answer)), output: b"no".to_vec() }
    }));
    let probe = |word: &str| json!({"exec": {"command": [word]}, "periodSeconds": 1, "failureThreshold": 1});
    cluster.pod("p", json!({"readinessProbe": probe("ready"), "livenessProbe": probe("alive")}), json!({})).await;
    cluster
        .until("it runs unready", || {
            cluster.container("p")["started"] == true && cluster.container("p")["ready"] == false
        })
        .await;
    cluster.until("its event", || cluster.has_event("p", "Unhealthy", "Readiness probe failed: no")).await;
    good[0].store(true, Ordering::SeqCst);
    cluster.until_running("p").await;
    good[0].store(false, Ordering::SeqCst);
    cluster.until("it is unready again", || cluster.container("p")["ready"] == false).await;
    assert_eq!(cluster.container("p")["restartCount"], 0);
    good[1].store(false, Ordering::SeqCst);
    // It is killed as soon as it is asked again: the next start may be told of together with the first.
    cluster.until("it is started again", || cluster.container("p")["restartCount"].as_i64() >= Some(1)).await;
    good[1].store(true, Ordering::SeqCst);
    cluster
        .until("why", || cluster.has_event("p", "Killing", "Container c failed liveness probe, will be restarted"))
        .await;
    cluster.stop().await;
}
