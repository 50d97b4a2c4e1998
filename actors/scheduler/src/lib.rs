//! scheduler: to be filled.
