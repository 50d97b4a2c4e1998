//! The nats-server that carries the bus: found, configured, started, watched, restarted and stopped by us.
//!
//! ## Guarantees
//! It listens on loopback only, on a port that is chosen once and kept; all its files are private; every component has a
//! credential of its own with the permissions of its identity. It is started again when it dies, and dies with us.
//!
//! ## Caveats
//! The parent-death signal is set by `setpriv` (util-linux), since a library cannot run code between fork and exec
//! without `unsafe`. It belongs to the *thread* that starts the child, which is therefore one of our own that lives as
//! long as the server. A server that outlived an owner all the same is recognized by its pid file and ended first.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use crate::credentials::write_private;
use crate::{Connect, CredentialsError, Identity, Subjects};

mod child;
mod config;
mod door;
mod find;
mod keys;
mod owner;
mod permissions;

pub use config::accounts;
pub use door::Door;
pub use find::{FindError, Found, find, is_new_enough};
pub use permissions::{Permissions, permissions};

use self::child::Child;
use self::keys::Keys;
use self::owner::Owner;

/// How long a server may take until it accepts connections; it may have a stream to recover.
const READY: Duration = Duration::from_secs(20);

/// What the server is started with.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The cluster's data directory: `nats/` in it is JetStream's, `bus/` holds configuration and credentials.
    pub data_dir: PathBuf,
    /// The cluster's name.
    pub cluster: String,
    /// The program; found if not given.
    pub binary: Option<PathBuf>,
    /// The nodes that get credentials, for their kubelet and their proxy.
    pub nodes: Vec<String>,
    /// How many hollow nodes there are; they share a credential.
    pub hollow_nodes: u16,
}

