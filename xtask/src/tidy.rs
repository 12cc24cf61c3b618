//! The rules of the house, as `house.toml`, `ARCHITECTURE.md` and the style have them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use toml::{Table, Value};

use crate::say;

/// Names that say nothing about what is in a file.
const NAMELESS: [&str; 9] =
    ["util", "utils", "common", "commons", "helper", "helpers", "misc", "types", "stuff"];
/// Lines from which a file is mentioned, and from which it must say why in its first lines.
const LONG: usize = 500;
const TOO_LONG: usize = 800;
/// What pure protocol code must not use.
const IMPURE: [&str; 8] = [
    "tokio",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant::now",
];

pub(crate) fn run(root: &Path) -> ExitCode {
    let mut files = tracked(root);
    if files.is_empty() {
        // A source archive has no repository.
        walk(root, Path::new(""), &mut files);
    }
    for long in long_files(root, &files) {
        say(&long);
    }
    let faults = faults(root, &files);
    for fault in &faults {
        say(&format!("tidy: {fault}"));
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every breach of the rules.
fn faults(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let mut faults = Vec::new();
    imports(root, &mut faults);
    names_and_sizes(root, files, &mut faults);
    architecture(root, &mut faults);
    tests_are_wired(root, files, &mut faults);
    protocol_is_pure(root, files, &mut faults);
    paths_of_a_machine(root, files, &mut faults);
    faults
}

/// The files that git knows, or will know.
fn tracked(root: &Path) -> Vec<PathBuf> {
    let output = Command::new("git")
        .current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output();
    let Ok(output) = output else { return Vec::new() };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(PathBuf::from)
        .filter(|path| root.join(path).is_file())
        .collect()
}

/// Every file below `folder`, but for what is built or hidden.
fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.path().is_file() {
            files.push(path);
        } else if !hidden && path != Path::new("target") {
            walk(root, &path, files);
        }
    }
}

fn table(path: &Path) -> Option<Table> {
    fs::read_to_string(path).ok()?.parse().ok()
}

