//! What a batch is worth once it is written.

use rocksdb::statistics::Ticker;

use super::*;

/// A database, and what counts how often it has synced its WAL.
pub(crate) fn counted(dir: &Path) -> (Db, impl Fn() -> u64) {
    let options = Options::default();
    let mut database = database_options(&options);
    database.enable_statistics();
    let families = families(&database, dir, &options);
    let db = Db { db: DB::open_cf_descriptors(&database, dir, families).unwrap() };
    (db, move || database.get_ticker_count(Ticker::WalFileSynced))
}

#[test]
fn a_batch_is_synced_before_it_counts_and_one_in_the_background_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (db, synced) = counted(dir.path());
    let batch = |value: u64| {
        let mut batch = WriteBatch::default();
        batch.put_cf(db.family(Family::Log).unwrap(), format::log_key(value), value.to_be_bytes());
        batch
    };
    // A process that is killed loses nothing of what it wrote; only a machine that stops shows what was not synced, and this.
    let before = synced();
    for n in 1..=5 {
        db.write(batch(n)).unwrap();
        assert_eq!(synced(), before + n, "once for each");
    }
    db.write_in_background(batch(6)).unwrap();
    assert_eq!(synced(), before + 5);
}
