//! Makes keys and certificates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};

use super::{Pair, Pki, PkiError, ServerNames, TokenKeys};

/// How long the authority's certificate is good.
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);
/// How long the others are good.
const LEAF_LIFE: Duration = Duration::from_secs(365 * 86_400);
/// They are good from a while ago on, for clients whose clock is behind.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// The names under which pods call the API.
const SERVICE_NAMES: [&str; 5] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

impl Pki {
    /// Makes the keys of a new cluster.
    ///
    /// # Errors
    /// If a name cannot stand in a certificate.
    pub fn make(names: &ServerNames, now: SystemTime) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        valid(&mut params, now, AUTHORITY_LIFE);
        params.distinguished_name.push(DnType::CommonName, "coxswain-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() };
        let tokens = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Pki {
            server: authority.server(names, now)?,
            admin: authority.client("kubernetes-admin", &["system:masters"], now)?,
            tokens: TokenKeys { private: tokens.serialize_pem(), public: tokens.public_key_pem() },
            authority,
        })
    }
}

impl Pair {
    /// A server certificate signed by this authority.
    ///
    /// # Errors
    /// If this is no authority, or a name cannot stand in a certificate.
    pub fn server(&self, names: &ServerNames, now: SystemTime) -> Result<Pair, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in SERVICE_NAMES.into_iter().chain(names.names.iter().map(String::as_str)) {
            let san = SanType::DnsName(name.try_into()?);
            if !params.subject_alt_names.contains(&san) {
                params.subject_alt_names.push(san);
            }
        }
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        for address in loopback.iter().chain(&names.addresses) {
            let san = SanType::IpAddress(*address);
            if !params.subject_alt_names.contains(&san) {
                params.subject_alt_names.push(san);
            }
        }
        self.sign(params, now)
    }

    /// A client certificate signed by this authority: who it is, and their groups.
    ///
    /// # Errors
    /// If this is no authority.
    pub fn client(&self, user: &str, groups: &[&str], now: SystemTime) -> Result<Pair, PkiError> {
        let mut params = CertificateParams::default();
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, now)
    }

    fn sign(&self, mut params: CertificateParams, now: SystemTime) -> Result<Pair, PkiError> {
        valid(&mut params, now, LEAF_LIFE);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let authority = Issuer::from_ca_cert_pem(&self.certificate, KeyPair::from_pem(&self.key)?)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Pair { certificate: params.signed_by(&key, &authority)?.pem(), key: key.serialize_pem() })
    }
}

fn valid(params: &mut CertificateParams, now: SystemTime, life: Duration) {
    params.not_before = now.checked_sub(CLOCK_SKEW).unwrap_or(now).into();
    params.not_after = (now + life).into();
}
