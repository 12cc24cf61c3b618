//! How grave a difference is: status before schema before data.

use crate::{Difference, Kind};

/// The severities, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// A value differs.
    Data,
    /// The shape differs: something is missing, extra, or of another type.
    Schema,
    /// The status differs.
    Status,
}

impl Severity {
    /// The severity of a difference.
    pub fn of(difference: &Difference) -> Self {
        match difference.kind {
            _ if difference.place == "status" => Self::Status,
            Kind::Missing | Kind::Extra | Kind::Type => Self::Schema,
            Kind::Changed | Kind::Length => Self::Data,
        }
    }

    /// `status`, `schema` or `data`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Schema => "schema",
            Self::Status => "status",
        }
    }
}
