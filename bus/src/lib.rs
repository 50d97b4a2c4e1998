//! bus: to be filled.
