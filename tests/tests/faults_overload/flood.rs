//! A user that floods the API is refused with 429 and `Retry-After`, watchers that do not read are left, memory stays bounded, and others
//! are served: each of their writes, and each of their watches in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cox_tests::wait::{Look, until_async};
use cox_tests::{Cluster, faults};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::line::{Dial, Line};

/// How much of everything.
struct Scale {
    writers: usize,
    watchers: usize,
    deaf: usize,
    /// Writes of the user that asks for little.
    little: usize,
    /// Memory of the server at its most, in MiB.
    bound: u64,
}

const SHORT: Scale = Scale { writers: 450, watchers: 100, deaf: 20, little: 30, bound: 400 };
const LONG: Scale = Scale { writers: 1000, watchers: 1000, deaf: 100, little: 300, bound: 600 };

const PATIENCE: Duration = Duration::from_secs(120);
/// What watchers that do not read are sent, in all more than the buffers on the way take.
const LARGE: usize = 256 * 1024;
const LARGES: usize = 48;
/// What they have for what comes.
const EAR: u32 = 16 * 1024;

fn map(name: &str, size: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": "x".repeat(size)}})
}

fn maps(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

/// What the user that asks for too much was told.
#[derive(Default)]
struct Told {
    done: AtomicU64,
    refused: AtomicU64,
}

/// Writes on one connection until it is enough.
async fn flood(mut line: Line, writer: usize, told: Arc<Told>, enough: Arc<AtomicBool>) -> Result<()> {
    let mut number = 0;
    while !enough.load(Ordering::SeqCst) {
        let name = format!("w{writer}-{number}");
        match line.ask(Method::POST, &maps("busy"), &map(&name, 1024)).await? {
            (201, ..) => {
                told.done.fetch_add(1, Ordering::SeqCst);
                number += 1;
            }
            (429, retry, status) => {
                ensure!(retry.as_deref() == Some("1"), "when to come again: {retry:?}");
                let is = |pointer, value: Value| status.pointer(pointer) == Some(&value);
                let whole = is("/reason", json!("TooManyRequests"))
                    && is("/details/retryAfterSeconds", json!(1))
                    && is("/kind", json!("Status"))
                    && is("/code", json!(429));
                ensure!(whole, "{status}");
                told.refused.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            (code, _, body) => bail!("{name}: {code} {body}"),
        }
    }
    Ok(())
}

async fn watch(line: &mut Line, namespace: &str) -> Result<Incoming> {
    let path = format!(
        "{}?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
        maps(namespace)
    );
    let answer = line.begin(Method::GET, &path, &Value::Null).await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    Ok(answer.into_body())
}

/// The names that a watch tells, until the last one.
async fn follow(mut line: Line, last: String) -> Result<Vec<String>> {
    let mut body = watch(&mut line, "calm").await?;
    let (mut text, mut names) = (Vec::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        text.extend_from_slice(&data);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)?;
            ensure!(event.get("type") == Some(&"ADDED".into()), "{event}");
            names.push(event.pointer("/object/metadata/name").and_then(Value::as_str).context("a name")?.to_owned());
        }
        if names.last() == Some(&last) {
            return Ok(names);
        }
    }
    bail!("the watch ended after {names:?}")
}

/// Memory of a process at its most, in MiB.
fn most_memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024)
}

/// The sum of the series of a name that have all these labels.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once(' '));
    let those = series.filter(|(own, _)| labels.iter().all(|label| own.contains(label)));
    those.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

const WATCHES: [&str; 2] = ["resource=\"configmaps\"", "verb=\"WATCH\""];

fn open_watches(cluster: &Cluster) -> Result<f64> {
    Ok(sum(&cluster.kubectl(&["get", "--raw", "/metrics"])?, "apiserver_longrunning_requests", &WATCHES))
}

