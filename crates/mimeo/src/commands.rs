//! One file a command: its flags, and what it does with the engine.

mod ca;
mod child;
mod demo;
mod export;
mod mock;
mod record;
mod replay;
mod sessions;
mod show;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use mimeo_engine::{Problem, ProblemKind, Workspace};
use time::UtcOffset;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{self, Exit};
use crate::settings;

/// The signal for a file that would become larger than the process may make it; Linux and macOS agree on it.
const SIGXFSZ: i32 = 25;

/// Record real HTTP traffic, serve it back as mocks, replay it against new code
#[derive(Parser)]
#[command(name = "mimeo", version, after_help = exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    /// Folder that holds recordings, the CA and keys [default: ~/.local/share/mimeo]
    #[arg(long, global = true, env = settings::DATA_DIR, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Record(record::Arguments),
    Mock(mock::Arguments),
    Replay(replay::Arguments),
    Validate(replay::ValidateArguments),
    Export(export::ExportArguments),
    Import(export::ImportArguments),
    Sessions(sessions::Arguments),
    Show(show::Arguments),
    Ca(ca::Arguments),
    Demo(demo::Arguments),
}

/// What every command is given.
pub(crate) struct Context {
    pub(crate) data_dir: Option<PathBuf>,
    /// Difference of local time to UTC.
    pub(crate) offset: UtcOffset,
}

impl Context {
    pub(crate) async fn workspace(&self) -> Result<Workspace, Problem> {
        let root = settings::data_dir(self.data_dir.clone())?;
        Workspace::open(root).await.map_err(|error| error.problem())
    }
}

pub(crate) async fn run(command: Command, context: Context) -> Result<Exit, Problem> {
    match command {
        Command::Record(arguments) => record::run(arguments, &context).await,
        Command::Mock(arguments) => mock::run(arguments, &context).await,
        Command::Replay(arguments) => replay::run(arguments, &context).await,
        Command::Validate(arguments) => replay::validate(arguments, &context).await,
        Command::Export(arguments) => export::export(arguments, &context).await,
        Command::Import(arguments) => export::import(arguments, &context).await,
        Command::Sessions(arguments) => sessions::run(arguments, &context).await,
        Command::Show(arguments) => show::run(arguments, &context).await,
        Command::Ca(arguments) => ca::run(arguments, &context).await,
        Command::Demo(arguments) => demo::run(arguments, &context).await,
    }
}

/// Ctrl-C and SIGTERM, heard from the moment this exists: a server listens before it says where it is.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// Listened to so that a write beyond a limit on file sizes fails, as on a full disk, and does not end the
    /// program.
    _file_limit: Signal,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self, Problem> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Problem::new(ProblemKind::Unavailable, format!("signals cannot be listened to: {error}"))
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            _file_limit: listen(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// Completes at the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
