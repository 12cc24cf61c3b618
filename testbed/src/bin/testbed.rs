//! The parts of the testbed that other programs need: a load for the benchmark, certificates for its servers.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use testbed::certificates::Authority;
use testbed::load::{Load, Outcome};

const USAGE: &str = "\
usage: testbed certificates FOLDER
         writes ca.pem, and chain.pem and key.pem for localhost

       testbed load ORIGIN --path PATH|--paths FILE [--connections N] [--seconds N] [--rate N]
                    [--through HOST:PORT] [--trust FILE]
         prints what came of it, a figure a line
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, rest)) if command == "certificates" && rest.len() == 1 => {
            let authority = Authority::new();
            let folder = Path::new(&rest[0]);
            authority.write_pem(folder);
            authority.certificate_for(&["localhost", "127.0.0.1"]).write_pem(folder);
            Ok(())
        }
        Some((command, rest)) if command == "load" => parse(rest)
            .and_then(|load| load.run().map_err(|error| error.to_string()))
            .map(|outcome| print(&outcome)),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            complain(&fault);
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Load, String> {
    let (origin, mut rest) = arguments.split_first().ok_or(USAGE)?;
    let mut load = Load {
        origin: origin.clone(),
        through: None,
        trusted: None,
        paths: Vec::new(),
        connections: 64,
        duration: Duration::from_secs(4),
        rate: None,
    };
    while let [name, value, tail @ ..] = rest {
        let bad = |error: &dyn std::fmt::Display| format!("{name} {value}: {error}");
        match name.as_str() {
            "--path" => load.paths.push(value.clone()),
            "--paths" => {
                let text = std::fs::read_to_string(value).map_err(|error| bad(&error))?;
                load.paths.extend(text.lines().map(str::to_owned));
            }
            "--connections" => load.connections = value.parse().map_err(|error| bad(&error))?,
            "--seconds" => {
                load.duration = Duration::from_secs_f64(value.parse().map_err(|error| bad(&error))?);
            }
            "--rate" => load.rate = Some(value.parse().map_err(|error| bad(&error))?),
            "--through" => load.through = Some(value.clone()),
            "--trust" => {
                load.trusted = Some(std::fs::read_to_string(value).map_err(|error| bad(&error))?);
            }
            _ => return Err(USAGE.to_owned()),
        }
        rest = tail;
    }
    if !rest.is_empty() || load.paths.is_empty() || load.connections == 0 {
        return Err(USAGE.to_owned());
    }
    Ok(load)
}

#[expect(clippy::print_stdout, reason = "figures are what this program is for")]
fn print(outcome: &Outcome) {
    println!("requests={}", outcome.latencies.len());
    println!("errors={}", outcome.errors);
    println!("seconds={:.3}", outcome.elapsed.as_secs_f64());
    println!("p50_us={}", outcome.percentile(0.5));
    println!("p99_us={}", outcome.percentile(0.99));
    if let Some(example) = &outcome.example {
        println!("example={}", example.escape_debug());
    }
}

#[expect(clippy::print_stderr, reason = "a fault is told")]
fn complain(fault: &str) {
    eprintln!("{fault}");
}
