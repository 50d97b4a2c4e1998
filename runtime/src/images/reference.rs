//! Names of images: parsed, completed (registry, `library/`, `latest`) and printed, as docker's are.

use std::fmt;

use super::digest::hex_of;
use crate::port::error::ImageError;

const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A complete name: registry, repository, and a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Host with optional port, for example `docker.io` or `localhost:5000`.
    pub registry: String,
    /// For example `library/busybox`.
    pub repository: String,
    /// The tag; none if there is a digest.
    pub tag: Option<String>,
    /// `sha256:<hex>`.
    pub digest: Option<String>,
}

impl Reference {
    /// Parses and completes a name. A tag beside a digest is dropped: the digest decides.
    ///
    /// # Errors
    /// [`ImageError::BadName`], worded as docker words it.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let bad = |reason: String| ImageError::BadName { name: text.to_owned(), reason };
        let invalid = || bad("invalid reference format".to_owned());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                hex_of(digest).ok_or_else(|| bad("invalid reference format".to_owned()))?;
                (rest, Some(digest.to_owned()))
            }
            None => (text, None),
        };
        if rest.is_empty() || rest.len() > MAX_NAME + MAX_TAG + 1 {
            return Err(invalid());
        }
        let (registry, remainder) = match rest.split_once('/') {
            Some((first, more)) if first.contains(['.', ':']) || first == "localhost" || has_upper(first) => {
                (first.to_owned(), more.to_owned())
            }
            _ => ("docker.io".to_owned(), rest.to_owned()),
        };
        let registry = if registry == "index.docker.io" { "docker.io".to_owned() } else { registry };
        let completed = if registry == "docker.io" && !remainder.contains('/') {
            format!("library/{remainder}")
        } else {
            remainder
        };
        // Up to the first colon, whatever follows: the case of the name is complained about first.
        let name = completed.split(':').next().unwrap_or_default();
        if has_upper(name) {
            return Err(bad(format!("invalid reference format: repository name ({name}) must be lowercase")));
        }
        let (repository, tag) = match completed.split_once(':') {
            Some((repository, tag)) if is_tag(tag) => (repository.to_owned(), Some(tag.to_owned())),
            Some(_) => return Err(invalid()),
            None => (completed.clone(), None),
        };
        if !is_registry(&registry) || !repository.split('/').all(is_component) {
            return Err(invalid());
        }
        if registry.len() + 1 + repository.len() > MAX_NAME {
            return Err(bad("repository name must not be more than 255 characters".to_owned()));
        }
        let tag = if digest.is_some() { None } else { Some(tag.unwrap_or_else(|| "latest".to_owned())) };
        Ok(Self { registry, repository, tag, digest })
    }

    /// The name without tag and digest.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same name with a digest.
    #[must_use]
    pub fn with_digest(&self, digest: &str) -> Self {
        Self { tag: None, digest: Some(digest.to_owned()), ..self.clone() }
    }

    /// Whether the registry is on this machine: then it is spoken to without TLS.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = self.registry.rsplit_once(':').map_or(self.registry.as_str(), |(host, _)| host);
        host == "localhost" || host == "[::1]" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|a| a.is_loopback())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// Runs of lower-case letters and digits, separated by `.`, `_`, `__` or dashes.
fn is_component(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_plain = part.bytes().next().is_some_and(plain) && part.bytes().last().is_some_and(plain);
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|s| !s.is_empty());
    ends_plain && separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host_ok = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(label),
    };
    host_ok && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(text: &str) -> String {
        Reference::parse(text).map_or_else(|e| format!("! {e}"), |r| r.to_string())
    }

    #[test]
    fn names_are_completed() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(full("busybox"), "docker.io/library/busybox:latest");
        assert_eq!(full("me/app:1.2"), "docker.io/me/app:1.2");
        assert_eq!(full("cox.local/web:1"), "cox.local/web:1");
        assert_eq!(full("localhost/box"), "localhost/box:latest");
        assert_eq!(full("localhost:5000/a/b__c:T"), "localhost:5000/a/b__c:T");
        assert_eq!(full("index.docker.io/library/x"), "docker.io/library/x:latest");
        assert_eq!(full(&format!("r.io/x:1@sha256:{hex}")), format!("r.io/x@sha256:{hex}"));
    }

    #[test]
    fn bad_names_are_complained_about_in_the_usual_words() {
        assert_eq!(
            full("Bad_UPPER:::x"),
            "! couldn't parse image name \"Bad_UPPER:::x\": invalid reference format: repository name \
             (library/Bad_UPPER) must be lowercase"
        );
        for bad in ["", ":1", "a:", "a b", "a//b", "-a", "a..b/c_", "x@sha256:12", "r.io/", "a:b:c", "a___b"] {
            assert!(full(bad).ends_with("invalid reference format"), "{bad:?} gave {}", full(bad));
        }
        assert!(full(&format!("a.io/{}", "b".repeat(255))).contains("255"));
    }

    #[test]
    fn loopback_registries_are_local() {
        for (name, local) in [("localhost:5/a", true), ("127.0.0.1:5/a", true), ("[::1]:5/a", true), ("a.io/a", false)]
        {
            assert_eq!(Reference::parse(name).unwrap().is_local(), local, "{name}");
        }
    }

    proptest! {
        #[test]
        fn complete_names_stay_as_they_are(text in "[a-zA-Z0-9._:/@-]{0,40}") {
            if let Ok(parsed) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&parsed.to_string()).unwrap(), parsed);
            }
        }
    }
}
