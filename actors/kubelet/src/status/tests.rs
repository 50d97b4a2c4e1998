//! Tests of statuses.
mod recorded;
