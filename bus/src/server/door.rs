//! Credentials of outside programs, made and ended while the server runs: it takes a new configuration in and keeps all connections.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::keys::{self, Keys};
use super::{ServerError, child, config, credentials_file, identities};
use crate::credentials::write_private;
use crate::{Bus, Connect, ConnectError, Identity};

/// How long the server may take to take in a new configuration.
const RELOAD: Duration = Duration::from_secs(10);
/// How often it is told: it may be starting at the moment, and then hears nothing.
const TELL_AGAIN: Duration = Duration::from_millis(200);

/// What the configuration is made of, beside the keys.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) cluster: String,
    pub(super) nodes: Vec<String>,
    pub(super) hollow_nodes: u16,
    pub(super) port: u16,
    pub(super) dir: PathBuf,
    pub(super) store: PathBuf,
    pub(super) log: PathBuf,
    pub(super) conf: PathBuf,
    pub(super) pid_file: PathBuf,
}

/// Lets outside programs in and shows them out. Clones share it; one change is made at a time.
#[derive(Clone, Debug)]
pub struct Door {
    facts: Arc<Facts>,
    changing: Arc<Mutex<()>>,
}

impl Door {
    pub(super) fn new(facts: Facts) -> Self {
        Door { facts: Arc::new(facts), changing: Arc::default() }
    }

    /// Makes the credentials of an integrator, if there are none, and waits until the server knows them. Gives their file.
    ///
    /// # Errors
    /// If a file cannot be written, or the server does not take them.
    pub async fn admit(&self, name: &str) -> Result<PathBuf, ServerError> {
        let _changing = self.changing.lock().await;
        let facts = &*self.facts;
        let identity = Identity::Integrator(name.to_owned());
        let mut all = keys::integrators(&facts.dir);
        if !all.contains(&identity) {
            all.push(identity.clone());
        }
        let keys = Keys::open(&facts.dir, &identities(&facts.nodes, facts.hollow_nodes, all))?;
        self.write_configuration(&keys)?;
        let refused = || ServerError::NotReloaded(facts.log.clone());
        let credentials = keys.credentials(&identity).ok_or_else(refused)?;
        let url = format!("nats://127.0.0.1:{}", facts.port);
        let connect = Connect { url, credentials, identity: identity.clone(), cluster: facts.cluster.clone() };
        let file = credentials_file(&facts.dir, &identity);
        connect.to_file(&file)?;
        let deadline = Instant::now() + RELOAD;
        while Instant::now() < deadline {
            child::reload(&facts.pid_file, &facts.conf);
            sleep(TELL_AGAIN).await;
            match Bus::connect(connect.clone()).await {
                Ok(_) => return Ok(file),
                Err(ConnectError::Refused { .. } | ConnectError::Unreachable { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, %identity, "the new credentials do not work");
                    return Err(refused());
                }
            }
        }
        Err(refused())
    }

    /// Ends the credentials of an integrator, whose connections the server closes.
    ///
    /// # Errors
    /// If a file cannot be written or removed.
    pub async fn dismiss(&self, name: &str) -> Result<(), ServerError> {
        let _changing = self.changing.lock().await;
        let facts = &*self.facts;
        let identity = Identity::Integrator(name.to_owned());
        keys::remove(&facts.dir, &identity)?;
        let file = credentials_file(&facts.dir, &identity);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(ServerError::Io(file, e)),
            _ => {}
        }
        let keys =
            Keys::open(&facts.dir, &identities(&facts.nodes, facts.hollow_nodes, keys::integrators(&facts.dir)))?;
        self.write_configuration(&keys)?;
        child::reload(&facts.pid_file, &facts.conf);
        Ok(())
    }

    pub(super) fn write_configuration(&self, keys: &Keys) -> Result<(), ServerError> {
        let Facts { cluster, port, store, log, conf, .. } = &*self.facts;
        let text = config::server(&config::Server { cluster, port: *port, store, log, keys });
        write_private(conf, text.as_bytes()).map_err(|e| ServerError::Io(conf.clone(), e))
    }
}
