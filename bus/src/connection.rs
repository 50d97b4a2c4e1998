//! One connection to the bus under one identity, kept up over restarts of the server.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerInfo};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::credentials::{Credentials, Secret};
use crate::request::Calls;
use crate::seal::SealingKey;
use crate::stream::Streams;
use crate::task::Tasks;
use crate::{CallError, Identity, Subjects, router};

/// The smallest payload limit of a server that can carry our objects (3 MiB and their envelope), in bytes.
pub const MIN_PAYLOAD: usize = 4 << 20;

/// How many messages a subscription holds for a reader that lags; past it the newest are lost.
const SUBSCRIPTION_CAPACITY: usize = 65_536;

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Connect {
    /// `nats://host:port`.
    pub url: String,
    /// The proof of identity.
    pub credentials: Credentials,
    /// The identity that the credentials belong to.
    pub identity: Identity,
    /// The cluster's name.
    pub cluster: String,
}

/// Why there is no connection. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error("no NATS server answers at {url}: start it, or give its address")]
    Unreachable {
        /// The address.
        url: String,
        /// What the client says.
        #[source]
        cause: async_nats::ConnectError,
    },
    /// The server does not take the credentials.
    #[error("the NATS server at {url} refuses the credentials of {identity}")]
    Refused {
        /// The address.
        url: String,
        /// Whose credentials.
        identity: Identity,
    },
    /// The credentials cannot be read.
    #[error("the NATS credentials of {0} are malformed")]
    Credentials(Identity, #[source] std::io::Error),
    /// The server is older than we can use.
    #[error("the NATS server at {url} is version {version}: 2.10 or newer is needed")]
    TooOld {
        /// The address.
        url: String,
        /// Its version.
        version: String,
    },
    /// The server does not carry our largest objects.
    #[error("the NATS server at {url} limits messages to {limit} bytes: set max_payload to 8MB (at least 4MB)")]
    Payload {
        /// The address.
        url: String,
        /// Its limit in bytes.
        limit: usize,
    },
    /// The server refuses our inbox, so it does not have our permissions.
    #[error("the NATS server at {url} does not let {identity} use its inbox: set up the permissions of its identity")]
    Inbox {
        /// The address.
        url: String,
        /// Whose inbox.
        identity: Identity,
        /// What happened.
        #[source]
        cause: CallError,
    },
}

/// Whether the connection stands, and how often it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Counts the connections made; everything sent in an earlier one may be lost.
    pub generation: u64,
    /// Whether the server is there at the moment.
    pub up: bool,
}

/// One connection of one identity. Cheap to clone; it closes when the last clone is gone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) link: Arc<Link>,
    identity: Identity,
}

/// What the clones of a [`Bus`] share.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) subjects: Subjects,
    /// Whose credential this is.
    pub(crate) owner: Identity,
    /// What tells this connection's inbox from those of others with the same identity.
    pub(crate) nonce: String,
    pub(crate) state: watch::Receiver<LinkState>,
    pub(crate) refusals: watch::Receiver<u64>,
    pub(crate) calls: Calls,
    pub(crate) streams: Streams,
    sealing: Option<SealingKey>,
    tasks: Tasks,
}

