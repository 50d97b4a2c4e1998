//! A Pod as the node keeps it: its stored bytes, which the node's mirror has anyway, and the parsed form while something is done with it.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use cox_kit::metrics::Gauge;
use cox_objects::Object;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

/// A parsed Pod that counts itself for as long as anyone holds it: a parsed form takes several times what its bytes do.
#[derive(Debug)]
pub struct Parsed {
    pod: Pod,
    count: Gauge,
}

impl Parsed {
    fn new(pod: Pod, count: Gauge) -> Arc<Self> {
        count.add(1);
        Arc::new(Parsed { pod, count })
    }
}

impl Drop for Parsed {
    fn drop(&mut self) {
        self.count.add(-1);
    }
}

impl Deref for Parsed {
    type Target = Pod;

    fn deref(&self) -> &Pod {
        &self.pod
    }
}

/// One version of a Pod. It is parsed when it is looked into, and forgets the parsed form when it is told to.
#[derive(Debug)]
pub struct Kept {
    stored: Object,
    parsed: OnceLock<Arc<Parsed>>,
    count: Gauge,
}

impl Kept {
    /// Takes a stored Pod in. `count` says how many parsed ones there are.
    ///
    /// # Errors
    /// If it does not fit its type.
    pub fn read(stored: Object, count: &Gauge) -> Result<Self, serde_json::Error> {
        let parsed = Parsed::new(stored.parse()?, count.clone());
        Ok(Kept { stored, parsed: parsed.into(), count: count.clone() })
    }

    /// The stored form.
    pub fn stored(&self) -> &Object {
        &self.stored
    }

    /// Lets go of the parsed form: nothing is done with the Pod for now.
    pub fn rest(&mut self) {
        self.parsed.take();
    }
}

impl Deref for Kept {
    type Target = Arc<Parsed>;

    fn deref(&self) -> &Arc<Parsed> {
        self.parsed.get_or_init(|| {
            #[expect(clippy::expect_used, reason = "these very bytes were parsed when they were taken in")]
            let pod = self.stored.parse().expect("what has been parsed can be parsed");
            Parsed::new(pod, self.count.clone())
        })
    }
}

/// The uid of a stored object; the rest of it is not parsed.
pub fn uid_of(object: &Object) -> Option<String> {
    #[derive(Deserialize)]
    struct Metadata {
        uid: Option<String>,
    }
    object.parse_metadata::<Metadata>().ok()?.uid
}

#[cfg(test)]
mod tests {
    use cox_objects::Draft;
    use serde_json::json;

    use super::*;

    fn stored(pod: &serde_json::Value) -> Object {
        Draft::encode(pod).unwrap().seal(7)
    }

    #[test]
    fn a_pod_at_rest_is_not_parsed_and_the_same_when_it_is_looked_into_again() {
        let pod = json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": [{"name": "c"}]},
        });
        let count = Gauge::default();
        let mut kept = Kept::read(stored(&pod), &count).unwrap();
        let before = kept.pod.clone();
        assert_eq!((count.get(), uid_of(kept.stored()).as_deref()), (1, Some("u")));
        let held = kept.clone();
        kept.rest();
        assert_eq!(count.get(), 1, "who works with it goes on to hold it");
        drop(held);
        assert_eq!(count.get(), 0);
        assert_eq!(kept.pod, before);
        assert_eq!(count.get(), 1);
        drop(kept);
        assert_eq!(count.get(), 0);
    }

    #[test]
    fn what_is_no_pod_is_refused() {
        let odd = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p"}, "spec": {"containers": 1}});
        assert!(Kept::read(stored(&odd), &Gauge::default()).is_err());
        assert_eq!(uid_of(&stored(&odd)), None);
    }
}
