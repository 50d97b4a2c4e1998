//! `cox integrator`: outside programs that follow the cluster's events, and the side of `cox up` that makes their credentials.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cox_apiserver::integrators::{Answer, Ask, Integrator as Registered, New, QUESTION};
use cox_bus::server::{Door, permissions};
use cox_bus::{Bus, Identity};
use cox_kit::supervise::worker;
use cox_kit::{Registry, Running, Scope};
use cox_objects::User;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cli::{Integrator, IntegratorAction, NewIntegrator};
use crate::control::{self, Trees};
use crate::operator;

/// How long the apiserver may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the keeper of the nats-server is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AtDoor {
    Admit(String),
    Dismiss(String),
}

/// What it answers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    /// The credentials are in this file.
    File(PathBuf),
    /// They are gone.
    Gone,
    Refused(String),
}

/// Makes and ends credentials for as long as the server runs. A restart loses nothing: they are in files.
///
/// # Errors
/// If its tree does not start.
pub async fn door(bus: Bus, door: Door, metrics: Registry) -> Result<Running> {
    let scope = Scope::root("transport");
    let trees = Trees::of(scope.clone(), None);
    let answers = control::children(bus.clone(), Identity::Transport, trees, None, metrics);
    let credentials = worker("credentials", move |scope| {
        let (bus, door) = (bus.clone(), door.clone());
        async move {
            let mut questions = bus.listen(bus.subjects().ctl(&Identity::Transport, QUESTION), None).await?;
            while let Some(heard) = scope.hear(&mut questions).await? {
                let said = match heard.json() {
                    Ok(AtDoor::Admit(name)) => door.admit(&name).await.map(Said::File),
                    Ok(AtDoor::Dismiss(name)) => door.dismiss(&name).await.map(|()| Said::Gone),
                    Err(error) => Ok(Said::Refused(error.to_string())),
                };
                let said = said.unwrap_or_else(|error| Said::Refused(error.to_string()));
                heard.answer_json(&said).await?;
            }
            Ok(())
        }
    });
    let children = std::iter::once(credentials).chain(answers).collect();
    Ok(Running::start(scope, children).await?)
}

/// Creates, lists or deletes integrators.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Integrator) -> Result<()> {
    let bus = operator::connect(&options.data_dir).await?;
    match options.action {
        IntegratorAction::Create(new) => create(&bus, &options.data_dir, new).await,
        IntegratorAction::List { json } => list(&bus, json).await,
        IntegratorAction::Delete { name } => delete(&bus, &options.data_dir, name).await,
    }
}

async fn create(bus: &Bus, data_dir: &Path, new: NewIntegrator) -> Result<()> {
    let NewIntegrator { name, filters, user, groups, since, in_flight } = new;
    let user = User { groups: groups_of(&user, groups), name: user, ..User::default() };
    let ask = Ask::Create(New { name: name.clone(), user, filters, since, in_flight });
    registered(bus, &ask).await?;
    if runs_elsewhere(data_dir) {
        let allowed = permissions(bus.subjects(), &Identity::Integrator(name));
        println!("{}", serde_json::json!({"publish": allowed.publish, "subscribe": allowed.subscribe}));
        eprintln!("cox: the consumer is made; the bus is another's: give its user these permissions there");
        return Ok(());
    }
    match at_door(bus, &AtDoor::Admit(name.clone())).await {
        Ok(Said::File(file)) => {
            println!("{}", file.display());
            Ok(())
        }
        failed => {
            // Half a registration is none.
            let undone = registered(bus, &Ask::Delete(name.clone())).await;
            if let Err(error) = undone {
                eprintln!("cox: {error:#}; end it with `cox integrator delete {name}`");
            }
            match failed? {
                Said::Refused(why) => bail!("{why}"),
                Said::File(_) | Said::Gone => bail!("the keeper of the bus does not answer the question"),
            }
        }
    }
}

async fn delete(bus: &Bus, data_dir: &Path, name: String) -> Result<()> {
    registered(bus, &Ask::Delete(name.clone())).await?;
    if runs_elsewhere(data_dir) {
        return Ok(());
    }
    match at_door(bus, &AtDoor::Dismiss(name)).await? {
        Said::Refused(why) => bail!("{why}"),
        Said::File(_) | Said::Gone => Ok(()),
    }
}

async fn list(bus: &Bus, json: bool) -> Result<()> {
    let Answer::Are(all, head) = registered(bus, &Ask::List).await? else { return Ok(()) };
    if json {
        println!("{}", serde_json::to_string(&all)?);
        return Ok(());
    }
    for one in all.values() {
        println!("{}", line(one, head));
    }
    Ok(())
}

fn line(one: &Registered, head: u64) -> String {
    let state = match (&one.ended, one.gap) {
        (Some(why), _) => format!("ended: {why}"),
        (None, Some(gap)) => format!("missed revisions {} to {}", gap.from, gap.to),
        (None, None) => format!("at {} of {head}", one.position),
    };
    format!("{}  as {}  {}  {state}", one.name, one.user.name, one.filters.join(","))
}

/// The groups that a user has by being one.
fn groups_of(user: &str, mut groups: Vec<String>) -> Vec<String> {
    if let Some((namespace, _)) = user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    groups.push("system:authenticated".to_owned());
    groups
}

/// Whether the nats-server is not ours, so that its users are not either.
fn runs_elsewhere(data_dir: &Path) -> bool {
    !data_dir.join("bus").join("nats-server.conf").exists()
}

async fn registered(bus: &Bus, ask: &Ask) -> Result<Answer> {
    let subject = bus.subjects().ctl(&Identity::Apiserver, QUESTION);
    let answer = bus.request_json(&subject, ask, Instant::now() + PATIENCE).await;
    match answer.context("the apiserver does not answer; see `cox status`")? {
        Answer::Refused(why) => bail!("{why}"),
        answer => Ok(answer),
    }
}

async fn at_door(bus: &Bus, ask: &AtDoor) -> Result<Said> {
    let subject = bus.subjects().ctl(&Identity::Transport, QUESTION);
    let said = bus.request_json(&subject, ask, Instant::now() + PATIENCE).await;
    said.context("nobody makes credentials; is `cox up` running on this folder?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_in_its_groups() {
        let groups = groups_of("system:serviceaccount:shop:reader", vec!["more".into()]);
        let wanted =
            ["more", "system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"].map(String::from);
        assert_eq!(groups, wanted);
        assert_eq!(groups_of("jane", vec![]), ["system:authenticated"]);
    }
}
