//! What `/readyz` asks of the apiserver, on its control subject.

use cox_bus::{Bus, Identity};
use cox_kit::Scope;
use cox_kit::supervise::StartError;
use cox_log::Log;
use serde::{Deserialize, Serialize};

/// The facts that readiness is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Why the log takes no writes, if it takes none.
    pub not_writable: Option<String>,
    /// Whether what every cluster begins with is there. The apiserver serves nothing before that.
    pub bootstrapped: bool,
    /// The newest durable revision.
    pub head: u64,
}

/// What is asked on the control subject.
pub const QUESTION: &str = "ready";

/// Answers until the scope is cancelled.
pub(crate) async fn serve(bus: Bus, log: Log, scope: Scope) -> Result<(), StartError> {
    let subject = bus.subjects().ctl(&Identity::Apiserver, QUESTION);
    let mut questions = bus.listen(subject, None).await?;
    while let Some(heard) = scope.hear(&mut questions).await? {
        let not_writable = log.writable().borrow().clone().err();
        heard.answer_json(&Readiness { not_writable, bootstrapped: true, head: log.head() }).await?;
    }
    Ok(())
}
