//! Watches: writers write, each connection an object of its own; watchers read all events, and the time from the writer's answer to the
//! event is measured.

use std::sync::Arc;
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
const GRACE: Duration = Duration::from_secs(30);
/// No event of ours is longer.
const LONGEST: usize = 1 << 20;
/// What stands in the last write of each object.
const END: u64 = u64::MAX;

/// When each of one writer's writes was answered, in microseconds since the beginning; the first is number 1.
type Written = Vec<u32>;

/// What one watcher saw of each writer's object: when each event arrived, in microseconds since the beginning.
type Seen = Vec<Vec<u32>>;

/// Measures watching: a sample is one event at one watcher, from the answer to its writer; 0 if the event came before the answer.
///
/// # Errors
/// If a watch breaks, or gives events that were not written, out of order, or not all.
pub(super) async fn measure(place: &Place<'_>, watchers: u16, writers: u16, limits: Limits) -> Result<Measured> {
    let mut own = place.target.connect().await?;
    let list = own.get(&format!("{}?limit=1", place.config_maps())).await?;
    let from = list
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .context("a list without a resourceVersion")?;
    let path = format!("{}?watch=1&resourceVersion={from}&timeoutSeconds=7200", place.config_maps());
    let begin = Instant::now();
    let mut reading = JoinSet::new();
    for _ in 0..watchers {
        let mut connection = place.target.connect().await?;
        let answer = connection.begin(Method::GET, &path, None).await?;
        let status = answer.status();
        if !status.is_success() {
            let said = answer.into_body().collect().await?.to_bytes();
            bail!("a watch was refused: {} {}", status.as_u16(), String::from_utf8_lossy(&said));
        }
        reading.spawn(read(connection, answer.into_body(), writers, begin));
    }
    let written = Arc::new(AtomicU64::new(0));
    let mut writing = JoinSet::new();
    let since = Instant::now();
    for index in 0..writers {
        let (connection, path, written) = (place.target.connect().await?, place.fixed(index), written.clone());
        let write = write(connection, path, index, written, limits, begin);
        writing.spawn(async move { write.await.map(|written| (index, written)) });
    }
    let mut by_writer = vec![Written::new(); usize::from(writers)];
    while let Some(done) = writing.join_next().await {
        let (index, written) = done.context("a writer's task ended")??;
        if let Some(slot) = by_writer.get_mut(usize::from(index)) {
            *slot = written;
        }
    }
    let mut samples = Samples::default();
    let all = async {
        while let Some(done) = reading.join_next().await {
            compare(&by_writer, &done.context("a watcher's task ended")??, &mut samples)?;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(GRACE, all).await {
        Ok(done) => done?,
        Err(_) => bail!("not all watchers had all events {} seconds after the last write", GRACE.as_secs()),
    }
    let elapsed = since.elapsed();
    Ok(samples.measured(Operation::Watch, writers, elapsed))
}

/// Each watcher has seen each write of each writer.
fn compare(written: &[Written], seen: &Seen, samples: &mut Samples) -> Result<()> {
    for (written, seen) in written.iter().zip(seen) {
        let (wrote, saw) = (written.len(), seen.len());
        anyhow::ensure!(wrote == saw, "a watch gave {saw} events of {wrote} writes");
        for (answered, arrived) in written.iter().zip(seen) {
            samples.took(Duration::from_micros(u64::from(arrived.saturating_sub(*answered))));
        }
    }
    Ok(())
}

fn micros(begin: Instant) -> u32 {
    u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX)
}

/// Writes one object again and again, and once more with the number that means the end.
async fn write(
    mut connection: Connection,
    path: String,
    index: u16,
    all: Arc<AtomicU64>,
    limits: Limits,
    begin: Instant,
) -> Result<Written> {
    let end = Instant::now() + limits.time;
    let mut answered = Written::new();
    let mut put = async |note: u64| {
        let body = serde_json::to_vec(&config_map(&fixed_name(index), note))?;
        let (status, answer) = connection.request(Method::PUT, &path, Some(body.into())).await?;
        succeeded(status, &answer)
    };
    while Instant::now() < end && all.fetch_add(1, Ordering::Relaxed) < limits.count {
        put(answered.len() as u64 + 1).await?;
        answered.push(micros(begin));
    }
    put(END).await?;
    Ok(answered)
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct Object<'a> {
    message: Option<String>,
    #[serde(default, borrow)]
    metadata: Metadata<'a>,
    #[serde(default, borrow)]
    data: Data<'a>,
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    name: Option<&'a str>,
}

#[derive(Default, Deserialize)]
struct Data<'a> {
    note: Option<&'a str>,
}

/// Reads events until the end of each writer's object is seen; each must come, in order.
async fn read(_connection: Connection, mut body: Incoming, writers: u16, begin: Instant) -> Result<Seen> {
    let mut seen: Seen = vec![Vec::new(); usize::from(writers)];
    let mut open = writers;
    let mut rest = BytesMut::new();
    while open > 0 {
        let Some(frame) = body.frame().await else { bail!("a watch ended early") };
        let Ok(chunk) = frame?.into_data() else { continue };
        let arrived = micros(begin);
        rest.extend_from_slice(&chunk);
        while let Some(line) = take_line(&mut rest) {
            let Line { kind, object } = serde_json::from_slice(&line)?;
            if kind == "ERROR" {
                bail!("a watch ended: {}", object.message.unwrap_or_default());
            }
            let number = object.data.note.and_then(|note| note.parse::<u64>().ok());
            let writer = object.metadata.name.and_then(|name| name.strip_prefix("fixed-")?.parse::<usize>().ok());
            let Some((number, seen)) = number.zip(writer.and_then(|writer| seen.get_mut(writer))) else { continue };
            if number == END {
                open -= 1;
                continue;
            }
            let due = seen.len() as u64 + 1;
            anyhow::ensure!(number == due, "a watch gave event {number} where {due} was due");
            seen.push(arrived);
        }
        anyhow::ensure!(rest.len() < LONGEST, "a watch gave a line without an end");
    }
    Ok(seen)
}

pub(super) fn take_line(rest: &mut BytesMut) -> Option<Bytes> {
    let end = memchr::memchr(b'\n', rest)?;
    Some(rest.split_to(end + 1).freeze())
}
