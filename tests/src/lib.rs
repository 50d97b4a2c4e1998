//! tests: to be filled.
