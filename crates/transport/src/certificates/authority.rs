//! The certificate authority: made on first need, kept in a folder of its own, its key never readable by
//! others.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use time::{Duration, OffsetDateTime};

/// Years for which the authority is valid.
const VALID_YEARS: i64 = 10;

/// A certificate authority: ECDSA P-256, valid ten years.
pub struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pem: String,
    certificate_path: PathBuf,
}

/// Why there is no authority to sign with.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file could not be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key can be read by others.
    #[error("`{path}` can be read by others (mode {mode:o}); run `chmod 600 {path}`")]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Only one of certificate and key is there.
    #[error("`{missing}` is missing beside `{present}`; put it back, or remove both to make a new CA")]
    Half {
        /// The file that is there.
        present: PathBuf,
        /// The file that is not.
        missing: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("`{path}` does not hold a usable CA: {detail}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

impl Authority {
    /// Opens the authority in `folder`, or makes one there. An unusable one is never replaced: people trust
    /// it already.
    pub fn open_or_create(folder: &Path, now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let (certificate_path, key_path) = (folder.join("ca.pem"), folder.join("ca-key.pem"));
        match (certificate_path.exists(), key_path.exists()) {
            (true, true) => Self::open(certificate_path, &key_path),
            (false, false) => match Self::create(folder, &certificate_path, &key_path, now) {
                // Another process was quicker; its authority is the one.
                Err(AuthorityError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                    Self::open(certificate_path, &key_path)
                }
                made => made,
            },
            (true, false) => Err(AuthorityError::Half { present: certificate_path, missing: key_path }),
            (false, true) => Err(AuthorityError::Half { present: key_path, missing: certificate_path }),
        }
    }

    /// The certificate in PEM, for clients to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The file that holds the certificate.
    pub fn certificate_path(&self) -> &Path {
        &self.certificate_path
    }

    fn open(certificate_path: PathBuf, key_path: &Path) -> Result<Self, AuthorityError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| AuthorityError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            })
        };
        let metadata = fs::metadata(key_path).map_err(|source| AuthorityError::Io {
            action: "read",
            path: key_path.to_owned(),
            source,
        })?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuthorityError::Exposed { path: key_path.to_owned(), mode });
        }
        let pem = read(&certificate_path)?;
        let key = KeyPair::from_pem(&read(key_path)?).map_err(|error| AuthorityError::Content {
            path: key_path.to_owned(),
            detail: error.to_string(),
        })?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(|error| AuthorityError::Content {
            path: certificate_path.clone(),
            detail: error.to_string(),
        })?;
        Ok(Self { issuer, pem, certificate_path })
    }

    fn create(
        folder: &Path,
        certificate_path: &Path,
        key_path: &Path,
        now: OffsetDateTime,
    ) -> Result<Self, AuthorityError> {
        let io = |action: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| AuthorityError::Io { action, path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("create", folder))?;
        let content = |error: rcgen::Error| AuthorityError::Content {
            path: certificate_path.to_owned(),
            detail: error.to_string(),
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(content)?;
        let mut params = CertificateParams::default();
        let date = now.date();
        params.distinguished_name.push(DnType::CommonName, format!("Mimeo CA {date}"));
        params.distinguished_name.push(DnType::OrganizationName, "Mimeo, made on this machine");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(365 * VALID_YEARS + VALID_YEARS / 4);
        let certificate = params.self_signed(&key).map_err(content)?;
        let pem = certificate.pem();
        // Both files appear complete or not at all: they are written aside and linked into place, the
        // certificate last, so that a half-made authority is never taken for one.
        place(key_path, key.serialize_pem().as_bytes(), 0o600).map_err(io("write", key_path))?;
        place(certificate_path, pem.as_bytes(), 0o644).map_err(io("write", certificate_path))?;
        Ok(Self { issuer: Issuer::new(params, key), pem, certificate_path: certificate_path.to_owned() })
    }
}

/// Writes a file that must not exist yet, with its mode from the first moment.
fn place(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        fs::remove_file(path)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_795_000_000).expect("in range")
    }

    #[test]
    fn an_authority_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca");
        let made = Authority::open_or_create(&path, now()).expect("made");
        let again = Authority::open_or_create(&path, now()).expect("opened");
        assert_eq!(made.certificate_pem(), again.certificate_pem());
        let permissions = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(permissions(&path.join("ca-key.pem")), 0o600);
        assert_eq!(permissions(&path), 0o700);
    }

    #[test]
    fn an_unusable_authority_is_named_and_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        Authority::open_or_create(folder.path(), now()).expect("made");
        let key = folder.path().join("ca-key.pem");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("changed");
        assert!(matches!(
            Authority::open_or_create(folder.path(), now()),
            Err(AuthorityError::Exposed { mode: 0o644, .. })
        ));
        fs::remove_file(&key).expect("removed");
        assert!(matches!(Authority::open_or_create(folder.path(), now()), Err(AuthorityError::Half { .. })));
    }
}
