//! The index of a data directory: what lists, filters and sorts.
//!
//! Queries are written so that PostgreSQL can be the second engine: `$1` parameters, text, integers and blobs.
//! What differs between engines lies in [`engine`]. Several processes share one database.

mod engine;
pub mod exchanges;
pub mod sessions;

use std::path::{Path, PathBuf};

use sqlx::SqlitePool;

pub use exchanges::{Endpoint, ExchangeFilter, ExchangeRow};
pub use sessions::SessionUpdate;

/// A catalog.
#[derive(Debug, Clone)]
pub struct Catalog {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// Why the catalog could not answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database could not be opened.
    #[error("cannot open the catalog `{path}`: {source}")]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The database was written by a newer Mimeo; it is left untouched.
    #[error("the catalog `{path}` was written by a newer Mimeo (schema {found}, this one knows {known})")]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// A query failed.
    #[error("the catalog failed: {0}")]
    Query(#[from] sqlx::Error),
    /// A session of that name exists.
    #[error("there is a session named `{0}` already")]
    NameTaken(String),
    /// Nothing answers to the reference.
    #[error("there is no {what} `{reference}`")]
    Unknown {
        /// `session` or `exchange`.
        what: &'static str,
        /// What was asked for.
        reference: String,
    },
    /// More than one thing answers to the reference.
    #[error("`{reference}` could be any of {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        reference: String,
        /// Some of what it could be.
        candidates: Vec<String>,
    },
}

impl Catalog {
    /// Opens the database at `path`, which is made when it is not there, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        let fault = |source| CatalogError::Open { path: path.to_owned(), source };
        let (writer, readers) = engine::connect(path).await.map_err(fault)?;
        engine::migrate(&writer, path).await?;
        Ok(Self { writer, readers })
    }

    /// Closes the connections, after what is under way.
    pub async fn close(&self) {
        // The last to go tidies the write-ahead log up, which only a connection that writes can.
        self.readers.close().await;
        self.writer.close().await;
    }
}
