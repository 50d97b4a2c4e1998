//! What the mirror does not remember, read from the log: lists as they were, and the changes before a watch.

use std::collections::HashMap;
use std::sync::Arc;

use cox_bus::replay::ReadError;
use cox_bus::{Bus, PastQuery, StreamError};
use cox_objects::{Event, Key, Object, Position, Resource, Revision};

use crate::join::Before;
use crate::{Item, ListQuery, Listing, Mirror, Selected, Start, Watch, WatchError, WatchQuery, join};

/// How far back a watch is joined from the log, in revisions: what it has to be told is read into memory.
const JOINED: Revision = 100_000;
/// How often the start of a joined watch is tried: what the mirror remembers moves on meanwhile.
const TRIES: usize = 3;

/// Why a past list is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// The log does not keep it either: 410.
    #[error("{0}")]
    Expired(String),
    /// The log could not be read: another try may succeed.
    #[error(transparent)]
    Read(ReadError),
}

impl From<ReadError> for PastError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Stream(StreamError::Refused(status)) if status.code == 410 => PastError::Expired(status.message),
            error => PastError::Read(error),
        }
    }
}

impl Mirror {
    /// Answers a list as it was at a revision that the mirror does not remember, from the log.
    ///
    /// # Errors
    /// If the log does not keep that revision, or cannot be read.
    pub async fn list_past(&self, bus: &Bus, query: &ListQuery, revision: Revision) -> Result<Listing, PastError> {
        let ListQuery { what, limit, after, .. } = query;
        let plain = what.is_plain();
        let mut past = cox_bus::past(
            bus,
            PastQuery {
                at: Position { revision, ..self.position() },
                resource: what.resource.clone(),
                namespace: what.namespace.clone(),
                after: after.clone(),
                // Where more than the place decides, only we can tell which ones count.
                limit: if plain { *limit as u64 } else { 0 },
            },
        )
        .await?;
        let mut listing = Listing { revision, items: Vec::new(), more: false, remaining: None };
        while let Some(objects) = past.next().await? {
            let items = objects.into_iter().map(|(key, object)| Arc::new(Item::new(key, object)));
            listing.items.extend(items.filter(|item| what.matches(item)));
            if *limit > 0 && listing.items.len() > *limit {
                listing.items.truncate(*limit);
                listing.more = true;
                return Ok(listing);
            }
        }
        listing.more = past.remaining() > 0;
        listing.remaining = listing.more.then_some(past.remaining());
        Ok(listing)
    }

    /// Answers an object as it was at a revision, from the log; none if it was not there.
    ///
    /// # Errors
    /// If the log does not keep that revision, or cannot be read.
    pub async fn get_past(&self, bus: &Bus, key: &Key, revision: Revision) -> Result<Option<Object>, PastError> {
        Ok(cox_bus::past_object(bus, Position { revision, ..self.position() }, key).await?)
    }

    /// The revision that the log had at a time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If the log does not keep what was then, or cannot be read.
    pub async fn revision_at(&self, bus: &Bus, time: u64) -> Result<Revision, PastError> {
        Ok(cox_bus::position_at(bus, time).await?.revision)
    }

    /// Starts a watch; one that starts before the mirror's memory is joined from the log, if that is not too long ago.
    ///
    /// # Errors
    /// As [`Mirror::watch`]; [`WatchError::Expired`] also if the log cannot be read.
    pub async fn watch_joined(&self, bus: &Bus, query: WatchQuery) -> Result<Watch, WatchError> {
        let mut started = self.watch(query.clone());
        for _ in 0..TRIES {
            let (revision, oldest) = match (&started, query.start) {
                (Err(WatchError::Expired { revision, oldest }), Start::At(_)) if oldest - revision <= JOINED => {
                    (*revision, *oldest)
                }
                _ => break,
            };
            // Started first: from here on it remembers for itself where it is.
            let Ok(mut watch) = self.watch(WatchQuery { start: Start::At(oldest), ..query.clone() }) else {
                started = self.watch(query.clone());
                continue;
            };
            let before = self.changes_before(bus, &query.what, revision, oldest).await.map_err(|error| {
                tracing::debug!(%error, revision, oldest, "a watch cannot be joined from the log");
                WatchError::Expired { revision, oldest }
            })?;
            let (events, before) = before;
            watch.join(join::segment(events, &query.what, before, revision, oldest));
            return Ok(watch);
        }
        started
    }

    async fn changes_before(
        &self,
        bus: &Bus,
        what: &Selected,
        revision: Revision,
        oldest: Revision,
    ) -> Result<(Vec<Event>, Before), PastError> {
        let events = events(bus, &what.resource, revision + 1, oldest).await?;
        if what.selector.is_none() || events.is_empty() {
            return Ok((events, None));
        }
        let place = Selected { selector: None, ..what.clone() };
        let then = ListQuery { what: place, limit: 0, after: None, at: None };
        let items = self.list_past(bus, &then, revision).await?.items;
        let before: HashMap<_, _> = items.into_iter().map(|item| (item.key().clone(), item)).collect();
        Ok((events, Some(before)))
    }
}

async fn events(bus: &Bus, resource: &Resource, from: Revision, to: Revision) -> Result<Vec<Event>, ReadError> {
    let mut range = cox_bus::range_of(bus, resource, from, to).await?;
    let mut events = Vec::new();
    while let Some(chunk) = range.next().await? {
        events.extend(chunk);
    }
    Ok(events)
}
