//! What the environment says. Every variable that Mimeo reads is read here.

use std::path::PathBuf;

use mimeo_engine::{Problem, ProblemKind};
use tracing_subscriber::EnvFilter;

/// Names the data directory.
pub(crate) const DATA_DIR: &str = "MIMEO_DATA_DIR";
/// Says how much is logged: `error`, `warn`, `info`, `debug`, `trace`, or filters of `tracing`.
const LOG_LEVEL: &str = "LOG_LEVEL";

/// The data directory: the flag or its variable, else the place that the XDG base directory specification gives.
pub(crate) fn data_dir(given: Option<PathBuf>) -> Result<PathBuf, Problem> {
    if let Some(path) = given {
        return Ok(path);
    }
    let named =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    named("XDG_DATA_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("mimeo"))
        .ok_or_else(|| {
            Problem::new(ProblemKind::Invalid, "there is no home directory to keep recordings in")
                .in_field("--data-dir")
                .with_hint(format!("name a folder with `--data-dir` or {DATA_DIR}"))
        })
}

/// Starts logging to standard error: warnings, unless the environment says otherwise.
pub(crate) fn start_log() {
    let filter = std::env::var(LOG_LEVEL).ok().and_then(|level| EnvFilter::try_new(level).ok());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .with_target(false)
        .compact()
        .init();
}
