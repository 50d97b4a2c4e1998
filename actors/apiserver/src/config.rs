//! What the apiserver is told at its start.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::Ipv4Net;

use crate::compaction::Policy;
use crate::token::TokenKeys;

/// The settings of an apiserver; validated by whoever makes them.
#[derive(Clone)]
pub struct Config {
    /// Where cluster addresses of Services come from (10.96.0.0/16).
    pub service_cidr: Ipv4Net,
    /// Where node ports come from (30000-32767).
    pub node_ports: RangeInclusive<u16>,
    /// The address under which pods reach the API, for the Endpoints of the `kubernetes` Service.
    pub advertise_address: Ipv4Addr,
    /// Its port.
    pub advertise_port: u16,
    /// What signs and verifies the tokens of service accounts.
    pub tokens: Arc<TokenKeys>,
    /// The certificates, in PEM, that clients' certificates are checked with; other API servers ask for them.
    pub client_ca: String,
    /// Requests that may be worked on at a time; more are answered 429.
    pub max_in_flight: usize,
    /// Whether gateways of an earlier apiserver may still be there, with a read lease of it.
    pub after_another: bool,
    /// Whether to go on, in a new epoch, if the event stream shows that the log has lost events.
    pub accept_loss: bool,
    /// How long the past of objects is kept.
    pub retention: Policy,
    /// Options of the log.
    pub log: cox_log::Options,
}

impl Config {
    /// The first address of the service range, which the `kubernetes` Service has.
    pub fn kubernetes_address(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.network()).saturating_add(1))
    }
}
