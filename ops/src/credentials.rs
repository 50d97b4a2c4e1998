//! `cox credentials`: what a cluster needs before any of its components runs, for a nats-server that someone else runs.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use cox_bus::server::make_credentials;

use crate::cli::Credentials;
use crate::cluster::Cluster;
use crate::output;
use crate::site::Site;

/// Makes the keys and credentials that are not there yet, and prints the part of the server's configuration.
///
/// # Errors
/// One line that says what to do.
pub fn run(options: &Credentials) -> Result<()> {
    let cluster = Cluster::open(&options.data_dir)?;
    // No address of the API is in the keys, so none is needed.
    let site = Site::new(cluster, &options.place, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    site.keys()?;
    let nodes = [site.host_name.clone()];
    let configuration = make_credentials(&site.cluster.dir, &site.cluster.id, &options.nats_url, &nodes)?;
    eprintln!("credentials are in {}", site.cluster.credentials().display());
    output::print(&configuration)
}
