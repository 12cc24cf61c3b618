//! `cargo xtask bench`: Mimeo beside its peers, on one machine, in one run.
//!
//! The figure to trust is CPU per request: user and system time of the server's processes, read from the
//! system before and after each load, so that a busy machine shifts all alike. Rounds are interleaved. Peers
//! that are not installed are named.

mod load;
mod peers;
mod report;

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::say;
use load::Measured;
use peers::{Peer, Stage};

/// Seconds of one load, and how often each is repeated.
const SECONDS: u32 = 4;
const ROUNDS: u32 = 3;

/// One line of the result.
pub(crate) struct Row {
    group: &'static str,
    name: String,
    rounds: Vec<Measured>,
    peak_kib: u64,
}

pub(crate) fn run(root: &Path) -> ExitCode {
    for tool in ["wrk", "nginx"] {
        if !peers::is_there(tool) {
            say(&format!(
                "missing: `{tool}`, without which there is nothing to measure with (Debian: wrk, nginx-light)"
            ));
            return ExitCode::from(2);
        }
    }
    say("building");
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["build", "--release", "--quiet", "--package", "mimeo"])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return ExitCode::FAILURE;
    }
    match measure(root) {
        Ok(rows) => {
            let table = report::table(&rows);
            say(&table);
            let path = root.join("target/bench.json");
            if let Err(error) = std::fs::write(&path, report::json(&rows)) {
                say(&format!("cannot write {}: {error}", path.display()));
                return ExitCode::FAILURE;
            }
            say(&format!("also as {}", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("the benchmark failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(root: &Path) -> Result<Vec<Row>, String> {
    let stage = Stage::prepare(root)?;
    let mut rows = Vec::new();
    for (group, peers) in stage.groups()? {
        say(&format!("── {group}"));
        let mut measured: Vec<(Peer, Vec<Measured>)> = Vec::new();
        for candidate in peers {
            match candidate {
                Ok(peer) => measured.push((peer, Vec::new())),
                Err(absent) => say(&format!("absent: {absent}")),
            }
        }
        for round in 0..=ROUNDS {
            for (peer, rounds) in &mut measured {
                let figures = load::run(peer, SECONDS)?;
                // The first round warms up.
                if round > 0 {
                    rounds.push(figures);
                }
            }
        }
        for (peer, rounds) in measured {
            rows.push(Row { group, name: peer.name.clone(), rounds, peak_kib: peer.peak_kib() });
        }
    }
    Ok(rows)
}
