//! Each actor of a running cluster panics: only it starts again, and the cluster goes on. A key that panics is left alone, and told of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cox_bus::{Bus, Connect, Identity};
use cox_objects::{Key, Resource};
use cox_tests::wait::{Look, until_async};
use cox_tests::{Cluster, Node, image, log, process};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(40);
/// What a panic on demand says.
const TOLD: &str = "told to panic by a test";

/// An actor: its component, and its path there.
type Place = (String, String);

/// The operator's connection, and the components that answer on it.
struct Operator {
    bus: Bus,
    components: Vec<Identity>,
}

impl Operator {
    async fn connect(cluster: &Cluster) -> Result<Operator> {
        let bus = Bus::connect(Connect::from_file(&cluster.credentials("ops"), None)?).await?;
        let mut components = Vec::new();
        for entry in std::fs::read_dir(cluster.data().join("bus").join("creds"))? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let identity = Identity::from_token(name.trim_end_matches(".json"))?;
            let asks = [Identity::Mirror, Identity::Ops].contains(&identity);
            // Without a node nobody answers for it.
            let answers = match &identity {
                Identity::Node(_) | Identity::Proxy(_) => ask(&bus, &identity, "tree", &Value::Null, 1).await.is_ok(),
                _ => true,
            };
            if !asks && answers {
                components.push(identity);
            }
        }
        Ok(Operator { bus, components })
    }

    /// All actors.
    async fn tree(&self) -> Result<BTreeMap<Place, Value>> {
        let mut all = BTreeMap::new();
        for identity in &self.components {
            // One whose own answering actor is just told to panic answers a moment later.
            let told = until_async("a component answers", PATIENCE, || async {
                Ok(match ask(&self.bus, identity, "tree", &Value::Null, 2).await {
                    Ok(told) => Look::Done(told),
                    Err(error) => Look::NotYet(format!("{identity}: {error}")),
                })
            })
            .await?;
            let tree = told.get("tree").and_then(Value::as_object).context("no tree")?;
            all.extend(tree.iter().map(|(path, node)| ((identity.to_string(), path.clone()), node.clone())));
        }
        Ok(all)
    }

    async fn wish(&self, component: &str, wish: &Value) -> Result<()> {
        let identity = component.parse()?;
        until_async("the wish is heard", PATIENCE, || async {
            Ok(match ask(&self.bus, &identity, "panic", wish, 2).await {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(error.to_string()),
            })
        })
        .await
    }
}

async fn ask(bus: &Bus, identity: &Identity, what: &str, question: &Value, seconds: u64) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    Ok(bus.request_json(&bus.subjects().ctl(identity, what), question, deadline).await?)
}

fn number(node: &Value, name: &str) -> u64 {
    node.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn runs(node: &Value) -> bool {
    node.get("state") == Some(&"running".into())
}

/// What a watch that is opened again whenever it breaks has delivered: the revision of each change.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(u64, String)>>>);

impl Seen {
    fn open(&self) -> MutexGuard<'_, Vec<(u64, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(self, client: Client, mut from: String) -> Result<()> {
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        let mut refused = 0;
        loop {
            // A gateway whose server starts again breaks connections; from where it was, everything is still to be had.
            let Ok(events) = maps.watch(&WatchParams::default().timeout(290), &from).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let mut events = Box::pin(events);
            while let Some(event) = events.next().await {
                let map = match event {
                    Ok(WatchEvent::Added(map) | WatchEvent::Modified(map) | WatchEvent::Deleted(map)) => map,
                    Ok(WatchEvent::Bookmark(_)) => continue,
                    // A mirror that starts anew ends watches so; what it does not remember is joined from the log.
                    Ok(WatchEvent::Error(status)) if status.code == 410 && refused < 50 => {
                        refused += 1;
                        break;
                    }
                    Ok(WatchEvent::Error(status)) => bail!("the watch is refused: {status:?}"),
                    Err(_) => break,
                };
                refused = 0;
                from = map.resource_version().context("no resourceVersion")?;
                self.open().push((from.parse()?, map.name_any()));
            }
        }
    }
}