impl Bus {
    /// Connects, and checks that the server can carry us. Later losses of the server are mended by reconnecting for ever.
    ///
    /// # Errors
    /// If the server is not there, refuses us, is too old, or has too small a payload limit.
    pub async fn connect(connect: Connect) -> Result<Bus, ConnectError> {
        let (state_sender, state) = watch::channel(LinkState { generation: 0, up: false });
        let (refused_sender, refusals) = watch::channel(0);
        let options = options(&connect, state_sender, refused_sender)?;
        let client = options.connect(&connect.url).await.map_err(|cause| match cause.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                ConnectError::Refused { url: connect.url.clone(), identity: connect.identity.clone() }
            }
            _ => ConnectError::Unreachable { url: connect.url.clone(), cause },
        })?;
        check(&connect.url, &client.server_info())?;
        let link = Arc::new(Link {
            client,
            subjects: Subjects::new(&connect.cluster),
            owner: connect.identity.clone(),
            nonce: format!("{:012x}", rand::random::<u64>() >> 16),
            state,
            refusals,
            calls: Calls::default(),
            streams: Streams::default(),
            sealing: connect.credentials.sealing,
            tasks: Tasks::default(),
        });
        let bus = Bus { link, identity: connect.identity };
        let inbox = |cause| ConnectError::Inbox { url: connect.url.clone(), identity: bus.identity.clone(), cause };
        router::start(&bus.link).await.map_err(inbox)?;
        bus.round_trip(Instant::now() + Duration::from_secs(5)).await.map_err(inbox)?;
        Ok(bus)
    }

    /// The subjects of the cluster.
    pub fn subjects(&self) -> &Subjects {
        &self.link.subjects
    }

    /// The identity under which this clone sends api requests.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The same connection sending its api requests under another identity that its credential covers: a controller's
    /// own, from that of the controllers. The server refuses all others.
    pub fn under(&self, identity: Identity) -> Bus {
        Bus { link: self.link.clone(), identity }
    }

    /// What tells this connection from others of the same identity, as a token of subjects.
    pub fn connection(&self) -> &str {
        &self.link.nonce
    }

    /// The state of the connection, to watch.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.link.state.clone()
    }

    /// How many publications and subscriptions the server has refused for want of permission; a bug or an intruder if not 0.
    pub fn refusals(&self) -> watch::Receiver<u64> {
        self.link.refusals.clone()
    }

    /// The largest message that the server takes, in bytes.
    pub fn max_payload(&self) -> usize {
        self.link.client.max_payload()
    }

    /// The key of sealed objects, if the credentials came with it.
    pub fn sealing_key(&self) -> Option<&SealingKey> {
        self.link.sealing.as_ref()
    }

    /// Waits until the server has handled all that was sent before on this connection: a subscription stands after
    /// this, and only after this.
    ///
    /// # Errors
    /// If the server does not answer in time.
    pub async fn round_trip(&self, deadline: Instant) -> Result<(), CallError> {
        let link = &self.link;
        let own = link.owner.token();
        let place = |what: &str| link.subjects.inbox(&link.owner, &own, &link.nonce, what);
        link.calls.ask_with(link, deadline, |reply| (place(reply), Bytes::new())).await.map(drop)
    }
}

impl Link {
    /// Where `answerer` (a token) reaches this connection.
    pub(crate) fn address(&self, answerer: &str, what: &str) -> String {
        self.subjects.inbox(&self.owner, answerer, &self.nonce, what)
    }

    /// Keeps a task for as long as the connection is used.
    pub(crate) fn keep(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.start(name, task);
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bus({} of {})", self.identity, self.link.subjects.cluster())
    }
}

fn check(url: &str, info: &ServerInfo) -> Result<(), ConnectError> {
    if !crate::server::is_new_enough(&info.version) {
        return Err(ConnectError::TooOld { url: url.to_owned(), version: info.version.clone() });
    }
    match info.max_payload {
        limit if limit < MIN_PAYLOAD => Err(ConnectError::Payload { url: url.to_owned(), limit }),
        _ => Ok(()),
    }
}

fn options(
    connect: &Connect,
    state: watch::Sender<LinkState>,
    refused: watch::Sender<u64>,
) -> Result<ConnectOptions, ConnectError> {
    let options = match connect.credentials.secret.clone() {
        Secret::NKey(seed) => ConnectOptions::with_nkey(seed),
        Secret::Password { user, password } => ConnectOptions::with_user_and_password(user, password),
        Secret::Jwt(text) => ConnectOptions::with_credentials(&text)
            .map_err(|e| ConnectError::Credentials(connect.identity.clone(), e))?,
    };
    let who = connect.identity.to_string();
    let options = options
        .name(format!("cox {who}"))
        // Subjects are all built by our own module, which escapes what does not belong into them.
        .skip_subject_validation(true)
        .ping_interval(Duration::from_secs(2))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .ignore_discovered_servers()
        .reconnect_delay_callback(|attempt| match attempt {
            0 | 1 => Duration::ZERO,
            // Quick enough that a restarted server is found within its own start; bounded for one that stays away.
            attempt => Duration::from_millis(5 * attempt.min(10) as u64),
        })
        .event_callback(move |event| {
            note(&who, &event, &state, &refused);
            std::future::ready(())
        });
    Ok(options)
}

fn note(who: &str, event: &Event, state: &watch::Sender<LinkState>, refused: &watch::Sender<u64>) {
    match event {
        Event::Connected => state.send_modify(|s| *s = LinkState { generation: s.generation + 1, up: true }),
        Event::Disconnected => {
            tracing::warn!(identity = who, "the bus is gone; reconnecting");
            state.send_modify(|s| s.up = false);
        }
        // The last clone is gone: this end is meant.
        Event::Closed => state.send_modify(|s| s.up = false),
        Event::SlowConsumer(_) => tracing::warn!(identity = who, "a reader of the bus lags; messages were lost"),
        Event::ServerError(error) => {
            if error.to_string().contains("Permissions Violation") {
                refused.send_modify(|n| *n += 1);
            }
            tracing::warn!(identity = who, %error, "the NATS server complains");
        }
        other => tracing::debug!(identity = who, event = %other, "bus"),
    }
}
