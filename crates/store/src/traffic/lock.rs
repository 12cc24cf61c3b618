//! One writer: the lock that says who writes a session's log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::traffic::TrafficError;
use crate::traffic::error::io_error;

/// How often, and how long apart, a lock that somebody holds is asked for: a reader that asks whether there is
/// a writer holds it for an instant.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(5);

/// The lock of a session's log; it is free again when this is gone, also after a crash.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and leaves the number of this process in it.
    pub(crate) fn take(folder: &Path) -> Result<Self, TrafficError> {
        let path = path(folder);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let mut tries = 0;
        while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(io_error("lock", &path)(error.into()));
            }
            tries += 1;
            if tries == TRIES {
                let pid = std::fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
                let pid = if pid.is_empty() { "?".to_owned() } else { pid };
                return Err(TrafficError::Locked { path: folder.to_owned(), pid });
            }
            std::thread::sleep(BETWEEN);
        }
        // The number only helps a person; on a full disk the lock holds all the same.
        match file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())) {
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(io_error("write", &path)(error)),
            Ok(()) | Err(_) => Ok(Self { _file: file }),
        }
    }

    /// Whether somebody holds the lock of the log in `folder`.
    pub(crate) fn is_held(folder: &Path) -> bool {
        let Ok(file) = File::open(path(folder)) else { return false };
        flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("writer.lock")
}
