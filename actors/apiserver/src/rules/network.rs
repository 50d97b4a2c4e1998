//! Ingresses, their classes, and NetworkPolicies.

pub(crate) mod ingress;
pub(crate) mod policy;
