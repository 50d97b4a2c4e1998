//! What a pod's sandbox shall be, and the files that its containers share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use cox_runtime::{HostNamespaces, PortMapping, Protocol, SandboxId, SandboxSpec};
use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::names::{label, log_folder};
use super::resources;

/// The sandbox of a pod: the `attempt`th, counted from 0 (one that died is followed by a new one).
pub fn sandbox(pod: &Pod, attempt: u32, log_root: &Path) -> SandboxSpec {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let host_network = spec.host_network == Some(true);
    let sysctls = spec.security_context.iter().flat_map(|c| c.sysctls.iter().flatten());
    SandboxSpec {
        id: SandboxId(format!("{}-{attempt}", text(&meta.uid))),
        labels: BTreeMap::from([
            (label::POD_NAME.to_owned(), text(&meta.name)),
            (label::POD_NAMESPACE.to_owned(), text(&meta.namespace)),
            (label::POD_UID.to_owned(), text(&meta.uid)),
        ]),
        hostname: hostname(pod),
        host: HostNamespaces {
            network: host_network,
            pid: spec.host_pid == Some(true),
            ipc: spec.host_ipc == Some(true),
        },
        shared_pid: spec.share_process_namespace == Some(true),
        ports: if host_network { Vec::new() } else { ports(spec) },
        sysctls: sysctls.map(|s| (s.name.clone(), s.value.clone())).collect(),
        cgroup_parent: resources::cgroup_parent(pod),
        resources: resources::pod(pod),
        log_directory: log_root.join(log_folder(pod)),
    }
}

/// The host name inside: `spec.hostname`, else the pod's name, cut to what a host name may be (63 bytes).
pub fn hostname(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let own =
        spec.and_then(|s| s.hostname_override.clone().or_else(|| s.hostname.clone())).filter(|name| !name.is_empty());
    let name = own.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// `hostname.subdomain.namespace.svc.domain` of a pod with a subdomain.
fn qualified(pod: &Pod, cluster_domain: &str) -> Option<String> {
    let subdomain = pod.spec.as_ref()?.subdomain.as_deref().filter(|s| !s.is_empty())?;
    let namespace = pod.metadata.namespace.as_deref()?;
    Some(format!("{}.{subdomain}.{namespace}.svc.{cluster_domain}", hostname(pod)))
}

/// The host name that the kernel has inside: with `setHostnameAsFQDN` the whole one.
///
/// # Errors
/// If that is longer than the 64 bytes which the kernel keeps.
pub fn kernel_hostname(pod: &Pod, cluster_domain: &str) -> Result<String, String> {
    let whole = pod.spec.as_ref().is_some_and(|s| s.set_hostname_as_fqdn == Some(true));
    let Some(name) = qualified(pod, cluster_domain).filter(|_| whole) else { return Ok(hostname(pod)) };
    if name.len() > 64 {
        return Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {name} is too long (64 characters is the max, {} \
             characters requested)",
            name.len()
        ));
    }
    Ok(name)
}

fn ports(spec: &PodSpec) -> Vec<PortMapping> {
    let containers = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let all = containers.chain(&spec.containers).flat_map(|c| c.ports.iter().flatten());
    let mapped = all.filter_map(|port| {
        Some(PortMapping {
            host_port: u16::try_from(port.host_port?).ok().filter(|p| *p > 0)?,
            container_port: u16::try_from(port.container_port).ok()?,
            protocol: match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            },
            host_ip: port.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
        })
    });
    mapped.collect()
}

/// `/etc/hosts` of a pod with a network of its own.
pub fn hosts(pod: &Pod, ips: &[IpAddr], cluster_domain: &str) -> String {
    let mut out = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let own = hostname(pod);
    for ip in ips {
        match qualified(pod, cluster_domain) {
            Some(full) => out.push_str(&format!("{ip}\t{full}\t{own}\n")),
            None => out.push_str(&format!("{ip}\t{own}\n")),
        }
    }
    out.push_str(&aliases(pod));
    out
}

/// `/etc/hosts` of a pod on the host's network: the host's own file, and what the pod adds.
pub fn hosts_of_host(pod: &Pod, own: &str) -> String {
    format!("# Kubernetes-managed hosts file (host network).\n{own}{}", aliases(pod))
}

/// What `hostAliases` add to a hosts file.
fn aliases(pod: &Pod) -> String {
    let mut out = String::new();
    let aliases: Vec<_> = pod.spec.iter().flat_map(|s| s.host_aliases.iter().flatten()).collect();
    if !aliases.is_empty() {
        out.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            out.push_str(&format!(
                "{}\t{}\n",
                alias.ip,
                alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t")
            ));
        }
    }
    out
}

/// What the node knows of names: the cluster's DNS, if there is one, and its own `resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDns {
    /// Addresses of the cluster's DNS service.
    pub cluster: Vec<String>,
    /// `cluster.local`
    pub domain: String,
    /// Name servers of the node.
    pub servers: Vec<String>,
    /// Search domains of the node.
    pub searches: Vec<String>,
    /// Options of the node.
    pub options: Vec<String>,
}

impl NodeDns {
    /// Takes the node's side from its `resolv.conf`.
    pub fn parse(resolv: &str, domain: &str, cluster: Vec<String>) -> Self {
        let mut dns = NodeDns { cluster, domain: domain.to_owned(), ..NodeDns::default() };
        for line in resolv.lines() {
            let mut words = line.split_whitespace();
            let list = match words.next() {
                Some("nameserver") => &mut dns.servers,
                Some("search") => &mut dns.searches,
                Some("options") => &mut dns.options,
                _ => continue,
            };
            list.extend(words.map(str::to_owned));
        }
        dns
    }
}

/// `resolv.conf` of a pod. Without a DNS service in the cluster, `ClusterFirst` uses the node's servers with the cluster's search domains.
pub fn resolv_conf(pod: &Pod, node: &NodeDns) -> String {
    let none = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let policy = match spec.dns_policy.as_deref() {
        Some("ClusterFirst") if spec.host_network == Some(true) => "Default",
        Some("ClusterFirstWithHostNet") => "ClusterFirst",
        Some(policy) => policy,
        None => "ClusterFirst",
    };
    let (mut servers, mut searches, mut options) = match policy {
        "None" => (Vec::new(), Vec::new(), Vec::new()),
        "Default" => (node.servers.clone(), node.searches.clone(), node.options.clone()),
        _ => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let own = [format!("{namespace}.svc.{}", node.domain), format!("svc.{}", node.domain), node.domain.clone()];
            let searches = own.into_iter().chain(node.searches.iter().cloned()).collect();
            let servers = if node.cluster.is_empty() { node.servers.clone() } else { node.cluster.clone() };
            (servers, searches, vec!["ndots:5".to_owned()])
        }
    };
    if let Some(config) = &spec.dns_config {
        add(&mut servers, config.nameservers.iter().flatten().cloned());
        add(&mut searches, config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let Some(name) = &option.name else { continue };
            let text = option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}"));
            options.retain(|o| o.split(':').next() != Some(name.as_str()));
            options.push(text);
        }
    }
    let mut out = String::new();
    if !searches.is_empty() {
        out.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in servers {
        out.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        out.push_str(&format!("options {}\n", options.join(" ")));
    }
    out
}

fn add(list: &mut Vec<String>, more: impl Iterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

#[cfg(test)]
mod tests;
