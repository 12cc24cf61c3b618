//! Exit codes, and the one table from faults to them.

use std::process::ExitCode;

use mimeo_engine::{Problem, ProblemKind};

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Ok,
    /// The command did its work and judged the result bad.
    Judged,
    /// The command was used wrongly.
    Usage,
    /// The command could not run.
    CouldNotRun,
    /// The recording lost something.
    Lost,
    /// The command was interrupted.
    Interrupted,
    /// The wrapped command ended with its own code.
    Command(u8),
}

impl Exit {
    /// The number the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Judged => 1,
            Self::Usage => 2,
            Self::CouldNotRun => 3,
            Self::Lost => 4,
            Self::Interrupted => 130,
            Self::Command(code) => code,
        }
    }

    /// The code for a fault.
    pub(crate) fn of(problem: &Problem) -> Self {
        match problem.kind {
            ProblemKind::Invalid | ProblemKind::NotFound | ProblemKind::Conflict | ProblemKind::Limit => {
                Self::Usage
            }
            ProblemKind::Unavailable | ProblemKind::Internal => Self::CouldNotRun,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The codes as `--help` shows them.
pub(crate) const HELP: &str = "\
Exit codes:
  0    all is well
  1    mismatches, or a mock that does not reproduce its recording
  2    wrong usage: a flag, a name or a file
  3    could not run: the target, the disk or a port
  4    the recording lost exchanges
  130  interrupted";
