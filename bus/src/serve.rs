//! The other side of requests: what the apiserver is asked, with the identity of who asks, and a way to answer.

use std::marker::PhantomData;

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use cox_objects::Status;
use futures::StreamExt;
use serde::Serialize;

use crate::head::HeadQuestion;
use crate::request::now_ms;
use crate::subject::ApiSubject;
use crate::{ApiReply, ApiRequest, Bus, CallError, Head, Identity, Why, codec};

/// What the apiserver is asked.
#[derive(Debug)]
pub enum Incoming {
    /// One write. It agrees with its subject, names a user only if its sender may, and its deadline has not passed yet
    /// (the receiver checks that again when it commits).
    Api {
        /// Who sent it; the bus vouches for that.
        from: Identity,
        /// The write.
        request: Box<ApiRequest>,
        /// Where the answer goes.
        reply: Responder<ApiReply>,
    },
    /// Many writes, to be answered in order; deadlines are the receiver's to check.
    Batch {
        /// Who sent them.
        from: Identity,
        /// The writes; those that may not be sent so are refused in place of being carried out.
        requests: Vec<Result<ApiRequest, Status>>,
        /// Where the answers go.
        reply: Responder<Vec<ApiReply>>,
    },
    /// The question for the newest committed position.
    Head {
        /// Who asks.
        from: Identity,
        /// Whether it wants a read lease.
        lease: bool,
        /// Where the answer goes.
        reply: Responder<Head>,
    },
}

/// Where the answer to one question goes. If it is dropped, the asker waits until its deadline.
#[derive(Debug)]
#[must_use]
pub struct Responder<T> {
    bus: Bus,
    to: Option<String>,
    answer: PhantomData<fn(T)>,
}

/// An answer that can be cut to what the bus carries.
pub trait Reply: Serialize {
    /// The same without what can be left out: the object of a successful write is read again.
    fn shortened(&self) -> Self;
}

impl Reply for ApiReply {
    fn shortened(&self) -> Self {
        let body = match self.is_success() {
            true => Bytes::from_static(br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}"#),
            false => Status::new(self.code, "InternalError", "the error is too long for the bus")
                .to_value()
                .to_string()
                .into(),
        };
        ApiReply { body, warnings: Vec::new(), ..self.clone() }
    }
}
impl Reply for Vec<ApiReply> {
    fn shortened(&self) -> Self {
        self.iter().map(Reply::shortened).collect()
    }
}
impl Reply for Head {
    fn shortened(&self) -> Self {
        *self
    }
}

impl<T: Reply> Responder<T> {
    fn new(bus: &Bus, message: &Message) -> Self {
        Responder { bus: bus.clone(), to: reply_to(bus, message), answer: PhantomData }
    }

    /// The connection that asks, as a token of subjects.
    pub fn connection(&self) -> Option<&str> {
        self.bus.subjects().connection_of(self.to.as_deref()?)
    }

    /// Sends the answer. One that is larger than the bus carries goes without its bodies.
    pub async fn answer(self, answer: &T) {
        let Some(to) = self.to else { return };
        let limit = self.bus.max_payload();
        let encoded = match codec::encode(answer) {
            Ok(bytes) if bytes.len() > limit => codec::encode(&answer.shortened()),
            encoded => encoded,
        };
        match encoded {
            Ok(bytes) => {
                // If the connection is closed nobody can be told; the asker asks again with the same id.
                let _ = self.bus.link.client.publish(to, bytes.into()).await;
            }
            Err(error) => tracing::error!(%error, "an answer has no form"),
        }
    }
}

/// A subscription without what JetStream delivers. Whoever may take messages from a consumer says to which subject they go, and no
/// permission is asked about that: an outside program could have copies of events arrive anywhere, as questions or as events.
pub(crate) struct Messages(Subscriber);

impl Messages {
    /// The next message; none when the connection is closed for good.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.0.next().await?;
            if !is_delivered(message.reply.as_deref()) {
                return Some(message);
            }
            tracing::warn!(subject = %message.subject, "JetStream was asked to deliver here");
        }
    }
}

