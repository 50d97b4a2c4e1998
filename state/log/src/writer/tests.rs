//! What is answered is on the disk.

use cox_objects::{Draft, Epoch, Resource};
use serde_json::json;

use super::*;
use crate::db::tests::counted;
use crate::{Existence, Guard, Refusal, Staged, Write};

/// A log without anything, and an arbiter that minds nothing.
struct Empty;

impl Base for Empty {
    fn current(&self, _: &Key) -> Result<Option<Object>, LogError> {
        Ok(None)
    }
    fn outcome(&self, _: RequestId) -> Result<Option<Outcome>, LogError> {
        Ok(None)
    }
}

impl Arbiter for Empty {
    fn check(&mut self, _: &Guard, _: &dyn Staged) -> Result<(), Refusal> {
        Ok(())
    }
    fn apply(&mut self, _: &Event, _: Option<&Object>) {}
    fn durable(&mut self, _: Revision) {}
    fn reset(&mut self, _: &mut dyn Iterator<Item = (Key, Object)>, _: Revision) {}
}

/// A process that is killed loses nothing that it wrote; only this shows what a machine that loses its power would keep.
#[test]
fn what_was_decided_and_its_outcomes_are_one_write_that_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (db, synced) = counted(dir.path());
    let mut stage = Stage::new(&Empty, Epoch(1), 0, 1000);
    for n in 1..=3u64 {
        let name = format!("c{n}");
        let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}});
        let draft = Draft::encode(&object).unwrap();
        let key = Key::new(Resource::CONFIGMAPS, "ns", &name);
        let changes = vec![Write::Put { key, draft, must: Existence::Absent }];
        let request = Some(RequestId(u128::from(n)));
        stage.decide(Transaction { changes, request, ..Transaction::default() }, &mut Empty).unwrap();
    }
    let before = synced();
    write(&db, &stage, None).unwrap();
    assert_eq!(synced(), before + 1, "one sync for all of them");
    assert_eq!(db.newest_before(u64::MAX).unwrap(), Some(3));
    assert!((1..=3).all(|id| db.outcome(RequestId(id)).unwrap().is_some()));
}
