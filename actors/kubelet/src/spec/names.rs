//! How pods and containers are called in messages, on disk and in the runtime.

use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec};

/// Labels on sandboxes and containers by which a pod is found again (the names that CRI clients use).
pub mod label {
    /// The pod's name.
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    /// The pod's namespace.
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    /// The pod's uid.
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    /// The container's name.
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    /// A hash of the container's spec: another one means another container.
    pub const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
}

/// `name_namespace(uid)`, as messages about a pod have it.
pub fn pod_id(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
}

/// `NAMESPACE_NAME_UID`: the pod's folder of log files.
pub fn log_folder(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("{}_{}_{}", text(&meta.namespace), text(&meta.name), text(&meta.uid))
}

/// In which list of the spec a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Runs once, before the others.
    Init,
    /// An init container with `restartPolicy: Always` (KEP-753).
    Sidecar,
    /// An ordinary one.
    Main,
    /// Added to a running pod for debugging.
    Ephemeral,
}

/// A container of a pod with its role; ephemeral ones in the form of ordinary ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its role.
    pub role: Role,
    /// Its spec.
    pub container: Container,
    /// The container whose processes it shares, of an ephemeral one that is to look at another.
    pub target: Option<String>,
}

impl Member {
    fn new(role: Role, container: Container) -> Self {
        Member { role, container, target: None }
    }
}

impl Member {
    /// `spec.initContainers{name}`, as Events point at it.
    pub fn field_path(&self) -> String {
        let list = match self.role {
            Role::Init | Role::Sidecar => "initContainers",
            Role::Main => "containers",
            Role::Ephemeral => "ephemeralContainers",
        };
        format!("spec.{list}{{{}}}", self.container.name)
    }
}

/// All containers of a pod: init containers, then main ones, then ephemeral ones, each in the order of the spec.
pub fn members(spec: &PodSpec) -> Vec<Member> {
    let init = spec.init_containers.iter().flatten().map(|container| {
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        Member::new(if sidecar { Role::Sidecar } else { Role::Init }, container.clone())
    });
    let main = spec.containers.iter().map(|container| Member::new(Role::Main, container.clone()));
    let ephemeral = spec.ephemeral_containers.iter().flatten();
    let ephemeral = ephemeral.map(|e| {
        let target = e.target_container_name.clone().filter(|name| !name.is_empty());
        Member { target, ..Member::new(Role::Ephemeral, as_container(e)) }
    });
    init.chain(main).chain(ephemeral).collect()
}

fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let e = ephemeral.clone();
    Container {
        name: e.name,
        image: e.image,
        command: e.command,
        args: e.args,
        working_dir: e.working_dir,
        env: e.env,
        env_from: e.env_from,
        image_pull_policy: e.image_pull_policy,
        resources: e.resources,
        security_context: e.security_context,
        stdin: e.stdin,
        stdin_once: e.stdin_once,
        tty: e.tty,
        termination_message_path: e.termination_message_path,
        termination_message_policy: e.termination_message_policy,
        volume_mounts: e.volume_mounts,
        ..Container::default()
    }
}
