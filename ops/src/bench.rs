//! `cox bench`: what a cluster's API carries, measured from outside with the standard API only, so that any Kubernetes can be compared.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hyper::{Method, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{Bench, Operation};
use crate::output;

mod crowd;
mod growth;
mod hollow;
mod load;
mod memory;
mod pods;
mod printer;
mod report;
mod schedule;
mod target;
mod watch;

use printer::Printer;
use report::{Measured, NodeMemory};
use target::{Connection, Target, succeeded};

/// How long the removal of the namespace is waited for (it may hold tens of thousands of pods), and a millisecond for each object that it was
/// filled with.
const REMOVAL: Duration = Duration::from_secs(300);
/// How many objects are made at a time.
const MAKERS: usize = 16;

/// Measures and prints.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Bench) -> Result<()> {
    let file = options.kubeconfig.clone().unwrap_or_else(|| options.data_dir.join("admin.kubeconfig"));
    let target = Target::from_kubeconfig(&file).await?;
    let mut own = target.connect().await?;
    let version: Value = own.get("/version").await.context("asking for the version")?;
    let version = version.get("gitVersion").and_then(Value::as_str).unwrap_or("unknown").to_owned();

    let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}")?);
    progress.enable_steady_tick(Duration::from_millis(100));
    let namespace = format!("cox-bench-{:08x}", rand::random::<u32>());
    let place = Place { target: &target, namespace, data_dir: memory::data_dir(&options, &file) };
    let colours = output::colours(&std::io::stdout());
    let printer =
        Printer { server: target.server(), version: &version, json: options.json, colours, progress: &progress };
    let outcome = interruptible(measure(&options, &place, &mut own, &printer)).await;
    if options.keep {
        return outcome;
    }
    // Also after a failure: what was made is removed.
    let many = options.objects.iter().copied().max().unwrap_or(0);
    let removal = remove(&place, &progress, REMOVAL + Duration::from_millis(many));
    let removed = interruptible(removal).await.with_context(|| {
        format!("removing what was made, the namespaces {} and {}", place.namespace, place.for_lists().namespace)
    });
    progress.finish_and_clear();
    outcome.and(removed)
}

async fn interruptible(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

/// Where is measured: a namespace, and another for lists, whose name is longer.
struct Place<'a> {
    target: &'a Target,
    namespace: String,
    /// The cluster's data directory, if that is on this machine.
    data_dir: Option<PathBuf>,
}

impl<'a> Place<'a> {
    fn for_lists(&self) -> Place<'a> {
        Place { namespace: format!("{}-lists", self.namespace), data_dir: self.data_dir.clone(), ..*self }
    }

    fn config_maps(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    fn fixed(&self, index: u16) -> String {
        format!("{}/{}", self.config_maps(), fixed_name(index))
    }
}

fn namespace_object(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// The name of an object that is there throughout.
fn fixed_name(index: u16) -> String {
    format!("fixed-{index:04}")
}

/// A ConfigMap of about 1 kB; `note` tells one write from the next.
fn config_map(name: &str, note: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"note": note.to_string(), "text": "x".repeat(800)},
    })
}

async fn measure(options: &Bench, place: &Place<'_>, own: &mut Connection, printer: &Printer<'_>) -> Result<()> {
    let progress = printer.progress;
    progress.set_message("preparing objects");
    let only_crowds = options.operations.iter().all(|operation| crowd::is_one(*operation));
    let most = options.connections.iter().copied().max().unwrap_or(1);
    prepare(place, own, if only_crowds { 0 } else { most }).await?;
    if options.operations.contains(&Operation::List) {
        prepare(&place.for_lists(), own, options.listed).await?;
    }
    if !options.objects.is_empty() {
        return growth::measure(options, place, printer).await;
    }
    let (results, node) = operations(options, place, progress, "made").await?;
    printer.report(&results, node.as_ref())?;
    results.iter().find_map(Measured::missing).map_or(Ok(()), |missing| bail!(missing))
}

/// Takes the figures of each operation, and the memory of a node that ran pods. The names of objects that it makes begin with `made`.
async fn operations(
    options: &Bench,
    place: &Place<'_>,
    progress: &ProgressBar,
    made: &str,
) -> Result<(Vec<Measured>, Option<NodeMemory>)> {
    let (mut results, mut node) = (Vec::new(), None);
    for operation in &options.operations {
        if crowd::is_one(*operation) {
            results.push(crowd::measure(*operation, options, place, progress).await?);
            continue;
        }
        if *operation == Operation::Pods {
            progress.set_message("pods");
            let (measured, memory) = pods::measure(place, options).await?;
            results.extend(measured);
            node = memory;
            continue;
        }
        for connections in &options.connections {
            progress.set_message(format!("{operation}, {connections} connections"));
            let limits = load::Limits { time: options.time, count: options.count };
            let mut measured = match operation {
                Operation::Watch => watch::measure(place, options.watchers, *connections, limits).await?,
                Operation::List => load::measure(&place.for_lists(), *operation, *connections, limits, made).await?,
                operation => load::measure(place, *operation, *connections, limits, made).await?,
            };
            if let Some(dir) = &place.data_dir {
                measured.facts.extend(memory::of_cluster(dir)?);
            }
            results.push(measured);
        }
    }
    Ok((results, node))
}

/// Makes a namespace and so many objects.
async fn prepare(place: &Place<'_>, own: &mut Connection, count: u16) -> Result<()> {
    let made = own.send(Method::POST, "/api/v1/namespaces", &namespace_object(&place.namespace)).await;
    made.context("making a namespace")?;
    let numbers = (0..count).collect::<Vec<u16>>();
    let makers = numbers.chunks(numbers.len().div_ceil(MAKERS).max(1)).map(async |numbers| {
        let mut connection = place.target.connect().await?;
        for index in numbers {
            let object = config_map(&fixed_name(*index), 0);
            connection.send(Method::POST, &place.config_maps(), &object).await.context("preparing objects")?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(makers).await.map(drop)
}

/// Removes the namespaces and waits until they are gone.
async fn remove(place: &Place<'_>, progress: &ProgressBar, patience: Duration) -> Result<()> {
    for namespace in [place.for_lists().namespace, place.namespace.clone()] {
        let path = format!("/api/v1/namespaces/{namespace}");
        progress.set_message(format!("removing namespace {namespace}"));
        let gone = async {
            // A connection of its own: the others may be in the middle of something.
            let mut own = place.target.connect().await?;
            let (status, answer) = own.request(Method::DELETE, &path, None).await?;
            if status == StatusCode::NOT_FOUND {
                return Ok(());
            }
            succeeded(status, &answer)?;
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                let (status, _) = own.request(Method::GET, &path, None).await?;
                if status == StatusCode::NOT_FOUND {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            bail!("still there after {} seconds", patience.as_secs())
        };
        gone.await.with_context(|| format!("namespace {namespace}; see `kubectl get ns`"))?;
    }
    Ok(())
}
