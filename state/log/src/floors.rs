//! The floors: from where on the past of each resource can be read, as they stand in `meta`, and how far what is below is dropped.

use std::collections::BTreeMap;

use cox_objects::{Resource, Revision};
use rocksdb::WriteBatch;

use crate::LogError;
use crate::db::{Db, damaged};
use crate::format::{self, Family};

/// A revision for each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByResource {
    /// That of resources without their own.
    pub all: Revision,
    /// Those with their own.
    pub own: BTreeMap<Resource, Revision>,
}

impl ByResource {
    /// That of a resource.
    pub fn of(&self, resource: &Resource) -> Revision {
        self.own.get(resource).copied().unwrap_or(self.all)
    }

    /// The resources with their own, and what stands for all others (the empty name), each with its revision.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (Resource, Revision)> + '_ {
        let own = self.own.iter().map(|(resource, revision)| (resource.clone(), *revision));
        std::iter::once((Resource::from(""), self.all)).chain(own)
    }

    /// That of a class.
    pub(crate) fn set(&mut self, class: &Resource, revision: Revision) {
        match class.as_str().is_empty() {
            true => self.all = revision,
            false => drop(self.own.insert(class.clone(), revision)),
        }
    }

    fn read(db: &Db, prefix: &[u8]) -> Result<Self, LogError> {
        let mut read = ByResource::default();
        for entry in db.walk(Family::Meta, prefix)? {
            let (place, value) = entry?;
            let Some(name) = place.strip_prefix(prefix) else { break };
            let class = Resource::from(&*String::from_utf8_lossy(name));
            read.set(&class, format::parse_u64(&value).ok_or_else(|| damaged("meta", &place))?);
        }
        Ok(read)
    }
}

/// From where on the log can be read, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floors {
    /// From here on no event is missing.
    pub dense_from: Revision,
    /// The oldest revisions at which objects can be read as they were. Of the events up to it the newest of each object is there, unless it is
    /// a deletion.
    pub kept: ByResource,
}

impl Floors {
    /// Those of a log that misses nothing from `dense_from` on unless it says more.
    pub(crate) fn read(db: &Db, dense_from: Revision) -> Result<Self, LogError> {
        Ok(Floors { dense_from, kept: ByResource::read(db, &format::meta_floor(&Resource::from("")))? })
    }

    /// Puts them into a batch, which has to be durable before anything is dropped that they let go of.
    pub(crate) fn write(&self, db: &Db, batch: &mut WriteBatch) -> Result<(), LogError> {
        let meta = db.family(Family::Meta)?;
        // Programs that do not know the floor of all would read below it.
        batch.put_cf(meta, format::META_FORMAT, format::FORMAT.to_be_bytes());
        batch.put_cf(meta, format::META_DENSE_FROM, self.dense_from.to_be_bytes());
        for (class, floor) in self.kept.classes() {
            batch.put_cf(meta, format::meta_floor(&class), floor.to_be_bytes());
        }
        Ok(())
    }
}

/// How far the log is swept: what lies above is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Up to where what has to go is gone, by resource.
    pub(crate) to: ByResource,
    /// How many revisions up to the head have no event, because they were dropped or never used; none if an older version lost count.
    pub(crate) missing: Option<u64>,
}

impl Swept {
    pub(crate) fn read(db: &Db, base: Revision) -> Result<Self, LogError> {
        let missing = db.meta_u64(format::META_MISSING)?.or((base == 0).then_some(0));
        Ok(Swept { to: ByResource::read(db, &format::meta_swept(&Resource::from("")))?, missing })
    }

    /// Puts it into the batch that drops what it says is gone.
    pub(crate) fn write(&self, db: &Db, batch: &mut WriteBatch) -> Result<(), LogError> {
        let meta = db.family(Family::Meta)?;
        for (class, to) in self.to.classes() {
            batch.put_cf(meta, format::meta_swept(&class), to.to_be_bytes());
        }
        if let Some(missing) = self.missing {
            batch.put_cf(meta, format::META_MISSING, missing.to_be_bytes());
        }
        Ok(())
    }

    /// What has to be swept next: the classes that are the furthest behind, from where, and up to where they go together.
    pub(crate) fn next(&self, floors: &ByResource) -> Option<(Vec<Resource>, Revision, Revision)> {
        let behind: Vec<_> = floors
            .classes()
            .map(|(class, floor)| (self.to.of(&class), floor, class))
            .filter(|(to, floor, _)| to < floor)
            .collect();
        let from = behind.iter().map(|(to, _, _)| *to).min()?;
        let until = behind.iter().map(|(to, floor, _)| if *to == from { *floor } else { *to }).min()?;
        let classes = behind.into_iter().filter(|(to, _, _)| *to == from).map(|(_, _, class)| class);
        Some((classes.collect(), from, until))
    }
}
