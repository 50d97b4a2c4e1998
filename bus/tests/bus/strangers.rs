//! Every credential tries everything that it could want to do with another's things; what it may do is written down here as a rule, and not
//! taken from the table of permissions.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use cox_bus::server::NatsServer;
use cox_bus::{Bus, Connect, ConnectError, Identity, Secret};
use cox_objects::{Epoch, Position};
use futures::StreamExt;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::harness::{Cluster, LONG, until, within};

/// What a credential may do, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Apiserver,
    Gateway,
    Scheduler,
    Controllers,
    Mirror,
    Feed,
    Ops,
    Transport,
    /// The kubelet of node n1, and of n2.
    Node(u8),
    Proxy(u8),
    /// The outside program `shop`, and `till`.
    Integrator(u8),
}

use Role::*;

/// Every credential of the cluster that the tests make, by its name in subjects.
const ALL: [(&str, Role); 14] = [
    ("apiserver", Apiserver),
    ("gateway", Gateway),
    ("scheduler", Scheduler),
    ("controllers", Controllers),
    ("mirror", Mirror),
    ("feed", Feed),
    ("ops", Ops),
    ("transport", Transport),
    ("node:n1", Node(1)),
    ("node:n2", Node(2)),
    ("proxy:n1", Proxy(1)),
    ("proxy:n2", Proxy(2)),
    ("integrator:shop", Integrator(1)),
    ("integrator:till", Integrator(2)),
];

/// Those that hold all objects, Secrets among them.
const READERS: [Role; 7] = [Apiserver, Gateway, Scheduler, Controllers, Mirror, Feed, Ops];
/// Those that write to the API, under their own names.
const WRITERS: [Role; 9] = [Apiserver, Gateway, Scheduler, Controllers, Ops, Node(1), Node(2), Proxy(1), Proxy(2)];

/// One thing to try.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Publish(String),
    Subscribe(String),
}

