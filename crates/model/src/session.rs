//! One recording: a configuration, a state and its counts.

use crate::id::SessionId;
use crate::instant::Timestamp;

/// A session as the catalog keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Names it for ever.
    pub id: SessionId,
    /// Name that a person gave or that was made up; unique within a data directory.
    pub name: String,
    /// How the traffic reached the recorder.
    pub mode: ProxyMode,
    /// URL of the upstream in reverse mode, without credentials.
    pub target: Option<String>,
    /// Port the recorder listened on.
    pub port: Option<u16>,
    /// Where it stands in its life.
    pub state: SessionState,
    /// When recording began.
    pub created_at: Timestamp,
    /// When recording ended.
    pub stopped_at: Option<Timestamp>,
    /// Number of announced exchanges.
    pub entries: u64,
    /// Announced exchanges that carry a failure.
    pub errors: u64,
    /// Bytes of request and response bodies that travelled.
    pub bytes: u64,
    /// Exchanges that travelled but were not kept, whole or in part.
    pub lost: u64,
    /// Whether credentials were kept in clear.
    pub keeps_credentials: bool,
}

/// How traffic reaches a recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyMode {
    /// The client talks to Mimeo as if it were the upstream.
    Reverse,
    /// The client names Mimeo as its proxy.
    Forward,
    /// The exchanges came from a file.
    Import,
}

/// Where a session stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Its recorder is at work.
    Running,
    /// It ended as asked.
    Stopped,
    /// Its recorder vanished; what was announced is there.
    Interrupted,
}

impl Session {
    /// A session that begins now, without a name and with nothing counted.
    pub fn begin(id: SessionId, mode: ProxyMode, created_at: Timestamp) -> Self {
        Self {
            id,
            name: String::new(),
            mode,
            target: None,
            port: None,
            state: SessionState::Running,
            created_at,
            stopped_at: None,
            entries: 0,
            errors: 0,
            bytes: 0,
            lost: 0,
            keeps_credentials: false,
        }
    }
}

impl ProxyMode {
    /// `reverse`, `forward` or `import`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Reverse => "reverse",
            Self::Forward => "forward",
            Self::Import => "import",
        }
    }

    /// The value behind a stable code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Reverse, Self::Forward, Self::Import].into_iter().find(|mode| mode.code() == code)
    }
}

impl SessionState {
    /// `running`, `stopped` or `interrupted`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
        }
    }

    /// The value behind a stable code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Running, Self::Stopped, Self::Interrupted].into_iter().find(|state| state.code() == code)
    }
}
