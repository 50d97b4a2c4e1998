//! Tables: how `kubectl get` shows objects, column by column, as Kubernetes' printers lay them out.

mod access;
mod cells;
mod cluster;
mod columns;
mod events;
mod jobs;
mod network;
mod nodes;
mod pods;
mod policy;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Kind, Resource, Status};
pub use columns::{Column, columns_of};

/// How much of each object a row carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Nothing.
    None,
    /// Its metadata, as PartialObjectMetadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl Include {
    /// Reads the query parameter `includeObject`; empty means metadata.
    ///
    /// # Errors
    /// 400 with Kubernetes' text for anything else than its three values.
    pub fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "None" => Ok(Include::None),
            "" | "Metadata" => Ok(Include::Metadata),
            "Object" => Ok(Include::Object),
            other => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: \
                 must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// What a client asked of a table.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The version of `meta.k8s.io` (`v1` or `v1beta1`).
    pub version: &'a str,
    /// How much of each object its row carries.
    pub include: Include,
    /// Whether to define the columns; the second and later events of a watch do not.
    pub columns: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options { version: "v1", include: Include::Metadata, columns: true }
    }
}

/// The Table of some objects of a kind, given as they are stored. `metadata` is the list's, or for a single object just its resourceVersion.
pub fn render(kind: &Kind, objects: &[&Value], metadata: Value, options: &Options<'_>, now: Timestamp) -> Value {
    let rows: Vec<Value> = objects.iter().map(|object| row(kind, object, options, now)).collect();
    // Kubernetes' default printer leaves the rows of an empty list out.
    let rows = if rows.is_empty() && printer(&kind.resource).is_none() { Value::Null } else { Value::from(rows) };
    let columns = match options.columns {
        true => columns_of(&kind.resource).iter().map(Column::to_value).collect(),
        false => Value::Null,
    };
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{}", options.version),
        "metadata": metadata, "columnDefinitions": columns, "rows": rows,
    })
}

/// One row of a Table, of an object as it is stored.
pub fn row(kind: &Kind, object: &Value, options: &Options<'_>, now: Timestamp) -> Value {
    let cells = match printer(&kind.resource) {
        Some(print) => print(object, now),
        None => cells::default(object),
    };
    let carried = match options.include {
        Include::None => Value::Null,
        Include::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{}", options.version),
            "metadata": crate::kinds::convert::metadata(kind, object),
        }),
        Include::Object => crate::kinds::convert::from_stored(kind, (*object).clone()),
    };
    let mut row = json!({"cells": cells, "object": carried});
    if let (Some(fields), Some(condition)) = (row.as_object_mut(), condition(&kind.resource, object)) {
        fields.insert("conditions".into(), json!([condition]));
    }
    row
}

/// What tells clients that a row is about something finished.
fn condition(resource: &Resource, object: &Value) -> Option<Value> {
    if *resource != Resource::PODS {
        return None;
    }
    let (reason, message) = match crate::meta::text(object, "status.phase") {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return None,
    };
    Some(json!({"type": "Completed", "status": "True", "reason": reason, "message": message}))
}

type Printer = fn(&Value, Timestamp) -> Vec<Value>;

fn printer(resource: &Resource) -> Option<Printer> {
    Some(match resource.as_str() {
        "pods" => pods::pod,
        "podtemplates" => workloads::pod_template,
        "replicationcontrollers" => workloads::replication_controller,
        "replicasets.apps" => workloads::replica_set,
        "deployments.apps" => workloads::deployment,
        "statefulsets.apps" => workloads::stateful_set,
        "daemonsets.apps" => workloads::daemon_set,
        "controllerrevisions.apps" => workloads::controller_revision,
        "jobs.batch" => jobs::job,
        "cronjobs.batch" => jobs::cron_job,
        "services" => network::service::service,
        "endpoints" => network::endpoints,
        "endpointslices.discovery.k8s.io" => network::endpoint_slice,
        "ingresses.networking.k8s.io" => network::ingress,
        "ingressclasses.networking.k8s.io" => network::ingress_class,
        "networkpolicies.networking.k8s.io" => network::network_policy,
        "ipaddresses.networking.k8s.io" => network::ip_address,
        "servicecidrs.networking.k8s.io" => network::service_cidr,
        "nodes" => nodes::node,
        "events" => events::event,
        "persistentvolumes" => storage::volume,
        "persistentvolumeclaims" => storage::claim,
        "storageclasses.storage.k8s.io" => storage::class,
        "csidrivers.storage.k8s.io" => storage::driver,
        "csinodes.storage.k8s.io" => storage::csi_node,
        "volumeattachments.storage.k8s.io" => storage::attachment,
        "volumeattributesclasses.storage.k8s.io" => storage::attributes_class,
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => policy::binding,
        "resourcequotas" => policy::quota,
        "poddisruptionbudgets.policy" => policy::disruption_budget,
        "horizontalpodautoscalers.autoscaling" => policy::autoscaler::autoscaler,
        "validatingadmissionpolicies.admissionregistration.k8s.io" => policy::validating_policy,
        "mutatingadmissionpolicies.admissionregistration.k8s.io" => policy::mutating_policy,
        "validatingadmissionpolicybindings.admissionregistration.k8s.io"
        | "mutatingadmissionpolicybindings.admissionregistration.k8s.io" => policy::policy_binding,
        "validatingwebhookconfigurations.admissionregistration.k8s.io"
        | "mutatingwebhookconfigurations.admissionregistration.k8s.io" => policy::webhooks,
        "flowschemas.flowcontrol.apiserver.k8s.io" => policy::flow_schema,
        "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io" => policy::priority_level,
        "namespaces" => cluster::namespace,
        "configmaps" => cluster::config_map,
        "secrets" => cluster::secret,
        "serviceaccounts" | "deviceclasses.resource.k8s.io" | "resourceclaimtemplates.resource.k8s.io" => {
            cells::name_and_age
        }
        "leases.coordination.k8s.io" => cluster::lease,
        "priorityclasses.scheduling.k8s.io" => cluster::priority_class,
        "runtimeclasses.node.k8s.io" => cluster::runtime_class,
        "certificatesigningrequests.certificates.k8s.io" => cluster::signing_request,
        "apiservices.apiregistration.k8s.io" => cluster::api_service,
        "resourceslices.resource.k8s.io" => cluster::resource_slice,
        "resourceclaims.resource.k8s.io" => cluster::resource_claim,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
