//! Every subject of the bus: built here, parsed here, nowhere else.

use std::sync::Arc;

use cox_objects::{Key, Resource};

use crate::integrator::Filter;
use crate::{Identity, Verb};

mod escape;

pub use escape::{escape, unescape};

/// The subjects of one cluster. Cheap to clone.
///
/// ```text
/// cox.<cluster>.api.<identity>.<verb>.<group>.<resource>     writes; also .batch and .head
/// cox.<cluster>.read.<identity>.{snapshot,range,past}        what a mirror starts from
/// cox.<cluster>.events.<group>.<resource>.<namespace>.<name> the event stream
/// cox.<cluster>.head                                         the head, announced
/// cox.<cluster>.lease.gateway.<connection>                   how far the mirror of a gateway with a read lease is
/// cox.<cluster>.node.<node>.{feed,heartbeat}                 from a node
/// cox.<cluster>.node.<node>.{exec,attach,logs,portforward}   to a node
/// cox.<cluster>.integrator.<identity>.read                   what an outside program missed, from the log
/// cox.<cluster>.integrator.<identity>.gap                    that it missed something
/// cox.<cluster>.ctl.<component>.<what>                       control
/// cox.<cluster>.inbox.<asker>.<answerer>.<connection>.<what> answers, and the frames of streams
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    prefix: Arc<str>,
    cluster: Arc<str>,
}

/// What an api subject asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiSubject {
    /// One write: verb, group and resource (with `/subresource` if any).
    Write(String, String, String),
    /// Many writes in one message.
    Batch,
    /// The head.
    Head,
}

/// A cluster name that no subject can hold.
#[derive(Debug, thiserror::Error)]
#[error("cluster name {0:?}: 1 to 32 lower-case letters, digits and '-' are allowed")]
pub struct BadCluster(String);

impl Subjects {
    /// The subjects of a cluster. Characters that a cluster name cannot have are escaped; see [`Subjects::check`].
    pub fn new(cluster: &str) -> Self {
        Subjects { prefix: format!("cox.{}", escape(cluster)).into(), cluster: cluster.into() }
    }