/// Why there is no server. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is missing or too old.
    #[error(transparent)]
    Find(#[from] FindError),
    /// A name that subjects cannot hold.
    #[error(transparent)]
    Cluster(#[from] crate::subject::BadCluster),
    /// A file cannot be read or written.
    #[error("{0}")]
    Io(PathBuf, #[source] std::io::Error),
    /// A credentials file cannot be read or written.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A key file does not hold a key.
    #[error("{0} holds no key: restore it from a backup, or remove it to have a new one made")]
    Key(PathBuf),
    /// Another process runs a server in this data directory.
    #[error("{dir} is in use by process {pid}: stop it first, or choose another data directory")]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process.
        pid: String,
    },
    /// Another program has taken the port.
    #[error("port {port} of the bus is taken by another program: stop that, or remove {file} to choose another port")]
    PortTaken {
        /// The port.
        port: u16,
        /// Where it is kept.
        file: PathBuf,
    },
    /// No port is free.
    #[error("no free port for the bus between 20000 and 29999")]
    NoPort,
    /// The child cannot be started.
    #[error("{0} cannot be started")]
    Spawn(PathBuf, #[source] std::io::Error),
    /// It does not take its new configuration.
    #[error("nats-server did not take in the new configuration; see its log {0}")]
    NotReloaded(PathBuf),
    /// It started and is not ready.
    #[error("nats-server does not become ready; its log {log} ends with: {tail}")]
    NotReady {
        /// Its log file.
        log: PathBuf,
        /// The last line in it.
        tail: String,
    },
}

/// A running server. Dropping it ends the child without waiting.
pub struct NatsServer {
    port: u16,
    cluster: String,
    dir: PathBuf,
    keys: Keys,
    child: Child,
    door: Door,
    _owner: Owner,
}

impl NatsServer {
    /// Starts the server, after having ended one that an earlier owner of this directory left behind.
    ///
    /// # Errors
    /// If the program is missing or too old, another process runs a server there, the port is taken, a file is damaged, or it does not become ready.
    pub async fn start(config: ServerConfig) -> Result<NatsServer, ServerError> {
        Subjects::check(&config.cluster)?;
        let binary = find(config.binary.as_deref())?.path;
        let dir = config.data_dir.join("bus");
        let store = config.data_dir.join("nats");
        for dir in [&config.data_dir, &dir, &store] {
            private_dir(dir).map_err(|e| ServerError::Io(dir.clone(), e))?;
        }
        let owner = Owner::of(&config.data_dir, &dir)?;
        let pid_file = dir.join("nats-server.pid");
        let conf = dir.join("nats-server.conf");
        child::end_stale(&pid_file, &conf).await;
        let port = port(&dir.join("port"))?;
        let keys = Keys::open(&dir, &identities(&config.nodes, config.hollow_nodes, keys::integrators(&dir)))?;
        let log = dir.join("nats-server.log");
        let door = Door::new(door::Facts {
            cluster: config.cluster.clone(),
            nodes: config.nodes.clone(),
            hollow_nodes: config.hollow_nodes,
            port,
            dir: dir.clone(),
            store,
            log: log.clone(),
            conf: conf.clone(),
            pid_file: pid_file.clone(),
        });
        door.write_configuration(&keys)?;
        let child = Child::start(binary.clone(), conf, pid_file).map_err(|e| ServerError::Spawn(binary, e))?;
        let server = NatsServer { port, cluster: config.cluster, dir, keys, child, door, _owner: owner };
        write_credentials(&server.dir, &server.keys, &server.url(), &server.cluster)?;
        server.ready(&log).await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// How an identity connects; none for those that were not in the configuration. A controller connects as
    /// [`Identity::Controllers`].
    pub fn connect(&self, identity: &Identity) -> Option<Connect> {
        connect(&self.keys, identity, &self.url(), &self.cluster)
    }

    /// The credentials file of an identity, for a process of its own. It exists for those in the configuration.
    pub fn credentials_file(&self, identity: &Identity) -> PathBuf {
        credentials_file(&self.dir, identity)
    }

    /// By which outside programs get credentials while the server runs.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// The cluster's key for sealed objects.
    pub fn sealing_key(&self) -> crate::SealingKey {
        self.keys.sealing().clone()
    }

    /// The process id of the child, if it runs at the moment.
    pub fn pid(&self) -> Option<i32> {
        self.child.pid()
    }

    /// Stops the server and waits until it is gone; kills it after 5 seconds.
    pub async fn stop(self) {
        self.child.stop().await;
    }

    async fn ready(&self, log: &Path) -> Result<(), ServerError> {
        let deadline = Instant::now() + READY;
        while Instant::now() < deadline {
            if timeout_at(deadline, greets(self.port)).await == Ok(true) {
                return Ok(());
            }
            if self.child.gave_up() {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
        let text = tokio::fs::read_to_string(log).await.unwrap_or_default();
        let tail = text.lines().last().unwrap_or("nothing").to_owned();
        Err(ServerError::NotReady { log: log.to_owned(), tail })
    }
}

/// Makes the credentials of a cluster whose server someone else runs at `url`, one file for each identity in `bus/creds` of the
/// data directory, and gives what belongs into that server's configuration.
///
/// # Errors
/// If a file is damaged or cannot be written.
pub fn make_credentials(data_dir: &Path, cluster: &str, url: &str, nodes: &[String]) -> Result<String, ServerError> {
    Subjects::check(cluster)?;
    let dir = data_dir.join("bus");
    private_dir(&dir).map_err(|e| ServerError::Io(dir.clone(), e))?;
    let mut identities = identities(nodes, 0, keys::integrators(&dir));
    // Nobody of ours keeps that server.
    identities.retain(|identity| *identity != Identity::Transport);
    let keys = Keys::open(&dir, &identities)?;
    write_credentials(&dir, &keys, url, cluster)?;
    Ok(config::outside(cluster, &keys))
}

fn connect(keys: &Keys, identity: &Identity, url: &str, cluster: &str) -> Option<Connect> {
    let credentials = keys.credentials(identity)?;
    Some(Connect { url: url.to_owned(), credentials, identity: identity.clone(), cluster: cluster.to_owned() })
}

fn write_credentials(dir: &Path, keys: &Keys, url: &str, cluster: &str) -> Result<(), ServerError> {
    let folder = dir.join("creds");
    private_dir(&folder).map_err(|e| ServerError::Io(folder, e))?;
    for identity in keys.identities() {
        if let Some(connect) = connect(keys, identity, url, cluster) {
            connect.to_file(&credentials_file(dir, identity))?;
        }
    }
    Ok(())
}

/// Where the credentials file of an identity lies in a cluster's data directory.
pub fn credentials_path(data_dir: &Path, identity: &Identity) -> PathBuf {
    credentials_file(&data_dir.join("bus"), identity)
}

fn credentials_file(dir: &Path, identity: &Identity) -> PathBuf {
    dir.join("creds").join(format!("{}.json", identity.token()))
}

fn identities(nodes: &[String], hollow_nodes: u16, integrators: impl IntoIterator<Item = Identity>) -> Vec<Identity> {
    let nodes = nodes.iter().flat_map(|n| [Identity::Node(n.clone()), Identity::Proxy(n.clone())]);
    let hollow = (hollow_nodes > 0).then_some(Identity::Hollow(hollow_nodes));
    Identity::FIXED.into_iter().chain(nodes).chain(hollow).chain(integrators).collect()
}

/// Whether something that says what a NATS server says first listens there.
async fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return false };
    let mut line = String::new();
    // A server that accepts connections says at once who it is.
    BufReader::new(stream).read_line(&mut line).await.is_ok() && line.starts_with("INFO ")
}

/// The port in this file, or a new one. It is taken from below the range that the kernel gives to outgoing
/// connections, and from below the node ports, so that nobody has it when we come back.
fn port(file: &Path) -> Result<u16, ServerError> {
    let io = |e| ServerError::Io(file.to_owned(), e);
    let kept = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u16>().ok());
    if let Some(port) = kept {
        return match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => Ok(port),
            Err(_) => Err(ServerError::PortTaken { port, file: file.to_owned() }),
        };
    }
    for _ in 0..100 {
        let port = rand::random_range(20_000..30_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            write_private(file, format!("{port}\n").as_bytes()).map_err(io)?;
            return Ok(port);
        }
    }
    Err(ServerError::NoPort)
}

fn private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}
