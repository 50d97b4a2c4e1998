//! Allocation for Services: cluster addresses, node ports, the health check port; and what a change of type gives back.

use std::net::Ipv4Addr;

use cox_objects::{FieldError, Key, Path, Status};
use serde_json::Value;

use super::{Effects, addresses, ports};
use crate::context::Context;
use crate::rules;
use crate::value::{int, list, map, text};

const HEADLESS: &str = "None";

/// Gives a new or changed Service its address and ports.
pub(super) fn allocate(
    ctx: &Context<'_>,
    service: &mut Value,
    old: Option<&Value>,
    effects: &mut Effects,
) -> Result<(), Status> {
    let errors = rules::prepare_allocation(ctx.kind, service, old);
    if !errors.is_empty() {
        return Err(Status::invalid("", "Service", text(service, "/metadata/name"), &errors));
    }
    address(ctx, service, old, effects)?;
    node_ports(ctx, service, old, effects)?;
    health_check(ctx, service, old, effects)
}

fn address(ctx: &Context<'_>, service: &mut Value, old: Option<&Value>, effects: &mut Effects) -> Result<(), Status> {
    let had = old.filter(|o| needs_address(o)).map_or("", |o| text(o, "/spec/clusterIP")).to_owned();
    let owner = (text(service, "/metadata/namespace").to_owned(), text(service, "/metadata/name").to_owned());
    if !needs_address(service) {
        if is_address(&had) {
            effects.changes.extend(addresses::give_back(ctx, &had, (&owner.0, &owner.1)));
        }
        return Ok(());
    }
    let said = text(service, "/spec/clusterIP").to_owned();
    if said == HEADLESS || (!said.is_empty() && said == had) {
        return Ok(());
    }
    if is_address(&had) {
        // A set address cannot change; validation says so.
        return Ok(());
    }
    let address = if said.is_empty() {
        addresses::choose(ctx).ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?
    } else {
        chosen(ctx, service, &said)?
    };
    let spec = map(service, "spec");
    spec.insert("clusterIP".into(), address.to_string().into());
    spec.insert("clusterIPs".into(), vec![address.to_string()].into());
    effects.changes.push(addresses::take(ctx, address, &owner.0, &owner.1));
    Ok(())
}

/// The address that the writer asks for.
fn chosen(ctx: &Context<'_>, service: &Value, said: &str) -> Result<Ipv4Addr, Status> {
    let refuse = |why: &str| {
        let why = format!("failed to allocate IP {said}: {why}");
        let error = FieldError::invalid(&Path::new("spec").child("clusterIPs"), vec![said], &why);
        Status::invalid("", "Service", text(service, "/metadata/name"), &[error])
    };
    let address = said.parse::<Ipv4Addr>().map_err(|_| refuse("not a valid IP"))?;
    if !addresses::in_range(ctx, address) {
        return Err(refuse("the provided network does not match the current range"));
    }
    if !addresses::free(ctx, address) {
        return Err(refuse("provided IP is already allocated"));
    }
    Ok(address)
}