/// Whether a message with this reply subject, at which it is to be acknowledged, comes from a consumer.
pub(crate) fn is_delivered(reply: Option<&str>) -> bool {
    reply.is_some_and(|reply| reply.starts_with("$JS."))
}

/// A stream of what the apiserver is asked. Several servers share the questions.
pub struct ApiServer {
    bus: Bus,
    questions: Messages,
}

impl Bus {
    /// Serves api requests. The subscription stands when this returns.
    ///
    /// # Errors
    /// If the bus is not there.
    pub async fn serve_api(&self) -> Result<ApiServer, CallError> {
        let questions = self.subscribe(self.subjects().api_wildcard(), Some("apiserver")).await?;
        Ok(ApiServer { bus: self.clone(), questions })
    }
}

impl ApiServer {
    /// The next question; none when the connection is closed for good. What is malformed is answered here.
    pub async fn next(&mut self) -> Option<Incoming> {
        loop {
            let message = self.questions.next().await?;
            let Some((from, what)) = self.bus.subjects().parse_api(&message.subject) else {
                tracing::warn!(subject = %message.subject, "not an api subject");
                continue;
            };
            match what {
                ApiSubject::Head => {
                    let reply = Responder::new(&self.bus, &message);
                    let question = match &*message.payload {
                        [] => Ok(HeadQuestion::default()),
                        payload => codec::decode(payload),
                    };
                    match question {
                        Ok(HeadQuestion { lease }) => return Some(Incoming::Head { from, lease, reply }),
                        Err(error) => tracing::warn!(%from, %error, "a malformed question for the head"),
                    }
                }
                ApiSubject::Batch => {
                    let reply: Responder<Vec<ApiReply>> = Responder::new(&self.bus, &message);
                    match codec::decode::<Vec<ApiRequest>>(&message.payload) {
                        Ok(requests) => {
                            let requests = requests.into_iter().map(|r| admit(&from, r)).collect();
                            return Some(Incoming::Batch { from, requests, reply });
                        }
                        // Their number is not known either: an empty answer fits none.
                        Err(error) => {
                            tracing::warn!(%from, %error, "a malformed batch");
                            reply.answer(&Vec::new()).await;
                        }
                    }
                }
                write => {
                    let reply: Responder<ApiReply> = Responder::new(&self.bus, &message);
                    match request(&from, &write, &message.payload) {
                        Ok(request) if request.deadline <= now_ms() => {
                            tracing::debug!(%from, id = %request.id, "arrived after its deadline");
                        }
                        Ok(request) => return Some(Incoming::Api { from, request: Box::new(request), reply }),
                        Err(status) => reply.answer(&ApiReply::error(&status)).await,
                    }
                }
            }
        }
    }
}

/// Where the answer to a message goes; none if nobody wants one, or it is wanted where we must not speak.
pub(crate) fn reply_to(bus: &Bus, message: &Message) -> Option<String> {
    let reply = message.reply.as_ref()?;
    let link = &bus.link;
    if !link.subjects.may_answer(&link.owner, &message.subject, reply) {
        tracing::warn!(subject = %message.subject, %reply, "asked to answer in a foreign place");
        return None;
    }
    Some(reply.to_string())
}

/// The request of a message, if it says the same as its subject, by which the bus let it pass.
fn request(from: &Identity, subject: &ApiSubject, payload: &[u8]) -> Result<ApiRequest, Status> {
    let request: ApiRequest = codec::decode(payload).map_err(|e| Status::bad_request(e.to_string()))?;
    let resource = match request.subresource.as_str() {
        "" => request.plural.clone(),
        sub => format!("{}/{sub}", request.plural),
    };
    let says = ApiSubject::Write(request.verb.as_str().to_owned(), request.group.clone(), resource);
    if says != *subject {
        return Err(Status::bad_request("the request differs from its subject"));
    }
    admit(from, request)
}

fn admit(from: &Identity, request: ApiRequest) -> Result<ApiRequest, Status> {
    match request.user.is_some() && !from.acts_for_others() {
        true => Err(Status::new(403, "Forbidden", format!("{from} may not act for other users"))),
        false => Ok(request),
    }
}

