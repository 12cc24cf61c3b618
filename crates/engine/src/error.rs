//! What can go wrong in a use case, and what is told of it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use mimeo_model::{Problem, ProblemKind};
use mimeo_store::catalog::CatalogError;
use mimeo_store::data_dir::DataDirError;
use mimeo_store::traffic::TrafficError;
use mimeo_transport::certificates::AuthorityError;
use mimeo_transport::connect::TlsError;
use mimeo_transport::protocol::target::TargetError;

/// A fault of a use case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The traffic log failed.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The certificate authority cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS towards upstreams cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The proxy did not start.
    #[error(transparent)]
    Proxy(#[from] mimeo_proxy::StartError),
    /// A URL does not name an upstream.
    #[error("`{url}` does not name an upstream: {source}")]
    Target {
        /// The URL, with credentials left out.
        url: String,
        /// Why not.
        source: TargetError,
    },
    /// A port cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A session is at work and cannot be removed.
    #[error("the session `{0}` is being recorded")]
    Running(String),
    /// A thread could not be started.
    #[error("a thread cannot be started: {source}")]
    Thread {
        /// What the system said.
        source: io::Error,
    },
    /// A thread ended with a panic.
    #[error("{what} ended unexpectedly; this is a fault of Mimeo")]
    Panicked {
        /// What ended.
        what: &'static str,
    },
    /// A problem that was put into words where it arose.
    #[error("{0}")]
    Problem(Box<Problem>),
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl Error {
    /// What a user is told.
    pub fn problem(&self) -> Problem {
        let detail = self.to_string();
        match self {
            Self::Problem(problem) => Problem::clone(problem),
            Self::Target { .. } => Problem::new(ProblemKind::Invalid, detail)
                .in_field("--target")
                .accepting("an http or https URL such as https://api.example.com"),
            Self::Catalog(CatalogError::Unknown { what: "session", .. }) => {
                Problem::new(ProblemKind::NotFound, detail)
                    .with_hint("`mimeo sessions ls` lists the sessions")
            }
            Self::Catalog(CatalogError::Unknown { .. }) => Problem::new(ProblemKind::NotFound, detail),
            Self::Catalog(CatalogError::Ambiguous { .. }) => Problem::new(ProblemKind::Invalid, detail),
            Self::Catalog(CatalogError::NameTaken(_)) => Problem::new(ProblemKind::Conflict, detail)
                .in_field("--name")
                .with_hint("choose another name, or remove the session with `mimeo sessions rm`"),
            Self::Listen { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
                Problem::new(ProblemKind::Conflict, format!("port {} is taken", address.port()))
                    .in_field("--port")
                    .with_hint("leave `--port` out to have a free one chosen")
            }
            Self::Listen { .. } => Problem::new(ProblemKind::Unavailable, detail).in_field("--port"),
            Self::Running(_) => Problem::new(ProblemKind::Conflict, detail),
            Self::Tls(TlsError::File { .. }) => {
                Problem::new(ProblemKind::Invalid, detail).in_field("--upstream-ca")
            }
            Self::DataDir(_) => Problem::new(ProblemKind::Unavailable, detail).in_field("--data-dir"),
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Problem::new(ProblemKind::NotFound, detail)
            }
            Self::Catalog(_)
            | Self::Traffic(_)
            | Self::Authority(_)
            | Self::Tls(_)
            | Self::Proxy(_)
            | Self::File { .. }
            | Self::Thread { .. } => Problem::new(ProblemKind::Unavailable, detail),
            Self::Panicked { .. } => Problem::new(ProblemKind::Internal, detail),
        }
    }
}
