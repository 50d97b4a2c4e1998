//! What a cluster carries as it grows: the same operations with more and more objects beside them, and what those take of memory and disk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::printer::Printer;
use super::report::Measured;
use super::target::{Connection, succeeded};
use super::{Place, config_map, operations};
use crate::cli::Bench;

/// Over how many connections objects are made.
const LOADERS: u64 = 64;
/// How many objects a page of the whole list has.
const PAGE: u64 = 500;

/// A cluster of a size.
#[derive(Debug, Serialize)]
pub(super) struct Grown {
    /// How many ConfigMaps there are, beside the few that the operations make.
    objects: u64,
    /// How many a second were made on the way there.
    loaded_per_second: f64,
    /// How long all of them take to be listed, in pages of 500.
    list_all_seconds: f64,
    /// What the server's process holds of memory, in bytes; none if it does not say.
    resident_bytes: Option<f64>,
    /// What its log takes of the disk, in bytes; none if it does not say.
    disk_bytes: Option<f64>,
    /// The operations.
    pub(super) results: Vec<Measured>,
}

/// Measures at each size, smallest first, and prints.
///
/// # Errors
/// If an object cannot be made, the connection breaks, or nobody reads what is printed.
pub(super) async fn measure(options: &Bench, place: &Place<'_>, printer: &Printer<'_>) -> Result<()> {
    let progress = printer.progress;
    let mut sizes = options.objects.clone();
    sizes.sort_unstable();
    let (mut grown, mut there) = (Vec::new(), 0);
    for objects in sizes {
        progress.set_message(format!("making {objects} objects"));
        let begun = Instant::now();
        fill(place, there, objects).await?;
        let took = begun.elapsed().as_secs_f64();
        let loaded_per_second = (objects - there) as f64 / took.max(1e-9);
        there = objects;
        // Servers close connections that were idle for minutes.
        let own = &mut place.target.connect().await?;
        progress.set_message(format!("listing {objects} objects"));
        let list_all_seconds = list_all(place, own, objects).await?.as_secs_f64();
        // Each size makes objects of its own names.
        let (results, _) = operations(options, place, progress, &format!("at{objects}")).await?;
        let figures = figures(&mut place.target.connect().await?).await.unwrap_or_default();
        let figure = |name: &str| figure(&figures, name);
        let size = Grown {
            objects,
            loaded_per_second,
            list_all_seconds,
            resident_bytes: figure("cox_process_resident_memory_bytes"),
            disk_bytes: figure("cox_log_disk_bytes"),
            results,
        };
        printer.size(&size)?;
        grown.push(size);
    }
    printer.sizes(&grown)?;
    grown.iter().flat_map(|size| &size.results).find_map(Measured::missing).map_or(Ok(()), |missing| bail!(missing))
}

async fn fill(place: &Place<'_>, from: u64, to: u64) -> Result<()> {
    let numbers = Arc::new(AtomicU64::new(from));
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..LOADERS.min(to.saturating_sub(from)) {
        let (mut connection, numbers) = (place.target.connect().await?, numbers.clone());
        let path = place.config_maps();
        tasks.spawn(async move {
            loop {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= to {
                    return Ok(());
                }
                let body = serde_json::to_vec(&config_map(&format!("grown-{number:08}"), number))?;
                let (status, answer) = connection.request(Method::POST, &path, Some(body.into())).await?;
                succeeded(status, &answer).with_context(|| format!("making object {number}"))?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a connection's task ended")??;
    }
    Ok(())
}

async fn list_all(place: &Place<'_>, own: &mut Connection, objects: u64) -> Result<Duration> {
    let begun = Instant::now();
    let (mut seen, mut token) = (0, String::new());
    loop {
        let list = own.get(&format!("{}?limit={PAGE}&continue={token}", place.config_maps())).await?;
        seen += list.pointer("/items").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        match list.pointer("/metadata/continue").and_then(Value::as_str).filter(|next| !next.is_empty()) {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    ensure!(seen >= objects, "a list of all has {seen} objects, and {objects} were made");
    Ok(begun.elapsed())
}

async fn figures(own: &mut Connection) -> Result<String> {
    let (status, text) = own.request(Method::GET, "/metrics", None).await?;
    succeeded(status, &text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The value of a metric without labels.
fn figure(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

impl fmt::Display for Grown {
    /// What is over the table of a size.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib =
            |bytes: Option<f64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.0} MiB", bytes / 1048576.0));
        let Grown { objects, loaded_per_second, list_all_seconds, .. } = self;
        let (resident, disk) = (mib(self.resident_bytes), mib(self.disk_bytes));
        write!(
            out,
            "{objects} objects: made {loaded_per_second:.0} a second, all listed in {list_all_seconds:.2} s, "
        )?;
        writeln!(out, "resident {resident}, log {disk}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_from_what_the_server_measures() {
        let text = "# HELP a x\n# TYPE a gauge\na 5\nab 7\na_b{x=\"y\"} 8\nc 1.5e9\n";
        assert_eq!((figure(text, "a"), figure(text, "ab"), figure(text, "c")), (Some(5.0), Some(7.0), Some(1.5e9)));
        assert_eq!((figure(text, "a_b"), figure(text, "d")), (None, None));
    }

    #[test]
    fn each_size_says_what_it_is() {
        let mut size = Grown {
            objects: 1000,
            loaded_per_second: 5000.4,
            list_all_seconds: 1.5,
            resident_bytes: Some(209_715_200.0),
            disk_bytes: None,
            results: Vec::new(),
        };
        let made = "1000 objects: made 5000 a second, all listed in 1.50 s, resident 200 MiB";
        assert_eq!(size.to_string(), format!("{made}, log -\n"));
        size.disk_bytes = Some(1048576.0);
        assert_eq!(size.to_string(), format!("{made}, log 1 MiB\n"));
    }
}
