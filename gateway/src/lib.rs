//! gateway: to be filled.
