//! runtime: to be filled.
