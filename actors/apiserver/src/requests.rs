//! The actor that takes requests off the bus: bounded, each worked on by itself, answered where it came from.
//!
//! What a restart loses: requests being worked on are finished by the log but not answered; their callers ask again with the same id.

use cox_bus::{ApiReply, ApiRequest, Bus, Identity, Incoming, trace};
use cox_kit::Scope;
use cox_kit::supervise::StartError;
use cox_objects::{Revision, Status, Trigger};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinSet;
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use crate::execute::Executor;
use crate::gate::{Gate, Place};
use crate::read_lease::ReadLease;

/// Serves until the scope is cancelled; then finishes what it has begun.
pub(crate) async fn serve(bus: Bus, executor: Executor, lease: ReadLease, scope: Scope) -> Result<(), StartError> {
    let mut questions = bus.serve_api().await?;
    let gate = Gate::new(executor.config.max_in_flight);
    // Tasks of one request each: aborted if this actor fails, waited for when it stops.
    let mut working: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = scope.cancelled().cancelled() => break,
            Some(ended) = working.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a request panicked; its caller asks again");
                }
            }
            question = questions.next() => match question {
                None => return Err("the bus connection is closed".into()),
                Some(question) => drop(working.spawn(answer(question, executor.clone(), lease.clone(), &gate))),
            },
        }
    }
    while working.join_next().await.is_some() {}
    Ok(())
}

/// What the answer tells nobody may see less of at a gateway with the read lease.
fn answer(question: Incoming, executor: Executor, lease: ReadLease, gate: &Gate) -> BoxFuture<'static, ()> {
    match question {
        Incoming::Head { from, lease: wanted, reply } => async move {
            let head = lease.head(&from, reply.connection(), wanted).await;
            reply.answer(&head).await;
        }
        .boxed(),
        Incoming::Api { from, request, reply } => {
            let place = gate.enter(&from, &request);
            async move {
                let answer = one(&executor, place, &from, &request).await;
                lease.settle(&from, reply.connection(), answer.seen).await;
                reply.answer(&answer).await;
            }
            .boxed()
        }
        Incoming::Batch { from, requests, reply } => {
            let enter = |request| match request {
                Ok(request) => Ok((gate.enter(&from, &request), request)),
                Err(status) => Err(status),
            };
            let requests: Vec<Result<(Option<Place>, ApiRequest), Status>> = requests.into_iter().map(enter).collect();
            async move {
                let each = requests.into_iter().map(|request| {
                    let (executor, from) = (&executor, &from);
                    async move {
                        match request {
                            // On the heap from the start: what is joined is moved more than once.
                            Ok((place, request)) => one(executor, place, from, &request).boxed().await,
                            Err(status) => ApiReply::error(&status),
                        }
                    }
                });
                let answers: Vec<ApiReply> = join_all(each).await;
                let seen = answers.iter().map(|answer| answer.seen).max().unwrap_or_default();
                lease.settle(&from, reply.connection(), seen).await;
                reply.answer(&answers).await;
            }
            .boxed()
        }
    }
}

/// One request; without a place it is refused, to be sent again a little later.
async fn one(executor: &Executor, place: Option<Place>, from: &Identity, request: &ApiRequest) -> ApiReply {
    let Some(place) = place else {
        let status = Status::too_many_requests("too many requests, please try again later", 1);
        return ApiReply::error(&status);
    };
    let _turn = place.turn().await;
    let span = trace::under(span(from, request), request.traceparent.as_deref());
    let mut reply = executor.handle(from, request).instrument(span.clone()).await;
    reply.seen = seen(executor, &reply);
    span.record("code", reply.code);
    span.record("revision", reply.revision);
    reply
}

/// The newest revision that an answer may tell of: its own, else all that there was when it was decided.
fn seen(executor: &Executor, reply: &ApiReply) -> Revision {
    match reply.revision {
        0 => executor.stored.log.head(),
        own => own,
    }
}

/// The span of a request. What a timer brings about and belongs to no trace (Leases, heartbeats) begins one at the level of debugging only:
/// there would be one every other second.
fn span(from: &Identity, request: &ApiRequest) -> Span {
    macro_rules! at {
        ($level:expr) => {
            tracing::span!(
                $level,
                "apiserver.request",
                otel.kind = "server",
                id = %request.id,
                from = %from,
                verb = request.verb.as_str(),
                resource = %request.plural,
                subresource = %request.subresource,
                namespace = %request.namespace,
                name = %request.name,
                code = Empty,
                revision = Empty,
            )
        };
    }
    match (&request.trigger, &request.traceparent) {
        (Some(Trigger::Timer(_)), None) => at!(Level::DEBUG),
        _ => at!(Level::INFO),
    }
}
