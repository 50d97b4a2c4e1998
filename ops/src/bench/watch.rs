//! Watches: one connection writes, the others read the events, and the time between the two is measured.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::load::Limits;
use super::report::{Measured, Samples};
use super::target::{Connection, succeeded};
use super::{Place, config_map, fixed_name};
use crate::cli::Operation;

/// How long watchers may take after the last write.
const GRACE: Duration = Duration::from_secs(5);
/// No event of ours is longer.
const LONGEST: usize = 1 << 20;

/// What the writer tells the watchers.
struct Writes {
    /// When each write was sent, by its number from 1.
    sent: Vec<OnceLock<Instant>>,
    /// How many writes there are in all; `u64::MAX` while it goes on.
    last: AtomicU64,
}

/// Measures watching: a sample is one event at one watcher.
///
/// # Errors
/// If a watch breaks, or misses an event.
pub(super) async fn measure(place: &Place<'_>, connections: u16, limits: Limits) -> Result<Measured> {
    let mut writer = place.target.connect().await?;
    let list = writer.get(&format!("{}?limit=1", place.config_maps())).await?;
    let from = list
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .context("a list without a resourceVersion")?;
    let path = format!("{}?watch=1&resourceVersion={from}&timeoutSeconds=7200", place.config_maps());
    let size = usize::try_from(limits.count)?.saturating_add(1);
    let writes = Arc::new(Writes {
        sent: std::iter::repeat_with(OnceLock::new).take(size).collect(),
        last: AtomicU64::new(u64::MAX),
    });
    let mut watchers = JoinSet::new();
    for _ in 0..connections {
        let mut connection = place.target.connect().await?;
        let answer = connection.begin(Method::GET, &path, None).await?;
        let status = answer.status();
        if !status.is_success() {
            let said = answer.into_body().collect().await?.to_bytes();
            bail!("a watch was refused: {} {}", status.as_u16(), String::from_utf8_lossy(&said));
        }
        watchers.spawn(read(connection, answer.into_body(), writes.clone()));
    }
    let begin = Instant::now();
    let number = write(place, &mut writer, &writes, begin + limits.time).await?;
    let mut samples = Samples::default();
    let all = async {
        while let Some(done) = watchers.join_next().await {
            samples.add(done.context("a watcher's task ended")??);
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(GRACE, all).await {
        Ok(done) => done?,
        Err(_) => bail!("not all watchers had all {number} events {} seconds after the last write", GRACE.as_secs()),
    }
    Ok(samples.measured(Operation::Watch, connections, begin.elapsed()))
}

/// Writes one object again and again; says how often.
async fn write(place: &Place<'_>, connection: &mut Connection, writes: &Writes, end: Instant) -> Result<u64> {
    let path = place.fixed(0);
    let mut number = 0;
    for slot in writes.sent.iter().skip(1) {
        if Instant::now() >= end {
            break;
        }
        number += 1;
        let body = serde_json::to_vec(&config_map(&fixed_name(0), number))?;
        let _ = slot.set(Instant::now());
        let (status, answer) = connection.request(Method::PUT, &path, Some(body.into())).await?;
        succeeded(status, &answer)?;
    }
    // One more write, of the number that means the end, so that watchers that have everything notice.
    writes.last.store(number, Ordering::Release);
    let body = serde_json::to_vec(&config_map(&fixed_name(0), u64::MAX))?;
    let (status, answer) = connection.request(Method::PUT, &path, Some(body.into())).await?;
    succeeded(status, &answer)?;
    Ok(number)
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    message: Option<String>,
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
struct Data {
    note: Option<String>,
}

/// Reads events until the end is seen; each must come, in order.
async fn read(_connection: Connection, mut body: Incoming, writes: Arc<Writes>) -> Result<Samples> {
    let mut samples = Samples::default();
    let (mut rest, mut expected) = (BytesMut::new(), 1);
    loop {
        let Some(frame) = body.frame().await else { bail!("a watch ended early") };
        let Ok(chunk) = frame?.into_data() else { continue };
        let arrived = Instant::now();
        rest.extend_from_slice(&chunk);
        while let Some(line) = take_line(&mut rest) {
            let line: Line = serde_json::from_slice(&line)?;
            if line.kind == "ERROR" {
                bail!("a watch ended: {}", line.object.message.unwrap_or_default());
            }
            let Some(number) = line.object.data.note.and_then(|note| note.parse::<u64>().ok()) else { continue };
            if number == u64::MAX {
                let last = writes.last.load(Ordering::Acquire);
                anyhow::ensure!(expected == last + 1, "a watch gave {} of {last} events", expected - 1);
                return Ok(samples);
            }
            anyhow::ensure!(number == expected, "a watch gave event {number} where {expected} was due");
            expected += 1;
            let sent = usize::try_from(number).ok().and_then(|n| writes.sent.get(n)?.get());
            samples.took(sent.map_or(Duration::ZERO, |sent| arrived.saturating_duration_since(*sent)));
        }
        anyhow::ensure!(rest.len() < LONGEST, "a watch gave a line without an end");
    }
}

fn take_line(rest: &mut BytesMut) -> Option<Bytes> {
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    Some(rest.split_to(end + 1).freeze())
}
