//! Where components run: the cluster's folder, this machine's name and addresses, and the kinds that are served.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Result;
use cox_gateway::Pki;
use cox_objects::{Kinds, kinds};

use crate::address;
use crate::cli::Machine;
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
    pub fn new(cluster: Cluster, machine: &Machine, listen: SocketAddr) -> Self {
        let (services, pods) = (machine.service_cidr, machine.pod_cidr);
        // Without an address of its own, the machine is reached by its pods at the address of their bridge.
        let gateway_of_pods = pods.hosts().next().unwrap_or(pods.addr());
        let host = address::primary().unwrap_or(gateway_of_pods);
        let mut hosts = address::own();
        hosts.extend([host, gateway_of_pods]);
        Site {
            cluster,
            network: Network { services, pods, host, port: listen.port() },
            host_name: machine.node_name.clone().unwrap_or_else(address::host_name),
            kinds: Arc::new(kinds::builtin()),
            hosts,
        }
    }

    /// The cluster's keys, made if this is its first start, and a certificate for this machine.
    ///
    /// # Errors
    /// If they cannot be read or written.
    pub fn keys(&self) -> Result<Pki> {
        self.cluster.keys(self.network.kubernetes(), &self.hosts, &self.host_name)
    }
}
