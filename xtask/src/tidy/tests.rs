use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{faults, walk};

/// A house in order, and what a test adds to it.
struct House {
    folder: TempDir,
    files: Vec<PathBuf>,
}

impl House {
    fn new() -> Self {
        let mut house = Self { folder: tempfile::tempdir().expect("a folder"), files: Vec::new() };
        house.with("house.toml", "[crates.mimeo-model]\nimports = []\npure = true\n\n[crates.mimeo-store]\nimports = [\"mimeo-model\"]\n");
        house.with("ARCHITECTURE.md", "`crates/model` and `crates/store` with `crates/store/src/lib.rs`\n");
        house.with("crates/model/Cargo.toml", "[package]\nname = \"mimeo-model\"\n");
        house.with("crates/model/clippy.toml", "");
        house.with("crates/store/src/lib.rs", "");
        house.with(
            "crates/store/Cargo.toml",
            "[package]\nname = \"mimeo-store\"\n[dependencies]\nmimeo-model = { workspace = true }\n",
        );
        house
    }

    fn with(&mut self, path: &str, text: &str) -> &mut Self {
        let at = self.folder.path().join(path);
        fs::create_dir_all(at.parent().expect("within the house")).expect("a folder");
        fs::write(at, text).expect("a file");
        self.files.push(PathBuf::from(path));
        self
    }

    fn without(&mut self, path: &str) -> &mut Self {
        fs::remove_file(self.folder.path().join(path)).expect("there before");
        self.files.retain(|file| file != Path::new(path));
        self
    }

    #[track_caller]
    fn has(&self, fault: &str) {
        let found = faults(self.folder.path(), &self.files);
        assert!(found.iter().any(|found| found.contains(fault)), "{fault:?} is not in {found:#?}");
    }
}

#[test]
fn a_house_in_order_has_no_faults() {
    let none: Vec<String> = Vec::new();
    let house = House::new();
    assert_eq!(faults(house.folder.path(), &house.files), none);
}

#[test]
fn imports_are_those_of_the_table() {
    for section in ["dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
        House::new()
            .with(
                "crates/model/Cargo.toml",
                &format!("[package]\nname = \"mimeo-model\"\n[{section}]\nmimeo-store = {{}}\n"),
            )
            .has("mimeo-model imports mimeo-store");
    }
    House::new()
        .with(
            "crates/model/Cargo.toml",
            "[package]\nname = \"mimeo-model\"\n[dev-dependencies]\nmimeo-store = {}\n",
        )
        .has("the tests of mimeo-model import mimeo-store");
    House::new()
        .with("testbed/Cargo.toml", "[package]\nname = \"testbed\"\n[dependencies]\nmimeo-model = {}\n")
        .has("testbed imports mimeo-model");
    House::new()
        .with("crates/new/Cargo.toml", "[package]\nname = \"mimeo-new\"\n")
        .has("mimeo-new is not in house.toml");
    House::new().without("crates/store/Cargo.toml").has("house.toml names mimeo-store, which is not there");
    House::new().without("crates/model/clippy.toml").has("mimeo-model is pure and has no clippy.toml");
}

#[test]
fn names_say_something_and_sizes_are_explained() {
    House::new().with("crates/store/src/utils.rs", "").has("utils.rs has a name that says nothing");
    House::new()
        .with("crates/store/src/helpers/time.rs", "")
        .has("helpers/time.rs has a name that says nothing");
    let long = "// line\n".repeat(801);
    House::new().with("crates/store/src/rows.rs", &long).has("rows.rs has 801 lines");
    let explained = format!("//! One file because it is a table.\n{long}");
    let mut house = House::new();
    house.with("crates/store/src/rows.rs", &explained);
    assert!(faults(house.folder.path(), &house.files).is_empty());
}

#[test]
fn the_map_is_true() {
    House::new().with("crates/proxy/Cargo.toml", "").has("ARCHITECTURE.md does not name `crates/proxy`");
    House::new()
        .with("ARCHITECTURE.md", "`crates/model` `crates/store` `crates/store/src/gone.rs`")
        .has("ARCHITECTURE.md names `crates/store/src/gone.rs`, which is not there");
}

#[test]
fn no_test_is_forgotten() {
    House::new()
        .with("crates/store/tests/it/main.rs", "mod catalog;\n")
        .with("crates/store/tests/it/log.rs", "")
        .has("tests/it/log.rs is in no test binary");
    House::new()
        .with("crates/store/tests/it/main.rs", "mod faults;\n")
        .with("crates/store/tests/it/faults.rs", "mod torn;\n")
        .with("crates/store/tests/it/faults/full.rs", "")
        .has("tests/it/faults/full.rs is in no test binary");
    House::new()
        .with("crates/store/tests/it/main.rs", "")
        .has("mimeo-store has tests and no `autotests = false`");
}

#[test]
fn protocol_code_is_pure_and_no_path_of_a_machine_is_kept() {
    let room = "crates/transport/src/protocol/head.rs";
    House::new().with(room, "use std::net::TcpStream;\n").has("uses std::net");
    House::new().with(room, "fn f() { let _ = std::time::Instant::now(); }\n").has("uses Instant::now");
    let path = ["see /ro", "ot/notes"].concat();
    House::new().with("README.md", &path).has("README.md holds a path of a machine");
}

#[test]
fn an_archive_without_a_repository_is_walked() {
    let mut house = House::new();
    house.with("target/debug/helpers.rs", "").with(".git/misc", "");
    let mut walked = Vec::new();
    walk(house.folder.path(), Path::new(""), &mut walked);
    house.without("target/debug/helpers.rs").without(".git/misc");
    walked.sort();
    house.files.sort();
    assert_eq!(walked, house.files);
}
