//! What the tests need beside Rust: a few programs, and Python clients with locked versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::say;

/// A way to see that something is there, with the Debian package that has it.
const NEEDED: [(&[&str], &str); 4] = [
    (&["curl", "--version"], "curl"),
    (&["git", "--version"], "git"),
    (&["python3", "--version"], "python3"),
    // Debian takes the part of Python that makes environments out of its package.
    (&["python3", "-c", "import ensurepip, venv"], "python3-venv"),
];

/// Sets up what is missing. Gives the Python interpreter, or what could not be set up.
pub(crate) fn prepare(root: &Path) -> Result<PathBuf, Vec<String>> {
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(probe, _)| !answers(probe)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        if !is_root_on_debian() {
            return Err(missing
                .iter()
                .map(|package| format!("the Debian package `{package}`, or what it holds"))
                .collect());
        }
        say(&format!("installing {}", missing.join(", ")));
        let installed = run(Command::new("apt-get").arg("update").arg("-qq"))
            && run(Command::new("apt-get")
                .args(["install", "-y", "-qq"])
                .args(&missing)
                .env("DEBIAN_FRONTEND", "noninteractive"));
        if !installed {
            return Err(missing.iter().map(|package| format!("the Debian package `{package}`")).collect());
        }
    }
    python(root)
}

/// A virtual environment with the locked packages, made anew when the lock changed.
fn python(root: &Path) -> Result<PathBuf, Vec<String>> {
    let folder = root.join("target/python");
    let interpreter = folder.join("bin/python");
    let lock = root.join("crates/mimeo/tests/clients/requirements.txt");
    let wanted = std::fs::read(&lock).map_err(|error| vec![format!("{}: {error}", lock.display())])?;
    let stamp = folder.join("requirements.txt");
    if std::fs::read(&stamp).ok().as_deref() == Some(&wanted[..]) && interpreter.exists() {
        return Ok(interpreter);
    }
    say("setting up the Python clients");
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        && run(Command::new(&interpreter)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "-r",
            ])
            .arg(&lock));
    if !made || std::fs::write(&stamp, wanted).is_err() {
        return Err(vec![
            "Python 3 with venv, and the packages of crates/mimeo/tests/clients/requirements.txt".to_owned(),
        ]);
    }
    Ok(interpreter)
}

fn answers(probe: &[&str]) -> bool {
    let Some((program, arguments)) = probe.split_first() else { return false };
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

fn is_root_on_debian() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    root && Path::new("/etc/debian_version").exists()
}

fn run(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
