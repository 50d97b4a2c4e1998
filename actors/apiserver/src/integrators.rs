//! The actor that looks after outside programs: their consumers in the event stream, what they missed, and whether they still may read.
//!
//! Flow: an operator registers a program on the control subject; its registration is a file and its consumer is in JetStream. Every two
//! seconds, and each time before publishing begins again, each one is looked at: a user who may no longer read ends it, a consumer that is lost, or
//! that a stream without its end took back with it, is made again where it was, and events that the
//! stream dropped before they were acknowledged become a notice, published until the program says that it read them from the log.
//!
//! Guarantees: every event that passes a program's filters reaches it at least once, by its consumer or by a read after a notice; with one
//! message in flight in order. What a restart loses: nothing, the files hold it; a position there may be older than the real one, so that
//! a notice may name events that were delivered.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cox_bus::integrator::{Consumer, Consumers, Filter, Gap, Page, Read, Window};
use cox_bus::publisher::{JetStreamError, Turns};
use cox_bus::{Bus, Identity, SealingKey};
use cox_kit::Scope;
use cox_kit::supervise::StartError;
use cox_objects::{Revision, User};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, MissedTickBehavior, interval};

use crate::execute::Executor;

mod read;
mod registry;
mod rules;

use registry::Registry;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What is asked on the control subject.
pub const QUESTION: &str = "integrators";

/// A question of an operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Register a program.
    Create(New),
    /// Say what there are.
    List,
    /// End one, by its name.
    Delete(String),
}

/// A program to register.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct New {
    /// Its name: of its consumer and of its identity.
    pub name: String,
    /// As whom it reads: RBAC decides for this user.
    pub user: User,
    /// Which events it gets.
    pub filters: Vec<String>,
    /// After which revision it begins; from now on, if none.
    pub since: Option<Revision>,
    /// How many messages may be delivered and not acknowledged.
    pub in_flight: u32,
}

/// A registered program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrator {
    /// Its name.
    pub name: String,
    /// As whom it reads.
    pub user: User,
    /// Which events it gets.
    pub filters: Vec<String>,
    /// How many messages may be delivered and not acknowledged.
    pub in_flight: u32,
    /// Everything up to here was acknowledged, did not pass its filters, or is in `gap`.
    pub position: Revision,
    /// Up to where its consumer was seen to be: one that is behind that was taken back.
    #[serde(default)]
    pub acknowledged: Revision,
    /// What the stream dropped and it has not read from the log yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
    /// Why it gets nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The programs that are meant, as they are now, by name; and the head of the log.
    Are(BTreeMap<String, Integrator>, Revision),
    /// Why not.
    Refused(String),
}

/// Why a program cannot be registered or ended.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Bad(String),
    #[error("there is an integrator {0} already; choose another name, or delete it first")]
    Exists(String),
    #[error("there is no integrator {0}")]
    Missing(String),
    #[error("the event stream does not answer; try again: {0}")]
    Stream(#[from] JetStreamError),
    #[error("{0} cannot be written: {1}")]
    File(PathBuf, std::io::Error),
}

/// Looks after them until the scope is cancelled.
pub(crate) async fn serve(
    bus: Bus,
    executor: Executor,
    dir: PathBuf,
    (sealing, mut turns): (SealingKey, Turns),
    scope: Scope,
) -> Result<(), StartError> {
    let mut control = bus.listen(bus.subjects().ctl(&Identity::Apiserver, QUESTION), None).await?;
    let mut reads = bus.listen(bus.subjects().integrator_reads(), None).await?;
    let mut keeper = Keeper { registry: Registry::load(dir.join("integrators"))?, bus, executor, sealing };
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = scope.cancelled().cancelled() => return Ok(()),
            heard = control.next() => {
                let heard = heard.ok_or("the bus connection is closed")?;
                let answer = match heard.json() {
                    Ok(ask) => keeper.control(ask).await.unwrap_or_else(|refused| Answer::Refused(refused.to_string())),
                    Err(error) => Answer::Refused(error.to_string()),
                };
                heard.answer_json(&answer).await?;
            }
            heard = reads.next() => {
                let heard = heard.ok_or("the bus connection is closed")?;
                let page = match (keeper.bus.subjects().parse_integrator(&heard.subject), heard.json()) {
                    (Some(Identity::Integrator(name)), Ok(asked)) => keeper.read(&name, asked).await,
                    (_, Err(error)) => read::refused(error),
                    _ => continue,
                };
                heard.answer_json(&page).await?;
            }
            number = turns.next() => {
                keeper.look().await;
                turns.over(number);
            }
            _ = tick.tick() => keeper.look().await,
        }
    }
}

struct Keeper {
    registry: Registry,
    bus: Bus,
    executor: Executor,
    sealing: SealingKey,
}

impl Keeper {
    async fn control(&mut self, ask: Ask) -> Result<Answer, Refused> {
        let head = self.executor.stored.log.head();
        let of = |one: Integrator| BTreeMap::from([(one.name.clone(), one)]);
        Ok(match ask {
            Ask::List => Answer::Are(self.registry.all().clone(), head),
            Ask::Create(new) => Answer::Are(of(self.create(new, head).await?), head),
            Ask::Delete(name) => Answer::Are(of(self.delete(&name).await?), head),
        })
    }

