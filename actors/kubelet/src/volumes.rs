//! A pod's volumes: what they hold, and how that gets to the disk.

pub mod content;
pub mod files;
pub mod manager;
pub mod sub_path;
pub mod usage;
