//! YAML in and out, with the 1.1 rules of scalars that Kubernetes' clients rely on (`y`, `on`, `0755` are not strings).

mod read;
mod scalar;
mod write;

pub use read::{Document, YamlError, read};
pub use write::write;

#[cfg(test)]
mod tests;
