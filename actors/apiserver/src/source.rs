//! The log as the bus publishes and serves it.

use cox_bus::source::{EventSource, Objects, Skipped, SourceError};
use cox_log::Log;
use cox_objects::{Epoch, Event, Key, Position, Resource, Revision};
use tokio::sync::watch;

/// The log, as a source of events and snapshots.
pub(crate) struct LogSource(pub(crate) Log);

impl EventSource for LogSource {
    fn epoch(&self) -> Epoch {
        self.0.epoch()
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.0.watch_head()
    }

    fn oldest(&self) -> Revision {
        self.0.dense_from()
    }

    fn begin(&self) -> Revision {
        1
    }

    fn skipped(&self) -> Vec<Skipped> {
        skipped(&self.0)
    }

    fn read(&self, from: Revision, max_bytes: usize) -> Result<Vec<Event>, SourceError> {
        Ok(self.0.events(from, self.0.head(), max_bytes)?)
    }

    fn snapshot(&self) -> Result<(Position, Objects), SourceError> {
        let snapshot = self.0.snapshot()?;
        let position = Position { epoch: self.0.epoch(), revision: snapshot.revision() };
        Ok((position, Box::new(snapshot.map(|item| item.map_err(SourceError::from)))))
    }

    fn past_from(&self, resource: &Resource, wanted: Revision) -> Result<Revision, SourceError> {
        Ok(self.0.past_from(resource, wanted)?)
    }

    fn past(
        &self,
        revision: Revision,
        resource: &Resource,
        namespace: &str,
        after: Option<&str>,
    ) -> Result<Objects, SourceError> {
        let past = self.0.past(resource, namespace, after, revision)?;
        Ok(Box::new(past.map(|item| item.map_err(SourceError::from))))
    }

    fn history(&self, key: &Key) -> Result<Vec<Revision>, SourceError> {
        Ok(self.0.history(key)?)
    }
}

/// Where a log misses events.
pub(crate) fn skipped(log: &Log) -> Vec<Skipped> {
    let floors = log.floors();
    let of_all = Skipped { resource: None, from: 1, to: floors.kept.all };
    let own =
        floors.kept.own.iter().map(|(resource, to)| Skipped { resource: Some(resource.clone()), from: 1, to: *to });
    std::iter::once(of_all).chain(own).filter(|skipped| skipped.to > 0).collect()
}
