//! What is measured: the groups of servers, the upstream behind them and the recordings they serve.
//!
//! Peers are looked for on the path and in `target/peers`:
//!
//! ```text
//! python3 -m venv target/peers/mitmproxy && target/peers/mitmproxy/bin/pip install mitmproxy
//! npm install --prefix target/peers wiremock            (and a Java 11 or newer)
//! cargo install rift-http-proxy --root target/peers
//! ```

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::peers::{Listen, Peer, file_name, free_port, nginx};
use crate::say;

pub(crate) const GROUPS: [&str; 3] = [PROXYING, INTERCEPTING, MOCKING];
const PROXYING: &str = "proxying a 1 KiB answer";
const INTERCEPTING: &str = "TLS on both sides, kept connections, a 1 KiB answer";
const MOCKING: &str = "serving a 1 KiB mock";

/// Recordings in the libraries that Mimeo serves, and in those of its peers.
const LIBRARIES: [usize; 4] = [1, 1_000, 10_000, 100_000];
const LIBRARIES_OF_PEERS: [usize; 2] = [1, 10_000];
/// Most paths that a load asks for in turn.
const PATHS: usize = 1_000;

/// What all groups share.
pub(crate) struct Stage {
    folder: PathBuf,
    peers: PathBuf,
    program: PathBuf,
    testbed: PathBuf,
    wrk: bool,
    upstream: Option<Peer>,
    tls_upstream: Option<Peer>,
}

/// Servers that are measured together; the first is what the others are compared with.
pub(crate) struct Group {
    pub(crate) peers: Vec<Peer>,
    /// What is not installed, or did not start.
    pub(crate) absent: Vec<String>,
}

impl Group {
    fn add(&mut self, found: Result<Peer, String>) {
        match found {
            Ok(peer) => self.peers.push(peer),
            Err(fault) => {
                say(&format!("not measured: {fault}"));
                self.absent.push(fault);
            }
        }
    }
}