/// A write, repeated while no connection stands, that must be seen by the watch.
async fn still_works(maps: &Api<ConfigMap>, seen: &Seen, name: &str) -> Result<()> {
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    until_async("a write is answered", PATIENCE, || async {
        Ok(match maps.create(&PostParams::default(), &map).await {
            Ok(_) => Look::Done(()),
            Err(kube::Error::Api(status)) if status.code == 409 => Look::Done(()),
            Err(error) => Look::NotYet(error.to_string()),
        })
    })
    .await?;
    until_async("the watch sees the write", PATIENCE, || async {
        let count = seen.open().iter().filter(|(_, other)| other == name).count();
        ensure!(count < 2, "the watch saw {name} {count} times");
        Ok(Look::at(count == 1, || name.to_owned()))
    })
    .await
}

/// Waits until an actor that was told to panic is back, and checks that of all others none has started again but those below it.
async fn only_it_is_back(operator: &Operator, place: &Place, before: &BTreeMap<Place, Value>) -> Result<()> {
    let (component, path) = place;
    let is_task = before.get(place).is_some_and(|node| node.get("task") == Some(&true.into()));
    let fails = match path.rsplit_once('/') {
        Some((above, _)) if is_task => above,
        _ => path,
    };
    let restarts = |tree: &BTreeMap<Place, Value>| {
        tree.get(&(component.clone(), fails.to_owned())).map_or(0, |node| number(node, "restarts"))
    };
    let after = until_async(&format!("{component} {path} is back"), PATIENCE, || async {
        let tree = operator.tree().await?;
        let back = restarts(&tree) > restarts(before) && tree.values().all(runs) && tree.contains_key(place);
        let ill: Vec<_> = tree.iter().filter(|(_, node)| !runs(node)).collect();
        Ok(if back { Look::Done(tree) } else { Look::NotYet(format!("{} restarts; {ill:?}", restarts(&tree))) })
    })
    .await?;
    ensure!(restarts(&after) == restarts(before) + 1, "{path} started again more than once");
    for (other, node) in before {
        let below = other.0 == *component && (other.1 == *fails || other.1.starts_with(&format!("{fails}/")));
        let Some(now) = after.get(other) else {
            // What an actor does at the moment comes and goes.
            ensure!(below || node.get("task").is_some(), "{other:?} is gone after a panic of {place:?}");
            continue;
        };
        let same = number(node, "since") == number(now, "since") && number(node, "restarts") == number(now, "restarts");
        ensure!(
            below || same || node.get("task").is_some(),
            "{other:?} started again after a panic of {place:?}: {now}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_actor_that_panics_starts_again() -> Result<()> {
    let cluster = Cluster::with_node(Node { slot: 105 }, &[])?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "steady"},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "client", "image": image::NAME,
            "readinessProbe": {"exec": {"command": ["sh", "-c", "exit 0"]}, "periodSeconds": 1}}]}});
    cluster.kubectl_with(&["apply", "-f", "-"], &pod.to_string())?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/steady", "--timeout=40s"])?;
    let container = "jsonpath={.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}";
    let running = cluster.kubectl(&["get", "pod", "steady", "-o", container])?;

    let client = cluster.client().await?;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let start = maps.list(&ListParams::default()).await?.metadata.resource_version.context("no revision")?;
    let seen = Seen::default();
    let watching = tokio::spawn(seen.clone().follow(client, start.clone()));
    let operator = Operator::connect(&cluster).await?;

    // By a walk, again and again: what the tree grows is tried, too.
    let mut tried: BTreeSet<Place> = BTreeSet::new();
    loop {
        let earlier = operator.tree().await?;
        let next = |place: &&Place| !tried.contains(*place);
        let Some(place) = earlier.keys().find(next).cloned() else { break };
        let before = operator.tree().await?;
        // What an actor does only for a moment is gone before it could be told.
        let steady = |tree: &BTreeMap<Place, Value>| tree.get(&place).map(|node| number(node, "since"));
        if steady(&before) == steady(&earlier) {
            operator.wish(&place.0, &json!({"path": place.1})).await?;
            only_it_is_back(&operator, &place, &before).await?;
            let works = still_works(&maps, &seen, &format!("step-{}", tried.len())).await;
            works.with_context(|| format!("after a panic of {place:?}: {}", cluster.last_messages()))?;
        }
        tried.insert(place);
    }
    for expected in [
        "apiserver/requests",
        "apiserver/publisher",
        "gateway/server",
        "gateway/mirror/follower",
        "kubelet/pods/default.steady",
    ] {
        ensure!(tried.iter().any(|(_, path)| path == expected), "{expected} is not among {tried:?}");
    }
    println!("{} actors panicked", tried.len());

    assert_eq!(cluster.kubectl(&["get", "pod", "steady", "-o", container])?, running, "its container runs on");
    let status = cluster.cox(&["status"])?;
    assert!(status.contains("restarted 1×") && status.contains(TOLD), "{status}");
    let written: Vec<(u64, String)> = log::read(&cluster, start.parse::<u64>()? + 1)
        .await?
        .into_iter()
        .filter(|event| event.key.resource.plural() == "configmaps" && event.key.namespace() == "default")
        .map(|event| (event.revision(), event.key.name().to_owned()))
        .collect();
    assert_eq!(*seen.open(), written, "what the watch saw is what the log holds");
    watching.abort();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_panics_is_left_alone_and_told_of_until_it_changes() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let operator = Operator::connect(&cluster).await?;
    let path = "controllers/deployment-controller/deployment-controller";
    let key = Key::new(Resource::new("apps", "deployments"), "default", "bad").to_string();
    operator.wish("controllers", &json!({"path": path, "key": [key, true]})).await?;
    for name in ["bad", "good"] {
        cluster.kubectl(&["create", "deployment", name, "--image=none", "--replicas=0"])?;
    }
    until_async("the other key is worked on", PATIENCE, || async {
        let sets = cluster.kubectl(&["get", "replicasets", "-o", "name"])?;
        ensure!(!sets.contains("/bad-"), "{sets}");
        Ok(Look::at(sets.contains("/good-"), || sets))
    })
    .await?;

    until_async("the status tells of the key", PATIENCE, || async {
        let said = cluster.cox(&["status"]).err().map(|error| error.to_string()).unwrap_or_default();
        let tree = format!("parked: {key}");
        let line = format!("not well: {path} panics over {key} and leaves it alone");
        Ok(Look::at(said.contains(&tree) && said.contains(&line), || said))
    })
    .await?;
    until_async("an Event tells of the key", PATIENCE, || async {
        let query =
            "jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {.type} {.message}{\"\\n\"}{end}";
        let events = cluster.kubectl(&["get", "events", "--field-selector=reason=ReconcilePanicked", "-o", query])?;
        let wanted = format!(
            "Deployment/bad Warning deployment-controller leaves this object alone until it changes: panicked: {TOLD}\n"
        );
        ensure!(events.is_empty() || events == wanted, "{events}");
        Ok(Look::at(events == wanted, || events))
    })
    .await?;
    let tree = operator.tree().await?;
    let actor = tree.get(&("controllers".to_owned(), path.to_owned())).context("no such actor")?;
    assert_eq!(number(actor, "restarts"), 0, "a key that panics leaves its actor alone: {actor}");

    // It stays parked until the object changes, and is worked on then.
    operator.wish("controllers", &json!({"path": path, "key": [key, false]})).await?;
    assert!(!cluster.kubectl(&["get", "replicasets", "-o", "name"])?.contains("/bad-"));
    cluster.kubectl(&["annotate", "deployment", "bad", "changed=yes"])?;
    until_async("the key is worked on again", PATIENCE, || async {
        let sets = cluster.kubectl(&["get", "replicasets", "-o", "name"])?;
        Ok(Look::at(sets.contains("/bad-"), || sets))
    })
    .await?;
    let status = cluster.cox(&["status"])?;
    assert!(!status.contains("parked"), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_over_which_the_scheduler_panics_is_left_alone_and_told_of_until_it_changes() -> Result<()> {
    let cluster = Cluster::without_node(&[])?;
    let operator = Operator::connect(&cluster).await?;
    let path = "scheduler/scheduler";
    let key = Key::new(Resource::PODS, "default", "bad").to_string();
    operator.wish("scheduler", &json!({"path": path, "key": [key, true]})).await?;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}});
    cluster.kubectl_with(&["create", "-f", "-"], &node.to_string())?;
    let pod = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"tolerations": [{"operator": "Exists"}], "containers": [{"name": "c", "image": "none"}]}})
    };
    for name in ["bad", "good"] {
        cluster.kubectl_with(&["create", "-f", "-"], &pod(name).to_string())?;
    }
    let node_of = |name: &str| cluster.kubectl(&["get", "pod", name, "-o", "jsonpath={.spec.nodeName}"]);
    let bound = async |name: &str| {
        until_async("the pod has a node", PATIENCE, || async {
            let node = node_of(name)?;
            Ok(Look::at(node == "n1", || node))
        })
        .await
    };
    bound("good").await?;

    until_async("the status tells of the pod", PATIENCE, || async {
        let said = cluster.cox(&["status"]).err().map(|error| error.to_string()).unwrap_or_default();
        let line = format!("not well: {path} panics over {key} and leaves it alone");
        Ok(Look::at(said.contains(&format!("parked: {key}")) && said.contains(&line), || said))
    })
    .await?;
    until_async("an Event tells of the pod", PATIENCE, || async {
        let query = "jsonpath={range .items[*]}{.involvedObject.name} {.type} {.message}{\"\\n\"}{end}";
        let events = cluster.kubectl(&["get", "events", "--field-selector=reason=ReconcilePanicked", "-o", query])?;
        let said = format!("default-scheduler leaves this object alone until it changes: panicked: {TOLD}");
        ensure!(events.is_empty() || events == format!("bad Warning {said}\n"), "{events}");
        Ok(Look::at(!events.is_empty(), || events))
    })
    .await?;
    let tree = operator.tree().await?;
    let actor = tree.get(&("scheduler".to_owned(), path.to_owned())).context("no such actor")?;
    assert_eq!(number(actor, "restarts"), 0, "a pod that panics leaves the scheduler alone: {actor}");

    // Others are scheduled while it is left alone; it is as soon as it changes.
    operator.wish("scheduler", &json!({"path": path, "key": [key, false]})).await?;
    cluster.kubectl_with(&["create", "-f", "-"], &pod("later").to_string())?;
    bound("later").await?;
    assert_eq!(node_of("bad")?, "");
    cluster.kubectl(&["label", "pod", "bad", "changed=yes"])?;
    bound("bad").await?;
    let status = cluster.cox(&["status"])?;
    assert!(!status.contains("parked"), "{status}");
    Ok(())
}

/// Faults on demand are for tests: they hang on debug assertions, which the release profile does not have.
#[test]
fn releases_have_no_faults_on_demand() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    assert!(!manifest.contains("debug-assertions"), "a profile sets debug assertions by itself");
    let has = |program: &Path| -> Result<bool> {
        let bytes = std::fs::read(program)?;
        Ok(bytes.windows(TOLD.len()).any(|window| window == TOLD.as_bytes()))
    };
    let built = process::binary()?;
    let release = built.ancestors().nth(2).map(|target| target.join("release").join("cox")).unwrap_or_default();
    if std::env::var_os("COX_BIN").is_none() {
        assert!(has(&built)?, "{} does not panic on demand, so that nothing is tested", built.display());
    }
    if release.exists() {
        assert!(!has(&release)?, "{} panics on demand", release.display());
    }
    let source = std::fs::read_to_string(root.join("actors/kit/src/supervise/fault.rs"))?;
    let (with, without) = source.split_once("#[cfg(not(debug_assertions))]").context("no build without faults")?;
    assert!(
        with.contains("#[cfg(debug_assertions)]\nmod imp") && with.contains("panic!") && !without.contains("panic")
    );
    Ok(())
}
