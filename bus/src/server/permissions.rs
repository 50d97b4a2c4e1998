//! What each identity may publish and hear: the table that the server enforces.

use crate::subject::escape;
use crate::{CONTROLLERS, Identity, Subjects};

/// Subjects and patterns that are allowed; everything else is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Where it may publish.
    pub publish: Vec<String>,
    /// What it may subscribe to.
    pub subscribe: Vec<String>,
}

/// The conversations that a gateway begins with a node.
const TO_NODE: &[&str] = &["exec", "attach", "logs", "portforward"];

/// The management that the publisher needs of its stream; purging is among it, and nobody else may.
const STREAM: &[&str] = &["INFO", "CREATE", "UPDATE", "PURGE", "DELETE", "MSG.GET"];

/// The permissions of an identity.
///
/// Everyone hears its own inbox, and publishes into others' only under its own name, so that no answer can be forged.
pub fn permissions(subjects: &Subjects, identity: &Identity) -> Permissions {
    let mut p =
        Permissions { publish: vec![subjects.answers_of(identity)], subscribe: vec![subjects.inbox_of(identity)] };
    if !matches!(identity, Identity::Integrator(_)) {
        p.subscribe.push(subjects.ctl_of(identity));
    }
    if identity.mirrors() {
        p.publish.extend(["snapshot", "range", "past"].map(|what| subjects.read(identity, what)));
        p.publish.push(subjects.api_head(identity));
        p.subscribe.extend([subjects.events_all(), subjects.head()]);
    }
    if identity.user().is_some() || identity.acts_for_others() {
        p.publish.push(subjects.api_of(identity));
    }
    match identity {
        Identity::Apiserver => {
            p.publish.extend([subjects.events_all(), subjects.head(), "$JS.API.CONSUMER.>".to_owned()]);
            p.publish.extend(STREAM.iter().map(|verb| format!("$JS.API.STREAM.{verb}.{}", subjects.stream())));
            p.publish.extend([subjects.integrator_gaps(), subjects.lease_wildcard()]);
            p.subscribe.extend([subjects.api_wildcard(), subjects.read_wildcard(), subjects.integrator_reads()]);
        }
        Identity::Gateway => {
            p.publish.extend(TO_NODE.iter().map(|what| subjects.node_wildcard(what)));
            // Its health endpoints name the part that is not well; the question changes nothing.
            p.publish.push(subjects.ctl_of_all("ready"));
            p.subscribe.push(subjects.lease_wildcard());
        }
        Identity::Controllers => {
            let each = CONTROLLERS.iter().map(|name| subjects.api_of(&Identity::Controller((*name).to_owned())));
            p.publish.extend(each);
            p.subscribe.push(subjects.node_wildcard("heartbeat"));
        }
        Identity::Feed => p.subscribe.push(subjects.node_wildcard("feed")),
        Identity::Node(node) => of_node(&mut p, subjects, node),
        Identity::Hollow(count) => {
            for node in (1..=*count).map(Identity::hollow_node) {
                of_node(&mut p, subjects, &node);
                let node = Identity::Node(node);
                p.publish.extend([subjects.api_of(&node), subjects.answers_of(&node)]);
            }
        }
        Identity::Proxy(node) => p.publish.push(subjects.node(node, "feed")),
        Identity::Ops => p.publish.push(subjects.ctl_wildcard()),
        Identity::Integrator(name) => {
            let (stream, consumer) = (subjects.stream(), escape(name));
            p.publish.push(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"));
            p.publish.push(format!("$JS.ACK.{stream}.{consumer}.>"));
            p.publish.push(subjects.integrator(identity, "read"));
            p.subscribe.push(subjects.integrator(identity, "gap"));
        }
        Identity::Scheduler | Identity::Mirror | Identity::Transport | Identity::Controller(_) => {}
    }
    p
}

/// What a kubelet says and hears under its node's name.
fn of_node(p: &mut Permissions, subjects: &Subjects, node: &str) {
    p.publish.extend(["feed", "heartbeat"].map(|what| subjects.node(node, what)));
    p.subscribe.extend(TO_NODE.iter().map(|what| subjects.node(node, what)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verb;

    /// Whether a NATS pattern covers a subject (or a pattern covers another that is no wider).
    fn covers(pattern: &str, subject: &str) -> bool {
        let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
        loop {
            match (pattern.next(), subject.next()) {
                (Some(">"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(token)) if token != ">" => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }

    fn may_publish(identity: &Identity, subject: &str) -> bool {
        permissions(&Subjects::new("c"), identity).publish.iter().any(|p| covers(p, subject))
    }

    fn may_hear(identity: &Identity, subject: &str) -> bool {
        permissions(&Subjects::new("c"), identity).subscribe.iter().any(|p| covers(p, subject))
    }

    fn everyone() -> Vec<Identity> {
        let named = [Identity::Node("n".into()), Identity::Proxy("n".into()), Identity::Integrator("i".into())];
        Identity::FIXED.into_iter().chain(named).collect()
    }

    #[test]
    fn nobody_speaks_under_anothers_name() {
        let s = Subjects::new("c");
        let controller = Identity::Controller("deployment-controller".into());
        for a in everyone() {
            for b in everyone() {
                let own = a == b;
                let write = s.api(&b, Verb::Create, "", "pods");
                assert!(own || !may_publish(&a, &write), "{a} writes as {b}");
                assert_eq!(
                    may_publish(&a, &s.inbox(&Identity::Gateway, &b.token(), "x", "r1")),
                    own,
                    "{a} answers as {b}"
                );
                assert_eq!(may_hear(&a, &s.inbox(&b, "apiserver", "x", "r1")), own, "{a} reads the inbox of {b}");
            }
            let as_controller = may_publish(&a, &s.api(&controller, Verb::Create, "", "pods"));
            assert_eq!(as_controller, a == Identity::Controllers, "{a} writes as a controller");
        }
    }

    #[test]
    fn only_the_apiserver_publishes_events_and_touches_the_stream() {
        let s = Subjects::new("c");
        for a in everyone() {
            let may = a == Identity::Apiserver;
            assert_eq!(may_publish(&a, "cox.c.events.core.pods.default.x"), may, "{a}");
            assert_eq!(may_publish(&a, &s.head()), may, "{a}");
            assert_eq!(may_publish(&a, "$JS.API.STREAM.PURGE.cox-c-events"), may, "{a}");
            assert_eq!(may_hear(&a, &s.api_wildcard()), may, "{a}");
        }
    }

    #[test]
    fn a_node_sees_its_own_segment_only_and_has_no_jetstream() {
        let s = Subjects::new("c");
        let node = Identity::Node("n".into());
        assert!(may_publish(&node, &s.node("n", "heartbeat")) && may_publish(&node, &s.node("n", "feed")));
        assert!(!may_publish(&node, &s.node("m", "heartbeat")) && !may_publish(&node, &s.node("n", "exec")));
        assert!(may_hear(&node, &s.node("n", "exec")) && !may_hear(&node, &s.node("m", "exec")));
        assert!(!may_hear(&node, &s.events_all()) && !may_publish(&node, &s.read(&node, "snapshot")));
        assert!(permissions(&s, &node).publish.iter().all(|p| !p.starts_with('$')));
    }

    #[test]
    fn the_credential_of_hollow_nodes_covers_them_and_no_other() {
        let s = Subjects::new("c");
        let hollow = Identity::Hollow(2);
        for (node, covered) in [("hollow-1", true), ("hollow-2", true), ("hollow-3", false), ("n", false)] {
            let identity = Identity::Node(node.to_owned());
            assert_eq!(may_publish(&hollow, &s.node(node, "feed")), covered, "{node}");
            assert_eq!(may_publish(&hollow, &s.api(&identity, Verb::Patch, "", "pods/status")), covered, "{node}");
            assert_eq!(may_publish(&hollow, &s.inbox(&Identity::Gateway, &identity.token(), "x", "r1")), covered);
            assert_eq!(may_hear(&hollow, &s.node(node, "exec")), covered, "{node}");
            assert!(!may_hear(&hollow, &s.inbox(&identity, "apiserver", "x", "r1")), "{node}");
        }
        assert!(!may_publish(&hollow, &s.read(&hollow, "snapshot")) && !may_hear(&hollow, &s.events_all()));
    }

    #[test]
    fn only_a_gateway_starts_exec_and_only_ops_controls() {
        let s = Subjects::new("c");
        for a in everyone() {
            assert_eq!(may_publish(&a, &s.node("n", "exec")), a == Identity::Gateway, "{a}");
            assert_eq!(may_publish(&a, &s.ctl(&Identity::Scheduler, "tree")), a == Identity::Ops, "{a}");
            let asks = matches!(a, Identity::Ops | Identity::Gateway);
            assert_eq!(may_publish(&a, &s.ctl(&Identity::Scheduler, "ready")), asks, "{a}");
        }
    }

    #[test]
    fn an_integrator_takes_from_its_own_consumer_only() {
        let integrator = Identity::Integrator("shop".into());
        assert!(may_publish(&integrator, "$JS.API.CONSUMER.MSG.NEXT.cox-c-events.shop"));
        assert!(!may_publish(&integrator, "$JS.API.CONSUMER.MSG.NEXT.cox-c-events.other"));
        assert!(!may_publish(&integrator, "$JS.API.CONSUMER.CREATE.cox-c-events"));
        assert!(!may_publish(&integrator, "$JS.API.DIRECT.GET.cox-c-events"));
        assert!(!may_hear(&integrator, "cox.c.events.core.secrets.a.b"));
        let (s, other) = (Subjects::new("c"), Identity::Integrator("other".into()));
        assert!(may_publish(&integrator, &s.integrator(&integrator, "read")));
        assert!(!may_publish(&integrator, &s.integrator(&other, "read")));
        assert!(may_hear(&integrator, &s.integrator(&integrator, "gap")));
        assert!(!may_hear(&integrator, &s.integrator(&other, "gap")));
        assert!(!may_publish(&integrator, &s.integrator(&integrator, "gap")));
    }
}