/// A plain subscription: heartbeats, control, the announcements of the head.
pub struct Listener {
    bus: Bus,
    messages: Messages,
}

/// A message that a [`Listener`] heard.
pub struct Heard {
    /// The subject it came on.
    pub subject: String,
    /// What it holds.
    pub payload: Bytes,
    bus: Bus,
    reply: Option<String>,
}

impl Listener {
    /// The next message; none when the connection is closed for good. Of a reader that lags by more than 65,536
    /// messages the newest are lost.
    pub async fn next(&mut self) -> Option<Heard> {
        let message = self.messages.next().await?;
        Some(Heard {
            subject: message.subject.to_string(),
            // The client's payloads are slices of a larger buffer, which a kept one would hold.
            payload: Bytes::copy_from_slice(&message.payload),
            reply: reply_to(&self.bus, &message),
            bus: self.bus.clone(),
        })
    }
}

impl Heard {
    /// The JSON that it holds.
    ///
    /// # Errors
    /// If it is something else.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }

    /// Answers, if the sender asked for that.
    ///
    /// # Errors
    /// If the answer has no JSON form.
    pub async fn answer_json<T: Serialize>(&self, answer: &T) -> Result<(), serde_json::Error> {
        let bytes = serde_json::to_vec(answer)?;
        if let Some(to) = self.reply.clone() {
            // A closed connection tells nobody; the asker waits until its deadline.
            let _ = self.bus.link.client.publish(to, bytes.into()).await;
        }
        Ok(())
    }
}

impl Bus {
    /// Hears what is published on a subject (which may be a pattern); of listeners in the same group only one hears each
    /// message. The subscription stands when this returns.
    ///
    /// # Errors
    /// If the bus is not there.
    pub async fn listen(&self, subject: String, group: Option<&str>) -> Result<Listener, CallError> {
        Ok(Listener { bus: self.clone(), messages: self.subscribe(subject, group).await? })
    }

    /// Publishes without an answer; lost if the bus is not there at the moment.
    ///
    /// # Errors
    /// If the message is too large, or the connection closed for good.
    pub async fn publish(&self, subject: String, payload: Bytes) -> Result<(), CallError> {
        let length = payload.len();
        if length > self.max_payload() {
            return Err(CallError::SurelyNotDone(Why::TooLarge(length)));
        }
        self.link.client.publish(subject, payload).await.map_err(|_| CallError::SurelyNotDone(Why::NotConnected))
    }

    /// Publishes a value as JSON.
    ///
    /// # Errors
    /// As [`Bus::publish`], or if the value has no JSON form.
    pub async fn publish_json<T: Serialize>(&self, subject: String, value: &T) -> Result<(), CallError> {
        let bytes = serde_json::to_vec(value).map_err(malformed)?;
        self.publish(subject, bytes.into()).await
    }

    /// Asks in JSON, until the deadline; it may be asked more than once.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn request_json<T, A>(
        &self,
        subject: &str,
        question: &T,
        deadline: tokio::time::Instant,
    ) -> Result<A, CallError>
    where
        T: Serialize,
        A: serde::de::DeserializeOwned,
    {
        let question = serde_json::to_vec(question).map_err(malformed)?;
        let answer = self.link.calls.ask(&self.link, subject, question.into(), deadline).await?;
        serde_json::from_slice(&answer).map_err(|e| CallError::PerhapsDone(Why::Malformed(e.to_string())))
    }

    /// A subscription that stands on the server when this returns.
    pub(crate) async fn subscribe(&self, subject: String, group: Option<&str>) -> Result<Messages, CallError> {
        let client = &self.link.client;
        let subscriber = match group {
            Some(group) => client.queue_subscribe(subject, group.to_owned()).await,
            None => client.subscribe(subject).await,
        };
        let subscriber = subscriber.map_err(|_| CallError::SurelyNotDone(Why::NotConnected))?;
        self.round_trip(tokio::time::Instant::now() + std::time::Duration::from_secs(10)).await?;
        Ok(Messages(subscriber))
    }
}

fn malformed(error: serde_json::Error) -> CallError {
    CallError::SurelyNotDone(Why::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests;
