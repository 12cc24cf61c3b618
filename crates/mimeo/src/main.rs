//! The `mimeo` program: what is typed becomes a use case of the engine, and its outcome becomes text and an
//! exit code.

mod commands;
mod exit;
mod settings;
mod terminal;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use mimeo_engine::Problem;

use crate::commands::{Cli, Context};
use crate::exit::Exit;
use crate::terminal::style::{BAD, NOTABLE};

fn main() -> ExitCode {
    // The local time zone can be asked for only while there is one thread.
    let offset = time::UtcOffset::current_local_offset().unwrap_or(time::UtcOffset::UTC);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Failing to print the help text leaves nothing better to do than to say how it ended.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    settings::start_log();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&Problem::new(mimeo_engine::ProblemKind::Unavailable, format!("cannot start: {error}")));
            return Exit::CouldNotRun.into();
        }
    };
    let context = Context { data_dir: cli.data_dir.clone(), offset };
    let outcome = runtime.block_on(commands::run(cli.command, context));
    // What still runs now is waiting for something that nobody needs any more.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(problem) => {
            tell(&problem);
            Exit::of(&problem).into()
        }
    }
}

/// Tells a problem on one line, and its next step on another.
fn tell(problem: &Problem) {
    let mut out = anstream::stderr();
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(out, "{BAD}error:{BAD:#} {problem}");
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "{NOTABLE}hint:{NOTABLE:#} {hint}");
    }
}
