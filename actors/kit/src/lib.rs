//! kit: to be filled.
