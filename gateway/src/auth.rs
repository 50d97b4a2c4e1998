//! Authentication: who sends a request, by client certificate or service account token; else it is anonymous.

pub mod certificate;
pub mod impersonate;
pub mod token;

use cox_objects::User;

/// Who sends without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of those with credentials.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of those without.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The user without credentials.
pub fn anonymous() -> User {
    User { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..User::default() }
}

/// The token of an `Authorization` header; none for other schemes and for an empty token, which count as no credentials.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim_start().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests;
