//! In what the kinds differ when they are written: one table.

use cox_objects::Resource;

/// What becomes of dependents when a delete does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dependents {
    /// The garbage collector deletes them.
    Collected,
    /// They stay, without their owner.
    Orphaned,
}

/// How a kind's objects are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// At once, if no finalizer holds them.
    Immediate,
    /// As pods: the kubelet gets a grace period.
    Pod,
    /// As namespaces: contents first, by the namespace controller.
    Namespace,
}

/// The facts of one resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strategy {
    /// A PUT may leave out resourceVersion and then wins.
    pub(crate) unconditional_update: bool,
    /// A delete answers the object (else a Status with its uid).
    pub(crate) delete_answers_object: bool,
    pub(crate) deletion: Deletion,
    pub(crate) dependents: Dependents,
    /// A finalizer that every new object gets.
    pub(crate) finalizer: Option<&'static str>,
}

const DEFAULT: Strategy = Strategy {
    unconditional_update: true,
    delete_answers_object: false,
    deletion: Deletion::Immediate,
    dependents: Dependents::Collected,
    finalizer: None,
};
const CONDITIONAL: Strategy = Strategy { unconditional_update: false, ..DEFAULT };
const ANSWERS_OBJECT: Strategy = Strategy { delete_answers_object: true, ..DEFAULT };

/// How a resource is written; what the table does not name is written as most are.
pub(crate) fn of(resource: &Resource) -> Strategy {
    match (resource.group(), resource.plural()) {
        ("", "pods") => Strategy { deletion: Deletion::Pod, ..ANSWERS_OBJECT },
        ("", "namespaces") => Strategy { deletion: Deletion::Namespace, ..ANSWERS_OBJECT },
        ("", "replicationcontrollers") => Strategy { dependents: Dependents::Orphaned, ..ANSWERS_OBJECT },
        ("", "services" | "serviceaccounts" | "podtemplates" | "resourcequotas") => ANSWERS_OBJECT,
        ("", "persistentvolumeclaims") => {
            Strategy { finalizer: Some("kubernetes.io/pvc-protection"), ..ANSWERS_OBJECT }
        }
        ("", "persistentvolumes") => Strategy { finalizer: Some("kubernetes.io/pv-protection"), ..ANSWERS_OBJECT },
        ("batch", "jobs") => Strategy { dependents: Dependents::Orphaned, ..DEFAULT },
        ("storage.k8s.io", "storageclasses" | "volumeattributesclasses") => ANSWERS_OBJECT,
        ("storage.k8s.io", "csidrivers" | "csinodes" | "volumeattachments") => {
            Strategy { unconditional_update: false, ..ANSWERS_OBJECT }
        }
        ("resource.k8s.io", _) => ANSWERS_OBJECT,
        ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "apiregistration.k8s.io", _)
        | ("coordination.k8s.io", "leases")
        | ("node.k8s.io", "runtimeclasses")
        | ("policy", "poddisruptionbudgets")
        | ("storage.k8s.io", "csistoragecapacities") => CONDITIONAL,
        _ => DEFAULT,
    }
}
