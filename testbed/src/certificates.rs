//! A certificate authority made on the spot, and certificates that are right or wrong in a chosen way.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use time::{Duration, OffsetDateTime};

/// A certificate authority that exists for one test.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A server's certificate chain and key.
#[derive(Debug)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    chain_pem: String,
    key_pem: String,
}

impl Authority {
    /// Makes an authority.
    #[expect(clippy::new_without_default, reason = "each one is different")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "testbed authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key();
        let certificate = params.self_signed(&key).expect("fixed parameters sign");
        let pem = certificate.pem();
        Self { certificate: certificate.der().clone(), pem, issuer: Issuer::new(params, key) }
    }

    /// The authority's certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes the authority's certificate into `folder` as `ca.pem`; gives the path.
    pub fn write_pem(&self, folder: &Path) -> PathBuf {
        let path = folder.join("ca.pem");
        std::fs::write(&path, &self.pem).expect("the test's folder can be written");
        path
    }

    /// A certificate for a host name or an address that every client of this authority accepts.
    pub fn certificate_for(&self, hosts: &[&str]) -> Certificate {
        let now = OffsetDateTime::now_utc();
        self.sign(hosts, now - Duration::days(1), now + Duration::days(30))
    }

    /// A certificate that expired yesterday.
    pub fn expired_certificate_for(&self, hosts: &[&str]) -> Certificate {
        let now = OffsetDateTime::now_utc();
        self.sign(hosts, now - Duration::days(30), now - Duration::days(1))
    }

    /// What a client needs to trust this authority and nothing else, offering the protocols in `alpn`.
    pub fn client_config(&self, alpn: &[&str]) -> ClientConfig {
        client_config_trusting(&[&self.certificate], alpn)
    }

    fn sign(&self, hosts: &[&str], from: OffsetDateTime, until: OffsetDateTime) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, hosts.first().copied().unwrap_or("testbed"));
        params.subject_alt_names = hosts
            .iter()
            .map(|host| match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*host).try_into().expect("a test's host name is ASCII")),
            })
            .collect();
        params.not_before = from;
        params.not_after = until;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("fixed parameters sign");
        Certificate {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            chain_pem: certificate.pem() + &self.pem,
            key_pem: key.serialize_pem(),
        }
    }
}

impl Certificate {
    /// A server that shows this certificate and speaks the protocols in `alpn`.
    pub(crate) fn server_config(&self, alpn: &[&str]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .expect("the key is the certificate's");
        config.alpn_protocols = protocols(alpn);
        Arc::new(config)
    }

    /// The chain and the key, as PEM, for servers that are not ours.
    pub fn write_pem(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let chain = folder.join("chain.pem");
        let key = folder.join("key.pem");
        std::fs::write(&chain, &self.chain_pem).expect("the test's folder can be written");
        std::fs::write(&key, &self.key_pem).expect("the test's folder can be written");
        (chain, key)
    }
}

/// What a client needs to trust the certificates in a PEM text.
///
/// `None` when the text holds no certificate.
pub fn client_config_trusting_pem(text: &str, alpn: &[&str]) -> Option<ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().ok()?;
    if certificates.is_empty() {
        return None;
    }
    Some(client_config_trusting(&certificates.iter().collect::<Vec<_>>(), alpn))
}

fn client_config_trusting(certificates: &[&CertificateDer<'static>], alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add((*certificate).clone()).expect("a certificate that was parsed is one");
    }
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols(alpn);
    config
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn protocols(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}