impl Stage {
    /// Builds Mimeo and the testbed, and starts the upstreams.
    pub(crate) fn prepare(root: &Path) -> Result<Self, String> {
        if program("nginx", &[]).is_none() {
            return Err(
                "nginx is missing, which is the upstream and the measure (Debian: nginx-light)".to_owned()
            );
        }
        say("building");
        for package in ["mimeo", "testbed"] {
            let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .current_dir(root)
                .args(["build", "--release", "--quiet", "--package", package])
                .status();
            if !built.is_ok_and(|status| status.success()) {
                return Err(format!("{package} does not build"));
            }
        }
        let target = root.join("target");
        let folder = target.join("bench");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("www")).map_err(|error| error.to_string())?;
        let body: String = (0..1024_u32).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        fs::write(folder.join("www/1k"), body).map_err(|error| error.to_string())?;
        fs::write(folder.join("one-path"), "/1k\n").map_err(|error| error.to_string())?;
        let mut stage = Self {
            peers: target.join("peers"),
            program: target.join("release/mimeo"),
            testbed: target.join("release/testbed"),
            wrk: program("wrk", &[]).is_some(),
            upstream: None,
            tls_upstream: None,
            folder,
        };
        let made = Command::new(&stage.testbed).arg("certificates").arg(&stage.folder).status();
        if !made.is_ok_and(|status| status.success()) {
            return Err("the testbed made no certificates".to_owned());
        }
        let files = format!("root {}/www;", stage.folder.display());
        stage.upstream = Some(nginx(&stage, "upstream", &Listen::plain()?, &files, "")?);
        stage.tls_upstream = Some(nginx(&stage, "TLS upstream", &Listen::tls(&stage.folder)?, &files, "")?);
        Ok(stage)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn testbed(&self) -> &Path {
        &self.testbed
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn has_wrk(&self) -> bool {
        self.wrk
    }

    pub(crate) fn one_path(&self) -> PathBuf {
        self.folder.join("one-path")
    }

    pub(crate) fn upstream(&self) -> &str {
        self.upstream.as_ref().map_or("", |peer| &peer.origin)
    }

    pub(crate) fn absent_tools(&self) -> Vec<String> {
        if self.wrk { Vec::new() } else { vec!["wrk: the testbed's load stands in for it".to_owned()] }
    }

    pub(crate) fn group(&self, name: &str) -> Result<Group, String> {
        match name {
            PROXYING => self.proxying(),
            INTERCEPTING => self.intercepting(),
            _ => self.mocking(),
        }
    }

    fn proxying(&self) -> Result<Group, String> {
        let upstream = self.upstream();
        let address = upstream.trim_start_matches("http://");
        let location =
            "location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; }";
        let pool =
            format!("upstream up {{ server {address}; keepalive 256; keepalive_requests 100000000; }}");
        let anchor = nginx(self, "nginx proxy_pass", &Listen::plain()?, location, &pool)?;
        let mut group = Group { peers: vec![anchor, Peer::direct(self, upstream, None)], absent: Vec::new() };
        group.add(self.mimeo("mimeo pass-through", &["record", upstream, "--capture", "off"]));
        group.add(self.mimeo("mimeo recording", &["record", upstream]));
        for (name, keeps) in [("mitmdump", false), ("mitmdump -w", true)] {
            group.add(self.mitmdump(name, keeps, &["--mode", &format!("reverse:{upstream}")], |_, _| {}));
        }
        for (name, extra) in [("WireMock proxying", None), ("WireMock recording", Some("--record-mappings"))]
        {
            group.add(self.wiremock(name, 0, &[&["--proxy-all", upstream][..], extra.as_slice()].concat()));
        }
        Ok(group)
    }

    fn intercepting(&self) -> Result<Group, String> {
        let Some(upstream) = &self.tls_upstream else { return Err("no TLS upstream".to_owned()) };
        let origin = &upstream.origin;
        let address = origin.trim_start_matches("https://");
        let ca = self.folder.join("ca.pem");
        let ca_text = ca.display().to_string();
        let location = format!(
            "location / {{ proxy_pass https://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca_text}; proxy_ssl_name localhost; \
             proxy_ssl_server_name on; }}"
        );
        let pool =
            format!("upstream up {{ server {address}; keepalive 256; keepalive_requests 100000000; }}");
        let mut anchor =
            nginx(self, "nginx, TLS on both sides", &Listen::tls(&self.folder)?, &location, &pool)?;
        anchor.trust = Some(ca.clone());
        let direct = Peer::direct(self, origin, Some(ca));
        let mut group = Group { peers: vec![anchor, direct], absent: Vec::new() };
        let intercepts = |peer: &mut Peer, trust: PathBuf| {
            let proxy = std::mem::replace(&mut peer.origin, origin.clone());
            peer.through = Some(proxy.trim_start_matches("http://").to_owned());
            peer.trust = Some(trust);
        };
        for (name, extra) in
            [("mimeo MITM, pass-through", &["--capture", "off"][..]), ("mimeo MITM, recording", &[])]
        {
            let arguments = [&["record", "--forward", "--mitm", "--upstream-ca", &ca_text], extra].concat();
            group.add(self.mimeo(name, &arguments).map(|mut peer| {
                intercepts(&mut peer, self.data_of(name).join("ca/ca.pem"));
                peer
            }));
        }
        let verify = format!("ssl_verify_upstream_trusted_ca={ca_text}");
        group.add(self.mitmdump("mitmdump MITM -w", true, &["--set", &verify], |peer, configuration| {
            intercepts(peer, configuration.join("mitmproxy-ca-cert.pem"));
        }));
        Ok(group)
    }

    fn mocking(&self) -> Result<Group, String> {
        let location = format!("location / {{ return 200 '{}'; }}", "a".repeat(1024));
        let anchor = nginx(self, "nginx return 200", &Listen::plain()?, &location, "")?;
        let mut group = Group { peers: vec![anchor], absent: Vec::new() };
        for count in LIBRARIES {
            let recording = self.recording(count)?;
            let name = format!("mimeo mock, {count}");
            group.add(self.mimeo(&name, &["mock", &recording.display().to_string()]).and_then(|mut peer| {
                peer.paths = self.paths(count)?;
                Ok(peer)
            }));
        }
        for count in LIBRARIES_OF_PEERS {
            group.add(self.rift(count));
        }
        for count in LIBRARIES_OF_PEERS {
            group.add(self.wiremock(&format!("WireMock, {count}"), count, &[]));
        }
        Ok(group)
    }

    fn mimeo(&self, name: &str, arguments: &[&str]) -> Result<Peer, String> {
        let port = free_port()?;
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--quiet", "--port", &port.to_string()]);
        command.env("MIMEO_DATA_DIR", self.data_of(name));
        Peer::start(self, name, &format!("http://127.0.0.1:{port}"), &mut command)
    }

    fn data_of(&self, name: &str) -> PathBuf {
        self.folder.join("data").join(file_name(name))
    }

    fn mitmdump(
        &self,
        name: &str,
        keeps: bool,
        arguments: &[&str],
        finish: impl FnOnce(&mut Peer, &Path),
    ) -> Result<Peer, String> {
        let program = program("mitmdump", &[self.peers.join("mitmproxy/bin")])
            .ok_or("mitmdump (Python package `mitmproxy`)")?;
        let port = free_port()?;
        let configuration = self.folder.join(file_name(name));
        let mut command = Command::new(program);
        command.args(["--quiet", "--listen-port", &port.to_string(), "--set"]);
        command.arg(format!("confdir={}", configuration.display())).args(arguments);
        if keeps {
            command.arg("-w").arg(self.folder.join(format!("{}.flows", file_name(name))));
        }
        let mut peer = Peer::start(self, name, &format!("http://127.0.0.1:{port}"), &mut command)?;
        finish(&mut peer, &configuration);
        Ok(peer)
    }

    fn wiremock(&self, name: &str, stubs: usize, arguments: &[&str]) -> Result<Peer, String> {
        let java = program("java", &[]).ok_or("WireMock (needs Java)")?;
        let jar = self.wiremock_jar().ok_or("WireMock (npm package `wiremock`)")?;
        let port = free_port()?;
        let folder = self.folder.join(file_name(name));
        fs::create_dir_all(folder.join("mappings")).map_err(|error| error.to_string())?;
        if stubs > 0 {
            let mappings = folder.join("mappings/all.json");
            fs::write(mappings, wiremock_mappings(stubs)).map_err(|error| error.to_string())?;
        }
        let mut command = Command::new(java);
        command.arg("-jar").arg(jar).args(["--port", &port.to_string(), "--root-dir"]).arg(&folder);
        command.args(["--disable-banner", "--disable-request-logging"]).args(arguments);
        // It records out of its journal; everywhere else the journal is only a cost.
        if !arguments.contains(&"--record-mappings") {
            command.arg("--no-request-journal");
        }
        let mut peer = Peer::start(self, name, &format!("http://127.0.0.1:{port}"), &mut command)?;
        if stubs > 0 {
            peer.paths = self.paths(stubs)?;
        }
        Ok(peer)
    }

    fn wiremock_jar(&self) -> Option<PathBuf> {
        let folder = self.peers.join("node_modules/wiremock/build");
        let mut jars = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        jars.find(|path| path.extension().is_some_and(|extension| extension == "jar"))
    }

    fn rift(&self, stubs: usize) -> Result<Peer, String> {
        let program = program("rift-http-proxy", &[self.peers.join("bin")])
            .ok_or("Rift (`cargo install rift-http-proxy`)")?;
        let (port, admin, metrics) = (free_port()?, free_port()?, free_port()?);
        let name = format!("Rift, {stubs}");
        let file = self.folder.join(format!("imposter-{stubs}.json"));
        fs::write(&file, imposter(port, stubs)).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("--configfile").arg(&file).args(["--port", &admin.to_string()]);
        command.args(["--metrics-port", &metrics.to_string()]);
        let mut peer = Peer::start(self, &name, &format!("http://127.0.0.1:{port}"), &mut command)?;
        peer.paths = self.paths(stubs)?;
        Ok(peer)
    }

    /// A file of paths that a library of this size has, spread evenly over it.
    fn paths(&self, count: usize) -> Result<PathBuf, String> {
        let path = self.folder.join(format!("paths-{count}"));
        let step = count.div_ceil(PATHS);
        let text: String = (0..count).step_by(step).map(|number| path_of(number) + "\n").collect();
        fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok(path)
    }

    /// A HAR with so many recordings.
    fn recording(&self, count: usize) -> Result<PathBuf, String> {
        let path = self.folder.join(format!("recording-{count}.har"));
        let entries = (0..count).map(|number| (path_of(number), "a".repeat(1024)));
        fs::write(&path, har("http://api.example", entries)).map_err(|error| error.to_string())?;
        Ok(path)
    }
}

fn path_of(number: usize) -> String {
    format!("/v1/items/{number}?page={}", number % 7)
}

/// A HAR of GET requests and plain text answers, with the headers that nginx gives a file.
pub(crate) fn har(origin: &str, entries: impl Iterator<Item = (String, String)>) -> String {
    let mut out =
        "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"bench\",\"version\":\"1\"},\"entries\":[\n"
            .to_owned();
    for (number, (target, body)) in entries.enumerate() {
        let comma = if number == 0 { "" } else { ",\n" };
        let size = body.len();
        // Writing into a string cannot fail, here and below.
        let _ = write!(
            out,
            "{comma}{{\"startedDateTime\":\"2026-01-01T00:00:00.000Z\",\"time\":1,\"request\":{{\"method\":\"GET\",\
             \"url\":\"{origin}{target}\",\"httpVersion\":\"HTTP/1.1\",\"headers\":[]}},\"response\":{{\"status\":200,\
             \"statusText\":\"OK\",\"httpVersion\":\"HTTP/1.1\",\"headers\":[{{\"name\":\"Content-Type\",\"value\":\
             \"text/plain\"}},{{\"name\":\"Content-Length\",\"value\":\"{size}\"}},{{\"name\":\"Accept-Ranges\",\
             \"value\":\"bytes\"}}],\"content\":{{\"size\":{size},\
             \"mimeType\":\"text/plain\",\"text\":\"{body}\"}}}},\"timings\":{{\"send\":0,\"wait\":1,\"receive\":0}}}}"
        );
    }
    out.push_str("\n]}}\n");
    out
}

fn wiremock_mappings(count: usize) -> String {
    let stubs: Vec<String> = (0..count)
        .map(|number| {
            format!(
                "{{\"request\":{{\"method\":\"GET\",\"url\":\"{}\"}},\"response\":{{\"status\":200,\"body\":\"{}\"}}}}",
                path_of(number),
                "a".repeat(1024)
            )
        })
        .collect();
    format!("{{\"mappings\":[\n{}\n]}}\n", stubs.join(",\n"))
}

/// Rift reads the dialect of mountebank.
fn imposter(port: u16, count: usize) -> String {
    let stubs: Vec<String> = (0..count)
        .map(|number| {
            format!(
                "{{\"predicates\":[{{\"equals\":{{\"method\":\"GET\",\"path\":\"/v1/items/{number}\",\
                 \"query\":{{\"page\":\"{}\"}}}}}}],\"responses\":[{{\"is\":{{\"statusCode\":200,\"body\":\"{}\"}}}}]}}",
                number % 7,
                "a".repeat(1024)
            )
        })
        .collect();
    format!(
        "{{\"imposters\":[{{\"port\":{port},\"protocol\":\"http\",\"stubs\":[\n{}\n]}}]}}\n",
        stubs.join(",\n")
    )
}

/// Where a program is: in these folders, or on the path.
fn program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        folders.iter().cloned().chain(std::env::split_paths(&path)).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}
