//! Whole lives of pods: a world that carries out every step at once, in which containers end and pods are deleted at random.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What happens between two decisions.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// The running container at this position (of those that run) ends with this code.
    End(usize, i32),
    /// So many seconds pass.
    Pass(i64),
    /// The worker starts anew: what it remembered is gone.
    Forget,
    /// The sandbox dies with all that runs in it.
    SandboxDies,
    /// The pod is deleted.
    Delete,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0usize..4, prop_oneof![Just(0), Just(1)]).prop_map(|(i, code)| Happening::End(i, code)),
        4 => (1i64..400).prop_map(Happening::Pass),
        1 => Just(Happening::Forget),
        1 => Just(Happening::SandboxDies),
        1 => Just(Happening::Delete),
    ]
}

struct World {
    pod: Pod,
    sandbox: Option<SandboxView>,
    containers: Vec<ContainerView>,
    memory: Memory,
    now: i64,
    deleted: bool,
    begun: BTreeMap<String, u32>,
}

impl World {
    fn new(spec: &Value) -> Self {
        World {
            pod: pod(spec, &json!({})),
            sandbox: None,
            containers: Vec::new(),
            memory: Memory::default(),
            now: 0,
            deleted: false,
            begun: BTreeMap::new(),
        }
    }

    /// The status that the API would have: it carries the counts over what is lost.
    fn tell(&mut self) {
        let known = Known {
            pod: &self.pod,
            sandbox: self.sandbox.as_ref(),
            containers: &self.containers,
            memory: &self.memory,
        };
        let status = crate::status::status(&known, &crate::status::NodeFacts::default(), at(self.now));
        self.pod.status = serde_json::from_value(status).unwrap();
    }

    /// Decides and obeys until nothing more is to be done now.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..60 {
            let known = Known {
                pod: &self.pod,
                sandbox: self.sandbox.as_ref(),
                containers: &self.containers,
                memory: &self.memory,
            };
            let plan = plan(&known, Duration::from_secs(30), at(self.now));
            if plan.steps.is_empty() {
                self.tell();
                return Ok(());
            }
            for step in plan.steps {
                self.obey(step)?;
            }
            self.tell();
        }
        prop_assert!(false, "it never settles");
        Ok(())
    }

    fn obey(&mut self, step: Step) -> Result<(), TestCaseError> {
        let ending = self.pod.metadata.deletion_timestamp.is_some();
        match step {
            Step::MakeVolumes => self.memory.volumes = Volumes::Ready,
            Step::MakeSandbox { attempt } => {
                prop_assert!(!ending && self.sandbox.as_ref().is_none_or(|s| !s.ready && s.attempt < attempt));
                self.sandbox =
                    Some(SandboxView { id: SandboxId(format!("u-{attempt}")), attempt, ready: true, ips: vec![] });
                self.containers.clear();
            }
            Step::Start { member, attempt } => self.start(&member, attempt)?,
            Step::Stop { id, .. } => self.end(&id, 143),
            Step::Remove(id) => {
                prop_assert!(self.containers.iter().any(|c| c.id == id && c.ended().is_some()));
                self.containers.retain(|c| c.id != id);
            }
            Step::StopSandbox(_) => {
                prop_assert!(self.containers.iter().all(|c| !c.is_running()), "a sandbox is stopped last");
                self.sandbox.as_mut().unwrap().ready = false;
            }
            Step::Finish => self.memory.finished = true,
            Step::Delete => {
                prop_assert!(self.memory.finished && ending);
                self.deleted = true;
                self.memory
                    .not_before
                    .insert(Retry::Delete, Held::back(SignedDuration::from_secs(i32::MAX.into()), at(0)));
            }
        }
        Ok(())
    }

    fn start(&mut self, member: &Member, attempt: u32) -> Result<(), TestCaseError> {
        let name = member.container.name.clone();
        prop_assert!(
            self.pod.metadata.deletion_timestamp.is_none() && !self.memory.finished,
            "nothing begins at the end"
        );
        prop_assert!(!self.containers.iter().any(|c| c.name == name && c.is_running()), "{name} runs already");
        // Nothing is started twice, and counts do not go back.
        prop_assert!(
            self.begun.get(&name).is_none_or(|last| attempt > *last),
            "{name} was started as {attempt} before"
        );
        self.begun.insert(name.clone(), attempt);
        if member.role == Role::Main {
            let known = Known {
                pod: &self.pod,
                sandbox: self.sandbox.as_ref(),
                containers: &self.containers,
                memory: &self.memory,
            };
            let undone = known.members().into_iter().filter(|m| m.role == Role::Init).find(|m| {
                let newest = known.newest(&m.container.name);
                newest.is_none_or(|c| c.ended().is_none_or(|(code, _)| code != 0))
            });
            let begun_before = self.containers.iter().any(|c| c.name == name);
            prop_assert!(
                undone.is_none() || begun_before,
                "{name} starts before {:?}",
                undone.map(|m| m.container.name)
            );
        }
        let failed =
            self.containers.iter().filter(|c| c.name == name).filter_map(ContainerView::ended).map(|(_, t)| t).max();
        if let Some(failed) = failed {
            let next = Backoff::next(self.memory.crashes.get(&name), failed, at(self.now));
            self.memory.crashes.insert(name.clone(), next);
        }
        self.memory.waiting.remove(&name);
        let mut own = running(&name, attempt);
        own.id = ContainerId(format!("{}-{name}-{attempt}", self.sandbox.as_ref().unwrap().attempt));
        own.hash = hash(&member.container);
        self.memory.health.insert(own.id.clone(), Health { started: true, ready: true, doomed: None });
        self.containers.push(own);
        Ok(())
    }

    fn end(&mut self, id: &ContainerId, code: i32) {
        let now = at(self.now);
        for c in self.containers.iter_mut().filter(|c| c.id == *id && c.is_running()) {
            c.state = ended(&c.name, c.attempt, code, now).state;
        }
    }

    fn happens(&mut self, what: Happening) {
        match what {
            Happening::End(position, code) => {
                let running: Vec<ContainerId> =
                    self.containers.iter().filter(|c| c.is_running()).map(|c| c.id.clone()).collect();
                if let Some(id) = running.get(position) {
                    self.end(id, code);
                }
            }
            Happening::Pass(seconds) => self.now += seconds,
            Happening::Forget => {
                let health = std::mem::take(&mut self.memory.health);
                self.memory = Memory { health, ..Memory::default() };
            }
            Happening::SandboxDies => {
                let running: Vec<ContainerId> =
                    self.containers.iter().filter(|c| c.is_running()).map(|c| c.id.clone()).collect();
                running.iter().for_each(|id| self.end(id, 137));
                if let Some(sandbox) = &mut self.sandbox {
                    sandbox.ready = false;
                }
            }
            Happening::Delete => {
                self.pod.metadata.deletion_timestamp =
                    Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(self.now)));
            }
        }
    }
}