/// The acts, each with those who may do it.
fn acts() -> Vec<(Act, Vec<Role>)> {
    let mut acts = Vec::new();
    let mut publish = |subject: String, may: &[Role]| acts.push((Act::Publish(subject), may.to_vec()));
    // Events and the head are the apiserver's to tell.
    for event in ["core.pods.default.x", "core.secrets.default.x", "apps.deployments.default.x", "x"] {
        publish(format!("cox.test.events.{event}"), &[Apiserver]);
    }
    publish("cox.test.head".into(), &[Apiserver]);
    // So is the question of how far a gateway's mirror is: whoever could ask, or answer, would have reads that are too old.
    publish("cox.test.lease.gateway.c1".into(), &[Apiserver]);
    // Everyone asks and answers under its own name only; outside programs and those that only read do not write.
    for (name, role) in ALL {
        let only = |may: &[Role]| if may.contains(&role) { vec![role] } else { vec![] };
        for what in ["create.core.pods", "delete.core.secrets", "update.core.nodes%2Fstatus", "batch"] {
            publish(format!("cox.test.api.{name}.{what}"), &only(&WRITERS));
        }
        publish(format!("cox.test.api.{name}.head"), &only(&[&READERS[..], &WRITERS[..]].concat()));
        for what in ["snapshot", "range", "past"] {
            publish(format!("cox.test.read.{name}.{what}"), &only(&READERS));
        }
        publish(format!("cox.test.integrator.{name}.read"), &only(&[Integrator(1), Integrator(2)]));
        publish(format!("cox.test.integrator.{name}.gap"), &[Apiserver]);
        for asker in ["gateway", "apiserver", "node:n1", "integrator:shop"] {
            publish(format!("cox.test.inbox.{asker}.{name}.0123456789ab.r1"), &[role]);
        }
        for what in ["tree", "metrics", "integrators", "checkpoint", "retention", "panic"] {
            publish(format!("cox.test.ctl.{name}.{what}"), &[Ops]);
        }
        publish(format!("cox.test.ctl.{name}.ready"), &[Ops, Gateway]);
    }
    publish("cox.test.api.controller:deployment-controller.create.apps.replicasets".into(), &[Controllers]);
    publish("cox.test.api.controller:made-up.create.apps.replicasets".into(), &[]);
    // A node tells of itself, and is spoken to by gateways.
    for node in [1, 2] {
        publish(format!("cox.test.node.n{node}.feed"), &[Node(node), Proxy(node)]);
        publish(format!("cox.test.node.n{node}.heartbeat"), &[Node(node)]);
        for what in ["exec", "attach", "logs", "portforward"] {
            publish(format!("cox.test.node.n{node}.{what}"), &[Gateway]);
        }
    }
    // JetStream: the stream and its consumers are the apiserver's; a program takes what its own consumer has.
    let stream = "cox-test-events";
    for verb in ["INFO", "CREATE", "UPDATE", "PURGE", "DELETE", "MSG.GET"] {
        publish(format!("$JS.API.STREAM.{verb}.{stream}"), &[Apiserver]);
        publish(format!("$JS.API.STREAM.{verb}.another"), &[]);
    }
    for verb in ["MSG.DELETE", "SNAPSHOT", "RESTORE", "PEER.REMOVE", "LEADER.STEPDOWN"] {
        publish(format!("$JS.API.STREAM.{verb}.{stream}"), &[]);
    }
    for what in [
        format!("CREATE.{stream}"),
        format!("CREATE.{stream}.shop"),
        format!("CREATE.{stream}.shop.cox.test.events.core.secrets.>"),
        format!("DURABLE.CREATE.{stream}.shop"),
        format!("DELETE.{stream}.shop"),
        format!("INFO.{stream}.shop"),
        format!("LIST.{stream}"),
        format!("PAUSE.{stream}.shop"),
    ] {
        publish(format!("$JS.API.CONSUMER.{what}"), &[Apiserver]);
    }
    for (number, name) in [(1, "shop"), (2, "till")] {
        publish(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"), &[Apiserver, Integrator(number)]);
        publish(format!("$JS.ACK.{stream}.{name}.1.1.1.1700000000000000000.0"), &[Integrator(number)]);
    }
    for subject in ["DIRECT.GET.cox-test-events", "DIRECT.GET.cox-test-events.cox.test.events.core.secrets.default.x"] {
        publish(format!("$JS.API.{subject}"), &[]);
    }
    for subject in ["$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.ACCOUNT.PURGE.COX"] {
        publish(subject.into(), &[]);
    }
    for subject in ["$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "cox.other.head", "anything", "_INBOX.x"] {
        publish(subject.into(), &[]);
    }

    let mut subscribe = |subject: String, may: &[Role]| acts.push((Act::Subscribe(subject), may.to_vec()));
    for event in ["events.>", "events.core.secrets.>", "events.core.secrets.default.x", "events.core.pods.*.*", "head"]
    {
        subscribe(format!("cox.test.{event}"), &READERS);
    }
    for wide in [">", "cox.>", "cox.test.>", "*.*.events.>", "cox.*.events.>", "cox.test.inbox.>", "cox.test.*.>"] {
        subscribe(wide.into(), &[]);
    }
    for wide in ["$JS.>", "$JS.API.>", "$JS.EVENT.>", "$SYS.>", "_INBOX.>", "cox.other.events.>", "cox.test.ctl.>"] {
        subscribe(wide.into(), &[]);
    }
    for served in ["api.>", "read.*.*", "read.node:n1.range", "integrator.*.read"] {
        subscribe(format!("cox.test.{served}"), &[Apiserver]);
    }
    for (name, role) in ALL {
        for inbox in [">", "apiserver.>", "*.*.*", "feed.0123456789ab.s1"] {
            subscribe(format!("cox.test.inbox.{name}.{inbox}"), &[role]);
        }
        let program = matches!(role, Integrator(_));
        subscribe(format!("cox.test.ctl.{name}.>"), if program { &[] } else { std::slice::from_ref(&role) });
        subscribe(format!("cox.test.integrator.{name}.gap"), if program { std::slice::from_ref(&role) } else { &[] });
    }
    subscribe("cox.test.lease.>".into(), &[]);
    subscribe("cox.test.lease.gateway.c1".into(), &[Gateway]);
    subscribe("cox.test.node.>".into(), &[]);
    subscribe("cox.test.node.*.feed".into(), &[Feed]);
    subscribe("cox.test.node.*.heartbeat".into(), &[Controllers]);
    for node in [1, 2] {
        subscribe(format!("cox.test.node.n{node}.feed"), &[Feed]);
        subscribe(format!("cox.test.node.n{node}.heartbeat"), &[Controllers]);
        for what in ["exec", "attach", "logs", "portforward"] {
            subscribe(format!("cox.test.node.n{node}.{what}"), &[Node(node)]);
        }
    }
    acts
}

/// A cluster with two outside programs.
async fn cluster() -> Cluster {
    let cluster = Cluster::start().await;
    for name in ["shop", "till"] {
        cluster.server.door().admit(name).await.unwrap();
    }
    cluster
}

/// A connection that says what the server refuses, in the order in which it was tried.
struct Stranger {
    client: Client,
    refused: mpsc::Receiver<String>,
}

impl Stranger {
    async fn connect(connect: &Connect) -> Stranger {
        let Secret::NKey(seed) = connect.credentials.secret.clone() else { panic!("not a key") };
        let (sender, refused) = mpsc::channel(4096);
        let options = ConnectOptions::with_nkey(seed).skip_subject_validation(true).event_callback(move |event| {
            if let Event::ServerError(error) = event {
                sender.try_send(error.to_string().to_lowercase()).unwrap();
            }
            std::future::ready(())
        });
        Stranger { client: options.connect(&connect.url).await.unwrap(), refused }
    }

    /// Tries all, one after the other; gives those that the server refused.
    async fn try_all(&mut self, acts: &[Act]) -> BTreeSet<Act> {
        let mut refused = BTreeSet::new();
        for (number, act) in acts.iter().enumerate() {
            // What nobody may do comes after it: once that is refused, all before it is decided.
            let canary = format!("canary.{number}");
            let held = match act {
                Act::Publish(subject) => {
                    self.client.publish(subject.clone(), "{}".into()).await.unwrap();
                    None
                }
                Act::Subscribe(subject) => Some(self.client.subscribe(subject.clone()).await.unwrap()),
            };
            self.client.publish(canary.clone(), "".into()).await.unwrap();
            loop {
                let said = within(self.refused.recv()).await.unwrap();
                assert!(said.contains("permissions violation"), "{act:?}: {said}");
                if said.contains(&canary) {
                    break;
                }
                refused.insert(act.clone());
            }
            drop(held);
        }
        refused
    }
}

fn credentials(server: &NatsServer, dir: &std::path::Path, name: &str) -> Connect {
    let identity: Identity = name.parse().unwrap();
    match identity {
        Identity::Integrator(_) => {
            Connect::from_file(&dir.join("bus/creds").join(format!("{}.json", identity.token())), None).unwrap()
        }
        identity => server.connect(&identity).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_credential_may_do_what_it_is_for_and_nothing_else() {
    let cluster = cluster().await;
    // Whoever adds an identity says here what it may do.
    let made: BTreeSet<String> = std::fs::read_dir(cluster.dir.path().join("bus/creds"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".json", ""))
        .collect();
    assert_eq!(made, ALL.iter().map(|(name, _)| (*name).to_owned()).collect());
    let acts = acts();
    let tried: Vec<Act> = acts.iter().map(|(act, _)| act.clone()).collect();
    for (name, role) in ALL {
        let mut stranger = Stranger::connect(&credentials(&cluster.server, cluster.dir.path(), name)).await;
        let refused = stranger.try_all(&tried).await;
        for (act, may) in &acts {
            assert_eq!(!refused.contains(act), may.contains(&role), "{name}: {act:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_credential_does_not_get_in() {
    let cluster = cluster().await;
    let known = cluster.server.connect(&Identity::Mirror).unwrap();
    assert!(ConnectOptions::new().connect(&known.url).await.is_err(), "without a credential");
    assert!(ConnectOptions::with_user_and_password("a".into(), "b".into()).connect(&known.url).await.is_err());
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    assert!(ConnectOptions::with_nkey(stranger).connect(&known.url).await.is_err(), "with a key of its own making");
    // One that was shown out is a stranger, too.
    let shop = credentials(&cluster.server, cluster.dir.path(), "integrator:shop");
    cluster.server.door().dismiss("shop").await.unwrap();
    until("the credential ends", async || {
        matches!(Bus::connect(shop.clone()).await, Err(ConnectError::Refused { .. }))
    })
    .await;
}

/// Whoever may ask may not make the one who answers speak in its place: the apiserver could tell events and manage the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_goes_to_who_asked_and_nowhere_else() {
    let cluster = cluster().await;
    let apiserver = cluster.bus(Identity::Apiserver).await;
    let mut api = apiserver.serve_api().await.unwrap();
    let mut reads = apiserver.listen(apiserver.subjects().integrator_reads(), None).await.unwrap();
    let serving = tokio::spawn(async move {
        let position = Position { epoch: Epoch(1), revision: 1 };
        loop {
            tokio::select! {
                asked = api.next() => match asked {
                    Some(cox_bus::Incoming::Head { reply, .. }) => {
                        reply.answer(&cox_bus::Head { position, lease: false }).await;
                    }
                    Some(_) => {}
                    None => return,
                },
                heard = reads.next() => match heard {
                    Some(heard) => heard.answer_json(&json!({})).await.unwrap(),
                    None => return,
                },
            }
        }
    });
    let observer = cluster.bus(Identity::Ops).await;
    let mut events = observer.listen(observer.subjects().events_all(), None).await.unwrap();
    let mut heads = observer.listen(observer.subjects().head(), None).await.unwrap();
    let foreign = [
        "cox.test.events.core.pods.default.forged",
        "cox.test.head",
        "cox.test.inbox.ops.apiserver.0123456789ab.r1",
        "$JS.API.STREAM.PURGE.cox-test-events",
    ];
    let read = ("integrator:shop", "cox.test.integrator.integrator:shop.read", "{}");
    let head = ("node:n1", "cox.test.api.node:n1.head", "");
    for (name, question, payload) in [read, head] {
        let stranger = Stranger::connect(&credentials(&cluster.server, cluster.dir.path(), name)).await;
        let own = format!("cox.test.inbox.{name}.apiserver.0123456789ab.r1");
        let mut answers = stranger.client.subscribe(own.clone()).await.unwrap();
        for reply in foreign {
            stranger.client.publish_with_reply(question, reply, payload.into()).await.unwrap();
        }
        // One that asks as it should is answered, after all those before it.
        stranger.client.publish_with_reply(question, own, payload.into()).await.unwrap();
        within(answers.next()).await.unwrap();
    }
    observer.round_trip(Instant::now() + LONG).await.unwrap();
    for listener in [&mut events, &mut heads] {
        let heard = tokio::time::timeout(Duration::ZERO, listener.next()).await;
        assert!(heard.is_err(), "the apiserver was made to speak on {:?}", heard.ok().flatten().map(|h| h.subject));
    }
    serving.abort();
}
