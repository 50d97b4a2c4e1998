//! The load: writers that create, change, swap, delete and read, each with its own connection, and keep what they were told.
//!
//! Each writer has objects of its own, which come and go, and all share a few registers, which are what makes their histories
//! interesting. A register is left for a new one after some requests, so that its history can be searched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use super::client::{Answer, Door};
use super::history::{self, Act, Operation, Outcome};
use crate::Cluster;

/// How many registers there are at a time.
const REGISTERS: usize = 4;
/// How many requests a register gets before a new one takes its place.
const REQUESTS: u64 = 64;
/// How many objects of its own a writer has at a time.
const OWN: usize = 4;
/// How long a writer rests when nobody answers.
const REST: Duration = Duration::from_millis(20);

struct Shared {
    begun: Instant,
    registers: [AtomicU64; REGISTERS],
    acknowledged: AtomicU64,
    stop: AtomicBool,
    run: u64,
}

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    writers: JoinSet<Vec<Operation>>,
}

impl Load {
    /// Starts so many writers, whose choices begin with a seed. They go on over whatever happens to the server.
    ///
    /// # Errors
    /// If there is no kubeconfig.
    pub async fn start(cluster: &Cluster, writers: usize, seed: u64) -> Result<Load> {
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            registers: Default::default(),
            acknowledged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            run: seed,
        });
        let mut tasks = JoinSet::new();
        for number in 0..writers {
            let rng = StdRng::seed_from_u64(seed.wrapping_add(number as u64));
            let door = Door::open(cluster).await?;
            let writer = Writer { number, door, shared: shared.clone(), rng, count: 0, operations: Vec::new() };
            tasks.spawn(writer.run());
        }
        Ok(Load { shared, writers: tasks })
    }

    /// How many writes were acknowledged until now.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Stops the writers after the request that each has under way, and gives all that was asked and answered.
    ///
    /// # Errors
    /// If a writer panicked.
    pub async fn stop(mut self) -> Result<Vec<Operation>> {
        self.shared.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        while let Some(operations) = self.writers.join_next().await {
            all.extend(operations?);
        }
        Ok(all)
    }
}

struct Writer {
    number: usize,
    door: Door,
    shared: Arc<Shared>,
    rng: StdRng,
    count: u64,
    operations: Vec<Operation>,
}

impl Writer {
    async fn run(mut self) -> Vec<Operation> {
        let mut own = VecDeque::new();
        while !self.shared.stop.load(Ordering::SeqCst) {
            match self.rng.random_range(0..16) {
                0..6 => self.own(&mut own, "configmaps").await,
                6 => self.own(&mut own, "services").await,
                _ => self.register().await,
            }
            if matches!(self.operations.last().map(|last| &last.outcome), Some(Outcome::Never | Outcome::Perhaps)) {
                tokio::time::sleep(REST).await;
            }
        }
        self.operations
    }

    /// Makes an object that no other writer knows, and removes the oldest if there are many.
    async fn own(&mut self, own: &mut VecDeque<(&'static str, String)>, resource: &'static str) {
        let name = format!("own-{:x}-{}-{}", self.shared.run, self.number, self.count);
        let value = self.value();
        let (door, at) = (self.door.clone(), self.now());
        let answer = match resource {
            "services" => door.create_service(&name, &value).await,
            _ => door.create(&name, &value).await,
        };
        self.note(resource, &name, Act::Create(value), at, answer);
        own.push_back((resource, name));
        if own.len() > OWN
            && let Some((resource, name)) = own.pop_front()
        {
            self.delete(resource, &name).await;
        }
    }

    /// Does something with a register that the others use too.
    async fn register(&mut self) {
        let slot = self.rng.random_range(0..REGISTERS);
        let used = self.shared.registers.get(slot).map_or(0, |count| count.fetch_add(1, Ordering::SeqCst));
        let name = format!("register-{:x}-{slot}-{}", self.shared.run, used / REQUESTS);
        let (door, value) = (self.door.clone(), self.value());
        match self.rng.random_range(0..10) {
            0..3 => {
                self.get(&name).await;
            }
            3..5 => {
                let at = self.now();
                let answer = door.create(&name, &value).await;
                self.note("configmaps", &name, Act::Create(value), at, answer);
            }
            5..7 => {
                let at = self.now();
                let answer = door.put(&name, &value).await;
                self.note("configmaps", &name, Act::Put(value), at, answer);
            }
            7..9 => {
                if let Some((version, from)) = self.get(&name).await {
                    let at = self.now();
                    let answer = door.swap(&name, version, &value).await;
                    self.note("configmaps", &name, Act::Swap(from, value), at, answer);
                }
            }
            _ => self.delete("configmaps", &name).await,
        }
    }

    /// Reads a register: its version and value, if it is there.
    async fn get(&mut self, name: &str) -> Option<(u64, String)> {
        let at = self.now();
        let answer = self.door.get("configmaps", name).await;
        let found = match &answer.outcome {
            Outcome::Done { revision: Some(revision), value: Some(value) } => Some((*revision, value.clone())),
            _ => None,
        };
        self.note("configmaps", name, Act::Get, at, answer);
        found
    }

    async fn delete(&mut self, resource: &str, name: &str) {
        let at = self.now();
        let answer = self.door.delete(resource, name).await;
        self.note(resource, name, Act::Delete, at, answer);
    }

    fn note(&mut self, resource: &str, name: &str, act: Act, invoked: u64, answer: Answer) {
        if matches!(answer.outcome, Outcome::Done { .. }) && act != Act::Get {
            self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        let outcome = match answer.outcome {
            // What a delete answers is what was there before, or that it is done.
            Outcome::Done { .. } if act == Act::Delete => Outcome::Done { revision: None, value: None },
            outcome => outcome,
        };
        let (writer, key, returned) = (self.number, history::key(resource, name), self.now());
        self.operations.push(Operation { writer, key, act, invoked, returned, outcome });
    }

    fn value(&mut self) -> String {
        self.count += 1;
        format!("{:x}-{}-{}", self.shared.run, self.number, self.count)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.shared.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
