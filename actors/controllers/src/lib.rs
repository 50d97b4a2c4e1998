//! controllers: to be filled.
