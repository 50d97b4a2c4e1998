//! A node's feed: what the node holds is what concerns it, through a killed server and a restarted feed.

use cox_bus::Identity;
use cox_mirror::feed::{self, Scope};
use cox_mirror::{Limits, Mirror};
use cox_objects::{Key, Resource, Source};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, LONG, delete, key, put, within, write};

fn pod(name: &str, node: &str, secret: &str) -> cox_log::Write {
    let object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name},
        "spec": {"nodeName": node, "volumes": [{"name": "v", "secret": {"secretName": secret}}], "containers": []}});
    write(&key(Resource::PODS, name), &object)
}

fn names(mirror: &Mirror) -> Vec<String> {
    let resources = [Resource::NAMESPACES, Resource::SERVICES, Resource::SECRETS, Resource::PODS];
    let all = resources.iter().flat_map(|resource| Source::list(mirror, resource, ""));
    all.map(|(key, _)| key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_holds_what_concerns_it() {
    let cluster = Cluster::start().await;
    cluster
        .commit(vec![
            put(&Key::new(Resource::NAMESPACES, "", "default"), "0"),
            put(&key(Resource::SERVICES, "web"), "0"),
            put(&key(Resource::SECRETS, "mine"), "0"),
            put(&key(Resource::SECRETS, "other"), "0"),
            pod("elsewhere", "n2", "other"),
        ])
        .await;
    let cancel = CancellationToken::new();
    let full = Mirror::new(Limits::default());
    let (mirror_bus, feed_bus) = (cluster.bus(Identity::Mirror).await, cluster.bus(Identity::Feed).await);
    let server = tokio::spawn({
        let (full, cancel) = (full.clone(), cancel.clone());
        async move {
            let served = async { feed::serve(&full, &feed_bus, cancel.clone()).await.unwrap() };
            tokio::join!(full.follow(&mirror_bus, cancel.clone()), served);
        }
    });
    let reached = async |mirror: &Mirror| {
        mirror.wait_for(cluster.log.head(), Instant::now() + LONG).await.unwrap();
        names(mirror)
    };
    reached(&full).await;
    let node = Mirror::new(Limits::default());
    let bus = cluster.bus(Identity::Node("n1".into())).await;
    let following = tokio::spawn({
        let (node, cancel) = (node.clone(), cancel.clone());
        async move { node.follow_feed(&bus, "n1", Scope::Kubelet, cancel).await }
    });
    assert_eq!(reached(&node).await, ["services/default/web"]);
    let mut changes = node.changes(&[Resource::SECRETS, Resource::PODS]);
    cluster.commit(vec![pod("p", "n1", "mine")]).await;
    let whole = ["namespaces/default", "services/default/web", "secrets/default/mine", "pods/default/p"];
    assert_eq!(reached(&node).await, whole);
    let seen = within(changes.next()).await.unwrap();
    let seen: Vec<_> = seen.iter().map(|change| (change.key.to_string(), change.position.revision)).collect();
    assert_eq!(
        seen,
        [("secrets/default/mine".to_owned(), 6), ("pods/default/p".into(), 6)],
        "what it names comes first"
    );

    for round in 0..4 {
        cluster.commit(vec![put(&key(Resource::SECRETS, "mine"), &format!("{round}"))]).await;
        cluster.commit(vec![put(&key(Resource::SECRETS, "other"), &format!("{round}"))]).await;
        if round == 1 {
            cluster.kill();
        }
    }
    assert_eq!(reached(&node).await, whole);
    let mine = Source::get(&node, &key(Resource::SECRETS, "mine")).unwrap();
    assert_eq!(Some(mine), cluster.log.get(&key(Resource::SECRETS, "mine")).unwrap());
    cluster.commit(vec![delete(&key(Resource::PODS, "p"))]).await;
    assert_eq!(reached(&node).await, ["services/default/web"], "what nobody names any more is gone");
    cancel.cancel();
    within(following).await.unwrap();
    within(server).await.unwrap();
}
