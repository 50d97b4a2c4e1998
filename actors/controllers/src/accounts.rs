//! What each namespace has from the start: the ServiceAccount `default`, and the cluster's root certificate for pods.

use cox_kit::feed::Change;
use cox_kit::{Command, Decision, Reconciler, View};
use cox_objects::{Key, Resource};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use serde_json::json;

const ACCOUNT: &str = "default";
const ROOT_CA: &str = "kube-root-ca.crt";
const ROOT_CA_FILE: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
/// Part of the API: clients compare it.
const ROOT_CA_DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the \
     internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
     clusters.";

/// The namespace of a change, if it is of a namespace or of the object that each namespace has.
fn concerned(change: &Change, name: &str) -> Vec<Key> {
    if change.key.resource == Resource::NAMESPACES {
        return vec![change.key.clone()];
    }
    let ours = change.key.name() == name;
    ours.then(|| Key::new(Resource::NAMESPACES, "", change.key.namespace())).into_iter().collect()
}

/// Whether a namespace is there and takes new objects.
fn is_live(view: View<'_>, key: &Key) -> bool {
    view.at::<Namespace>(key).is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none())
}

/// Makes the account `default` in each namespace.
#[derive(Default)]
pub(crate) struct ServiceAccounts;

impl Reconciler for ServiceAccounts {
    const NAME: &'static str = "serviceaccount-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::NAMESPACES, Resource::SERVICEACCOUNTS]
    }

    fn keys(&mut self, _: View<'_>, change: &Change) -> Vec<Key> {
        concerned(change, ACCOUNT)
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        let there = view.raw(&Key::new(Resource::SERVICEACCOUNTS, key.name(), ACCOUNT)).is_some();
        if there || !is_live(view, key) {
            return Decision::none();
        }
        Decision::of(vec![Command::Create(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": key.name()},
        }))])
    }
}

/// Publishes the certificates by which pods trust the apiserver, and puts them right where they were changed.
pub(crate) struct RootCa {
    certificates: String,
}

impl RootCa {
    /// A publisher of these certificates, in PEM.
    pub(crate) fn new(certificates: String) -> Self {
        RootCa { certificates }
    }
}

impl Reconciler for RootCa {
    const NAME: &'static str = "root-ca-certificate-publisher-controller";

    fn watches(&self) -> Vec<Resource> {
        vec![Resource::NAMESPACES, Resource::CONFIGMAPS]
    }

    fn keys(&mut self, _: View<'_>, change: &Change) -> Vec<Key> {
        concerned(change, ROOT_CA)
    }

    fn reconcile(&mut self, view: View<'_>, key: &Key, _: Timestamp) -> Decision {
        if !is_live(view, key) {
            return Decision::none();
        }
        let at = Key::new(Resource::CONFIGMAPS, key.name(), ROOT_CA);
        let data = json!({ROOT_CA_FILE: self.certificates});
        let Some(stored) = view.at::<ConfigMap>(&at) else {
            return Decision::of(vec![Command::Create(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": ROOT_CA, "namespace": key.name(), "annotations": {DESCRIPTION: ROOT_CA_DESCRIPTION}},
                "data": data,
            }))]);
        };
        let described = stored.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(DESCRIPTION));
        let right = stored.data.as_ref().is_some_and(|data| {
            data.len() == 1 && data.get(ROOT_CA_FILE).is_some_and(|text| *text == self.certificates)
        });
        let Some(mut object) = view.raw(&at).map(|object| object.value()).filter(|_| !right || !described) else {
            return Decision::none();
        };
        if let Some(fields) = object.as_object_mut() {
            fields.insert("data".into(), data);
        }
        if !described {
            let mut annotations = stored.metadata.annotations.clone().unwrap_or_default();
            annotations.insert(DESCRIPTION.into(), ROOT_CA_DESCRIPTION.into());
            cox_objects::meta::set(&mut object, "metadata.annotations", json!(annotations));
        }
        Decision::of(vec![Command::Update { key: at, subresource: "", object }])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::Cluster;

    #[test]
    fn a_namespace_gets_its_account_and_keeps_it() {
        let mut cluster = Cluster::new();
        let namespace = cluster.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}));
        cluster.settle(&mut ServiceAccounts);
        let account = Key::new(Resource::SERVICEACCOUNTS, "n", "default");
        assert!(cluster.has(&account));
        cluster.remove(&account);
        assert_eq!(cluster.news(&mut ServiceAccounts), std::slice::from_ref(&namespace));
        cluster.settle(&mut ServiceAccounts);
        assert!(cluster.has(&account));
        cluster.remove(&account);
        cluster.merge(
            &namespace,
            &json!({"metadata": {"deletionTimestamp": "2026-11-21T12:00:00Z"}, "spec": {"finalizers": ["kubernetes"]}}),
        );
        cluster.settle(&mut ServiceAccounts);
        assert!(!cluster.has(&account), "a namespace that goes gets none");
    }

    #[test]
    fn a_changed_certificate_is_put_right() {
        let mut cluster = Cluster::new();
        cluster.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}));
        let mut core = RootCa::new("PEM".into());
        cluster.settle(&mut core);
        let key = Key::new(Resource::CONFIGMAPS, "n", ROOT_CA);
        let first = cluster.value(&key);
        assert_eq!(first["data"], json!({"ca.crt": "PEM"}));
        cluster.merge(
            &key,
            &json!({"data": {"ca.crt": "x", "more": "y"}, "metadata": {"labels": {"mine": "1"}, "annotations": null}}),
        );
        cluster.settle(&mut core);
        let again = cluster.value(&key);
        assert_eq!(again["data"], first["data"]);
        assert_eq!(again["metadata"]["annotations"], first["metadata"]["annotations"]);
        assert_eq!(again["metadata"]["labels"], json!({"mine": "1"}));
        assert_ne!(again["metadata"]["annotations"], Value::Null);
    }
}
