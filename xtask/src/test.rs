//! Everything that must pass, cheapest first.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::{say, setup, tidy};

pub(crate) fn run(root: &Path) -> ExitCode {
    let began = Instant::now();
    let python = match setup::prepare(root) {
        Ok(python) => python,
        Err(missing) => {
            for what in missing {
                say(&format!("missing: {what}"));
            }
            return ExitCode::from(2);
        }
    };
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(root).args(arguments).env("MIMEO_TEST_PYTHON", &python);
        // By this cargo-machete tells whether cargo started it, and `cargo run` left it here.
        command.env_remove("CARGO_PKG_NAME");
        command
    };
    let has = |tool: &str| cargo(&[tool, "--version"]).output().is_ok_and(|output| output.status.success());
    let tests: &[&str] = if has("nextest") {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--no-fail-fast", "--tests"]
    };
    let mut steps: Vec<(&str, Vec<&str>)> = vec![
        ("format", vec!["fmt", "--all", "--check"]),
        ("lints", vec!["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
    ];
    if has("deny") {
        steps.push(("deny", vec!["deny", "--all-features", "check", "bans", "licenses", "sources"]));
        // The database of advisories is elsewhere on the network.
        if cargo(&["deny", "fetch", "db"]).output().is_ok_and(|output| output.status.success()) {
            steps.push(("advisories", vec!["deny", "--all-features", "check", "advisories"]));
        } else {
            say("absent: the database of advisories, so known vulnerabilities are not looked for");
        }
    } else {
        say("absent: cargo-deny, so licences and origins of dependencies are not looked through");
    }
    if has("machete") {
        steps.push(("machete", vec!["machete", "."]));
    } else {
        say("absent: cargo-machete, so unused dependencies are not looked for");
    }
    // The program that the end-to-end tests drive is built with them: a build of its own would be one more set of
    // features, and compile half of the dependencies again.
    steps.push(("tests", tests.to_vec()));
    steps.push(("documentation tests", vec!["test", "--workspace", "--doc", "--quiet", "--no-fail-fast"]));

    say("── rules of the house");
    if tidy::run(root) != ExitCode::SUCCESS {
        return ExitCode::FAILURE;
    }
    let mut durations = Vec::new();
    for (name, arguments) in steps {
        say(&format!("── {name}"));
        let step = Instant::now();
        let passed = cargo(&arguments).status().is_ok_and(|status| status.success());
        let seconds = step.elapsed().as_secs_f64();
        if !passed {
            say(&format!("── {name}: FAILED after {seconds:.0} s: cargo {}", arguments.join(" ")));
            return ExitCode::FAILURE;
        }
        durations.push(format!("{name} {seconds:.0} s"));
    }
    say(&format!("everything passed in {:.0} s: {}", began.elapsed().as_secs_f64(), durations.join(", ")));
    ExitCode::SUCCESS
}
