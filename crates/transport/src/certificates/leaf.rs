//! Leaf certificates for intercepted hosts: one shared key, one server configuration, a bounded cache.

use std::sync::Arc;

use mimeo_model::Timestamp;
use moka::sync::Cache;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use crate::certificates::{Authority, AuthorityError};

/// Most hosts whose certificates are kept.
const MAX_LEAVES: u64 = 1_000;
/// Days for which a leaf is valid; browsers refuse more than 199 from 2026 on, and it is backdated by one.
const VALID_DAYS: i64 = 197;

/// Signs and keeps leaf certificates.
pub struct LeafCertificates {
    authority: Authority,
    key: KeyPair,
    signing: Arc<dyn rustls::sign::SigningKey>,
    kept: Cache<String, Arc<CertifiedKey>>,
    config: Arc<ServerConfig>,
}

impl LeafCertificates {
    /// Begins with an empty cache and a fresh leaf key.
    pub fn new(authority: Authority) -> Result<Self, AuthorityError> {
        let fault = |detail: String| AuthorityError::Content {
            path: authority.certificate_path().to_owned(),
            detail,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| fault(error.to_string()))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing =
            rustls::crypto::ring::sign::any_ecdsa_type(&der).map_err(|error| fault(error.to_string()))?;
        let kept = Cache::new(MAX_LEAVES);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver { kept: kept.clone() }));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { authority, key, signing, kept, config: Arc::new(config) })
    }

    /// The authority that signs.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The configuration for a client that named `host`; its certificate must have been made before.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// A configuration for a client that names no host.
    pub fn server_config_for(&self, leaf: Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config);
        config.cert_resolver = Arc::new(Always(leaf));
        Arc::new(config)
    }

    /// The certificate kept for `host`.
    pub fn kept(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.kept.get(host)
    }

    /// Makes the certificate for `host`, a name or an address. Takes some tens of microseconds of CPU, so it
    /// belongs off the event loop.
    pub fn make(&self, host: &str, now: Timestamp) -> Result<Arc<CertifiedKey>, AuthorityError> {
        let fault = |detail: String| AuthorityError::Content {
            path: self.authority.certificate_path().to_owned(),
            detail,
        };
        let now = OffsetDateTime::from_unix_timestamp(now.unix_micros() / 1_000_000)
            .map_err(|error| fault(error.to_string()))?;
        let mut params =
            CertificateParams::new(vec![host.to_owned()]).map_err(|error| fault(error.to_string()))?;
        // A common name longer than 64 bytes is malformed (RFC 5280, appendix A.1); the SAN is what counts.
        if host.len() <= 64 {
            params.distinguished_name.push(DnType::CommonName, host);
        }
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(VALID_DAYS - 1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate =
            params.signed_by(&self.key, &self.authority.issuer).map_err(|error| fault(error.to_string()))?;
        let leaf = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], self.signing.clone()));
        self.kept.insert(host.to_owned(), leaf.clone());
        Ok(leaf)
    }
}

#[derive(Debug)]
struct Resolver {
    kept: Cache<String, Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.kept.get(&hello.server_name()?.to_ascii_lowercase())
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
