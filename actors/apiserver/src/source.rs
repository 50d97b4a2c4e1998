//! The log as the bus publishes and serves it.

use cox_bus::source::{EventSource, Objects, SourceError};
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
