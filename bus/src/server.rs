//! The nats-server that carries the bus: found, configured, started, watched and stopped by us.

/// Whether a server of this version (`2.10.27`, with or without a `v`) can carry the bus: 2.10 brought stream metadata
/// and the first sequence.
pub fn is_new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 10)
}
