//! A mirror's way without the mirror: a core subscription to all events, whose gaps are read from the log.

use std::time::Duration;

use anyhow::{Result, bail};
use cox_bus::{Bus, Connect, Followed};
use cox_objects::Position;
use tokio::time::Instant;

use super::{Follower, Until, is_over};
use crate::Cluster;
use crate::faults::history::Seen;

/// How long the apiserver may be away.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it rests when nobody answers.
const REST: Duration = Duration::from_millis(20);

impl Follower {
    /// A subscription with the credentials of a mirror.
    ///
    /// # Errors
    /// If the bus is not there.
    pub async fn subscription(cluster: &Cluster) -> Result<Follower> {
        let bus = Bus::connect(Connect::from_file(&cluster.credentials("mirror"), None)?).await?;
        let following = cox_bus::follow(&bus).await?;
        let position = bus.head(Instant::now() + PATIENCE).await?;
        let follower = following.from(position);
        Ok(Follower::start("subscription", "", |until| follow(bus, follower, position, until)))
    }
}

async fn follow(bus: Bus, mut follower: cox_bus::Follower, from: Position, mut until: Until) -> Result<Vec<Seen>> {
    let mut seen: Vec<Seen> = Vec::new();
    while !is_over(&until, &seen) {
        let followed = tokio::select! {
            followed = follower.next() => followed,
            changed = until.changed() => {
                changed?;
                continue;
            }
        };
        match followed {
            Some(Followed::Event(event)) => seen.push(Seen::from(&event)),
            Some(Followed::Gap { from, to }) => fill(&bus, from, to, &mut seen).await?,
            Some(Followed::Head(_)) => {}
            Some(Followed::Sealed(position, key)) => bail!("{key} at {position:?} is sealed with another key"),
            Some(Followed::EpochChanged(epoch)) => bail!("the epoch {:?} gave way to {epoch:?}", from.epoch),
            None => bail!("the subscription has ended"),
        }
    }
    Ok(seen)
}

/// Reads what did not arrive from the log, as often as it takes while the server is away.
async fn fill(bus: &Bus, from: u64, to: u64, seen: &mut Vec<Seen>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut next = from;
    while next <= to {
        let read = async {
            let mut range = cox_bus::range(bus, next, to).await?;
            while let Some(chunk) = range.next().await? {
                for event in &chunk {
                    next = event.revision() + 1;
                    seen.push(Seen::from(event));
                }
            }
            anyhow::Ok(())
        };
        match read.await {
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => tokio::time::sleep(REST).await,
            Ok(()) if next <= to => bail!("the log ends at {} before {to}", next - 1),
            Ok(()) => {}
        }
    }
    Ok(())
}
