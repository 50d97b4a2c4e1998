//! The operations of a pod's worker: what is under way, and what their ends mean.

use std::time::{Duration, Instant};

use cox_kit::api::Why;
use cox_kit::{Command, Feed};
use cox_runtime::{ContainerId, SandboxId, SandboxSpec};
use jiff::SignedDuration;
use serde_json::Value;

use super::{Message, State, Task, next_backoff, start, stop};
use crate::model::{ContainerView, Retry, SandboxView, Volumes, Waiting};
use crate::plan::Step;
use crate::spec::names::log_folder;
use crate::spec::sandbox;
use crate::volumes::manager::{self, Places};

/// After a sandbox or a volume that could not be made.
const RETRY: SignedDuration = SignedDuration::from_secs(2);
/// How long a status write may take to show in the feed before the worker goes on without it.
const SHOWN: Duration = Duration::from_secs(5);

/// What can be under way; one of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Volumes are put in place or brought up to date.
    Volumes,
    /// The sandbox is made.
    Sandbox,
    /// A container is created and started, by name.
    Start(String),
    /// A container is stopped.
    Stop(ContainerId),
    /// A container is forgotten.
    Remove(ContainerId),
    /// The sandbox is stopped.
    StopSandbox,
    /// The volumes are taken away, and everything else of a pod that is deleted.
    Finish,
    /// The Pod is deleted from the API.
    Delete,
    /// The status is written.
    Tell,
}

/// How an operation ended.
pub enum Finished {
    /// Volumes are in place.
    Volumes(Result<Places, String>),
    /// The sandbox stands.
    Sandbox(Result<SandboxView, String>),
    /// A container runs, or why not and when to try again.
    Started(Result<(), start::Failure>),
    /// The API refused a status: the Pod is gone or another one, or it is not valid.
    Refused,
    /// Nothing more to say than whether it worked.
    Plain(Result<(), String>),
}

impl Operation {
    /// The name of the container that it starts.
    pub(super) fn starts(&self) -> Option<&str> {
        match self {
            Operation::Start(name) => Some(name),
            _ => None,
        }
    }
}

/// The id of a pod's sandbox.
pub(super) fn sandbox_id(uid: &str, attempt: u32) -> SandboxId {
    SandboxId(format!("{uid}-{attempt}"))
}

