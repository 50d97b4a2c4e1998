//! Tests of the store: loading, names, removal, damage.
