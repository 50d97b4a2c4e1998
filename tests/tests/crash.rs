//! `cox` is killed with SIGKILL during writes, again and again: nothing acknowledged is lost, and no transaction is there by half.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cox_tests::ledger::{Ledger, State};
use cox_tests::wait::{Look, until_async};
use cox_tests::{Cluster, log};
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::IPAddress;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

const ROUNDS: u64 = 12;
const WRITERS: usize = 6;
/// How long the writers of a round may take to get as far as they shall.
const PATIENCE: Duration = Duration::from_secs(30);

/// One client that writes its own objects, one after the other.
struct Writer {
    name: String,
    book: Arc<Mutex<Ledger>>,
    acknowledged: Arc<AtomicU64>,
    /// The highest revision that it was told.
    newest: Arc<AtomicU64>,
}

impl Writer {
    /// Writes until the first error. Of that write nobody knows whether it is done.
    async fn run(&self, client: Client, round: u64) -> kube::Error {
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let services: Api<Service> = Api::default_namespaced(client);
        let mut number = 0;
        loop {
            let name = format!("{}-{round}-{number}", self.name);
            let outcome = match number % 4 {
                3 => self.service(&services, &name).await,
                kind => self.map(&maps, &name, kind).await,
            };
            if let Err(error) = outcome {
                return error;
            }
            number += 1;
        }
    }

    async fn map(&self, maps: &Api<ConfigMap>, name: &str, kind: u64) -> kube::Result<()> {
        let map: ConfigMap = object(json!({"metadata": {"name": name}, "data": {"value": "0"}}))?;
        self.told(name, State::Holds(0), maps.create(&PostParams::default(), &map)).await?;
        if kind > 0 {
            let patch = Patch::Merge(json!({"data": {"value": "7"}}));
            self.told(name, State::Holds(7), maps.patch(name, &PatchParams::default(), &patch)).await?;
        }
        if kind > 1 {
            self.ask(name, State::Absent);
            maps.delete(name, &DeleteParams::default()).await?;
            self.done(name);
        }
        Ok(())
    }

    async fn service(&self, services: &Api<Service>, name: &str) -> kube::Result<()> {
        let service: Service =
            object(json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}))?;
        self.told(name, State::Holds(0), services.create(&PostParams::default(), &service)).await?;
        if name.ends_with('7') {
            self.ask(name, State::Absent);
            services.delete(name, &DeleteParams::default()).await?;
            self.done(name);
        }
        Ok(())
    }

    async fn told<K: ResourceExt>(
        &self,
        name: &str,
        state: State,
        write: impl Future<Output = kube::Result<K>>,
    ) -> kube::Result<()> {
        self.ask(name, state);
        let object = write.await?;
        self.done(name);
        let revision = object.resource_version().and_then(|v| v.parse().ok()).unwrap_or(0);
        self.newest.fetch_max(revision, Ordering::SeqCst);
        Ok(())
    }

    fn ask(&self, name: &str, state: State) {
        open(&self.book).ask(name, state);
    }

    fn done(&self, name: &str) {
        open(&self.book).acknowledge(name);
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

fn object<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> kube::Result<K> {
    serde_json::from_value(value).map_err(kube::Error::SerdeError)
}

fn open(book: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() -> Result<()> {
    let mut cluster = Cluster::without_node(&[])?;
    let book = Arc::new(Mutex::new(Ledger::default()));
    let acknowledged = Arc::new(AtomicU64::new(0));
    let newest = Arc::new(AtomicU64::new(0));
    let mut read_to = 0;
    for round in 0..ROUNDS {
        let client = cluster.client().await?;
        let writers = (0..WRITERS).map(|n| {
            let (book, acknowledged, newest) = (book.clone(), acknowledged.clone(), newest.clone());
            let writer = Writer { name: format!("w{n}"), book, acknowledged, newest };
            let client = client.clone();
            tokio::spawn(async move { writer.run(client, round).await })
        });
        let writers: Vec<_> = writers.collect();
        // Each round dies at another moment: in the middle of the first writes, or of the many-hundredth.
        let goal = acknowledged.load(Ordering::SeqCst) + 3 + round * 40;
        until_async("enough is written", PATIENCE, || async {
            let count = acknowledged.load(Ordering::SeqCst);
            ensure!(!writers.iter().any(|w| w.is_finished()), "a writer failed before the kill");
            Ok(Look::at(count >= goal, || format!("{count} of {goal}")))
        })
        .await?;
        cluster.kill()?;
        for writer in writers {
            let error = writer.await?;
            let refused = matches!(&error, kube::Error::Api(status) if status.code < 500);
            ensure!(!refused, "a write was refused: {error}");
        }
        cluster.up()?;
        read_to = verify(&cluster, &book, newest.load(Ordering::SeqCst), read_to)
            .await
            .with_context(|| format!("after kill {round}"))?;
    }
    let count = acknowledged.load(Ordering::SeqCst);
    println!("{count} acknowledged writes of {} objects survived {ROUNDS} kills", open(&book).len());
    Ok(())
}

/// Compares what is there with what was acknowledged, and checks the log's invariants from revision `read_to`; gives the head.
async fn verify(cluster: &Cluster, book: &Mutex<Ledger>, newest: u64, read_to: u64) -> Result<u64> {
    let client = cluster.client().await?;
    let maps = Api::<ConfigMap>::default_namespaced(client.clone()).list(&ListParams::default()).await?;
    let services = Api::<Service>::default_namespaced(client.clone()).list(&ListParams::default()).await?;
    let head: u64 = services.metadata.resource_version.context("a list without a revision")?.parse()?;
    ensure!(head >= newest, "the head {head} is before revision {newest}, which was acknowledged");
    let value = |map: &ConfigMap| map.data.as_ref()?.get("value")?.parse::<u64>().ok();
    let mut found: BTreeMap<String, u64> =
        maps.items.iter().filter_map(|map| Some((map.name_any(), value(map)?))).collect();
    let ours = |service: &&Service| service.name_any().starts_with('w');
    found.extend(services.items.iter().filter(ours).map(|service| (service.name_any(), 0)));
    open(book).settle(&found)?;

    // Every Service has its address, and every address its Service.
    let addresses = Api::<IPAddress>::all(client).list(&ListParams::default()).await?;
    let taken: BTreeSet<(String, String)> = addresses
        .items
        .iter()
        .map(|a| (a.spec.parent_ref.name.clone(), a.name_any()))
        .filter(|(service, _)| service.starts_with('w'))
        .collect();
    let given: BTreeSet<(String, String)> = services
        .items
        .iter()
        .filter(ours)
        .map(|s| (s.name_any(), s.spec.as_ref().and_then(|s| s.cluster_ip.clone()).unwrap_or_default()))
        .collect();
    ensure!(taken == given, "half a transaction: {:?}", taken.symmetric_difference(&given).collect::<Vec<_>>());
    let ports: Vec<i32> = services
        .items
        .iter()
        .filter(ours)
        .filter_map(|s| s.spec.as_ref()?.ports.as_ref()?.first()?.node_port)
        .collect();
    ensure!(ports.len() == given.len(), "a Service has no node port");
    ensure!(ports.iter().collect::<BTreeSet<_>>().len() == ports.len(), "a node port is given twice");

    let events = log::read(cluster, read_to + 1).await?;
    let last = events.last().map_or(read_to, cox_objects::Event::revision);
    ensure!(last >= newest, "the log ends at {last}, before revision {newest}, which was acknowledged");
    Ok(last)
}
