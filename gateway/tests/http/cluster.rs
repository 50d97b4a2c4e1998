//! A gateway before an apiserver that stores what it is given and a node that echoes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use cox_bus::node::{ExecRequest, Exit, Frame, PortForwardRequest};
use cox_bus::{ApiReply, ApiRequest, CallError, Head, StreamError, Verb, Why, codec};
use cox_gateway::backend::{Conversation, Sink, Source};
use cox_gateway::{Backend, Check, Deps, Pki, Readiness, ServerNames, Serving, start};
use cox_mirror::{Limits, Mirror};
use cox_objects::{Cause, Change, Draft, Epoch, Event, Key, Kinds, Position, Status, kinds};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub const EPOCH: Epoch = Epoch(7);

/// A running gateway and what stands behind it.
pub struct Cluster {
    pub address: SocketAddr,
    pub pki: Pki,
    pub state: Arc<Stored>,
    pub serving: Serving,
}

/// The apiserver: what was asked of it, and the mirror that it writes into at once.
pub struct Stored {
    pub mirror: Mirror,
    pub kinds: Arc<Kinds>,
    pub calls: Mutex<Vec<ApiRequest>>,
    /// By how many revisions the log is ahead of the mirror.
    pub ahead: AtomicU64,
    /// Whether the apiserver answers questions for the head.
    pub silent: AtomicBool,
    /// What it answers next, before it stores anything again.
    pub next: Mutex<VecDeque<Result<ApiReply, CallError>>>,
}

impl Cluster {
    pub async fn start() -> Self {
        let pki = Pki::make(&ServerNames::default(), SystemTime::now()).unwrap();
        let mirror = Mirror::new(Limits::default());
        mirror.update(|state| state.reset(Position { epoch: EPOCH, revision: 1 }, []));
        let kinds = Arc::new(kinds::builtin());
        let state = Arc::new(Stored {
            mirror: mirror.clone(),
            kinds: kinds.clone(),
            calls: Mutex::default(),
            ahead: AtomicU64::default(),
            silent: AtomicBool::default(),
            next: Mutex::default(),
        });
        let deps = Deps {
            listen: "127.0.0.1:0".parse().unwrap(),
            pki: pki.clone(),
            kinds,
            backend: state.clone(),
            mirror,
            readiness: Arc::new(Well),
            metrics: Default::default(),
            connections: 100,
        };
        let serving = start(deps).await.unwrap();
        Cluster { address: serving.address(), pki, state, serving }
    }
}

impl Stored {
    /// Puts an object (or takes it away) as the next event.
    pub fn put(&self, object: &Value, change: Change) -> u64 {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = self.kinds.named(text("/apiVersion"), text("/kind")).unwrap();
        let key = Key::new(kind.resource.clone(), text("/metadata/namespace"), text("/metadata/name"));
        let revision = self.mirror.position().revision + 1;
        let event = Event {
            position: Position { epoch: EPOCH, revision },
            transaction: (revision, revision),
            time: 0,
            key,
            change,
            object: Draft::encode(object).unwrap().seal(revision),
            cause: Cause::default(),
        };
        self.mirror.update(|state| {
            let _ = state.offer(event);
        });
        revision
    }
}

impl Backend for Stored {
    fn call<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Result<ApiReply, CallError>> {
        self.calls.lock().push(request.clone());
        Box::pin(async move {
            if let Some(next) = self.next.lock().pop_front() {
                return next;
            }
            let Ok(mut object) = serde_json::from_slice::<Value>(&request.body) else {
                return Ok(ApiReply::error(&Status::bad_request("no JSON")));
            };
            if request.verb != Verb::Create {
                return Ok(ApiReply::error(&Status::internal("only creates are stored here")));
            }
            object["metadata"]["namespace"] = request.namespace.clone().into();
            let revision = self.put(&object, Change::Added);
            object["metadata"]["resourceVersion"] = revision.to_string().into();
            let body = object.to_string().into();
            Ok(ApiReply {
                code: 201,
                revision,
                seen: revision,
                body,
                warnings: vec!["from the server".into()],
                retry_after: None,
            })
        })
    }

