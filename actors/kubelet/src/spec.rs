//! From a Pod to what the runtime is asked for: environment, commands, privileges, resources, mounts. Pure.

pub mod container;
pub mod env;
pub mod expand;
pub mod fields;
pub mod links;
pub mod names;
pub mod resources;
pub mod sandbox;
pub mod security;
