//! What a component proves its identity with, and the file that `cox component --creds FILE` reads.
//!
//! The file is JSON, mode 0600: `identity`, `cluster`, `url`, one way to sign in (`nkey`: a seed; `user` and
//! `password`; or `creds`: the path of a NATS credentials file with a JWT), and for identities that mirror
//! everything `sealing`, the key that opens Secrets. That of an integrator also says where its consumer is.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::integrator::Way;
use crate::seal::SealingKey;
use crate::{Connect, Identity, Subjects};

/// How to sign in, and what may be read there.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The proof of identity.
    pub secret: Secret,
    /// The key to sealed objects, for identities that mirror everything.
    pub sealing: Option<SealingKey>,
}

/// A proof of identity. Its `Debug` form shows none of it.
#[derive(Clone)]
pub enum Secret {
    /// The seed of an Ed25519 user key: the server has its public half only.
    NKey(String),
    /// A name and a password, of a server that someone else set up.
    Password {
        /// The user of the NATS account.
        user: String,
        /// Its password.
        password: String,
    },
    /// The text of a NATS credentials file (JWT and seed), of a server that someone else set up.
    Jwt(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Secret::NKey(_) => "NKey(…)",
            Secret::Password { .. } => "Password(…)",
            Secret::Jwt(_) => "Jwt(…)",
        })
    }
}

/// Why a credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It cannot be read or written.
    #[error("credentials file {0}")]
    Io(PathBuf, #[source] std::io::Error),
    /// It is not the JSON that is expected.
    #[error("credentials file {0} is not understood")]
    Json(PathBuf, #[source] serde_json::Error),
    /// A field is missing or wrong.
    #[error("credentials file {0}: {1}")]
    Field(PathBuf, String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    identity: String,
    cluster: String,
    #[serde(default)]
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    creds: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealing: Option<String>,
    /// What an outside program needs beside; it reads the file itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    integrator: Option<Way>,
}

impl Connect {
    /// Reads a credentials file; `url` wins over the one in it.
    ///
    /// # Errors
    /// If the file is missing, malformed, or gives no URL and no way to sign in.
    pub fn from_file(path: &Path, url: Option<&str>) -> Result<Connect, CredentialsError> {
        let io = |e| CredentialsError::Io(path.to_owned(), e);
        let text = fs::read(path).map_err(io)?;
        let file: File = serde_json::from_slice(&text).map_err(|e| CredentialsError::Json(path.to_owned(), e))?;
        let wrong = |what: String| CredentialsError::Field(path.to_owned(), what);
        let identity: Identity = file.identity.parse().map_err(|e| wrong(format!("{e}")))?;
        Subjects::check(&file.cluster).map_err(|e| wrong(e.to_string()))?;
        let secret = match (file.nkey, file.user, file.password, file.creds) {
            (Some(seed), None, None, None) => Secret::NKey(seed),
            (None, Some(user), Some(password), None) => Secret::Password { user, password },
            (None, None, None, Some(jwt)) => {
                // A relative path is one beside this file.
                let jwt = path.parent().unwrap_or(Path::new("")).join(jwt);
                Secret::Jwt(fs::read_to_string(&jwt).map_err(|e| CredentialsError::Io(jwt, e))?)
            }
            _ => return Err(wrong("give one of nkey, user with password, creds".to_owned())),
        };
        let sealing =
            file.sealing.map(|text| SealingKey::parse(&text)).transpose().map_err(|e| wrong(e.to_string()))?;
        let url = url.unwrap_or(&file.url).to_owned();
        if url.is_empty() {
            return Err(wrong("no url, and none was given".to_owned()));
        }
        Ok(Connect { url, credentials: Credentials { secret, sealing }, identity, cluster: file.cluster })
    }

    /// Writes the credentials file that [`Connect::from_file`] reads, mode 0600, replacing an older one whole.
    ///
    /// # Errors
    /// If it cannot be written, or holds a JWT (whose file is someone else's).
    pub fn to_file(&self, path: &Path) -> Result<(), CredentialsError> {
        let mut file = File {
            identity: self.identity.to_string(),
            cluster: self.cluster.clone(),
            url: self.url.clone(),
            nkey: None,
            user: None,
            password: None,
            creds: None,
            sealing: self.credentials.sealing.as_ref().map(SealingKey::to_text),
            integrator: match &self.identity {
                Identity::Integrator(name) => Some(Way::of(&Subjects::new(&self.cluster), name)),
                _ => None,
            },
        };
        match &self.credentials.secret {
            Secret::NKey(seed) => file.nkey = Some(seed.clone()),
            Secret::Password { user, password } => {
                (file.user, file.password) = (Some(user.clone()), Some(password.clone()));
            }
            Secret::Jwt(_) => {
                return Err(CredentialsError::Field(path.to_owned(), "a JWT stays in its own file".to_owned()));
            }
        }
        let mut text = serde_json::to_vec_pretty(&file).map_err(|e| CredentialsError::Json(path.to_owned(), e))?;
        text.push(b'\n');
        write_private(path, &text).map_err(|e| CredentialsError::Io(path.to_owned(), e))
    }
}

/// Writes a file that only its owner can read, in one step: readers see the old or the new text.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests;
