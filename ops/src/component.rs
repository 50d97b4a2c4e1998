//! `cox component`: some components as a process of their own, beside a cluster's bus.

use std::path::Path;

use anyhow::{Context, Result, bail};
use cox_bus::{Connect, Identity};

use crate::cli::{Component, Part};
use crate::cluster::Cluster;
use crate::compose::{Past, Transport};
use crate::process::Process;
use crate::site::Site;
use crate::start::Plan;
use crate::{address, node, process};

/// Runs components until told to stop.
///
/// # Errors
/// One line that says what to do.
pub async fn run(options: Component) -> Result<()> {
    process::run(&options.telemetry, async |process| start(&options, process).await).await
}

/// Starts them, and gives what the line of readiness says.
async fn start(options: &Component, process: &mut Process) -> Result<String> {
    let has = |part: Part| options.names.contains(&part);
    let (id, own) = credentials(&options.creds, &options.nats_url)?;
    let mut machine = options.machine.clone();
    if let (None, Some(Identity::Node(name) | Identity::Proxy(name))) = (&machine.place.node_name, &own) {
        machine.place.node_name = Some(name.clone());
    }
    if has(Part::Kubelet) || has(Part::Proxy) {
        node::check(&machine.runtime)?;
    }
    let cluster = Cluster::join(&options.data_dir, &id)?;
    for part in &options.names {
        match part {
            Part::Apiserver => drop((cluster.token_keys()?, cluster.root_ca()?)),
            Part::Gateway => cluster.has_keys()?,
            Part::Controllers => drop(cluster.root_ca()?),
            Part::Scheduler | Part::Kubelet | Part::Proxy | Part::Feeds => {}
        }
    }
    let listen = if has(Part::Gateway) { address::free(options.listen)? } else { options.listen };
    let site = Site::new(cluster, &machine.place, listen)?;
    let reader = options.names.iter().find(|part| part.reads_mirror());
    let plan = Plan {
        parts: options.names.clone(),
        // Never the name of the instance inside `cox up`: both would hold one Lease.
        instance: format!("{}_{}", site.host_name, uuid::Uuid::new_v4()),
        past: Past { retention: options.past.retention(), accept_loss: options.accept_loss, after_another: true },
        // Whoever has one file only follows under the component's own identity.
        reader: match reader {
            Some(reader) if own.is_some() => identity(*reader, &site.host_name),
            _ => Identity::Mirror,
        },
        site: &site,
        transport: &Transport::new(options.nats_url.clone(), options.creds.clone()),
        machine: &machine,
        listen,
        patience: None,
        metrics: crate::figures::registry(),
    };
    plan.start(process).await?;
    let names: Vec<String> = options.names.iter().map(Part::to_string).collect();
    let served = if has(Part::Gateway) { format!(" {}", address::server(listen)) } else { String::new() };
    Ok(format!("{}{served}", names.join(", ")))
}

/// Whose credentials a component needs.
fn identity(part: Part, node: &str) -> Identity {
    match part {
        Part::Apiserver => Identity::Apiserver,
        Part::Gateway => Identity::Gateway,
        Part::Scheduler => Identity::Scheduler,
        Part::Controllers => Identity::Controllers,
        Part::Feeds => Identity::Feed,
        Part::Kubelet => Identity::Node(node.to_owned()),
        Part::Proxy => Identity::Proxy(node.to_owned()),
    }
}

/// Says which cluster the credentials are of, and whose they are if there is only one file.
fn credentials(creds: &Path, url: &str) -> Result<(String, Option<Identity>)> {
    if !creds.is_dir() {
        let connect = Connect::from_file(creds, Some(url))?;
        return Ok((connect.cluster, Some(connect.identity)));
    }
    let entries = std::fs::read_dir(creds).with_context(|| format!("{} cannot be read", creds.display()))?;
    let mut files = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|e| e == "json"));
    let Some(file) = files.next() else { bail!("{} holds no credentials", creds.display()) };
    Ok((Connect::from_file(&file, Some(url))?.cluster, None))
}
