//! RocksDB behind typed reads: how it is configured, and how its errors are told apart.

use std::path::Path;

use cox_objects::{Change, Epoch, Event, Key, Object, RequestId, Revision};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Direction, ErrorKind, IteratorMode, LogLevel, ReadOptions, WriteBatch, WriteOptions,
};

use crate::format::{self, Family};
use crate::{LogError, Options, Outcome};

/// Key and value of an entry.
pub(crate) type Entry = (Box<[u8]>, Box<[u8]>);

/// What objects there are at one moment.
pub(crate) struct There {
    /// The newest revision of the log, if it has any event.
    pub(crate) newest: Option<Revision>,
    /// The revisions that make them, in their order: so they lie on the disk, and a million take few bytes.
    pub(crate) made: Vec<Revision>,
}

/// An open database.
pub(crate) struct Db {
    db: DB,
}

impl From<rocksdb::Error> for LogError {
    fn from(error: rocksdb::Error) -> Self {
        match error.kind() {
            ErrorKind::Corruption => LogError::Damaged(error.into_string()),
            _ => LogError::Io(error.into_string()),
        }
    }
}

impl From<format::RecordError> for LogError {
    fn from(error: format::RecordError) -> Self {
        LogError::Damaged(error.to_string())
    }
}

impl Db {
    /// Opens the database in a folder, which is made if it is not there.
    pub(crate) fn open(folder: &Path, options: &Options) -> Result<Db, rocksdb::Error> {
        let database = database_options(options);
        let families = families(&database, folder, options);
        Ok(Db { db: DB::open_cf_descriptors(&database, folder, families)? })
    }

    /// Opens the database in a folder, which must be there, for reading only: nothing in it changes.
    pub(crate) fn open_to_read(folder: &Path, options: &Options) -> Result<Db, rocksdb::Error> {
        let mut database = database_options(options);
        database.create_if_missing(false);
        database.create_missing_column_families(false);
        let families = families(&database, folder, options);
        Ok(Db { db: DB::open_cf_descriptors_read_only(&database, folder, families, false)? })
    }

    /// Makes a copy of the database as it is, in a folder that must not be there: of links to its files, where that is the same disk.
    pub(crate) fn checkpoint(&self, to: &Path) -> Result<(), LogError> {
        Ok(Checkpoint::new(&self.db)?.create_checkpoint(to)?)
    }

    /// About how many entries a family has.
    pub(crate) fn about(&self, family: Family) -> Result<u64, LogError> {
        let number = self.db.property_int_value_cf(self.family(family)?, rocksdb::properties::ESTIMATE_NUM_KEYS)?;
        Ok(number.unwrap_or(0))
    }

    /// Bytes of a family's files.
    pub(crate) fn size(&self, family: Family) -> Result<u64, LogError> {
        let size = self.db.property_int_value_cf(self.family(family)?, rocksdb::properties::TOTAL_SST_FILES_SIZE)?;
        Ok(size.unwrap_or(0))
    }

    /// Whether there is an event of an object at a revision, by the index.
    pub(crate) fn in_history(&self, key: &Key, revision: Revision) -> Result<bool, LogError> {
        Ok(self.get(Family::History, &format::history_key(key, revision))?.is_some())
    }

    /// What the event at a revision did to which object, if it is there.
    pub(crate) fn subject(&self, revision: Revision) -> Result<Option<(Key, Change)>, LogError> {
        match self.get(Family::Log, &format::log_key(revision))? {
            None => Ok(None),
            Some(record) => Ok(Some(format::decode_subject(&record)?)),
        }
    }

    /// A family's handle.
    pub(crate) fn family(&self, family: Family) -> Result<&ColumnFamily, LogError> {
        self.db
            .cf_handle(family.name())
            .ok_or_else(|| LogError::Damaged(format!("column family {} is missing", family.name())))
    }

