//! Requests as fast as they are answered, over a number of connections, until a time or a count is reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Method;
use tokio::task::JoinSet;

use super::report::{Measured, Samples};
use super::target::{Connection, succeeded};
use super::{Place, config_map, fixed_name};
use crate::cli::Operation;

/// A connection gives up after so many failures in a row.
const GIVE_UP: u32 = 10;

/// When a measurement ends.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) time: Duration,
    pub(super) count: u64,
}

/// What one connection asks for again and again.
struct Asker {
    operation: Operation,
    connections: u16,
    index: u16,
    collection: String,
    fixed: String,
    /// What the names of objects that it makes begin with.
    made: String,
}

impl Asker {
    fn next(&self, number: u64) -> Result<(Method, String, Option<Bytes>)> {
        let object =
            |name: &str| Ok::<_, serde_json::Error>(Some(serde_json::to_vec(&config_map(name, number))?.into()));
        Ok(match self.operation {
            Operation::Create => {
                let name = format!("{}-{}-{number}", self.made, self.connections);
                (Method::POST, self.collection.clone(), object(&name)?)
            }
            Operation::Get => (Method::GET, self.fixed.clone(), None),
            Operation::Update => (Method::PUT, self.fixed.clone(), object(&fixed_name(self.index))?),
            // The others are measured in ways of their own.
            _ => (Method::GET, self.collection.clone(), None),
        })
    }
}

/// Measures an operation.
///
/// # Errors
/// If a connection cannot be made.
pub(super) async fn measure(
    place: &Place<'_>,
    operation: Operation,
    connections: u16,
    limits: Limits,
    made: &str,
) -> Result<Measured> {
    let mut askers = Vec::new();
    for index in 0..connections {
        let fixed = place.fixed(if operation == Operation::Update { index } else { 0 });
        let asker =
            Asker { operation, connections, index, collection: place.config_maps(), fixed, made: made.to_owned() };
        askers.push((asker, place.target.connect().await?));
    }
    let numbers = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for (asker, connection) in askers {
        tasks.spawn(ask(asker, connection, numbers.clone(), begin + limits.time, limits.count));
    }
    let mut samples = Samples::default();
    while let Some(done) = tasks.join_next().await {
        samples.add(done.context("a connection's task ended")??);
    }
    Ok(samples.measured(operation, connections, begin.elapsed()))
}

async fn ask(
    asker: Asker,
    mut connection: Connection,
    numbers: Arc<AtomicU64>,
    end: Instant,
    count: u64,
) -> Result<Samples> {
    let mut samples = Samples::default();
    let mut failures = 0;
    while failures < GIVE_UP && Instant::now() < end {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            break;
        }
        let (method, path, body) = asker.next(number)?;
        let sent = Instant::now();
        let (status, answer) = connection.request(method, &path, body).await?;
        match succeeded(status, &answer) {
            Ok(()) => {
                failures = 0;
                samples.took(sent.elapsed());
            }
            Err(error) => {
                failures += 1;
                samples.failed(error.to_string());
            }
        }
    }
    Ok(samples)
}