fn prepare(cluster: &Cluster) -> Result<()> {
    for namespace in ["busy", "calm", "loud"] {
        cluster.kubectl(&["create", "namespace", namespace])?;
    }
    let users = ["--user=hog", "--user=jane", "--user=eve"];
    let binding = ["create", "clusterrolebinding", "users", "--clusterrole=edit"];
    cluster.kubectl(&binding.into_iter().chain(users).collect::<Vec<_>>())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_too_much_waits_for_itself() -> Result<()> {
    let scale = if faults::long() { LONG } else { SHORT };
    let cluster = Cluster::without_node(&[])?;
    let pid = cluster.pid().context("it runs")?;
    prepare(&cluster)?;
    let dial = Dial::of(&cluster).await?;

    // Watchers that read, and watchers that do not, who hold on to their connections.
    let last = format!("j{:04}", scale.little - 1);
    let mut followers = JoinSet::new();
    for _ in scale.deaf..scale.watchers {
        followers.spawn(follow(dial.connect("jane", None).await?, last.clone()));
    }
    let mut deaf = Vec::new();
    for _ in 0..scale.deaf {
        let mut line = dial.connect("eve", Some(EAR)).await?;
        deaf.push((watch(&mut line, "loud").await?, line));
    }
    until_async("all watch", PATIENCE, || async {
        let open = open_watches(&cluster)?;
        Ok(Look::at(open >= scale.watchers as f64, || format!("{open} watches")))
    })
    .await?;
    let before = most_memory(pid)?;

    // One user writes as fast as it can, on all of its connections.
    let (told, enough) = (Arc::new(Told::default()), Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for writer in 0..scale.writers {
        writers.spawn(flood(dial.connect("hog", None).await?, writer, told.clone(), enough.clone()));
    }
    // What the deaf ones are told does not fit into the buffers on the way to them.
    let mut admin = dial.connect("", None).await?;
    for number in 0..LARGES {
        let (code, _, body) = admin.ask(Method::POST, &maps("loud"), &map(&format!("l{number}"), LARGE)).await?;
        ensure!(code == 201, "{code} {body}");
    }
    until_async("the flood is refused", PATIENCE, || async {
        let refused = told.refused.load(Ordering::SeqCst);
        Ok(Look::at(refused > 0, || format!("{} were done", told.done.load(Ordering::SeqCst))))
    })
    .await?;

    // Another user of the same priority, who asks for one thing at a time, is never refused.
    let mut jane = dial.connect("jane", None).await?;
    let mut times = Vec::new();
    for number in 0..scale.little {
        let begun = Instant::now();
        let (code, _, body) = jane.ask(Method::POST, &maps("calm"), &map(&format!("j{number:04}"), 64)).await?;
        ensure!(code == 201, "{code} {body}");
        times.push(begun.elapsed());
    }
    let done = told.done.load(Ordering::SeqCst);
    let expected: Vec<String> = (0..scale.little).map(|number| format!("j{number:04}")).collect();
    while let Some(seen) = tokio::time::timeout(PATIENCE, followers.join_next()).await? {
        ensure!(seen?? == expected, "each watcher sees each of jane's writes once, in order");
    }
    enough.store(true, Ordering::SeqCst);
    while let Some(ended) = writers.join_next().await {
        ended??;
    }

    until_async("those who do not read are left", PATIENCE, || async {
        let open = open_watches(&cluster)?;
        Ok(Look::at(open == 0.0, || format!("{open} watches")))
    })
    .await?;
    for (body, _line) in deaf {
        ensure!(body.collect().await.is_err(), "what was sent breaks off: the watch did not end in good order");
    }
    let metrics = cluster.kubectl(&["get", "--raw", "/metrics"])?;
    let of_users = "priority_level=\"global-default\"";
    // On a slow machine some wait in vain; most find the queue full.
    let refused = sum(&metrics, "apiserver_flowcontrol_rejected_requests_total", &[of_users]);
    assert_eq!(refused, told.refused.load(Ordering::SeqCst) as f64);
    for gauge in ["apiserver_flowcontrol_current_inqueue_requests", "apiserver_flowcontrol_current_executing_seats"] {
        assert_eq!(sum(&metrics, gauge, &[of_users]), 0.0, "{gauge}");
    }
    let exempt = sum(&metrics, "apiserver_flowcontrol_rejected_requests_total", &["priority_level=\"exempt\""]);
    assert_eq!(exempt, 0.0, "administrators were served");
    let most = most_memory(pid)?;
    times.sort();
    let summary = BTreeMap::from([
        ("written by the flood while jane wrote", done.to_string()),
        ("refused", refused.to_string()),
        ("jane's median, ms", times[times.len() / 2].as_millis().to_string()),
        ("jane's slowest, ms", times.last().map_or(0, |time| time.as_millis()).to_string()),
        ("MiB before, at most", format!("{before}, {most}")),
    ]);
    println!("{summary:#?}");
    ensure!(most < scale.bound, "{most} MiB");
    Ok(())
}
