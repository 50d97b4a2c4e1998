//! The service proxy: ClusterIPs and node ports of a node, in one nftables table of ours.

pub mod ruleset;
pub mod services;
