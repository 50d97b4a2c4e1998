//! Priority: a pod's number and preemption policy come from its class.

use cox_objects::{Resource, Status};
use serde_json::Value;

use super::forbidden;
use crate::context::Context;
use crate::value::{flag, int, map, text};

/// What a class means for a pod.
struct Class {
    name: String,
    value: i64,
    preemption: String,
}

/// Resolves the class of a new pod.
pub(super) fn admit(ctx: &Context<'_>, pod: &mut Value) -> Result<(), Status> {
    let name = text(pod, "/spec/priorityClassName");
    let class = match name {
        "" => default(ctx),
        name => {
            let key = cox_objects::Key::new(Resource::PRIORITYCLASSES, "", name);
            let found = ctx
                .state
                .get(&key)
                .ok_or_else(|| forbidden(ctx, pod, &format!("no PriorityClass with name {name} was found")))?;
            class_of(&found.value())
        }
    };
    if let Some(said) = int(pod, "/spec/priority").filter(|said| *said != class.value) {
        return Err(forbidden(
            ctx,
            pod,
            &format!(
                "the integer value of priority ({said}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
                class.value
            ),
        ));
    }
    let said = text(pod, "/spec/preemptionPolicy");
    if !said.is_empty() && said != class.preemption {
        return Err(forbidden(
            ctx,
            pod,
            &format!(
                "the string value of PreemptionPolicy ({said}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
                class.preemption
            ),
        ));
    }
    let spec = map(pod, "spec");
    if !class.name.is_empty() {
        spec.insert("priorityClassName".into(), class.name.into());
    }
    spec.insert("priority".into(), class.value.into());
    spec.insert("preemptionPolicy".into(), class.preemption.into());
    Ok(())
}

/// The class of pods that name none: the global default with the lowest value, else no class.
fn default(ctx: &Context<'_>) -> Class {
    let classes = ctx.state.list(&Resource::PRIORITYCLASSES, "");
    let globals = classes.iter().map(|(_, o)| o.value()).filter(|c| flag(c, "/globalDefault") == Some(true));
    globals.map(|c| class_of(&c)).min_by_key(|c| c.value).unwrap_or_else(|| Class {
        name: String::new(),
        value: 0,
        preemption: "PreemptLowerPriority".to_owned(),
    })
}

fn class_of(class: &Value) -> Class {
    let preemption = match text(class, "/preemptionPolicy") {
        "" => "PreemptLowerPriority",
        policy => policy,
    };
    Class {
        name: text(class, "/metadata/name").to_owned(),
        value: int(class, "/value").unwrap_or(0),
        preemption: preemption.to_owned(),
    }
}