impl<F: Feed> State<F> {
    /// Starts a step's operation unless it is under way.
    pub(super) fn launch(&mut self, step: Step) {
        let (context, pod) = (self.context.clone(), self.pod.clone());
        match step {
            Step::MakeVolumes => {
                let ips = self.sandbox_ips();
                self.spawn(Operation::Volumes, async move {
                    Finished::Volumes(manager::set_up(&context, &pod, ips).await.map_err(|e| e.to_string()))
                });
            }
            Step::MakeSandbox { attempt } => self.spawn(Operation::Sandbox, async move {
                let hostname = match sandbox::kernel_hostname(&pod, &context.config.dns.domain) {
                    Ok(hostname) => hostname,
                    Err(error) => return Finished::Sandbox(Err(error)),
                };
                let spec = SandboxSpec { hostname, ..sandbox::sandbox(&pod, attempt, &context.config.log_root) };
                let made = context.runtime.create_sandbox(spec).await;
                Finished::Sandbox(made.map_err(|e| e.to_string()).map(|sandbox| SandboxView {
                    id: sandbox.spec.id,
                    attempt,
                    ready: true,
                    ips: sandbox.addresses,
                }))
            }),
            Step::Start { member, attempt } => {
                let name = member.container.name.clone();
                if self.under_way.contains_key(&Operation::Start(name.clone())) {
                    return;
                }
                let Some(sandbox) = self.sandbox.clone() else { return };
                let failed = self.known().newest(&name).filter(|c| c.attempt < attempt).and_then(ContainerView::ended);
                if let Some((_, at)) = failed {
                    next_backoff(&mut self.memory, &name, at);
                }
                let waiting = self.memory.waiting.get(&name).cloned();
                let job = start::Job { member: *member, attempt, sandbox, places: self.places.clone(), waiting };
                self.spawn(
                    Operation::Start(name),
                    async move { Finished::Started(start::run(&context, &pod, job).await) },
                );
            }
            Step::Stop { id, name, grace, tell } => {
                if grace.is_zero()
                    && let Some(slower) = self.under_way.remove(&Operation::Stop(id.clone()))
                {
                    slower.handle.abort();
                }
                if let Some(text) = tell {
                    context.tell(&pod, &self.field_path(&name), false, "Killing", text);
                }
                self.memory.stopping.insert(id.clone());
                let member = self.known().members().into_iter().find(|m| m.container.name == name);
                let ip = self.sandbox_ips().into_iter().next().unwrap_or_default();
                self.spawn(Operation::Stop(id.clone()), async move {
                    Finished::Plain(stop::stop(&context, &pod, member, &id, &ip, grace).await)
                });
            }
            Step::Remove(id) => {
                let Some(view) = self.containers.iter().find(|c| c.id == id).cloned() else { return };
                let folder = context.config.container_dir(&self.uid, &view.name, view.attempt);
                let log =
                    context.config.log_dir(&log_folder(&pod)).join(&view.name).join(format!("{}.log", view.attempt));
                self.spawn(Operation::Remove(id.clone()), async move {
                    let removed = context.runtime.remove_container(&id).await.map_err(|e| e.to_string());
                    // A container without a log or a folder of its own is removed as well.
                    let _ = tokio::fs::remove_file(log).await;
                    let _ = tokio::fs::remove_dir_all(folder).await;
                    Finished::Plain(removed)
                });
            }
            Step::StopSandbox(id) => self.spawn(Operation::StopSandbox, async move {
                Finished::Plain(context.runtime.stop_sandbox(&id).await.map_err(|e| e.to_string()))
            }),
            Step::Finish => {
                // What is being made would come after what is taken away.
                let begins = |o: &Operation| matches!(o, Operation::Sandbox | Operation::Volumes | Operation::Start(_));
                if self.under_way.contains_key(&Operation::Finish) || self.under_way.keys().any(begins) {
                    return;
                }
                let uid = self.uid.clone();
                let leaving = std::mem::take(&mut self.leaving);
                self.spawn(Operation::Finish, async move {
                    for task in leaving {
                        // It was aborted: that is how it ends.
                        let _ = task.await;
                    }
                    let folder = context.config.pod_dir(&uid);
                    let gone = tokio::task::spawn_blocking(move || manager::tear_down_volumes(&folder)).await;
                    context.tokens.forget(&uid);
                    Finished::Plain(match gone {
                        Ok(result) => result.map_err(|e| e.to_string()),
                        Err(error) => Err(error.to_string()),
                    })
                });
            }
            Step::Delete => {
                // The last status comes first: it is what watchers of the deletion see.
                if self.under_way.contains_key(&Operation::Tell) {
                    return;
                }
                let key = self.key();
                let uid = self.uid.clone();
                self.spawn(Operation::Delete, async move {
                    let why = Why::timer("pod-stopped", context.feed.revision());
                    let command =
                        Command::Delete { key, uid: Some(uid), revision: None, grace: Some(0), propagation: None };
                    Finished::Plain(match context.api.run(&[command], &why).await {
                        Err(failed) if failed.status.code != 404 && failed.status.code != 409 => {
                            Err(failed.to_string())
                        }
                        _ => Ok(()),
                    })
                });
            }
        }
    }

