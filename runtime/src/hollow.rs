//! The port without processes: containers that only claim to run, for tests and simulation.
//!
//! It keeps the port's promises about states, ids, repetition and events; it passes the same conformance
//! suite as the real one where no process is needed. What containers do is told by the test: they run until
//! [`Hollow::exit`], a stop (143, as a program that TERM ends) or a kill (137). Images come from [`Hollow::add_image`]; one made with
//! [`Hollow::of_node`] has every image. It writes no files and makes no network; addresses are counted up from 10.0.0.1, or from the node's first.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::broadcast;

mod packed;
mod port;

use packed::Packed;

use crate::clock;
use crate::images::Reference;
use crate::images::digest::sha256;
use crate::port::Event;
use crate::port::container::{ContainerId, ContainerInfo, ContainerSpec, ContainerState, ExitReason, User, UserSpec};
use crate::port::error::{ContainerError, ImageError, SandboxError};
use crate::port::image::{Image, ImageConfig};
use crate::port::sandbox::{Sandbox, SandboxId, SandboxSpec, SandboxState};
use crate::port::stream::{ExecOutcome, ExecOutput};

/// What a test decides about commands: from the container's spec and the command line to the result.
pub type ExecHandler = Arc<dyn Fn(&ContainerSpec, &[String]) -> ExecOutput + Send + Sync>;

/// The hollow runtime; clones are the same one.
#[derive(Clone)]
pub struct Hollow {
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<Event>,
}

struct World {
    images: BTreeMap<String, Image>,
    /// Whether any other image is there as well, unlisted.
    any_image: bool,
    /// Images that a registry would have, by normalized name.
    remote: BTreeMap<String, Image>,
    sandboxes: BTreeMap<SandboxId, Packed<Sandbox>>,
    containers: BTreeMap<ContainerId, Container>,
    exec: ExecHandler,
    /// Why a container of this command cannot start.
    start_errors: BTreeMap<Vec<String>, String>,
    next_address: u32,
}

struct Container {
    sandbox: SandboxId,
    spec: Packed<ContainerSpec>,
    image_id: String,
    created_at: i64,
    state: ContainerState,
}

impl Container {
    fn info(&self, id: &ContainerId) -> ContainerInfo {
        let ContainerSpec { sandbox, name, attempt, labels, .. } = self.spec.get();
        ContainerInfo {
            id: id.clone(),
            sandbox,
            name,
            attempt,
            labels,
            image_id: self.image_id.clone(),
            created_at: self.created_at,
            state: self.state.clone(),
        }
    }
}

/// Who runs a container of this spec: there are no files that would say more.
fn user(asked: &UserSpec) -> User {
    let (uid, gid) = (asked.uid.unwrap_or(0), asked.gid.unwrap_or(0));
    let mut supplemental_groups = asked.supplemental_groups.clone();
    supplemental_groups.push(gid);
    supplemental_groups.sort_unstable();
    supplemental_groups.dedup();
    User { uid, gid, supplemental_groups }
}

impl Default for Hollow {
    fn default() -> Self {
        Self::made(Ipv4Addr::new(10, 0, 0, 1), false, 1024)
    }
}

impl Hollow {
    fn made(first: Ipv4Addr, any_image: bool, remembered: usize) -> Self {
        let exec: ExecHandler = Arc::new(|_, _| ExecOutput { outcome: ExecOutcome::Exited(0), output: Vec::new() });
        let world = World {
            images: BTreeMap::new(),
            any_image,
            remote: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            exec,
            start_errors: BTreeMap::new(),
            next_address: u32::from(first),
        };
        Self { world: Arc::new(Mutex::new(world)), events: broadcast::channel(remembered).0 }
    }

    /// One for a node of a large cluster: whatever image a pod names is there, and addresses are counted up from this one.
    /// It remembers few events; who misses some is told so, and looks at everything.
    #[must_use]
    pub fn of_node(first_address: Ipv4Addr) -> Self {
        Self::made(first_address, true, 16)
    }

    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an image into the store under a name; its id follows from name and configuration.
    ///
    /// # Errors
    /// [`ImageError::BadName`].
    pub fn add_image(&self, name: &str, config: ImageConfig) -> Result<Image, ImageError> {
        let image = image(&Reference::parse(name)?, config, false);
        self.world.lock().images.insert(image.id.clone(), image.clone());
        Ok(image)
    }

    /// Puts an image into the registry: a pull brings it into the store.
    ///
    /// # Errors
    /// [`ImageError::BadName`].
    pub fn add_remote_image(&self, name: &str, config: ImageConfig) -> Result<(), ImageError> {
        let reference = Reference::parse(name)?;
        let image = image(&reference, config, true);
        self.world.lock().remote.insert(reference.to_string(), image);
        Ok(())
    }

    /// Decides what commands in containers (probes, exec) give from now on.
    pub fn on_exec(&self, handler: ExecHandler) {
        self.world.lock().exec = handler;
    }

