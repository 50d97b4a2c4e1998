//! The REST gateway: HTTP and TLS on one side, the bus and a mirror on the other. It knows nothing of what objects mean.

pub mod answer;
pub mod auth;
pub mod authorize;
pub mod backend;
pub mod body;
pub mod discovery;
pub mod fence;
pub mod negotiate;
pub mod pki;
pub mod query;
pub mod route;
pub mod yaml;