    /// Writes a status.
    pub(super) fn launch_tell(&mut self, patch: Value) {
        let (context, key, uid) = (self.context.clone(), self.key(), self.uid.clone());
        self.spawn(Operation::Tell, async move {
            let why = Why { observed: context.feed.revision(), trigger: None, folded: Vec::new() };
            let patch = serde_json::json!({"metadata": {"uid": uid}, "status": patch});
            let result = context.api.run(&[Command::Patch { key, subresource: "status", patch }], &why).await;
            Finished::Plain(match result {
                Ok(done) => {
                    context.feed.wait_for(done.revision, SHOWN).await;
                    Ok(())
                }
                Err(failed) if matches!(failed.status.code, 400..=499) && failed.status.code != 429 => {
                    tracing::info!(status = %failed, "a pod's status was refused");
                    return Finished::Refused;
                }
                Err(failed) => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Err(failed.to_string())
                }
            })
        });
    }

    fn sandbox_ips(&self) -> Vec<String> {
        self.sandbox.iter().flat_map(|s| &s.ips).map(ToString::to_string).collect()
    }

    /// Runs an operation as a task whose end is told to the worker; aborted with the worker, and safe to repeat.
    fn spawn(&mut self, operation: Operation, work: impl Future<Output = Finished> + Send + 'static) {
        if self.under_way.contains_key(&operation) {
            return;
        }
        let (myself, name) = (self.myself.clone(), operation.clone());
        let handle = tokio::spawn(async move {
            let finished = work.await;
            // A worker that is gone has no use for the news.
            let _ = myself.send_message(Message::Finished(name, finished));
        });
        self.under_way.insert(operation, Task { handle, since: Instant::now() });
    }

    /// Ends what only a pod that goes on would need. A sandbox that is being made is waited for: half of one could not be taken away.
    pub(super) fn abandon_beginnings(&mut self) {
        let beginning = |operation: &Operation| matches!(operation, Operation::Volumes | Operation::Start(_));
        let ended: Vec<Operation> = self.under_way.keys().filter(|o| beginning(o)).cloned().collect();
        for operation in ended {
            if let Some(task) = self.under_way.remove(&operation) {
                task.handle.abort();
                self.leaving.push(task.handle);
            }
        }
    }

    /// Takes in the end of an operation.
    pub(super) fn finished(&mut self, operation: Operation, finished: Finished) {
        self.under_way.remove(&operation);
        let now = cox_kit::clock::now();
        match (&operation, finished) {
            (_, Finished::Volumes(Ok(places))) => {
                self.places = places;
                self.memory.volumes = Volumes::Ready;
            }
            (_, Finished::Volumes(Err(text))) => {
                tracing::warn!(pod = %self.key(), error = text, "volumes are not in place");
                self.context.tell(&self.pod, "", true, "FailedMount", text);
                self.memory.not_before.insert(Retry::Volumes, now + RETRY);
            }
            (_, Finished::Sandbox(Ok(sandbox))) => self.sandbox = Some(sandbox),
            (_, Finished::Sandbox(Err(text))) => {
                tracing::warn!(pod = %self.key(), error = text, "the sandbox was not made");
                let text = format!("Failed to create pod sandbox: {text}");
                self.context.tell(&self.pod, "", true, "FailedCreatePodSandBox", text);
                self.memory.not_before.insert(Retry::Sandbox, now + RETRY);
            }
            (Operation::Start(name), Finished::Started(Ok(()))) => {
                self.memory.waiting.remove(name);
                self.memory.not_before.remove(&Retry::Container(name.clone()));
            }
            (Operation::Start(name), Finished::Started(Err(failure))) => {
                tracing::info!(pod = %self.key(), container = name, reason = failure.waiting.reason, "a container did not start");
                let Waiting { reason, message } = failure.waiting;
                self.memory.waiting.insert(name.clone(), Waiting { reason, message });
                self.memory.not_before.insert(Retry::Container(name.clone()), now + failure.again);
            }
            (Operation::Finish, Finished::Plain(Ok(()))) => self.memory.finished = true,
            (Operation::Delete, Finished::Plain(Ok(()))) => {
                // The feed shows the deletion in a moment; if it does not, it is asked for again.
                self.memory.not_before.insert(Retry::Delete, now + RETRY);
            }
            (Operation::Tell, Finished::Refused) => {
                self.reread();
                let version = self.pod.metadata.resource_version.clone().unwrap_or_default();
                self.refused = Some((version, Instant::now()));
            }
            (Operation::Tell, Finished::Plain(_)) => self.reread(),
            (operation, Finished::Plain(Err(error))) => {
                tracing::warn!(pod = %self.key(), ?operation, error, "an operation on a pod failed");
                let retry = match operation {
                    Operation::Stop(id) => {
                        self.memory.stopping.remove(id);
                        Retry::Stop(id.clone())
                    }
                    Operation::Delete => Retry::Delete,
                    Operation::Finish => Retry::Finish,
                    _ => Retry::Sandbox,
                };
                self.memory.not_before.insert(retry, now + RETRY);
            }
            _ => {}
        }
    }
}
