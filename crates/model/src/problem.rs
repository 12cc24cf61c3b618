//! The one shape of a fault that a user sees: what is wrong, where, and what would be right.

use std::fmt;

/// A fault told to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of fault it is; doors map it to a status or an exit code.
    pub kind: ProblemKind,
    /// One sentence in lower case without a full stop.
    pub detail: String,
    /// The flag, field or place the fault lies in.
    pub field: Option<String>,
    /// What would have been accepted.
    pub accepted: Option<String>,
    /// A next step.
    pub hint: Option<String>,
}

/// The sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The input is not acceptable.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// The present state does not allow it.
    Conflict,
    /// A limit is reached.
    Limit,
    /// Something outside Mimeo is missing, down or full.
    Unavailable,
    /// Mimeo is at fault.
    Internal,
}

impl Problem {
    /// A problem with a sentence and nothing else.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), field: None, accepted: None, hint: None }
    }

    /// Names the flag, field or place.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what would have been accepted.
    #[must_use]
    pub fn accepting(mut self, accepted: impl Into<String>) -> Self {
        self.accepted = Some(accepted.into());
        self
    }

    /// Adds a next step.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `field: detail; accepted: …`, without the hint, which stands on its own line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.detail)?;
        if let Some(accepted) = &self.accepted {
            write!(f, "; accepted: {accepted}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