    /// Writes a batch, durably.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), rocksdb::Error> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options)
    }

    /// Writes a batch that may be lost, and that others go before.
    pub(crate) fn write_in_background(&self, batch: WriteBatch) -> Result<(), rocksdb::Error> {
        let mut options = WriteOptions::default();
        options.set_low_pri(true);
        self.db.write_opt(batch, &options)
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<rocksdb::DBPinnableSlice<'_>>, LogError> {
        Ok(self.db.get_pinned_cf(self.family(family)?, key)?)
    }

    /// A fact of `meta`.
    pub(crate) fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.get(Family::Meta, key)?.map(|value| value.to_vec()))
    }

    /// A number of `meta`.
    pub(crate) fn meta_u64(&self, key: &[u8]) -> Result<Option<u64>, LogError> {
        match self.meta(key)? {
            None => Ok(None),
            Some(value) => format::parse_u64(&value).map(Some).ok_or_else(|| damaged("meta", key)),
        }
    }

    /// The newest revision in `log` that is not past another.
    pub(crate) fn newest_before(&self, past: Revision) -> Result<Option<Revision>, LogError> {
        let place = format::log_key(past);
        let from = IteratorMode::From(&place, Direction::Reverse);
        match self.db.iterator_cf(self.family(Family::Log)?, from).next() {
            None => Ok(None),
            Some(entry) => {
                let (key, _) = entry?;
                format::parse_u64(&key).map(Some).ok_or_else(|| damaged("log", &key))
            }
        }
    }

    /// The revision that makes an object.
    pub(crate) fn current(&self, key: &Key) -> Result<Option<Revision>, LogError> {
        let place = format::current_key(key);
        match self.get(Family::Current, &place)? {
            None => Ok(None),
            Some(value) => format::parse_current(&value).map(Some).ok_or_else(|| damaged("current", &place)),
        }
    }

    /// The object of the event at a revision; none if that is its deletion.
    pub(crate) fn object(&self, revision: Revision) -> Result<Option<Object>, LogError> {
        let record = self.get(Family::Log, &format::log_key(revision))?;
        let record = record.ok_or_else(|| LogError::Damaged(format!("the event at revision {revision} is missing")))?;
        let (object, deleted) = format::decode_object(&record)?;
        Ok((!deleted).then_some(object))
    }

    /// An object as it is.
    pub(crate) fn get_object(&self, key: &Key) -> Result<Option<Object>, LogError> {
        match self.current(key)? {
            None => Ok(None),
            Some(revision) => self.object(revision),
        }
    }

    /// The event at a revision.
    pub(crate) fn event(&self, epoch: Epoch, revision: Revision) -> Result<Option<Event>, LogError> {
        match self.get(Family::Log, &format::log_key(revision))? {
            None => Ok(None),
            Some(record) => Ok(Some(format::decode_event(epoch, revision, &record)?)),
        }
    }

    /// The outcome of a request.
    pub(crate) fn outcome(&self, id: RequestId) -> Result<Option<Outcome>, LogError> {
        match self.get(Family::Requests, &format::request_key(id))? {
            None => Ok(None),
            Some(value) => Ok(Some(format::decode_outcome(&value)?)),
        }
    }

    /// Walks a family's entries from a key on, in order, seeing one state of the database throughout.
    pub(crate) fn walk(
        &self,
        family: Family,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<Entry, LogError>> + '_, LogError> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let entries = self.db.iterator_cf_opt(self.family(family)?, ReadOptions::default(), mode);
        Ok(entries.map(|entry| entry.map_err(LogError::from)))
    }

    /// Walks a family's entries from a key to before another, once: what is read this way does not take the place of what is read often.
    pub(crate) fn between(
        &self,
        family: Family,
        from: &[u8],
        to: &[u8],
    ) -> Result<impl Iterator<Item = Result<Entry, LogError>> + '_, LogError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_iterate_upper_bound(to);
        let mode = IteratorMode::From(from, Direction::Forward);
        let entries = self.db.iterator_cf_opt(self.family(family)?, options, mode);
        Ok(entries.map(|entry| entry.map_err(LogError::from)))
    }

    /// The first event from a revision on up to another, and its time.
    pub(crate) fn first_from(&self, from: Revision, to: Revision) -> Result<Option<(Revision, u64)>, LogError> {
        let mut cursor = self.cursor(Family::Log)?;
        cursor.seek(format::log_key(from));
        cursor.status()?;
        let Some((place, record)) = cursor.item() else { return Ok(None) };
        let revision = format::parse_u64(place).ok_or_else(|| damaged("log", place))?;
        if revision > to { Ok(None) } else { Ok(Some((revision, format::decode_time(record)?))) }
    }

    /// The revision of an object's event before another.
    pub(crate) fn before(&self, key: &Key, revision: Revision) -> Result<Option<Revision>, LogError> {
        let mut cursor = self.cursor(Family::History)?;
        cursor.seek_for_prev(format::history_key(key, revision.saturating_sub(1)));
        cursor.status()?;
        let found = cursor.key().and_then(format::parse_history_key);
        Ok(found.filter(|(of, _)| of == key).map(|(_, before)| before))
    }

    /// A cursor over a family's keys.
    pub(crate) fn cursor(&self, family: Family) -> Result<rocksdb::DBRawIterator<'_>, LogError> {
        Ok(self.db.raw_iterator_cf(self.family(family)?))
    }

    /// What objects there are, and the newest revision of the log, as of one moment.
    pub(crate) fn there(&self) -> Result<There, LogError> {
        let snapshot = self.db.snapshot();
        let newest = match snapshot.iterator_cf(self.family(Family::Log)?, IteratorMode::End).next() {
            None => None,
            Some(entry) => format::parse_u64(&entry?.0),
        };
        let mut made = Vec::new();
        let mut cursor = snapshot.raw_iterator_cf(self.family(Family::Current)?);
        cursor.seek_to_first();
        while let Some((place, value)) = cursor.item() {
            made.push(format::parse_current(value).ok_or_else(|| damaged("current", place))?);
            cursor.next();
        }
        cursor.status()?;
        made.sort_unstable();
        Ok(There { newest, made })
    }

    /// Shows the records of events, in the order of their revisions, which are given so.
    pub(crate) fn records<E: From<LogError>>(
        &self,
        revisions: &[Revision],
        mut show: impl FnMut(Revision, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursor = self.cursor(Family::Log)?;
        for revision in revisions {
            let place = format::log_key(*revision);
            // Mostly it is the next one.
            if cursor.valid() {
                cursor.next();
            }
            if cursor.key() != Some(place.as_slice()) {
                cursor.seek(place);
            }
            cursor.status().map_err(LogError::from)?;
            match cursor.item() {
                Some((found, record)) if found == place => show(*revision, record)?,
                _ => return Err(LogError::Damaged(format!("the event at revision {revision} is missing")).into()),
            }
        }
        Ok(())
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        // Background work must not outlive the handle: a process that exits meanwhile crashes.
        self.db.cancel_all_background_work(true);
    }
}

