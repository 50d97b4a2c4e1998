//! apiserver: to be filled.

pub mod rules;