    /// Makes containers with this command line fail to start, for this reason.
    pub fn fail_start(&self, command: &[String], reason: &str) {
        self.world.lock().start_errors.insert(command.to_vec(), reason.to_owned());
    }

    /// Ends a running container, as if its process had ended with this code.
    ///
    /// # Errors
    /// [`ContainerError::NotFound`], [`ContainerError::NotRunning`].
    pub fn exit(&self, id: &ContainerId, exit_code: i32) -> Result<(), ContainerError> {
        self.end(id, exit_code, None, ExitReason::Ended)
    }

    /// Ends a running container, as if the kernel had killed it for memory.
    ///
    /// # Errors
    /// [`ContainerError::NotFound`], [`ContainerError::NotRunning`].
    pub fn out_of_memory(&self, id: &ContainerId) -> Result<(), ContainerError> {
        self.end(id, 137, Some(9), ExitReason::OomKilled)
    }

    fn end(
        &self,
        id: &ContainerId,
        exit_code: i32,
        signal: Option<i32>,
        reason: ExitReason,
    ) -> Result<(), ContainerError> {
        let mut world = self.world.lock();
        let container = world.containers.get_mut(id).ok_or_else(|| ContainerError::NotFound(id.clone()))?;
        let ContainerState::Running { started_at, .. } = container.state else {
            return Err(ContainerError::NotRunning(id.clone()));
        };
        let (message, finished_at) = (String::new(), clock::now());
        container.state = ContainerState::Exited { exit_code, signal, reason, message, started_at, finished_at };
        let sandbox = container.sandbox.clone();
        // Nobody need listen.
        let _ = self.events.send(Event::Exited { sandbox, container: id.clone(), exit_code });
        Ok(())
    }

    fn create_sandbox(&self, spec: SandboxSpec) -> Result<Sandbox, SandboxError> {
        let mut world = self.world.lock();
        if let Some(sandbox) = world.sandboxes.get(&spec.id) {
            return Ok(sandbox.get());
        }
        let mut addresses = Vec::new();
        if !spec.host.network {
            addresses.push(IpAddr::V4(Ipv4Addr::from(world.next_address)));
            world.next_address += 1;
        }
        let sandbox = Sandbox { spec, state: SandboxState::Ready, created_at: clock::now(), addresses, netns: None };
        let invalid = |error: serde_json::Error| SandboxError::Invalid { field: "spec", reason: error.to_string() };
        world.sandboxes.insert(sandbox.spec.id.clone(), Packed::new(&sandbox).map_err(invalid)?);
        Ok(sandbox)
    }

    fn stop_sandbox(&self, id: &SandboxId) {
        for container in self.containers_of(id) {
            // Those that do not run need not end.
            let _ = self.end(&container, 137, Some(9), ExitReason::Ended);
        }
        if let Some(packed) = self.world.lock().sandboxes.get_mut(id) {
            let stopped = Sandbox { state: SandboxState::Stopped, addresses: Vec::new(), ..packed.get() };
            if let Ok(stopped) = Packed::new(&stopped) {
                *packed = stopped;
            }
        }
    }

    fn containers_of(&self, sandbox: &SandboxId) -> Vec<ContainerId> {
        let world = self.world.lock();
        world.containers.iter().filter(|(_, c)| c.sandbox == *sandbox).map(|(id, _)| id.clone()).collect()
    }

    fn create_container(&self, spec: ContainerSpec) -> Result<ContainerId, ContainerError> {
        let id = crate::oci::container_id(&spec);
        let image = self.resolve(&spec.image).ok().flatten();
        let mut world = self.world.lock();
        if world.containers.contains_key(&id) {
            return Ok(id);
        }
        if world.sandboxes.get(&spec.sandbox).is_none_or(|s| s.get().state != SandboxState::Ready) {
            return Err(ContainerError::NoSandbox(spec.sandbox));
        }
        let image_id = match image {
            Some(image) => image.id,
            None if world.any_image => spec.image.clone(),
            None => return Err(ContainerError::NoImage(spec.image)),
        };
        let invalid = |error: serde_json::Error| ContainerError::Invalid { field: "spec", reason: error.to_string() };
        let packed = Packed::new(&spec).map_err(invalid)?;
        let (sandbox, state) = (spec.sandbox, ContainerState::Created);
        let container = Container { sandbox, spec: packed, image_id, created_at: clock::now(), state };
        world.containers.insert(id.clone(), container);
        Ok(id)
    }

