//! apiserver: to be filled.