    async fn create(&mut self, new: New, head: Revision) -> Result<Integrator, Refused> {
        if self.registry.get(&new.name).is_some() {
            return Err(Refused::Exists(new.name));
        }
        let filters = rules::check(&new, head, &self.executor.kinds).map_err(Refused::Bad)?;
        rules::may_read(&self.executor.stored, &new.user, &filters).map_err(Refused::Bad)?;
        let New { name, user, filters: written, since, in_flight } = new;
        let position = since.unwrap_or(head);
        let acknowledged = position;
        let one =
            Integrator { name, user, filters: written, in_flight, position, acknowledged, gap: None, ended: None };
        // The file comes first: a consumer without one would be nobody's.
        self.registry.put(one.clone())?;
        if let Err(error) = self.make_consumer(&one, filters).await {
            self.registry.remove(&one.name)?;
            return Err(error.into());
        }
        Ok(one)
    }

    async fn delete(&mut self, name: &str) -> Result<Integrator, Refused> {
        let one = self.registry.get(name).cloned().ok_or_else(|| Refused::Missing(name.to_owned()))?;
        Consumers::new(&self.bus).delete(name).await?;
        self.registry.remove(name)?;
        Ok(one)
    }

    async fn make_consumer(&self, one: &Integrator, filters: Vec<Filter>) -> Result<(), JetStreamError> {
        let start = one.position + 1;
        let consumer = Consumer { name: one.name.clone(), filters, start, in_flight: one.in_flight };
        Consumers::new(&self.bus).create(&consumer).await
    }

    /// Answers what a program asks for of the log.
    async fn read(&mut self, name: &str, asked: Read) -> Page {
        let Some(mut one) = self.registry.get(name).cloned() else { return read::refused("it is not registered") };
        if let Some(why) = &one.ended {
            return read::refused(why);
        }
        let filters = rules::filters(&one);
        if let Err(why) = rules::may_read(&self.executor.stored, &one.user, &filters) {
            return read::refused(why);
        }
        if one.gap.is_some() {
            let gap = rules::still_missing(one.gap, asked.taken);
            if gap != one.gap {
                one.gap = gap;
                self.keep(one);
            }
        }
        let (log, subjects, sealing) =
            (self.executor.stored.log.clone(), self.bus.subjects().clone(), self.sealing.clone());
        let page = tokio::task::spawn_blocking(move || read::page(&log, &subjects, &sealing, &filters, asked)).await;
        page.unwrap_or_else(read::refused)
    }

    async fn look(&mut self) {
        let live: Vec<Integrator> = self.registry.all().values().filter(|one| one.ended.is_none()).cloned().collect();
        if live.is_empty() {
            return;
        }
        let window = match Consumers::new(&self.bus).window().await {
            Ok(Some(window)) => window,
            // The publisher makes it.
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "integrators are looked at later"),
        };
        for one in live {
            let name = one.name.clone();
            if let Err(error) = self.look_at(one, window).await {
                tracing::warn!(%error, name, "an integrator could not be looked after");
            }
        }
    }

    async fn look_at(&mut self, mut one: Integrator, window: Window) -> Result<(), Refused> {
        let filters = rules::filters(&one);
        if let Err(why) = rules::may_read(&self.executor.stored, &one.user, &filters) {
            tracing::warn!(name = one.name, why, "an integrator ends");
            Consumers::new(&self.bus).delete(&one.name).await?;
            return self.registry.put(Integrator { ended: Some(why), ..one });
        }
        let before = one.clone();
        let consumers = Consumers::new(&self.bus);
        let acknowledged = match consumers.position(&one.name).await? {
            Some(acknowledged) if acknowledged >= one.acknowledged => acknowledged,
            lost => {
                tracing::info!(
                    name = one.name,
                    at = one.position,
                    found = lost,
                    "an integrator's consumer is made again"
                );
                consumers.delete(&one.name).await?;
                self.make_consumer(&one, filters.clone()).await?;
                one.position
            }
        };
        one.acknowledged = acknowledged;
        let (position, dropped) = rules::passed(one.position, acknowledged, window.first);
        if let Some(dropped) = dropped {
            let log = self.executor.stored.log.clone();
            let missed = tokio::task::spawn_blocking(move || read::first_match(&log, &filters, dropped)).await;
            let missed = missed.map_err(|error| Refused::Bad(error.to_string()))?.map_err(Refused::Bad)?;
            if let Some(from) = missed {
                one.gap = Some(Gap { from: one.gap.map_or(from, |gap| gap.from), to: dropped.to });
                tracing::info!(name = one.name, gap = ?one.gap, "the stream dropped what an integrator had not taken");
            }
        }
        one.position = position;
        if let Some(gap) = &one.gap {
            // Until it was read: the program may be away.
            let subject = self.bus.subjects().integrator(&Identity::Integrator(one.name.clone()), "gap");
            if let Err(error) = self.bus.publish_json(subject, gap).await {
                tracing::debug!(%error, "a gap notice was not sent");
            }
        }
        if one != before { self.registry.put(one) } else { Ok(()) }
    }

    fn keep(&mut self, one: Integrator) {
        // It is kept in memory all the same; a notice that comes again after a crash does no harm.
        if let Err(error) = self.registry.put(one) {
            tracing::warn!(%error, "an integrator's file");
        }
    }
}
