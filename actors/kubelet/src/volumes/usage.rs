//! How much of a pod's volumes on disk is used, against the bounds that the pod sets.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::model::Verdict;
use crate::spec::resources::quantity;

/// A bound of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The volume.
    pub name: String,
    /// Where it is on the host.
    pub place: PathBuf,
    /// Bytes.
    pub limit: u64,
    /// The same as the pod wrote it.
    pub text: String,
}

/// The `sizeLimit`s of the pod's `emptyDir`s on disk; those in memory are bounded by their mounts.
pub fn bounds(pod: &Pod, place: impl Fn(&str) -> PathBuf) -> Vec<Bound> {
    let one = |volume: &Volume| {
        let source = volume.empty_dir.as_ref().filter(|e| e.medium.as_deref().unwrap_or_default().is_empty())?;
        let text = source.size_limit.as_ref()?;
        let limit = u64::try_from(quantity(text)?).ok().filter(|limit| *limit > 0)?;
        Some(Bound { name: volume.name.clone(), place: place(&volume.name), limit, text: text.0.clone() })
    };
    pod.spec.iter().flat_map(|s| s.volumes.iter().flatten()).filter_map(one).collect()
}

/// The end of a pod one of whose volumes holds more than it may, if so. What goes away while it is looked at does not count.
pub fn exceeded(bounds: &[Bound]) -> Option<Verdict> {
    let over = bounds.iter().find(|bound| used(&bound.place).is_ok_and(|used| used > bound.limit))?;
    let message = format!("Usage of EmptyDir volume {:?} exceeds the limit {:?}. ", over.name, over.text);
    Some(Verdict { reason: "Evicted".to_owned(), message })
}

/// The bytes that a folder takes up on its file system.
fn used(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(about) = entry.metadata() else { continue };
        sum += about.blocks() * 512;
        if about.is_dir() {
            sum += used(&entry.path()).unwrap_or(0);
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_that_holds_too_much_ends_its_pod() {
        let dir = tempfile::tempdir().unwrap();
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [], "volumes": [
            {"name": "free", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1"}},
            {"name": "small", "emptyDir": {"sizeLimit": "64Ki"}},
        ]}}))
        .unwrap();
        let bounds = bounds(&pod, |name| dir.path().join(name));
        assert_eq!(bounds.iter().map(|b| (b.name.as_str(), b.limit)).collect::<Vec<_>>(), [("small", 65_536)]);
        assert_eq!(exceeded(&bounds), None);
        fs::create_dir_all(dir.path().join("small/below")).unwrap();
        assert_eq!(exceeded(&bounds), None);
        fs::write(dir.path().join("small/below/f"), vec![1; 100_000]).unwrap();
        let verdict = exceeded(&bounds).unwrap();
        assert_eq!(verdict.message, "Usage of EmptyDir volume \"small\" exceeds the limit \"64Ki\". ");
    }
}
