//! TLS towards upstreams.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Client configurations for upstreams: with HTTP/2 on offer and without.
#[derive(Clone)]
pub struct UpstreamTls {
    pub(crate) any: Arc<ClientConfig>,
    pub(crate) http1: Arc<ClientConfig>,
}

/// Why the trust in upstreams could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates could not be read.
    #[error("cannot read certificates from `{path}`: {detail}")]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// The TLS library refused the configuration.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

impl UpstreamTls {
    /// Trusts the system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` honoured) and those in `extra`.
    pub fn verified(extra: Option<&Path>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        if let Some(path) = extra {
            let fault = |detail: String| TlsError::File { path: path.to_owned(), detail };
            let mut found = 0;
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| fault(error.to_string()))?;
                roots.add(certificate).map_err(|error| fault(error.to_string()))?;
                found += 1;
            }
            if found == 0 {
                return Err(fault("it holds no PEM certificate".to_owned()));
            }
        }
        Self::from_builder(|builder| builder.with_root_certificates(roots.clone()).with_no_client_auth())
    }

    /// Trusts any certificate.
    pub fn insecure() -> Result<Self, TlsError> {
        Self::from_builder(|builder| {
            let provider = builder.crypto_provider().clone();
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anything(provider)))
                .with_no_client_auth()
        })
    }

    fn from_builder(
        finish: impl Fn(rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>) -> ClientConfig,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut http1 =
            finish(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?);
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut any = http1.clone();
        any.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { any: Arc::new(any), http1: Arc::new(http1) })
    }
}

/// Takes every certificate; signatures are still checked, since a broken handshake is no connection.
#[derive(Debug)]
struct Anything(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