fn spec() -> impl Strategy<Value = Value> {
    let policy = prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")];
    (policy, 0usize..3, any::<bool>(), 1usize..3).prop_map(|(policy, inits, sidecar, mains)| {
        let mut init: Vec<Value> = (0..inits).map(|i| json!({"name": format!("i{i}")})).collect();
        if sidecar {
            init.insert(init.len() / 2, json!({"name": "s", "restartPolicy": "Always"}));
        }
        let containers: Vec<Value> = (0..mains).map(|i| json!({"name": format!("c{i}")})).collect();
        json!({"restartPolicy": policy, "initContainers": init, "containers": containers})
    })
}

proptest! {
    /// Whatever happens: nothing is started twice or after the end, counts only grow, init containers come first, sandboxes end last,
    /// an ended pod stays ended, and a deleted one goes away.
    #[test]
    fn lives_are_orderly(spec in spec(), story in prop::collection::vec(happening(), 0..30)) {
        let mut world = World::new(&spec);
        world.settle()?;
        let mut end: Option<String> = None;
        for what in story {
            world.happens(what);
            world.settle()?;
            let phase = world.pod.status.as_ref().and_then(|s| s.phase.clone()).unwrap();
            if let Some(end) = &end {
                prop_assert_eq!(end, &phase);
            } else if matches!(phase.as_str(), "Succeeded" | "Failed") {
                prop_assert!(world.containers.iter().all(|c| !c.is_running()));
                end = Some(phase);
            }
        }
        world.happens(Happening::Delete);
        world.settle()?;
        prop_assert!(world.deleted);
        prop_assert!(!world.containers.iter().any(ContainerView::is_running));
        let phase = world.pod.status.as_ref().and_then(|s| s.phase.clone()).unwrap();
        prop_assert!(matches!(phase.as_str(), "Succeeded" | "Failed"), "{}", phase);
    }
}
