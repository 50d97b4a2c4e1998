//! The shell around the pipeline: a request is decided, committed, and answered; races are decided again, repetitions answered again.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use cox_bus::{ApiReply, ApiRequest, Identity, Verb, trace};
use cox_log::{CommitError, Guard, LeaseHeld, Log, Outcome, Transaction, Write};
use cox_objects::{Cause, Draft, Kind, Kinds, RequestId, Status, Trigger, User};
use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::config::Config;
use crate::context::Context;
use crate::pipeline::collection::{self, Progress};
use crate::pipeline::{self, finish, identify, options};
use crate::plan::{Change, Plan};
use crate::replay;
use crate::state::State;
use crate::state::stored::Stored;

/// How often a request that lost a race is decided again before its caller is told. One writer of each round wins, so this is about how
/// many may write the same object at a time without naming a version; the deadline ends it earlier.
const TRIES: usize = 512;

/// What carries out api requests. Clones share it.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(crate) stored: Stored,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) config: Arc<Config>,
}

/// What a decision is made of, but for the state.
pub(crate) struct Asked<'a> {
    pub(crate) kind: Arc<Kind>,
    pub(crate) request: &'a ApiRequest,
    pub(crate) user: Cow<'a, User>,
    /// How far earlier transactions of the same request came.
    pub(crate) progress: Option<Progress>,
}

impl Executor {
    /// Carries out a request, or says what became of it before.
    pub(crate) async fn handle(&self, from: &Identity, request: &ApiRequest) -> ApiReply {
        match self.attempt(from, request).await {
            Ok(reply) => reply,
            Err(status) => {
                // A refused request did nothing; its repetition is to hear the same. What may pass with time is decided anew.
                if status.code < 500 && status.code != 429 && request.id != RequestId::default() {
                    self.log().refuse(request.id, Outcome::refused(status.clone()));
                }
                ApiReply::error(&status)
            }
        }
    }

    fn log(&self) -> &Log {
        &self.stored.log
    }

    async fn attempt(&self, from: &Identity, request: &ApiRequest) -> Result<ApiReply, Status> {
        if cox_kit::clock::now_ms() > request.deadline {
            return Err(Status::timeout("request did not complete within the allotted timeout"));
        }
        let user = identify::user(from, request)?;
        let kind = self.kind(request, &user)?;
        let mut asked = Asked { kind, request, user, progress: None };
        // What takes one transaction is known to be a repetition when that is committed, or refused; the first of several would be made again.
        if request.verb == Verb::DeleteCollection
            && let Some(reply) = self.repeated(&asked)?
        {
            return Ok(reply);
        }
        let mut pages = Vec::new();
        loop {
            let (reply, next) = match self.settle(from, &asked).await {
                Err(status) => return self.repeated(&asked)?.ok_or(status),
                Ok(settled) => settled,
            };
            match next {
                None => return Ok(collection::join(pages, reply)),
                next => {
                    pages.push(reply);
                    asked.progress = next;
                }
            }
        }
    }

    /// Rounds until one is not lost: the answer, and where the request goes on, if that was not all of it.
    async fn settle(&self, from: &Identity, asked: &Asked<'_>) -> Result<(ApiReply, Option<Progress>), Status> {
        for _ in 0..TRIES {
            if let Some(settled) = self.round(from, asked).await? {
                return Ok(settled);
            }
            if cox_kit::clock::now_ms() > asked.request.deadline {
                break;
            }
        }
        let named = cox_objects::Resource::new(&asked.request.group, &asked.request.plural);
        Err(Status::modified(&named, &asked.request.name))
    }

    /// One decision and its commit; none if it lost a race that is ours to run again.
    async fn round(&self, from: &Identity, asked: &Asked<'_>) -> Result<Option<(ApiReply, Option<Progress>)>, Status> {
        // The context holds what must not be held across the commit.
        let (plan, transaction) = {
            let ctx = self.context(asked);
            let plan = pipeline::decide(&ctx)?;
            if options::dry_run(&ctx) || plan.changes.is_empty() {
                if let Some(reply) = self.repeated(asked)? {
                    return Ok(Some((reply, None)));
                }
                return match options::dry_run(&ctx) {
                    true => finish::dry_run(&ctx, &plan).map(|reply| Some((reply, None))),
                    false => finish::committed(&ctx, &plan, &[], 0).map(|reply| Some((reply, plan.next))),
                };
            }
            let transaction = transaction(from, asked, &plan, self.chain(asked.request))?;
            (plan, transaction)
        };
        let span = commit_span(transaction.changes.len());
        match self.log().commit(transaction).instrument(span.clone()).await {
            Ok(done) => {
                span.record("revision", done.last);
                let reply = finish::committed(&self.context(asked), &plan, &done.objects, done.last)?;
                Ok(Some((reply, plan.next)))
            }
            Err(CommitError::Repeated(outcome)) => self.repeat(asked, &outcome).map(|reply| Some((reply, None))),
            Err(error) => refused(&self.context(asked), &plan, error).map(|()| None),
        }
    }