    fn start_container(&self, id: &ContainerId) -> Result<(), ContainerError> {
        let mut world = self.world.lock();
        let World { containers, start_errors, .. } = &mut *world;
        let container = containers.get_mut(id).ok_or_else(|| ContainerError::NotFound(id.clone()))?;
        match &container.state {
            ContainerState::Running { .. } => return Ok(()),
            ContainerState::Exited { reason: ExitReason::StartError, message, .. } => {
                return Err(ContainerError::Start { reason: message.clone() });
            }
            ContainerState::Exited { .. } => return Err(ContainerError::NotRunning(id.clone())),
            ContainerState::Created => {}
        }
        let sandbox = container.sandbox.clone();
        let fails = if start_errors.is_empty() { None } else { start_errors.get(&container.spec.get().command) };
        if let Some(reason) = fails {
            container.state = ContainerState::Exited {
                exit_code: 128,
                signal: None,
                reason: ExitReason::StartError,
                message: reason.clone(),
                started_at: 0,
                finished_at: clock::now(),
            };
            let _ = self.events.send(Event::Exited { sandbox, container: id.clone(), exit_code: 128 });
            return Err(ContainerError::Start { reason: reason.clone() });
        }
        container.state = ContainerState::Running { pid: 0, started_at: clock::now() };
        let _ = self.events.send(Event::Started { sandbox, container: id.clone() });
        Ok(())
    }

    fn stop_container(&self, id: &ContainerId, grace: Duration) {
        let (code, signal) = if grace.is_zero() { (137, 9) } else { (143, 15) };
        // One that is not there or does not run need not end.
        let _ = self.end(id, code, Some(signal), ExitReason::Ended);
    }

    fn running(&self, id: &ContainerId) -> Result<(ContainerSpec, ExecHandler), ContainerError> {
        let world = self.world.lock();
        let container = world.containers.get(id).ok_or_else(|| ContainerError::NotFound(id.clone()))?;
        if !matches!(container.state, ContainerState::Running { .. }) {
            return Err(ContainerError::NotRunning(id.clone()));
        }
        Ok((container.spec.get(), Arc::clone(&world.exec)))
    }

    /// The exit code of a container, if it has ended.
    fn exit_code(&self, id: &ContainerId) -> Option<i32> {
        match self.world.lock().containers.get(id)?.state {
            ContainerState::Exited { exit_code, .. } => Some(exit_code),
            ContainerState::Created | ContainerState::Running { .. } => None,
        }
    }

    /// Waits until a container has ended; `events` are those from before it was seen to run.
    async fn until_ended(self, id: ContainerId, mut events: broadcast::Receiver<Event>) -> ExecOutcome {
        loop {
            if let Some(code) = self.exit_code(&id) {
                return ExecOutcome::Exited(code);
            }
            match events.recv().await {
                // It may be gone already.
                Ok(Event::Exited { container, exit_code, .. }) if container == id => {
                    return ExecOutcome::Exited(exit_code);
                }
                Err(broadcast::error::RecvError::Closed) => return ExecOutcome::Detached,
                Err(broadcast::error::RecvError::Lagged(_)) if !self.world.lock().containers.contains_key(&id) => {
                    return ExecOutcome::Detached;
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn ready_sandbox(&self, id: &SandboxId) -> Result<(), SandboxError> {
        match self.world.lock().sandboxes.get(id) {
            None => Err(SandboxError::NotFound(id.clone())),
            Some(s) if s.get().state != SandboxState::Ready => Err(SandboxError::NotRunning(id.clone())),
            Some(_) => Ok(()),
        }
    }

    fn resolve(&self, reference: &str) -> Result<Option<Image>, ImageError> {
        let world = self.world.lock();
        if let Some(image) = world.images.get(reference) {
            return Ok(Some(image.clone()));
        }
        if world.any_image && reference.starts_with("sha256:") {
            return Ok(None);
        }
        let parsed = Reference::parse(reference)?;
        let name = parsed.to_string();
        let has = |i: &&Image| i.repo_tags.contains(&name) || i.repo_digests.contains(&name);
        let found = world.images.values().find(has).cloned();
        Ok(found.or_else(|| world.any_image.then(|| image(&parsed, ImageConfig::default(), false))))
    }

    fn pull(&self, reference: &str) -> Result<Image, ImageError> {
        let name = Reference::parse(reference)?.to_string();
        let mut world = self.world.lock();
        if world.any_image {
            return Ok(image(&Reference::parse(reference)?, ImageConfig::default(), true));
        }
        let image = world.remote.get(&name).cloned().ok_or(ImageError::NotFound { name })?;
        world.images.insert(image.id.clone(), image.clone());
        Ok(image)
    }
}

fn image(reference: &Reference, config: ImageConfig, pulled: bool) -> Image {
    let digest = sha256(format!("{reference}{}", serde_json::json!(config)).as_bytes());
    let manifest = format!("sha256:{}", sha256(digest.as_bytes()));
    let repo_digests = if pulled { vec![reference.with_digest(&manifest).to_string()] } else { Vec::new() };
    Image {
        id: format!("sha256:{digest}"),
        repo_tags: vec![reference.to_string()],
        repo_digests,
        size: 1_000_000,
        last_used: clock::now(),
        config,
    }
}
