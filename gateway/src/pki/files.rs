//! Keeps the keys in a directory.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::PublicKeyData;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Pair, Pki, PkiError, ServerNames, TokenKeys};

const AUTHORITY: (&str, &str) = ("ca.crt", "ca.key");
const SERVER: (&str, &str) = ("server.crt", "server.key");
const ADMIN: (&str, &str) = ("admin.crt", "admin.key");
const TOKENS: (&str, &str) = ("sa.pub", "sa.key");

/// Certificates are made anew when they would end within this time.
const RENEW_BEFORE: Duration = Duration::from_secs(60 * 86_400);

impl Pki {
    /// The keys in a directory; made if there are none. The server's certificate is made anew if it lacks one of the names, it and
    /// the administrator's if they are about to end or their keys are others' (whoever renewed them was killed between the two files); the
    /// authority and the token key stay what they are.
    ///
    /// # Errors
    /// If a file cannot be read or written, or holds something else.
    pub fn load_or_make(dir: &Path, names: &ServerNames, now: SystemTime) -> Result<Self, PkiError> {
        let builder = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        builder.map_err(|source| PkiError::File { path: dir.to_owned(), source })?;
        if !dir.join(AUTHORITY.1).exists() {
            let made = Pki::make(names, now)?;
            made.store(dir)?;
            return Ok(made);
        }
        let mut pki = Pki::load(dir)?;
        if !serves(&pki.server, names, now)? || !fits(&pki.server)? {
            pki.server = pki.authority.server(names, now)?;
            store_pair(dir, SERVER, &pki.server)?;
        }
        if ends(&pki.admin, now)? || !fits(&pki.admin)? {
            pki.admin = pki.authority.client("kubernetes-admin", &["system:masters"], now)?;
            store_pair(dir, ADMIN, &pki.admin)?;
        }
        Ok(pki)
    }

    /// The authority's certificate in a directory of keys, which may hold nothing else.
    ///
    /// # Errors
    /// If it is not there.
    pub fn root_ca(dir: &Path) -> Result<String, PkiError> {
        read(dir, AUTHORITY.0)
    }

    /// The keys of service account tokens in a directory of keys, which may hold nothing else.
    ///
    /// # Errors
    /// If they are not there.
    pub fn token_keys(dir: &Path) -> Result<TokenKeys, PkiError> {
        Ok(TokenKeys { public: read(dir, TOKENS.0)?, private: read(dir, TOKENS.1)? })
    }

    fn load(dir: &Path) -> Result<Self, PkiError> {
        let pair =
            |(certificate, key)| Ok::<_, PkiError>(Pair { certificate: read(dir, certificate)?, key: read(dir, key)? });
        let tokens = Pki::token_keys(dir)?;
        Ok(Pki { authority: pair(AUTHORITY)?, server: pair(SERVER)?, admin: pair(ADMIN)?, tokens })
    }

    fn store(&self, dir: &Path) -> Result<(), PkiError> {
        store_pair(dir, SERVER, &self.server)?;
        store_pair(dir, ADMIN, &self.admin)?;
        write(dir, TOKENS.0, &self.tokens.public)?;
        write(dir, TOKENS.1, &self.tokens.private)?;
        // Last, since the authority's key says that all of it is there.
        store_pair(dir, AUTHORITY, &self.authority)
    }
}

fn store_pair(dir: &Path, (certificate, key): (&str, &str), pair: &Pair) -> Result<(), PkiError> {
    write(dir, certificate, &pair.certificate)?;
    write(dir, key, &pair.key)
}

fn read(dir: &Path, name: &str) -> Result<String, PkiError> {
    let path = dir.join(name);
    fs::read_to_string(&path).map_err(|source| PkiError::File { path, source })
}

/// Writes a file whole or not at all, durably.
fn write(dir: &Path, name: &str, text: &str) -> Result<(), PkiError> {
    let (path, draft) = (dir.join(name), dir.join(format!("{name}.new")));
    let written = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        fs::File::open(dir)?.sync_all()
    };
    written().map_err(|source| PkiError::File { path: path.clone(), source })
}

fn serves(server: &Pair, names: &ServerNames, now: SystemTime) -> Result<bool, PkiError> {
    let der = der(server)?;
    let certificate = parse(&der)?;
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let has = |wanted: &GeneralName<'_>| alternatives.as_ref().is_some_and(|a| a.value.general_names.contains(wanted));
    let all_names = names.names.iter().all(|name| has(&GeneralName::DNSName(name)));
    let all_addresses = names.addresses.iter().all(|address| match address {
        std::net::IpAddr::V4(v4) => has(&GeneralName::IPAddress(&v4.octets())),
        std::net::IpAddr::V6(v6) => has(&GeneralName::IPAddress(&v6.octets())),
    });
    Ok(all_names && all_addresses && !ends(server, now)?)
}

/// Whether a certificate is that of its key.
fn fits(pair: &Pair) -> Result<bool, PkiError> {
    let der = der(pair)?;
    let certificate = parse(&der)?;
    let key = rcgen::KeyPair::from_pem(&pair.key);
    Ok(key.is_ok_and(|key| certificate.public_key().raw == key.subject_public_key_info()))
}

fn ends(pair: &Pair, now: SystemTime) -> Result<bool, PkiError> {
    let der = der(pair)?;
    let end = parse(&der)?.validity().not_after.timestamp();
    let soon = now + RENEW_BEFORE;
    let soon = soon.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(i64::try_from(soon).unwrap_or(i64::MAX) >= end)
}

fn der(pair: &Pair) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes())
        .map_err(|e| PkiError::Damaged { what: "a certificate", why: e.to_string() })
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PkiError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|e| PkiError::Damaged { what: "a certificate", why: e.to_string() })?;
    Ok(certificate)
}
