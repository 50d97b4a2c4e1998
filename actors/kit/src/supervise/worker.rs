//! An actor whose body is one asynchronous loop: most shells (follow a stream, renew a lease, serve requests).

use std::future::Future;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::AbortHandle;

use super::{Child, Scope, StartError};

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
    body: AbortHandle,
    over: bool,
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
        let task = tokio::spawn(body(scope.clone()));
        let abort = task.abort_handle();
        // The watcher ends with the body; on abort it reports nothing that anyone waits for.
        tokio::spawn(async move {
            let result = match task.await {
                Ok(result) => result,
                Err(error) if error.is_panic() => Err(panic_text(error.into_panic()).into()),
                Err(_) => return,
            };
            // The actor may be gone already: then nobody needs to know.
            let _ = myself.send_message(Message::Ended(result));
        });
        Ok(Running { scope, body: abort, over: false })
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
        // A body that watches its scope ends by itself and is given the time to do it in order.
        for _ in 0..200 {
            if state.body.is_finished() {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        state.body.abort();
        Ok(())
    }
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.unwrap_or_else(|| "without a text".to_owned()))
}