/// Every import of ours is one that `house.toml` allows.
fn imports(root: &Path, faults: &mut Vec<String>) {
    let Some(house) = table(&root.join("house.toml")) else {
        faults.push("house.toml cannot be read".to_owned());
        return;
    };
    let allowed: BTreeMap<String, (Vec<String>, bool)> = house
        .get("crates")
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
        .map(|(name, rules)| {
            let imports = rules.get("imports").and_then(Value::as_array).into_iter().flatten();
            let imports = imports.filter_map(Value::as_str).map(str::to_owned).collect();
            (name.clone(), (imports, rules.get("pure").and_then(Value::as_bool).unwrap_or(false)))
        })
        .collect();
    let mut manifests: Vec<PathBuf> = fs::read_dir(root.join("crates"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("Cargo.toml"))
        .collect();
    manifests.extend([root.join("testbed/Cargo.toml"), root.join("xtask/Cargo.toml")]);
    manifests.sort();
    let mut found = Vec::new();
    for manifest in manifests {
        let Some(parsed) = table(&manifest) else { continue };
        let name = parsed
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let for_targets = parsed.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let tables: Vec<&Table> =
            for_targets.filter_map(Value::as_table).chain(std::iter::once(&parsed)).collect();
        let ours = |section: &str| -> Vec<String> {
            let sections = tables.iter().filter_map(|table| table.get(section)?.as_table());
            let names = sections.flat_map(|section| section.keys().cloned());
            names.filter(|name| name.starts_with("mimeo") || name == "testbed").collect()
        };
        let (imports, pure) = allowed.get(name).cloned().unwrap_or_default();
        for import in [ours("dependencies"), ours("build-dependencies")].concat() {
            if !imports.contains(&import) {
                faults.push(format!("{name} imports {import}, which house.toml does not allow"));
            }
        }
        for import in ours("dev-dependencies") {
            let below = imports.contains(&import) || import == "testbed" || import == name;
            if !below {
                faults.push(format!("the tests of {name} import {import}, which house.toml does not allow"));
            }
        }
        if pure && !manifest.with_file_name("clippy.toml").exists() {
            faults.push(format!("{name} is pure and has no clippy.toml that says so"));
        }
        if manifest.starts_with(root.join("crates")) && !allowed.contains_key(name) {
            faults.push(format!("{name} is not in house.toml"));
        }
        let tests_by_name = parsed.get("package").and_then(|package| package.get("autotests"));
        if manifest.with_file_name("tests").is_dir() && tests_by_name.and_then(Value::as_bool) != Some(false)
        {
            faults.push(format!("{name} has tests and no `autotests = false`: it may have one test binary"));
        }
        found.push(name.to_owned());
    }
    for name in allowed.keys().filter(|name| !found.contains(name)) {
        faults.push(format!("house.toml names {name}, which is not there"));
    }
}

fn names_and_sizes(root: &Path, files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files {
        let nameless = path
            .iter()
            .filter_map(|part| Path::new(part).file_stem())
            .any(|stem| NAMELESS.iter().any(|name| stem.eq_ignore_ascii_case(name)));
        if nameless {
            faults.push(format!("{} has a name that says nothing", path.display()));
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
        let lines = text.lines().count();
        let says_why = text.lines().take(10).any(|line| line.starts_with("//!") && line.contains("One file"));
        if lines > TOO_LONG && !says_why {
            faults.push(format!(
                "{} has {lines} lines and does not say in its first ones why (`//! One file because …`)",
                path.display()
            ));
        }
    }
}

/// Files that are worth a look, and no fault.
fn long_files(root: &Path, files: &[PathBuf]) -> Vec<String> {
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| {
            let lines = fs::read_to_string(root.join(path)).ok()?.lines().count();
            (lines > LONG).then(|| format!("long: {} has {lines} lines", path.display()))
        })
        .collect()
}

/// ARCHITECTURE.md names every crate, and every room it names is there.
fn architecture(root: &Path, faults: &mut Vec<String>) {
    let Ok(text) = fs::read_to_string(root.join("ARCHITECTURE.md")) else {
        faults.push("ARCHITECTURE.md is missing".to_owned());
        return;
    };
    for entry in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let name = format!("crates/{}", entry.file_name().to_string_lossy());
        if !text.contains(&format!("`{name}`")) {
            faults.push(format!("ARCHITECTURE.md does not name `{name}`"));
        }
    }
    for quoted in text.split('`').skip(1).step_by(2) {
        if quoted.starts_with("crates/") && !root.join(quoted).exists() {
            faults.push(format!("ARCHITECTURE.md names `{quoted}`, which is not there"));
        }
    }
}

/// Every file of an integration test binary is in that binary.
fn tests_are_wired(root: &Path, files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
        let Some(folder) = path.parent() else { continue };
        let is_top = folder.ends_with("tests/it");
        if !is_top && !folder.to_string_lossy().contains("tests/it/") {
            continue;
        }
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if is_top && stem == "main" {
            continue;
        }
        let parent = if is_top { folder.join("main.rs") } else { folder.with_extension("rs") };
        let parent = fs::read_to_string(root.join(parent)).unwrap_or_default();
        if !parent.lines().any(|line| line.trim() == format!("mod {stem};")) {
            faults.push(format!("{} is in no test binary", path.display()));
        }
    }
}

fn protocol_is_pure(root: &Path, files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files.iter().filter(|path| path.starts_with("crates/transport/src/protocol")) {
        let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if let Some(used) = IMPURE.iter().find(|used| line.contains(*used)) {
                faults.push(format!("{} uses {used}; protocol code is pure", path.display()));
            }
        }
    }
}

fn paths_of_a_machine(root: &Path, files: &[PathBuf], faults: &mut Vec<String>) {
    // Put together here, so that this file holds none.
    let marks =
        [["/ro", "ot/"], ["/wo", "rk/"], ["/ho", "me/"], ["/Us", "ers/"]].map(|halves| halves.concat());
    for path in files {
        let Ok(text) = fs::read_to_string(root.join(path)) else { continue };
        if let Some(mark) = marks.iter().find(|mark| text.contains(*mark)) {
            faults.push(format!("{} holds a path of a machine ({mark})", path.display()));
        }
    }
}

#[cfg(test)]
mod tests;
