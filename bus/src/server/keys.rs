//! The keys of a cluster's bus, made once and kept: a user key for each identity, the system account's, the sealing key.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nkeys::KeyPair;

use super::ServerError;
use crate::credentials::write_private;
use crate::{Credentials, Identity, SealingKey, Secret};

/// The keys. Each lies in a file of its own under `keys/`, mode 0600.
pub(super) struct Keys {
    users: BTreeMap<Identity, User>,
    system: String,
    sealing: SealingKey,
}

struct User {
    seed: String,
    public: String,
}

impl Keys {
    /// Reads the keys of these identities, and makes those that are missing.
    pub(super) fn open(dir: &Path, identities: &[Identity]) -> Result<Keys, ServerError> {
        let dir = dir.join("keys");
        super::private_dir(&dir).map_err(|e| ServerError::Io(dir.clone(), e))?;
        let mut users = BTreeMap::new();
        for identity in identities {
            users.insert(identity.clone(), user(&dir.join(identity.token()))?);
        }
        let file = dir.join("sealing");
        let sealing = SealingKey::parse(&kept(&file, || SealingKey::generate().to_text())?);
        let sealing = sealing.map_err(|_| ServerError::Key(file))?;
        Ok(Keys { users, system: user(&dir.join("system"))?.public, sealing })
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.users.keys()
    }

    /// The public half of each identity's key.
    pub(super) fn public(&self) -> impl Iterator<Item = (&Identity, &str)> {
        self.users.iter().map(|(identity, user)| (identity, user.public.as_str()))
    }

    /// The public half of the system account's user.
    pub(super) fn system(&self) -> &str {
        &self.system
    }

    pub(super) fn sealing(&self) -> &SealingKey {
        &self.sealing
    }

    pub(super) fn credentials(&self, identity: &Identity) -> Option<Credentials> {
        let secret = Secret::NKey(self.users.get(identity)?.seed.clone());
        Some(Credentials { secret, sealing: identity.mirrors().then(|| self.sealing.clone()) })
    }
}

/// The integrators that have a key here.
pub(super) fn integrators(dir: &Path) -> Vec<Identity> {
    let files = fs::read_dir(dir.join("keys")).into_iter().flatten().flatten();
    let named = files.filter_map(|file| Identity::from_token(file.file_name().to_str()?).ok());
    named.filter(|identity| matches!(identity, Identity::Integrator(_))).collect()
}

/// Takes a key away; it may be gone already.
pub(super) fn remove(dir: &Path, identity: &Identity) -> Result<(), ServerError> {
    let file = dir.join("keys").join(identity.token());
    match fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(ServerError::Io(file, e)),
        _ => Ok(()),
    }
}

fn user(file: &Path) -> Result<User, ServerError> {
    let wrong = |_| ServerError::Key(file.to_owned());
    let seed = kept(file, || KeyPair::new_user().seed().unwrap_or_default())?;
    let public = KeyPair::from_seed(&seed).map_err(wrong)?.public_key();
    Ok(User { seed, public })
}

/// The text in a file, made and written if there is none.
fn kept(file: &Path, make: impl Fn() -> String) -> Result<String, ServerError> {
    let io = |e| ServerError::Io(file.to_owned(), e);
    match fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let text = make();
            write_private(file, format!("{text}\n").as_bytes()).map_err(io)?;
            Ok(text)
        }
        Err(e) => Err(io(e)),
    }
}
