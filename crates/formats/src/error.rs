//! Why a file could not be read or written.

use std::io;

use mimeo_model::{Problem, ProblemKind};

use crate::detect::Kind;

/// A fault that ends an import or an export; faults of single entries are in the
/// [`ImportReport`](crate::ImportReport) instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the file: {0}")]
    Read(#[source] io::Error),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Write(#[source] io::Error),
    /// There is nothing in the file.
    #[error("the file is empty")]
    Empty,
    /// The file is something else than what was asked for, or than anything that can be imported.
    #[error("the file is {found}, not {expected}")]
    WrongFormat {
        /// What would have been accepted.
        expected: String,
        /// What it was recognised as.
        found: Kind,
    },
    /// The file is not valid JSON from here on.
    #[error("{path} (line {line}, column {column}): {what}")]
    Syntax {
        /// JSONPath (RFC 9535) of the innermost value that was being read.
        path: String,
        /// Line, counted from 1.
        line: u64,
        /// Byte within the line, counted from 1.
        column: u64,
        /// What is wrong, in a few words.
        what: String,
    },
    /// The file ends in the middle; what came before was handed over.
    #[error("{path} (line {line}, column {column}): the file ends here, in the middle of a value")]
    Truncated {
        /// JSONPath (RFC 9535) of the innermost value that was being read.
        path: String,
        /// Line, counted from 1.
        line: u64,
        /// Byte within the line, counted from 1.
        column: u64,
        /// Number of exchanges that were handed over before.
        imported: u64,
    },
    /// A value that everything hangs on is missing or of another type.
    #[error("{path} (line {line}, column {column}): {what}")]
    Shape {
        /// JSONPath (RFC 9535) of the value.
        path: String,
        /// Line, counted from 1.
        line: u64,
        /// Byte within the line, counted from 1.
        column: u64,
        /// What is wrong, in a few words.
        what: String,
        /// What would have been accepted.
        accepted: &'static str,
    },
    /// The compressed file is damaged or cut short.
    #[error("the gzip stream is damaged: {0}")]
    Gzip(String),
    /// The compressed file would unpack to more than [`Limits`](crate::Limits) allow.
    #[error("the file unpacks to more than {limit} bytes")]
    Bomb {
        /// The limit that was passed, in bytes.
        limit: u64,
    },
    /// The file has entries and none of them could be used.
    #[error("none of the {skipped} entries can be used; the first: {path}: {why}")]
    NothingUsable {
        /// Number of entries.
        skipped: u64,
        /// JSONPath (RFC 9535) of what is wrong with the first.
        path: String,
        /// Why the first was skipped.
        why: String,
    },
    /// No format has that name or file ending.
    #[error("`{name}` is not a format")]
    UnknownFormat {
        /// The name or ending that was given.
        name: String,
        /// The names that exist.
        accepted: String,
    },
}

impl Error {
    /// What would have been accepted instead, where that can be said.
    pub fn accepted(&self) -> Option<String> {
        match self {
            Self::Shape { accepted, .. } => Some((*accepted).to_owned()),
            Self::UnknownFormat { accepted, .. } => Some(accepted.clone()),
            Self::WrongFormat { expected, .. } => Some(expected.clone()),
            Self::Empty | Self::Syntax { .. } | Self::Truncated { .. } => Some("a complete JSON file".into()),
            Self::Read(_)
            | Self::Write(_)
            | Self::Gzip(_)
            | Self::Bomb { .. }
            | Self::NothingUsable { .. } => None,
        }
    }

    /// A next step for the person who gave the file.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::WrongFormat { found, .. } => found.hint().map(str::to_owned),
            Self::Empty => Some("was the export that wrote it interrupted?".into()),
            Self::Truncated { imported, .. } => {
                Some(format!("the {imported} exchanges before that place are intact"))
            }
            _ => None,
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let kind = match error {
            Error::Read(_) | Error::Write(_) => ProblemKind::Unavailable,
            Error::Bomb { .. } => ProblemKind::Limit,
            _ => ProblemKind::Invalid,
        };
        let mut problem = Problem::new(kind, error.to_string());
        problem.accepted = error.accepted();
        problem.hint = error.hint();
        problem
    }
}
