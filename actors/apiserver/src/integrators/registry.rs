//! The registered programs: a file each in the data directory, and all in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use super::{Integrator, Refused};

/// All that are registered.
pub(super) struct Registry {
    dir: PathBuf,
    all: BTreeMap<String, Integrator>,
}

impl Registry {
    /// Reads what is there. A file that cannot be read is reported and left as it is: its program gets nothing until it is mended.
    pub(super) fn load(dir: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let mut all = BTreeMap::new();
        for file in fs::read_dir(&dir)? {
            let path = file?.path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            match serde_json::from_slice::<Integrator>(&fs::read(&path)?) {
                Ok(one) => drop(all.insert(one.name.clone(), one)),
                Err(error) => tracing::error!(file = %path.display(), %error, "no integrator's registration"),
            }
        }
        Ok(Registry { dir, all })
    }

    pub(super) fn all(&self) -> &BTreeMap<String, Integrator> {
        &self.all
    }

    pub(super) fn get(&self, name: &str) -> Option<&Integrator> {
        self.all.get(name)
    }

    /// Keeps one, replacing its file in one step.
    pub(super) fn put(&mut self, one: Integrator) -> Result<(), Refused> {
        let path = self.path(&one.name);
        let written = write(&path, &one);
        self.all.insert(one.name.clone(), one);
        written.map_err(|error| Refused::File(path, error))
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Refused> {
        let path = self.path(name);
        self.all.remove(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Refused::File(path, error)),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }
}

fn write(path: &std::path::Path, one: &Integrator) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    serde_json::to_writer_pretty(&mut file, one)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
