//! Node ports of Services: one number is one Service's, whatever the protocol, unless it has it for several protocols itself.

use cox_log::Guard;
use cox_objects::Key;

use crate::context::Context;

/// How often a random port is tried before the range is searched in order.
const RANDOM_TRIES: u32 = 32;
/// The pool that guards name.
pub(crate) const POOL: &str = "nodeport";

/// Whether a port lies in the range of node ports.
pub(super) fn in_range(ctx: &Context<'_>, port: u16) -> bool {
    ctx.config.node_ports.contains(&port)
}

/// Whether the port is nobody's, or the Service's own.
pub(super) fn free(ctx: &Context<'_>, port: u16, owner: &Key) -> bool {
    ctx.state.port_owner(port).is_none_or(|has| has == *owner)
}

/// A free port that is not among those taken by this write; none if the range is full.
pub(super) fn choose(ctx: &Context<'_>, taken: &[u16]) -> Option<u16> {
    let (first, last) = (*ctx.config.node_ports.start(), *ctx.config.node_ports.end());
    let size = u32::from(last.saturating_sub(first)) + 1;
    // As with addresses the lower ones are left to those who choose: a thirty-second of the range, 16 to 128.
    let chosen = if size < 16 { 0 } else { (size / 32).clamp(16, 128) };
    let good = |port: &u16| !taken.contains(port) && ctx.state.port_owner(*port).is_none();
    let at = |offset: u32| first.saturating_add(u16::try_from(offset).unwrap_or(u16::MAX));
    for _ in 0..RANDOM_TRIES {
        let port = at(chosen + ctx.below(size - chosen));
        if good(&port) {
            return Some(port);
        }
    }
    (chosen..size).chain(0..chosen).map(at).find(good)
}

/// That the port is still free when the Service is committed.
pub(super) fn guard(port: u16, owner: &Key) -> Guard {
    Guard::Free { pool: POOL.to_owned(), value: port.to_string(), owner: owner.clone() }
}
