//! A data directory of its own for each test, and the program started in it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use testbed::eventually;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A data directory and what is needed around it.
pub(crate) struct TestContext {
    folder: tempfile::TempDir,
}

/// A recorder or a mock server at work.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    told: Receiver<String>,
    heard: String,
}

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) told: String,
}

impl TestContext {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// A path in the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn mimeo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mimeo"));
        command
            .args(arguments)
            .env("MIMEO_DATA_DIR", self.data_dir())
            .env_remove("LOG_LEVEL")
            .env("NO_COLOR", "1")
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for proxy in
            ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy"]
        {
            command.env_remove(proxy);
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        ended(&self.mimeo(arguments).output().expect("the program runs"))
    }

    /// Runs the program, which must succeed; gives its standard output.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.told);
        ended.lines.join("\n")
    }

    /// Starts a server and waits until it says where it listens.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Self::listening(self.mimeo(arguments))
    }

    /// Starts a server whose files grow to no more than `blocks` of 512 bytes each: what a full disk is to it.
    pub(crate) fn start_on_a_small_disk(&self, arguments: &[&str], blocks: u32) -> Running {
        let program = self.mimeo(arguments);
        // The soft limit can be lifted from outside while the program runs.
        let script = format!("ulimit -S -f {blocks}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh"]).arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        Self::listening(command)
    }

    fn listening(mut command: Command) -> Running {
        let mut child = command
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = follow(child.stdout.take().expect("piped"));
        let told = follow(child.stderr.take().expect("piped"));
        let deadline = Instant::now() + PATIENCE;
        let mut heard = String::new();
        let address = loop {
            let line = told
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|_| panic!("it does not say where it listens: {heard}"));
            let after =
                line.split("http://").skip(1).find_map(|rest| rest.split_whitespace().next()?.parse().ok());
            heard.push_str(&line);
            heard.push('\n');
            if line.contains("point your app at")
                && let Some(address) = after
            {
                break address;
            }
        };
        Running { child, address, lines, told, heard }
    }

    /// The session as `sessions show --json` gives it.
    pub(crate) fn session(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.succeed(&["sessions", "show", name, "--json", "--limit", "100000"]))
            .expect("JSON")
    }
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory it had so far, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
            .expect("a figure")
    }

    /// Waits for a line of output that says `what`.
    pub(crate) fn wait_for(&self, what: &str) -> String {
        self.lines_until(what).pop().expect("the line that says it")
    }

    /// Waits for a line of output that says `what`; gives all lines up to it.
    pub(crate) fn lines_until(&self, what: &str) -> Vec<String> {
        lines_until(&self.lines, what)
    }

    /// Waits for a line on standard error that says `what`.
    pub(crate) fn wait_to_be_told(&mut self, what: &str) {
        for line in lines_until(&self.told, what) {
            self.heard.push_str(&line);
            self.heard.push('\n');
        }
    }

    /// Takes the bound off the size of its files.
    pub(crate) fn make_room_on_disk(&self) {
        let given =
            Command::new("prlimit").args(["--pid", &self.pid().to_string(), "--fsize=unlimited:"]).status();
        assert!(given.expect("prlimit runs").success());
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Interrupts it as Ctrl-C does, and waits for its end.
    pub(crate) fn stop(self) -> Ended {
        self.signal("INT");
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let mut status = None;
        eventually(PATIENCE, "the program ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        Ended {
            code: status.and_then(|status| status.code()),
            lines: self.lines.iter().collect(),
            told: std::mem::take(&mut self.heard) + &self.told.iter().collect::<Vec<_>>().join("\n"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn lines_until(lines: &Receiver<String>, what: &str) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut heard: Vec<String> = Vec::new();
    while !heard.last().is_some_and(|line| line.contains(what)) {
        let left = deadline.saturating_duration_since(Instant::now());
        heard.push(lines.recv_timeout(left).unwrap_or_else(|_| panic!("no line says {what}: {heard:?}")));
    }
    heard
}

fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code(),
        lines: String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect(),
        told: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs curl, which must succeed; gives what it prints.
pub(crate) fn curl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--noproxy", ""])
        .args(arguments)
        .output()
        .expect("curl runs");
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The interpreter that has the locked clients.
pub(crate) fn python() -> PathBuf {
    let named = std::env::var_os("MIMEO_TEST_PYTHON").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
    let interpreter = named.unwrap_or(usual);
    assert!(interpreter.exists(), "the Python clients are set up by `cargo xtask test`");
    interpreter
}

/// A client program of this folder's neighbour.
pub(crate) fn client(name: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)).stdin(Stdio::null());
    command
}
