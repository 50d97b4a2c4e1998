//! The ways to change an object: JSON Patch, JSON Merge Patch, strategic merge patch.

pub mod strategic;
