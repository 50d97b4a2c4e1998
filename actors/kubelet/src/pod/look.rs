//! What a worker sees: its Pod in the feed, its sandbox and containers in the runtime.

use cox_kit::{Feed, Reason};
use cox_runtime::SandboxState;
use ractor::ActorProcessingErr;

use super::{State, images, operation, stop};
use crate::model::{ContainerView, Retry, SandboxView};
use crate::spec::names::label;

impl<F: Feed> State<F> {
    /// Takes in the Pod as the API has it now. One that is gone, or whose name another one has taken, is to be stopped at once.
    pub(super) fn reread(&mut self) {
        if self.context.feed.get(&self.key).as_ref() == Some(self.pod.stored()) {
            return;
        }
        self.settled = false;
        match self.context.pod(&self.key) {
            Some(pod) if pod.metadata.uid.as_deref() == Some(&self.uid) => {
                let before = std::mem::replace(&mut self.pod, pod);
                let (old, new) = (&before.metadata, &self.pod.metadata);
                if old.labels != new.labels || old.annotations != new.annotations {
                    // Volumes and variables of the downward API show them.
                    self.retry_configuration();
                    self.refresh_volumes();
                }
            }
            _ => self.gone = true,
        }
    }

    /// Tries again what could not be made of ConfigMaps and Secrets, one of which has changed, and brings volumes up to date.
    pub(super) fn sources_changed(&mut self, reason: Reason) {
        self.because_of(reason);
        self.reread();
        self.retry_configuration();
        self.memory.not_before.remove(&Retry::Volumes);
        self.refresh_volumes();
    }

    /// Containers whose configuration was not valid are tried again at once.
    fn retry_configuration(&mut self) {
        for (name, waiting) in &self.memory.waiting {
            if waiting.reason == "CreateContainerConfigError" {
                self.memory.not_before.remove(&Retry::Container(name.clone()));
            }
        }
    }

    /// Looks at the newest sandbox of the pod and at its containers; says whether they are others than before, or do otherwise.
    pub(super) async fn look_at_runtime(&mut self) -> Result<bool, ActorProcessingErr> {
        let mut own: Vec<SandboxView> = Vec::new();
        let mut attempt = self.sandbox.as_ref().map_or(0, |s| s.attempt);
        // Sandboxes are numbered: the newest is the last that is there.
        while let Some(sandbox) = self.context.runtime.sandbox(&operation::sandbox_id(&self.uid, attempt)).await? {
            own.push(SandboxView {
                id: sandbox.spec.id.clone(),
                attempt,
                ready: sandbox.state == SandboxState::Ready,
                ips: sandbox.addresses.clone(),
            });
            attempt += 1;
        }
        let mut changed = false;
        if let Some(newest) = own.pop() {
            changed = self.sandbox.as_ref() != Some(&newest);
            self.sandbox = Some(newest);
        }
        let Some(sandbox) = &self.sandbox else { return Ok(changed) };
        let listed = self.context.runtime.list_containers(Some(&sandbox.id)).await?;
        let mut views = Vec::with_capacity(listed.len());
        for info in listed {
            let name = info.labels.get(label::CONTAINER_NAME).cloned().unwrap_or_else(|| info.name.clone());
            let before = self.containers.iter().find(|c| c.id == info.id);
            let (user, image, image_id) = match before {
                Some(view) => (view.user.clone(), view.image.clone(), view.image_id.clone()),
                None => {
                    let status = self.context.runtime.container_status(&info.id).await?;
                    let asked = self.known().members().into_iter().find(|m| m.container.name == name);
                    let asked = asked.and_then(|m| m.container.image).unwrap_or_default();
                    let (image, id) = images::told(&self.context, &info.image_id, asked).await;
                    (status.map(|s| s.user).unwrap_or_default(), image, id)
                }
            };
            let mut view = ContainerView {
                id: info.id,
                name,
                attempt: info.attempt,
                hash: info.labels.get(label::CONTAINER_HASH).cloned().unwrap_or_default(),
                image,
                image_id,
                state: info.state,
                user,
                message: before.map(|b| b.message.clone()).unwrap_or_default(),
            };
            if view.ended().is_some() && before.is_none_or(|b| b.ended().is_none()) {
                view.message = stop::termination_message(&self.context, &self.pod, &view).await;
                self.memory.stopping.remove(&view.id);
                self.memory.health.remove(&view.id);
            }
            views.push(view);
        }
        self.memory.condemned.retain(|id| views.iter().any(|view| view.id == *id));
        changed |= self.containers != views;
        self.containers = views;
        Ok(changed)
    }
}