fn node_ports(
    ctx: &Context<'_>,
    service: &mut Value,
    old: Option<&Value>,
    effects: &mut Effects,
) -> Result<(), Status> {
    if !needs_ports(service) {
        return Ok(());
    }
    let owner = owner(service);
    let had: Vec<u16> = old.map(numbers).unwrap_or_default();
    let name = owner.name().to_owned();
    let mut taken: Vec<u16> = Vec::new();
    let mut given: Vec<(String, i64, u16)> = Vec::new();
    // What is asked for comes first, so that nothing chosen for another port takes it.
    for (index, port) in list(service, "/spec/ports").iter().enumerate() {
        let Some(said) = int(port, "/nodePort").filter(|n| *n != 0) else { continue };
        let number = u16::try_from(said).unwrap_or(0);
        let own = had.contains(&number);
        let path = Path::new("spec").child("ports").index(index).child("nodePort");
        if !own && !ports::in_range(ctx, number) {
            let (first, last) = (ctx.config.node_ports.start(), ctx.config.node_ports.end());
            let why = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
            return Err(Status::invalid("", "Service", &name, &[FieldError::invalid(&path, said, &why)]));
        }
        let twice = given.iter().any(|(p, _, n)| *n == number && p == protocol(port));
        let other = !own && !taken.contains(&number) && !ports::free(ctx, number, &owner);
        if other && !twice {
            let error = FieldError::invalid(&path, said, "provided port is already allocated");
            return Err(Status::invalid("", "Service", &name, &[error]));
        }
        taken.push(number);
        given.push((protocol(port).to_owned(), int(port, "/port").unwrap_or(0), number));
    }
    let wanted = crate::value::flag(service, "/spec/allocateLoadBalancerNodePorts") != Some(false)
        || text(service, "/spec/type") == "NodePort";
    if let Some(list) = map(service, "spec").get_mut("ports").and_then(Value::as_array_mut).filter(|_| wanted) {
        for port in list {
            if int(port, "/nodePort").unwrap_or(0) != 0 {
                continue;
            }
            let (said_protocol, said_port) = (protocol(port).to_owned(), int(port, "/port").unwrap_or(0));
            // The same port over another protocol gets the same number.
            let sibling = given.iter().find(|(p, n, _)| *p != said_protocol && *n == said_port).map(|(_, _, n)| *n);
            let number = match sibling.or_else(|| ports::choose(ctx, &taken)) {
                Some(number) => number,
                None => return Err(Status::internal("failed to allocate a nodePort: range is full")),
            };
            crate::value::fields(port).insert("nodePort".into(), number.into());
            taken.push(number);
            given.push((said_protocol, said_port, number));
        }
    }
    let mut new: Vec<u16> = taken.into_iter().filter(|n| !had.contains(n)).collect();
    new.sort_unstable();
    new.dedup();
    effects.guards.extend(new.into_iter().map(|n| ports::guard(n, &owner)));
    Ok(())
}

fn health_check(
    ctx: &Context<'_>,
    service: &mut Value,
    old: Option<&Value>,
    effects: &mut Effects,
) -> Result<(), Status> {
    if !needs_health_check(service) {
        return Ok(());
    }
    let owner = owner(service);
    let said = int(service, "/spec/healthCheckNodePort").filter(|n| *n != 0);
    let had = old.and_then(|o| int(o, "/spec/healthCheckNodePort"));
    if said.is_some() && said == had {
        return Ok(());
    }
    let number = match said {
        Some(said) => {
            let number = u16::try_from(said).unwrap_or(0);
            if !ports::free(ctx, number, &owner) {
                let why = format!(
                    "failed to allocate requested HealthCheck NodePort {said}: provided port is already allocated"
                );
                return Err(Status::internal(why));
            }
            number
        }
        None => ports::choose(ctx, &numbers(service))
            .ok_or_else(|| Status::internal("failed to allocate a HealthCheck NodePort: range is full"))?,
    };
    map(service, "spec").insert("healthCheckNodePort".into(), number.into());
    effects.guards.push(ports::guard(number, &owner));
    Ok(())
}

/// The node ports that a Service has.
pub(crate) fn numbers(service: &Value) -> Vec<u16> {
    let ports = list(service, "/spec/ports").iter().filter_map(|p| int(p, "/nodePort"));
    let check = int(service, "/spec/healthCheckNodePort");
    ports.chain(check).filter_map(|n| u16::try_from(n).ok()).filter(|n| *n != 0).collect()
}

fn owner(service: &Value) -> Key {
    let resource = cox_objects::Resource::SERVICES;
    Key::new(resource, text(service, "/metadata/namespace"), text(service, "/metadata/name"))
}

fn protocol(port: &Value) -> &str {
    match text(port, "/protocol") {
        "" => "TCP",
        protocol => protocol,
    }
}

fn is_address(text: &str) -> bool {
    !text.is_empty() && text != HEADLESS
}

fn needs_address(service: &Value) -> bool {
    text(service, "/spec/type") != "ExternalName"
}

fn needs_ports(service: &Value) -> bool {
    matches!(text(service, "/spec/type"), "NodePort" | "LoadBalancer")
}

fn needs_health_check(service: &Value) -> bool {
    text(service, "/spec/type") == "LoadBalancer" && text(service, "/spec/externalTrafficPolicy") == "Local"
}
