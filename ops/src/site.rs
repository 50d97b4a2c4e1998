//! Where components run: the cluster's folder, this machine's name and addresses, and the kinds that are served.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use cox_gateway::Pki;
use cox_objects::{Kinds, kinds, name};
use ipnet::Ipv4Net;

use crate::address;
use crate::cli::Place;
use crate::cluster::Cluster;
use crate::compose::Network;

/// What the components of a process have in common.
#[derive(Clone, Debug)]
pub struct Site {
    /// The cluster's folder.
    pub cluster: Cluster,
    /// Addresses.
    pub network: Network,
    /// The name of this machine, and of its node.
    pub host_name: String,
    /// What is served.
    pub kinds: Arc<Kinds>,
    hosts: Vec<Ipv4Addr>,
}

impl Site {
    /// This machine as a site of a cluster whose API listens at `listen`.
    ///
    /// # Errors
    /// One line that says which option cannot be used.
    pub fn new(cluster: Cluster, place: &Place, listen: SocketAddr) -> Result<Self> {
        let (services, pods) = (place.service_cidr.trunc(), place.pod_cidr.trunc());
        let host_name = place.node_name.clone().unwrap_or_else(address::host_name);
        check(services, pods, &host_name)?;
        // Without an address of its own, the machine is reached by its pods at the address of their bridge.
        let gateway_of_pods = pods.hosts().next().unwrap_or(pods.addr());
        let host = address::primary().unwrap_or(gateway_of_pods);
        let mut hosts = address::own();
        hosts.extend([host, gateway_of_pods]);
        Ok(Site {
            cluster,
            network: Network { services, pods, host, port: listen.port() },
            host_name,
            kinds: Arc::new(kinds::builtin()),
            hosts,
        })
    }

    /// The cluster's keys, made if this is its first start, and a certificate for this machine.
    ///
    /// # Errors
    /// If they cannot be read or written.
    pub fn keys(&self) -> Result<Pki> {
        self.cluster.keys(self.network.kubernetes(), &self.hosts, &self.host_name)
    }
}

/// Whether a cluster can be made of these. The bounds of networks are those of Kubernetes' own servers.
fn check(services: Ipv4Net, pods: Ipv4Net, host_name: &str) -> Result<()> {
    ensure!(
        (12..=28).contains(&services.prefix_len()),
        "--service-cidr {services} cannot be used: give between 16 and a million addresses (/28 to /12)"
    );
    ensure!(pods.prefix_len() <= 28, "--pod-cidr {pods} cannot be used: give at least 16 addresses (/28)");
    ensure!(
        !services.contains(&pods) && !pods.contains(&services),
        "--service-cidr {services} and --pod-cidr {pods} overlap: choose others"
    );
    if let Some(fault) = name::is_dns1123_subdomain(host_name).into_iter().next() {
        bail!("{host_name:?} cannot be a node's name: {fault}; choose another with --node-name");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_cluster_can_be_made_of_is_refused() {
        let fault = |services: &str, pods: &str, name: &str| {
            check(services.parse().unwrap(), pods.parse().unwrap(), name).err().map(|error| error.to_string())
        };
        assert_eq!(fault("10.96.0.0/16", "10.244.0.0/24", "node-1.example"), None);
        assert_eq!(fault("10.96.0.0/12", "10.244.0.0/28", "n"), None);
        for (services, pods, name, said) in [
            ("10.96.0.0/32", "10.244.0.0/24", "n", "--service-cidr 10.96.0.0/32 cannot be used"),
            ("10.0.0.0/8", "10.244.0.0/24", "n", "--service-cidr 10.0.0.0/8 cannot be used"),
            ("10.96.0.0/16", "10.244.0.0/30", "n", "--pod-cidr 10.244.0.0/30 cannot be used"),
            ("10.96.0.0/16", "10.96.3.0/24", "n", "overlap"),
            ("10.96.0.0/16", "10.244.0.0/24", "Bad_Name", "\"Bad_Name\" cannot be a node's name"),
        ] {
            let found = fault(services, pods, name);
            assert!(found.as_ref().is_some_and(|text| text.contains(said)), "{found:?}");
        }
    }
}
