//! MessagePack: how envelopes become bytes. Fields go by name, so that later versions can add some.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The size in bytes that most messages stay below.
const USUAL: usize = 2048;

/// Bytes that are not what they should be.
#[derive(Debug, thiserror::Error)]
#[error("not a {what} in MessagePack")]
pub struct Malformed {
    what: &'static str,
    #[source]
    cause: rmp_serde::decode::Error,
}

/// A value that MessagePack cannot hold: a map without a known length, which none of our envelopes is.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode {what} as MessagePack")]
pub struct Unencodable {
    what: &'static str,
    #[source]
    cause: rmp_serde::encode::Error,
}

/// The bytes of a value.
///
/// # Errors
/// If the type has no MessagePack form.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Unencodable> {
    // Most messages hold an object: growing to its size would copy it several times.
    let mut bytes = Vec::with_capacity(USUAL);
    let written = value.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map());
    written.map(|()| bytes).map_err(|cause| Unencodable { what: name::<T>(), cause })
}

/// The value in these bytes; unknown fields are passed over.
///
/// # Errors
/// If they hold something else.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    rmp_serde::from_slice(bytes).map_err(|cause| Malformed { what: name::<T>(), cause })
}

fn name<T>() -> &'static str {
    let path = std::any::type_name::<T>();
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