/// A key or value that is not what its family holds.
pub(crate) fn damaged(family: &str, key: &[u8]) -> LogError {
    LogError::Damaged(format!("{family} entry {:?}", String::from_utf8_lossy(key)))
}

/// The families of the database in a folder with their options. A newer version's are opened too, so that its format can be read and named.
fn families(database: &rocksdb::Options, folder: &Path, options: &Options) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(options.cache);
    let mut names = DB::list_cf(database, folder).unwrap_or_default();
    for family in Family::ALL {
        if !names.iter().any(|name| name == family.name()) {
            names.push(family.name().to_owned());
        }
    }
    let described = names.into_iter().map(|name| {
        let options = family_options(&cache, options, &name);
        ColumnFamilyDescriptor::new(name, options)
    });
    described.collect()
}

fn database_options(options: &Options) -> rocksdb::Options {
    let mut database = rocksdb::Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    // A torn tail was never acknowledged; anything else must be seen.
    database.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    database.set_track_and_verify_wals_in_manifest(true);
    database.set_recycle_log_file_num(0);
    database.set_paranoid_checks(true);
    // The families of one batch go to disk together.
    database.set_atomic_flush(true);
    database.set_db_write_buffer_size(options.write_buffer);
    database.set_max_total_wal_size(4 * options.write_buffer as u64);
    database.set_max_background_jobs(2);
    database.set_keep_log_file_num(2);
    database.set_max_log_file_size(1 << 20);
    database.set_log_level(LogLevel::Warn);
    database.set_bytes_per_sync(1 << 20);
    // One writer: nothing to coordinate.
    database.set_enable_pipelined_write(false);
    database.set_allow_concurrent_memtable_write(false);
    database
}

/// So many entries in a row, of which so many are deletions, make RocksDB merge a file.
const DELETIONS: (usize, usize) = (1024, 512);

fn family_options(cache: &Cache, options: &Options, name: &str) -> rocksdb::Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    // Of the index and the filter of a large file a read takes the part that it needs: as a whole they do not fit into a part of the cache, and
    // each read would bring them from the disk again.
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    if name == Family::Current.name() || name == Family::Requests.name() {
        table.set_bloom_filter(10.0, false);
    }
    let mut family = rocksdb::Options::default();
    if name == Family::Log.name() || name == Family::History.name() {
        // A file of which much was dropped is merged, so that the space comes back.
        family.add_compact_on_deletion_collector_factory(DELETIONS.0, DELETIONS.1, 0.5);
    }
    family.set_block_based_table_factory(&table);
    family.set_write_buffer_size(options.write_buffer);
    family.set_compression_type(DBCompressionType::Lz4);
    if name == Family::Current.name() || name == Family::Requests.name() {
        // Most that is asked for here is new and not there.
        family.set_memtable_prefix_bloom_ratio(0.02);
        family.set_memtable_whole_key_filtering(true);
    }
    family
}

#[cfg(test)]
pub(crate) mod tests;
