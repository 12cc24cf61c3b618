//! The project's own chores: `tidy` holds the house to its rules, `test` is everything that must pass,
//! `bench` measures.

mod bench;
mod setup;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  tidy    check the rules of the house: imports, names, sizes, docs
  test    everything that must pass: format, lints, rules, all tests
  bench   Mimeo beside its peers: throughput, latency, CPU per request, memory
";

fn main() -> ExitCode {
    let root = root();
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let arguments: Vec<String> = arguments.collect();
    match command.as_deref() {
        Some("tidy") => tidy::run(&root),
        Some("test") => test::run(&root),
        Some("bench") => bench::run(&root, &arguments),
        _ => {
            say(USAGE);
            ExitCode::from(2)
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Prints a line.
#[expect(clippy::print_stdout, reason = "printing is what a chore is for")]
fn say(text: &str) {
    println!("{text}");
}
