//! An actor whose body is one asynchronous loop: most shells (follow a stream, renew a lease, serve requests).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use super::{Child, Scope, StartError};
use crate::task::panic_text;

/// How long a body may take to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

type Body = Arc<dyn Fn(Scope) -> futures::future::BoxFuture<'static, Result<(), StartError>> + Send + Sync>;

/// A child that runs `body` until its scope is cancelled. The body's return, error or panic is the actor's end, and its supervisor
/// starts it again; nothing of its state is kept.
pub fn worker<F, Fut>(name: impl Into<String>, body: F) -> Child
where
    F: Fn(Scope) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), StartError>> + Send + 'static,
{
    let body: Body = Arc::new(move |scope| Box::pin(body(scope)));
    Child::new(name, move |scope, parent| {
        let body = body.clone();
        Box::pin(async move {
            let (actor, _) = Actor::spawn_linked(None, Worker, (scope, body), parent).await?;
            Ok(actor.get_cell())
        })
    })
}

struct Worker;

enum Message {
    Ended(Result<(), StartError>),
}

struct Running {
    scope: Scope,
    body: JoinHandle<()>,
    over: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        // An actor that is killed, as those below a supervisor that panicked are, is not asked to stop; its body ends with it all the same.
        self.body.abort();
    }
}

impl Actor for Worker {
    type Msg = Message;
    type State = Running;
    type Arguments = (Scope, Body);

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (scope, body): Self::Arguments,
    ) -> Result<Running, ActorProcessingErr> {
        let work = {
            let scope = scope.clone();
            async move {
                let fault = scope.faults().clone().strike(scope.path().to_owned());
                let work = async {
                    tokio::select! {
                        result = async { body(scope).await } => result,
                        never = fault => match never {},
                    }
                };
                let result = AssertUnwindSafe(work).catch_unwind().await;
                let result = result.unwrap_or_else(|panic| Err(panic_text(panic.as_ref()).into()));
                // The actor may be gone already: then nobody needs to know.
                let _ = myself.send_message(Message::Ended(result));
            }
        };
        let body = tokio::spawn(work);
        Ok(Running { scope, body, over: false })
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        Message::Ended(result): Message,
        state: &mut Running,
    ) -> Result<(), ActorProcessingErr> {
        state.over = true;
        if state.scope.cancelled().is_cancelled() {
            return Ok(());
        }
        result.and(Err("its loop returned".into()))
    }

    async fn post_stop(&self, _: ActorRef<Message>, state: &mut Running) -> Result<(), ActorProcessingErr> {
        if state.over {
            return Ok(());
        }
        state.scope.cancelled().cancel();
        // A body that watches its scope ends by itself and is given the time to do it in order; what is left of it ends with the state.
        let _ = tokio::time::timeout(STOP_TIMEOUT, &mut state.body).await;
        Ok(())
    }
}
