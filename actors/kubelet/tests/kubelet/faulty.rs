//! A runtime that fails, or does not answer, at the operation on the pod that a test names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cox_runtime::hollow::Hollow;
use cox_runtime::{
    AttachOptions, ContainerError, ContainerId, ContainerInfo, ContainerSpec, ContainerStats, ContainerStatus, Duplex,
    Event, ExecOptions, ExecOutput, FsUsage, Image, ImageError, RegistryAuth, Runtime, RuntimeInfo, Sandbox,
    SandboxError, SandboxId, SandboxSpec, SandboxStats, Session,
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing is done, and that is said.
    Fails,
    /// Nothing is done, and nothing said.
    Hangs,
    /// It is done, and said to have failed.
    FailsAfter,
    /// It is done, and nothing said.
    HangsAfter,
}

pub(crate) const MODES: [Mode; 4] = [Mode::Fails, Mode::Hangs, Mode::FailsAfter, Mode::HangsAfter];

/// The label that tells whose a sandbox or a container is.
const POD: &str = "io.kubernetes.pod.name";

/// The hollow runtime, and what goes wrong with it now, by operation and pod (for images: by reference).
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) hollow: Hollow,
    faults: Arc<Mutex<BTreeMap<(&'static str, String), Mode>>>,
}

impl Faulty {
    pub(crate) fn new(hollow: Hollow) -> Self {
        Self { hollow, faults: Arc::default() }
    }

    /// From now on the operation goes wrong in this way.
    pub(crate) fn set(&self, operation: &'static str, subject: &str, mode: Mode) {
        self.faults.lock().insert((operation, subject.to_owned()), mode);
    }

    /// From now on nothing goes wrong; what hangs hangs on.
    pub(crate) fn clear(&self) {
        self.faults.lock().clear();
    }

    async fn of_sandbox(&self, id: &SandboxId) -> String {
        let sandbox = self.hollow.sandbox(id).await.ok().flatten();
        sandbox.and_then(|s| s.spec.labels.get(POD).cloned()).unwrap_or_default()
    }

    async fn of_container(&self, id: &ContainerId) -> String {
        let status = self.hollow.container_status(id).await.ok().flatten();
        status.and_then(|s| s.info.labels.get(POD).cloned()).unwrap_or_default()
    }

    async fn through<T, E: Broken>(
        &self,
        operation: &'static str,
        subject: String,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mode = self.faults.lock().get(&(operation, subject)).copied();
        match mode {
            None => call.await,
            Some(Mode::Fails) => Err(E::broken()),
            Some(Mode::Hangs) => std::future::pending().await,
            Some(Mode::FailsAfter) => {
                call.await?;
                Err(E::broken())
            }
            Some(Mode::HangsAfter) => {
                call.await?;
                std::future::pending().await
            }
        }
    }
}

trait Broken {
    fn broken() -> Self;
}

fn broken() -> std::io::Error {
    std::io::Error::other("it is broken")
}

impl Broken for SandboxError {
    fn broken() -> Self {
        Self::Io { attempt: "try".to_owned(), source: broken() }
    }
}

impl Broken for ContainerError {
    fn broken() -> Self {
        Self::Io { attempt: "try".to_owned(), source: broken() }
    }
}

impl Broken for ImageError {
    fn broken() -> Self {
        Self::Store { attempt: "try".to_owned(), source: broken() }
    }
}

/// An operation that may go wrong, under its own name; `of` tells whose it is.
macro_rules! through {
    ($name:ident($($argument:ident: $kind:ty),*) -> $result:ty) => {
        fn $name<'a>(&'a self, $($argument: $kind),*) -> BoxFuture<'a, $result> {
            self.hollow.$name($($argument),*)
        }
    };
    ($name:ident($($argument:ident: $kind:ty),*) -> $result:ty, |$own:ident| $of:expr) => {
        fn $name<'a>(&'a self, $($argument: $kind),*) -> BoxFuture<'a, $result> {
            Box::pin(async move {
                let $own = self;
                let subject: String = $of;
                // The hollow runtime acts when it is called, not when its answer is waited for.
                let call = async move { self.hollow.$name($($argument),*).await };
                self.through(stringify!($name), subject, call).await
            })
        }
    };
}

fn pod(labels: &BTreeMap<String, String>) -> String {
    labels.get(POD).cloned().unwrap_or_default()
}

impl Runtime for Faulty {
    fn info(&self) -> RuntimeInfo {
        self.hollow.info()
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.hollow.events()
    }

    through!(resolve_image(reference: &'a str) -> Result<Option<Image>, ImageError>, |_own| reference.to_owned());
    through!(pull_image(reference: &'a str, auth: Option<&'a RegistryAuth>) -> Result<Image, ImageError>);
    through!(load_images(archive: &'a Path) -> Result<Vec<Image>, ImageError>);
    through!(list_images() -> Result<Vec<Image>, ImageError>);
    through!(remove_image(id: &'a str) -> Result<(), ImageError>);
    through!(image_fs() -> Result<FsUsage, ImageError>);
    through!(create_sandbox(spec: SandboxSpec) -> Result<Sandbox, SandboxError>, |_own| pod(&spec.labels));
    through!(stop_sandbox(id: &'a SandboxId) -> Result<(), SandboxError>, |own| own.of_sandbox(id).await);
    through!(remove_sandbox(id: &'a SandboxId) -> Result<(), SandboxError>, |own| own.of_sandbox(id).await);
    through!(sandbox(id: &'a SandboxId) -> Result<Option<Sandbox>, SandboxError>, |own| own.of_sandbox(id).await);
    through!(list_sandboxes() -> Result<Vec<Sandbox>, SandboxError>);
    through!(sandbox_stats(id: &'a SandboxId) -> Result<SandboxStats, SandboxError>);
    through!(create_container(spec: ContainerSpec) -> Result<ContainerId, ContainerError>, |_own| pod(&spec.labels));
    through!(start_container(id: &'a ContainerId) -> Result<(), ContainerError>, |own| own.of_container(id).await);
    through!(
        stop_container(id: &'a ContainerId, grace: Duration) -> Result<(), ContainerError>,
        |own| own.of_container(id).await
    );
    through!(signal_container(id: &'a ContainerId, signal: i32) -> Result<(), ContainerError>);
    through!(remove_container(id: &'a ContainerId) -> Result<(), ContainerError>);
    through!(container_status(id: &'a ContainerId) -> Result<Option<ContainerStatus>, ContainerError>);
    through!(
        list_containers(sandbox: Option<&'a SandboxId>) -> Result<Vec<ContainerInfo>, ContainerError>,
        |own| match sandbox {
            Some(id) => own.of_sandbox(id).await,
            None => String::new(),
        }
    );
    through!(container_stats(id: &'a ContainerId) -> Result<ContainerStats, ContainerError>);
    through!(reopen_log(id: &'a ContainerId) -> Result<(), ContainerError>);
    through!(exec(id: &'a ContainerId, options: ExecOptions) -> Result<Session, ContainerError>);
    through!(
        exec_sync(id: &'a ContainerId, command: &'a [String], timeout: Duration) -> Result<ExecOutput, ContainerError>
    );
    through!(attach(id: &'a ContainerId, options: AttachOptions) -> Result<Session, ContainerError>);
    through!(port_forward(id: &'a SandboxId, port: u16) -> Result<Box<dyn Duplex>, SandboxError>);
    through!(down() -> Result<(), SandboxError>);
}