    /// Whether this is a name for a cluster: it stands in subjects, stream names and host interfaces.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(cluster: &str) -> Result<(), BadCluster> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match (1..=32).contains(&cluster.len()) && cluster.bytes().all(fits) {
            true => Ok(()),
            false => Err(BadCluster(cluster.to_owned())),
        }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// A write; `resource` is the plural, with `/subresource` if there is one.
    pub fn api(&self, identity: &Identity, verb: Verb, group: &str, resource: &str) -> String {
        let (id, group, resource) = (identity.token(), group_token(group), escape(resource));
        format!("{}.api.{id}.{}.{group}.{resource}", self.prefix, verb.as_str())
    }

    /// Many writes in one message.
    pub fn api_batch(&self, identity: &Identity) -> String {
        format!("{}.api.{}.batch", self.prefix, identity.token())
    }

    /// The question for the head.
    pub fn api_head(&self, identity: &Identity) -> String {
        format!("{}.api.{}.head", self.prefix, identity.token())
    }

    /// Everything that `identity` may ask the apiserver.
    pub fn api_of(&self, identity: &Identity) -> String {
        format!("{}.api.{}.>", self.prefix, identity.token())
    }

    /// Everything that the apiserver is asked.
    pub fn api_wildcard(&self) -> String {
        format!("{}.api.>", self.prefix)
    }

    /// Who asks for what on an api subject.
    pub fn parse_api(&self, subject: &str) -> Option<(Identity, ApiSubject)> {
        let mut tokens = self.below(subject, "api")?.split('.');
        let identity = Identity::from_token(tokens.next()?).ok()?;
        let rest: Vec<&str> = tokens.collect();
        let what = match rest.as_slice() {
            ["batch"] => ApiSubject::Batch,
            ["head"] => ApiSubject::Head,
            [verb, group, resource] => ApiSubject::Write(unescape(verb)?, group_of(group)?, unescape(resource)?),
            _ => return None,
        };
        Some((identity, what))
    }

    /// A read that a mirror of `identity` starts from; `what` is `snapshot`, `range` or `past`.
    pub fn read(&self, identity: &Identity, what: &str) -> String {
        format!("{}.read.{}.{}", self.prefix, identity.token(), escape(what))
    }

    /// All of these reads.
    pub fn read_wildcard(&self) -> String {
        format!("{}.read.*.*", self.prefix)
    }

    /// The event subject of an object.
    pub fn event(&self, key: &Key) -> String {
        let (group, plural) = (group_token(key.resource.group()), escape(key.resource.plural()));
        format!("{}.events.{group}.{plural}.{}.{}", self.prefix, escape(key.namespace()), escape(key.name()))
    }

    /// The object of an event subject.
    pub fn parse_event(&self, subject: &str) -> Option<Key> {
        let mut tokens = self.below(subject, "events")?.split('.');
        let (group, plural) = (group_of(tokens.next()?)?, unescape(tokens.next()?)?);
        let (namespace, name) = (unescape(tokens.next()?)?, unescape(tokens.next()?)?);
        match tokens.next() {
            None => Some(Key::new(Resource::new(&group, &plural), &namespace, &name)),
            Some(_) => None,
        }
    }

    /// All events.
    pub fn events_all(&self) -> String {
        format!("{}.events.>", self.prefix)
    }

    /// The events that a filter lets pass.
    pub fn events_matching(&self, filter: &Filter) -> String {
        let token = |part: &Option<String>| part.as_deref().map_or("*".to_owned(), escape);
        let (group, plural) = match &filter.resource {
            Some(resource) => (group_token(resource.group()), escape(resource.plural())),
            None => ("*".to_owned(), "*".to_owned()),
        };
        format!("{}.events.{group}.{plural}.{}.{}", self.prefix, token(&filter.namespace), token(&filter.name))
    }

    /// The events of one resource.
    pub fn events_of(&self, resource: &Resource) -> String {
        format!("{}.events.{}.{}.>", self.prefix, group_token(resource.group()), escape(resource.plural()))
    }

    /// Where the head is announced.
    pub fn head(&self) -> String {
        format!("{}.head", self.prefix)
    }

    /// Where a gateway with a read lease is asked how far its mirror is.
    pub fn lease(&self, connection: &str) -> String {
        format!("{}.lease.{}.{connection}", self.prefix, Identity::Gateway.token())
    }

    /// The same of all gateways.
    pub fn lease_wildcard(&self) -> String {
        self.lease("*")
    }

    /// A conversation with or of a node: `feed`, `heartbeat`, `exec`, `attach`, `logs`, `portforward`.
    pub fn node(&self, node: &str, what: &str) -> String {
        format!("{}.node.{}.{}", self.prefix, escape(node), escape(what))
    }

    /// The same conversation of all nodes.
    pub fn node_wildcard(&self, what: &str) -> String {
        format!("{}.node.*.{}", self.prefix, escape(what))
    }

    /// The node and the conversation.
    pub fn parse_node(&self, subject: &str) -> Option<(String, String)> {
        let (node, what) = self.below(subject, "node")?.split_once('.')?;
        Some((unescape(node)?, unescape(what)?))
    }

    /// A subject between an outside program and the apiserver: `read` or `gap`.
    pub fn integrator(&self, identity: &Identity, what: &str) -> String {
        format!("{}.integrator.{}.{}", self.prefix, identity.token(), escape(what))
    }

    /// What all outside programs ask.
    pub fn integrator_reads(&self) -> String {
        format!("{}.integrator.*.read", self.prefix)
    }

    /// Where all of them are told that they missed something.
    pub fn integrator_gaps(&self) -> String {
        format!("{}.integrator.*.gap", self.prefix)
    }

    /// Who asks, by a subject of [`Subjects::integrator`].
    pub fn parse_integrator(&self, subject: &str) -> Option<Identity> {
        Identity::from_token(self.below(subject, "integrator")?.split('.').next()?).ok()
    }

    /// A control subject of a component: `tree`, `health`, `log`, ….
    pub fn ctl(&self, component: &Identity, what: &str) -> String {
        format!("{}.ctl.{}.{}", self.prefix, component.token(), escape(what))
    }

    /// All control subjects of a component.
    pub fn ctl_of(&self, component: &Identity) -> String {
        format!("{}.ctl.{}.>", self.prefix, component.token())
    }

    /// A question on the control subjects of all components.
    pub fn ctl_of_all(&self, what: &str) -> String {
        format!("{}.ctl.*.{}", self.prefix, escape(what))
    }

    /// All control subjects.
    pub fn ctl_wildcard(&self) -> String {
        format!("{}.ctl.>", self.prefix)
    }

    /// The component and what is asked of it.
    pub fn parse_ctl(&self, subject: &str) -> Option<(Identity, String)> {
        let (component, what) = self.below(subject, "ctl")?.split_once('.')?;
        Some((Identity::from_token(component).ok()?, unescape(what)?))
    }

    /// One place in the inbox of `asker`, where only `answerer` may publish. `connection` and `what` are made by the
    /// asker of characters that need no escape; `what` is one token.
    pub(crate) fn inbox(&self, asker: &Identity, answerer: &str, connection: &str, what: &str) -> String {
        format!("{}.inbox.{}.{answerer}.{connection}.{what}", self.prefix, asker.token())
    }

    /// All of the inbox of an identity.
    pub fn inbox_of(&self, asker: &Identity) -> String {
        format!("{}.inbox.{}.>", self.prefix, asker.token())
    }

    /// What the inboxes of `asker` in which only `answerer` may publish begin with.
    pub fn inbox_from(&self, asker: &Identity, answerer: &Identity) -> String {
        format!("{}.inbox.{}.{}", self.prefix, asker.token(), answerer.token())
    }

    /// Everywhere that `answerer` may answer.
    pub fn answers_of(&self, answerer: &Identity) -> String {
        format!("{}.inbox.*.{}.>", self.prefix, answerer.token())
    }

    /// Who asks, by an inbox: its token.
    pub(crate) fn asker_of<'a>(&self, inbox: &'a str) -> Option<&'a str> {
        self.below(inbox, "inbox")?.split('.').next()
    }

    /// Which connection asks, by an inbox.
    pub(crate) fn connection_of<'a>(&self, inbox: &'a str) -> Option<&'a str> {
        self.below(inbox, "inbox")?.split('.').nth(2)
    }

    /// The token of the identity that serves a subject: the only one that can answer to it.
    pub(crate) fn served_by(&self, subject: &str) -> Option<String> {
        let below = subject.strip_prefix(&*self.prefix)?.strip_prefix('.')?;
        let mut tokens = below.split('.');
        match (tokens.next()?, tokens.next()?, tokens.next()) {
            ("api" | "read" | "integrator", _, _) => Some(Identity::Apiserver.token()),
            ("node", _, Some("feed")) => Some(Identity::Feed.token()),
            ("node", node, Some(_)) => Some(Identity::Node(unescape(node)?).token()),
            ("ctl" | "lease", component, Some(_)) => Some(component.to_owned()),
            _ => None,
        }
    }

    /// Whether `reply` is in an inbox, at the place where `answerer` answers.
    pub(crate) fn is_answer_of(&self, answerer: &Identity, reply: &str) -> bool {
        let place = self.below(reply, "inbox").and_then(|rest| rest.split('.').nth(1));
        place.is_some_and(|place| is_token_of(place, answerer))
    }

    /// Whether what came on `subject` may be answered at `reply`: only in the inbox of who can have asked there, and only under the
    /// answerer's own name. Servers do not look at where an answer shall go; whoever asks could otherwise have the answerer
    /// speak where itself may not.
    pub(crate) fn may_answer(&self, answerer: &Identity, subject: &str, reply: &str) -> bool {
        let Some(asker) = self.asker_of(reply) else { return false };
        let Some(below) = subject.strip_prefix(&*self.prefix).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        let mut tokens = below.split('.');
        let (family, who) = (tokens.next().unwrap_or_default(), tokens.next().unwrap_or_default());
        let asked = match (family, tokens.next().unwrap_or_default()) {
            ("api", _) if matches!(Identity::from_token(who), Ok(Identity::Controller(_))) => {
                asker == Identity::Controllers.token()
            }
            ("api", _) => asker == who || Identity::from_token(asker).is_ok_and(|asker| is_token_of(who, &asker)),
            ("read" | "integrator", _) => asker == who,
            ("node", "feed" | "heartbeat") => match (Identity::from_token(asker), unescape(who)) {
                (Ok(asker), Some(node)) => asker.is(&Identity::Node(node.clone())) || asker == Identity::Proxy(node),
                _ => false,
            },
            ("node", _) => asker == Identity::Gateway.token(),
            ("ctl", "ready") => [Identity::Ops, Identity::Gateway].iter().any(|may| may.token() == asker),
            ("ctl", _) => asker == Identity::Ops.token(),
            ("lease", _) => asker == Identity::Apiserver.token(),
            _ => false,
        };
        asked && self.is_answer_of(answerer, reply)
    }

    /// The JetStream stream that replays the events.
    pub fn stream(&self) -> String {
        format!("cox-{}-events", escape(&self.cluster))
    }

    fn below<'a>(&self, subject: &'a str, family: &str) -> Option<&'a str> {
        subject.strip_prefix(&*self.prefix)?.strip_prefix('.')?.strip_prefix(family)?.strip_prefix('.')
    }
}

/// Whether a token is that of an identity, or of one that its bearer is, too.
fn is_token_of(token: &str, identity: &Identity) -> bool {
    token == identity.token() || Identity::from_token(token).is_ok_and(|named| identity.is(&named))
}

/// A group that is really called `core`.
const CORE: &str = "%63ore";

/// The core group has no name in Kubernetes and is `core` here.
fn group_token(group: &str) -> String {
    match group {
        "" => "core".to_owned(),
        "core" => CORE.to_owned(),
        other => escape(other),
    }
}

fn group_of(token: &str) -> Option<String> {
    match token {
        "core" => Some(String::new()),
        CORE => Some("core".to_owned()),
        other => unescape(other),
    }
}

#[cfg(test)]
mod tests;