    fn head(&self, _: bool, _: Instant) -> BoxFuture<'_, Result<Head, CallError>> {
        Box::pin(async {
            if self.silent.load(Ordering::SeqCst) {
                return Err(CallError::SurelyNotDone(Why::NobodyServes("head".to_owned())));
            }
            let Position { epoch, revision } = self.mirror.position();
            let position = Position { epoch, revision: revision + self.ahead.load(Ordering::SeqCst) };
            Ok(Head { position, lease: false })
        })
    }

    fn reached<'a>(&'a self, _: &'a Mirror, _: &'a (dyn Fn(bool) + Sync)) -> BoxFuture<'a, Result<(), CallError>> {
        Box::pin(std::future::pending())
    }

    fn open<'a>(
        &'a self,
        node: &'a str,
        what: &'a str,
        hello: Bytes,
    ) -> BoxFuture<'a, Result<Conversation, StreamError>> {
        Box::pin(async move {
            if node != "n1" {
                return Err(StreamError::NobodyServes(node.to_owned()));
            }
            let (to, from_gateway) = mpsc::channel(16);
            let (to_gateway, from) = mpsc::channel(16);
            tokio::spawn(talk(what.to_owned(), hello, from_gateway, to_gateway));
            Ok(Conversation { sink: Box::new(Half(Some(to))), source: Box::new(Other(from)) })
        })
    }
}

/// The node: exec says its command and repeats its input, logs are two lines, port 8080 is a web server, any other port repeats what it
/// gets.
async fn talk(what: String, hello: Bytes, mut from: mpsc::Receiver<Bytes>, to: mpsc::Sender<Bytes>) {
    match what.as_str() {
        "exec" => {
            let request: ExecRequest = codec::decode(&hello).unwrap();
            let _ = to.send(Frame::Stdout(request.command.join(" ").into()).encode()).await;
            while let Some(message) = from.recv().await {
                match Frame::decode(&message).unwrap() {
                    Frame::Stdin(data) => drop(to.send(Frame::Stderr(data).encode()).await),
                    Frame::CloseStdin => break,
                    _ => {}
                }
            }
            let _ = to.send(Frame::Exit(Exit::Code(3)).encode()).await;
        }
        "logs" => {
            let _ = to.send(Bytes::from_static(b"one\n")).await;
            let _ = to.send(Bytes::from_static(b"two\n")).await;
        }
        _ if codec::decode::<PortForwardRequest>(&hello).unwrap().port == 8080 => {
            let mut request = String::new();
            while !request.contains("\r\n\r\n") {
                request.push_str(std::str::from_utf8(&from.recv().await.unwrap()).unwrap());
            }
            let page = format!("<a href=\"/next\">{}</a>", request.lines().next().unwrap());
            let answer = format!(
                "HTTP/1.1 203 X\r\ncontent-type: text/html\r\nx-own: 1\r\ncontent-length: {}\r\n\r\n{page}",
                page.len()
            );
            let _ = to.send(answer.into()).await;
        }
        _ => {
            while let Some(message) = from.recv().await {
                let _ = to.send(message).await;
            }
        }
    }
}

struct Half(Option<mpsc::Sender<Bytes>>);
struct Other(mpsc::Receiver<Bytes>);

impl Sink for Half {
    fn send(&mut self, message: Bytes) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(async move {
            let sender = self.0.as_ref().ok_or(StreamError::Stopped)?;
            sender.send(message).await.map_err(|_| StreamError::Stopped)
        })
    }

    fn close(&mut self) -> BoxFuture<'_, Result<(), StreamError>> {
        self.0 = None;
        Box::pin(async { Ok(()) })
    }
}

impl Source for Other {
    fn recv(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, StreamError>> {
        Box::pin(async { Ok(self.0.recv().await) })
    }
}

struct Well;

impl Readiness for Well {
    fn live(&self) -> BoxFuture<'_, Vec<Check>> {
        self.ready()
    }

    fn health(&self) -> BoxFuture<'_, Vec<Check>> {
        self.ready()
    }

    fn ready(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async { vec![Check::new("log-store", None)] })
    }
}