    fn context<'a>(&'a self, asked: &'a Asked<'_>) -> Context<'a> {
        context(&self.stored, &self.kinds, &self.config, asked)
    }

    /// What became of a request that was carried out, or refused, before.
    fn repeated(&self, asked: &Asked<'_>) -> Result<Option<ApiReply>, Status> {
        let outcome = self.log().outcome(asked.request.id).map_err(Status::internal)?;
        outcome.map(|outcome| self.repeat(asked, &outcome)).transpose()
    }

    fn repeat(&self, asked: &Asked<'_>, outcome: &Outcome) -> Result<ApiReply, Status> {
        replay::reply(&self.context(asked), self.log(), outcome)
    }

    /// The chain that a request goes on with: the one it names, else that of the newest event it reacts to that is still kept.
    fn chain(&self, request: &ApiRequest) -> Option<RequestId> {
        let of_event = |trigger: &Trigger| match trigger {
            Trigger::Event(position) if position.epoch == self.log().epoch() => {
                // An event that is no longer there has no chain to go on with; damage shows where the log is read for an answer.
                self.log().event(position.revision).ok()??.cause.correlation
            }
            _ => None,
        };
        request.correlation.or_else(|| request.trigger.iter().chain(&request.folded).find_map(of_event))
    }

    /// The kind that a request names. Who may not even ask hears that first.
    fn kind(&self, request: &ApiRequest, user: &User) -> Result<Arc<Kind>, Status> {
        let found = self.kinds.at(&request.group, &request.version, &request.plural);
        if let Some(kind) = found {
            return Ok(kind.clone());
        }
        pipeline::authorize::unknown(&self.stored, user, request)?;
        Err(pipeline::no_such_resource())
    }
}

/// A context on some state, at this moment.
pub(crate) fn context<'a>(
    state: &'a dyn State,
    kinds: &'a Kinds,
    config: &'a Config,
    asked: &'a Asked<'_>,
) -> Context<'a> {
    Context {
        state,
        kinds,
        config,
        kind: &asked.kind,
        request: asked.request,
        user: &asked.user,
        now: Timestamp::now(),
        random: RefCell::new(StdRng::from_rng(&mut rand::rng())),
        progress: asked.progress.as_ref(),
    }
}

fn transaction(
    from: &Identity,
    asked: &Asked<'_>,
    plan: &Plan,
    chain: Option<RequestId>,
) -> Result<Transaction, Status> {
    let request = asked.request;
    let mut guards = plan.guards.clone();
    if let Some(lease) = &request.guard {
        guards.push(Guard::Lease(LeaseHeld {
            key: lease.key.clone(),
            uid: lease.uid.clone(),
            holder: lease.holder.clone(),
            transitions: lease.transitions,
        }));
    }
    Ok(Transaction {
        // A request is carried out once its last transaction is.
        request: (request.id != RequestId::default() && plan.next.is_none()).then_some(request.id),
        time: cox_kit::clock::now_ms(),
        cause: cause(from, request, &asked.user, chain),
        changes: plan.changes.iter().map(write).collect::<Result<_, _>>()?,
        preconditions: plan.preconditions.clone(),
        guards,
        outcome_code: plan.code,
    })
}

fn write(change: &Change) -> Result<Write, Status> {
    let encode = |object| Draft::encode(object).map_err(Status::internal);
    Ok(match change {
        Change::Put { key, object, must } => Write::Put { key: key.clone(), draft: encode(object)?, must: *must },
        Change::Delete { key, last } => {
            Write::Delete { key: key.clone(), last: last.as_ref().map(encode).transpose()? }
        }
    })
}

/// Why the change is made. A chain begins with the request that has no other before it. Who reacts to the event goes on with the trace in
/// the span that the request is worked on in.
fn cause(from: &Identity, request: &ApiRequest, user: &User, chain: Option<RequestId>) -> Cause {
    Cause {
        user: user.name.clone(),
        component: from.to_string(),
        request: request.id,
        observed: request.observed,
        trigger: request.trigger.clone(),
        folded: request.folded.iter().take(Cause::MAX_FOLDED).cloned().collect(),
        correlation: chain.or(Some(request.id)),
        traceparent: trace::carries(&tracing::Span::current(), request.traceparent.as_deref()),
    }
}

/// The span of a transaction from its way to the log's writer until it is durable. What belongs to no trace begins none here.
fn commit_span(changes: usize) -> Span {
    match Span::current().is_disabled() {
        true => Span::none(),
        false => tracing::info_span!("log.commit", changes, revision = Empty),
    }
}

/// The answer to a transaction that was not committed; nothing if the request is to be decided again.
fn refused(ctx: &Context<'_>, plan: &Plan, error: CommitError) -> Result<(), Status> {
    let named = ctx.named();
    let first = plan.changes.first().map(Change::key);
    match error {
        // Somebody took the name, the address or the port in between: the next decision sees it.
        CommitError::Exists(key) if plan.retry || Some(&key) != first => Ok(()),
        CommitError::Exists(key) => {
            let existing = ctx.state.get(&key).map(|o| o.value()).unwrap_or_default();
            Err(pipeline::create::taken(ctx, key.name(), &existing))
        }
        CommitError::Missing(_) | CommitError::Conflict { .. } if plan.retry => Ok(()),
        CommitError::Missing(key) => Err(Status::not_found(&named, key.name())),
        CommitError::Conflict { key, current: None } => Err(Status::not_found(&named, key.name())),
        CommitError::Conflict { key, current: Some(_) } => Err(Status::modified(&named, key.name())),
        CommitError::Guard(refusal) if refusal.retry => Ok(()),
        CommitError::Guard(refusal) => Err(refusal.status),
        CommitError::TooLarge { limit, .. } => {
            Err(Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}")))
        }
        CommitError::Invalid(what) => Err(Status::bad_request(format!("{what} cannot be stored"))),
        CommitError::NotWritable(why) => {
            // Clients try again by themselves when they are told when.
            Err(Status { retry_after: Some(1), ..Status::unavailable(format!("the log cannot be written: {why}")) })
        }
        CommitError::Unknown => {
            Err(Status::timeout("the log failed while it wrote: ask again with the same request id"))
        }
        CommitError::Repeated(_) => Err(Status::internal("a repeated request was not recognized")),
    }
}
