//! The cluster's keys: its certificate authority, the server's and the administrator's certificates, and the key that signs
//! service account tokens.
//!
//! Making them is pure (but for the randomness of keys); [`Pki::load_or_make`] keeps them in a directory of files with mode 0600.

mod files;
mod make;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What a key or certificate in PEM is for; the names of the files, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate (chain) in PEM.
    pub certificate: String,
    /// The private key in PEM (PKCS #8).
    pub key: String,
}

/// All keys of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pki {
    /// The authority that signs the others.
    pub authority: Pair,
    /// The API server's certificate.
    pub server: Pair,
    /// The administrator's client certificate: user `kubernetes-admin`, group `system:masters`.
    pub admin: Pair,
    /// The key that signs service account tokens: ES256, which verifiers of OpenID tokens take as they take RS256, and whose keys are made at once
    /// (an RSA key takes seconds, which a first start does not have).
    pub tokens: TokenKeys,
}

/// The pair that signs and checks service account tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeys {
    /// Private key in PEM (PKCS #8, P-256).
    pub private: String,
    /// Public key in PEM.
    pub public: String,
}

/// By which names and addresses the server is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names besides `localhost` and those of the `kubernetes` Service.
    pub names: Vec<String>,
    /// Addresses besides loopback: the `kubernetes` Service's, the host's.
    pub addresses: Vec<IpAddr>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error(
        "{what} cannot be used: {why}; take it back from a backup, or remove the whole pki folder to make a new cluster identity"
    )]
    Damaged {
        /// The file's role.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A key or certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// TLS takes the certificate or key not.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

impl Pki {
    /// The TLS side of the server: client certificates of our authority are checked where they are given, none is asked for.
    ///
    /// # Errors
    /// If the certificates do not fit.
    pub fn tls(&self) -> Result<Arc<rustls::ServerConfig>, PkiError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates("the authority's certificate", &self.authority.certificate)? {
            roots.add(certificate)?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|e| PkiError::Damaged { what: "the authority's certificate", why: e.to_string() })?;
        let chain = certificates("the server's certificate", &self.server.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes())
            .map_err(|e| PkiError::Damaged { what: "the server's key", why: e.to_string() })?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// The administrator's kubeconfig for a server address (`https://127.0.0.1:6443`).
    pub fn admin_kubeconfig(&self, server: &str) -> String {
        use base64::Engine;
        let data = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: coxswain\n  cluster:\n    server: {server}\n    \
             certificate-authority-data: {}\nusers:\n- name: kubernetes-admin\n  user:\n    client-certificate-data: {}\n    \
             client-key-data: {}\ncontexts:\n- name: coxswain\n  context:\n    cluster: coxswain\n    user: kubernetes-admin\n\
             current-context: coxswain\n",
            data(&self.authority.certificate),
            data(&self.admin.certificate),
            data(&self.admin.key),
        )
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if all.is_empty() => Err(PkiError::Damaged { what, why: "no certificate in it".to_owned() }),
        Ok(all) => Ok(all),
        Err(error) => Err(PkiError::Damaged { what, why: error.to_string() }),
    }
}

#[cfg(test)]
mod tests;
