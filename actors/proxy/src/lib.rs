//! proxy: to be filled.
