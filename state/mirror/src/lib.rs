//! mirror: to be filled.
