//! An opened data directory: where every use case begins.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use mimeo_model::{Clock, Timestamp};
use mimeo_rules::redaction::Redactor;
use mimeo_store::{Catalog, DataDir};
use mimeo_transport::certificates::Authority;
use time::OffsetDateTime;

use crate::clock::SystemClock;
use crate::error::Error;

/// A data directory with its catalog.
#[derive(Clone)]
pub struct Workspace {
    pub(crate) data: DataDir,
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Workspace {
    /// Opens the directory, which is made when it is not there.
    pub async fn open(root: PathBuf) -> Result<Self, Error> {
        let data = DataDir::open(root)?;
        let catalog = Catalog::open(&data.catalog()).await?;
        Ok(Self { data, catalog, clock: Arc::new(SystemClock) })
    }

    /// The directory.
    pub fn root(&self) -> &std::path::Path {
        self.data.root()
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The certificate authority, made on first need.
    pub fn authority(&self) -> Result<Authority, Error> {
        let now = OffsetDateTime::from_unix_timestamp(self.now().unix_micros() / 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(Authority::open_or_create(&self.data.authority(), now)?)
    }

    /// The redactor of this installation, whose key is made on first need.
    pub fn redactor(&self) -> Result<Redactor, Error> {
        let path = self.data.redaction_key();
        let fault = |action: &'static str| {
            let path = path.clone();
            move |source| Error::File { action, path, source }
        };
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| fault("make")(io::Error::other(error)))?;
        // The key appears whole or not at all: it is written aside and linked into place.
        if !path.exists() {
            let aside = path.with_extension(format!("{}.new", std::process::id()));
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&aside)
                .map_err(fault("create"))?;
            let linked = file
                .write_all(&key)
                .and_then(|()| file.sync_all())
                .and_then(|()| fs::hard_link(&aside, &path));
            fs::remove_file(&aside).map_err(fault("remove"))?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(fault("create")(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let kept = fs::read(&path).map_err(fault("read"))?;
        let key = kept.try_into().map_err(|_| fault("use")(io::Error::other("it is not 32 bytes long")))?;
        Ok(Redactor::new(key))
    }

    /// Ends the connections to the catalog.
    pub async fn close(self) {
        self.catalog.close().await;
    }
}
