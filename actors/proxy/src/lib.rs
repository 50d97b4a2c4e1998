//! The service proxy: ClusterIPs and node ports of a node, in one nftables table of ours.
//!
//! Flow: Services and EndpointSlices of the feed are reduced to forwards ([`services`]), these to rules ([`ruleset`]), and a change of the
//! rules to one transaction of nft ([`nft`]); UDP flows that the new rules would not make are forgotten ([`conntrack`]). Guarantees: the kernel moves from one whole state to the next. A restart of the actor loses
//! nothing but the memory of which client stayed with which endpoint.

pub mod conntrack;
pub mod nft;
pub mod ruleset;
pub mod services;

use std::time::Duration;

use cox_kit::supervise::{ComponentError, StartError, worker};
use cox_kit::view::ParseCache;
use cox_kit::{Feed, Running, Scope, View};
use cox_objects::Resource;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::conntrack::Destinations;
use crate::ruleset::{Network, Ruleset};

/// Changes that come within this time are one transaction.
const GATHER: Duration = Duration::from_millis(20);

/// What a proxy is made of.
#[derive(Clone)]
pub struct Deps<F> {
    /// What the node sees of the cluster.
    pub feed: F,
    /// The node's name.
    pub node_name: String,
    /// Names and addresses.
    pub network: Network,
}

/// Starts a proxy.
///
/// # Errors
/// If its tree does not start.
pub async fn start<F: Feed>(deps: Deps<F>) -> Result<Running, ComponentError> {
    let rules = worker("rules", move |scope| {
        let deps = deps.clone();
        async move { keep(deps, scope).await }
    });
    Running::start(Scope::root("proxy"), vec![rules]).await
}

async fn keep<F: Feed>(deps: Deps<F>, scope: Scope) -> Result<(), StartError> {
    nft::prepare_host().await?;
    let mut cache = ParseCache::default();
    let resources = [Resource::SERVICES, Resource::ENDPOINTSLICES];
    let mut changes = deps.feed.changes(&resources);
    let mut before: Option<Ruleset> = None;
    // None: what there was before this start is not known, so all that is now is looked through.
    let mut udp: Option<Destinations> = None;
    loop {
        let view = View::new(&deps.feed, &cache);
        let forwards = services::forwards(&view.list::<Service>(""), &view.list::<EndpointSlice>(""), &deps.node_name);
        let wanted = Ruleset::new(&forwards);
        if before.as_ref() != Some(&wanted) {
            nft::apply(&wanted.transaction(before.as_ref(), &deps.network)).await?;
            before = Some(wanted);
        }
        let destinations = Destinations::of(&forwards);
        if udp.as_ref() != Some(&destinations) {
            forget(destinations.after(udp.as_ref().unwrap_or(&Destinations::default()))).await;
            udp = Some(destinations);
        }
        tokio::select! {
            () = scope.cancelled().cancelled() => return Ok(()),
            batch = changes.next() => {
                match batch {
                    Some(batch) => {
                        batch.iter().filter(|change| change.new.is_none()).for_each(|change| cache.forget(&change.key));
                    }
                    None => {
                        tracing::info!("fell behind the node's feed; all of it is looked at again");
                        (changes, cache) = (deps.feed.changes(&resources), ParseCache::default());
                    }
                }
            }
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Forgets stale UDP flows. Without the right to, or on a kernel that does not let us, their clients wait until the kernel has.
async fn forget(destinations: Destinations) {
    match tokio::task::spawn_blocking(move || conntrack::forget(&destinations)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(flows)) => tracing::debug!(flows, "UDP flows were forgotten"),
        Ok(Err(error)) => tracing::warn!(%error, "stale UDP flows stay"),
        Err(error) => tracing::warn!(%error, "stale UDP flows stay"),
    }
}
