//! The servers that are measured: started for a group of rows and ended with it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server under load.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) url: String,
    children: Vec<Child>,
}

/// What all rows share: an upstream, a folder for files, the program.
pub(crate) struct Stage {
    folder: PathBuf,
    program: PathBuf,
    upstream: Peer,
}

/// A peer, or the name of what is not installed.
pub(crate) type Candidate = Result<Peer, String>;

/// Recordings in the libraries that are served.
const LIBRARIES: [usize; 4] = [1, 1_000, 10_000, 100_000];

impl Stage {
    pub(crate) fn prepare(root: &Path) -> Result<Self, String> {
        let folder = root.join("target/bench");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("www")).map_err(|error| error.to_string())?;
        let body: String = (0..1024_u32).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
        fs::write(folder.join("www/1k"), body).map_err(|error| error.to_string())?;
        let port = free_port()?;
        let upstream = nginx(&folder, "upstream", port, &format!("root {}/www;", folder.display()))?;
        Ok(Self { folder, program: root.join("target/release/mimeo"), upstream })
    }

    /// The groups of rows, each with its peers running.
    pub(crate) fn groups(&self) -> Result<Vec<(&'static str, Vec<Candidate>)>, String> {
        Ok(vec![("proxying a 1 KiB answer", self.proxies()?), ("serving a 1 KiB mock", self.mocks()?)])
    }

    fn proxies(&self) -> Result<Vec<Candidate>, String> {
        let target = self.upstream.url.trim_end_matches("/1k").to_owned();
        let address = target.trim_start_matches("http://");
        let port = free_port()?;
        let conf =
            "location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; }";
        let proxy = nginx_with(
            &self.folder,
            "proxy",
            port,
            conf,
            &format!("upstream up {{ server {address}; keepalive 256; keepalive_requests 100000000; }}"),
        )?;
        let mut found = vec![Ok(renamed(proxy, "nginx proxy_pass")), Ok(self.direct())];
        for (name, extra) in [("mimeo pass-through", &["--capture", "off"][..]), ("mimeo recording", &[])] {
            let port = free_port()?.to_string();
            let mut arguments = vec!["record", &target, "--quiet", "--port", &port];
            arguments.extend(extra);
            found.push(Ok(self.mimeo(name, &arguments, &port)?));
        }
        let port = free_port()?.to_string();
        found.push(Self::optional(
            "mitmdump",
            "mitmdump -w",
            &[
                "--quiet",
                "--mode",
                &format!("reverse:{target}"),
                "--listen-port",
                &port,
                "-w",
                &self.folder.join("flows").display().to_string(),
            ],
            &port,
        ));
        found.push(Err("WireMock recording (npm package `wiremock`)".to_owned()));
        Ok(found)
    }

    fn mocks(&self) -> Result<Vec<Candidate>, String> {
        let port = free_port()?;
        let fixed = nginx(
            &self.folder,
            "fixed",
            port,
            &format!("location / {{ return 200 '{}'; }}", "a".repeat(1024)),
        )?;
        let mut found = vec![Ok(renamed(fixed, "nginx return 200"))];
        for count in LIBRARIES {
            let recording = self.recording(count)?;
            let port = free_port()?.to_string();
            let arguments = ["mock", &recording.display().to_string(), "--quiet", "--port", &port];
            found.push(Ok(self.mimeo(&format!("mimeo mock, {count} recordings"), &arguments, &port)?));
        }
        if is_there("rift-http-proxy") {
            let port = free_port()?;
            let imposter = format!(
                "{{\"imposters\":[{{\"port\":{port},\"protocol\":\"http\",\"stubs\":[{{\"predicates\":[{{\"equals\":{{\"path\":\"/1k\"}}}}],\
                 \"responses\":[{{\"is\":{{\"statusCode\":200,\"body\":\"{}\"}}}}]}}]}}]}}",
                "a".repeat(1024)
            );
            let file = self.folder.join("imposter.json");
            fs::write(&file, imposter).map_err(|error| error.to_string())?;
            found.push(Self::optional(
                "rift-http-proxy",
                "Rift, 1 stub",
                &["--configfile", &file.display().to_string()],
                &port.to_string(),
            ));
        } else {
            found.push(Err("Rift (`cargo install rift-http-proxy`)".to_owned()));
        }
        found.push(Err("WireMock mocking (npm package `wiremock`)".to_owned()));
        Ok(found)
    }

    fn direct(&self) -> Peer {
        Peer {
            name: "direct to the upstream".to_owned(),
            url: self.upstream.url.clone(),
            children: Vec::new(),
        }
    }

    fn mimeo(&self, name: &str, arguments: &[&str], port: &str) -> Result<Peer, String> {
        let data = self.folder.join(format!("data-{port}"));
        let child = Command::new(&self.program)
            .args(arguments)
            .env("MIMEO_DATA_DIR", data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("mimeo: {error}"))?;
        started(name, port, vec![child])
    }

    fn optional(program: &str, name: &str, arguments: &[&str], port: &str) -> Candidate {
        if !is_there(program) {
            return Err(format!("{name} (`{program}` is not installed)"));
        }
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        started(name, port, vec![child])
    }

    /// A HAR with so many recordings, one of them for `/1k`.
    fn recording(&self, count: usize) -> Result<PathBuf, String> {
        let path = self.folder.join(format!("recording-{count}.har"));
        let body = "a".repeat(1024);
        let mut out = String::from(
            "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"bench\",\"version\":\"1\"},\"entries\":[\n",
        );
        for number in 0..count {
            let target = if number == count / 2 {
                "/1k".to_owned()
            } else {
                format!("/v1/items/{number}?page={}", number % 7)
            };
            if number > 0 {
                out.push_str(",\n");
            }
            let entry = format!(
                "{{\"startedDateTime\":\"2026-01-01T00:00:00.000Z\",\"time\":1,\"request\":{{\"method\":\"GET\",\
                 \"url\":\"http://api.example{target}\",\"httpVersion\":\"HTTP/1.1\",\"headers\":[]}},\"response\":{{\
                 \"status\":200,\"statusText\":\"OK\",\"httpVersion\":\"HTTP/1.1\",\"headers\":[{{\"name\":\"Content-Type\",\
                 \"value\":\"text/plain\"}},{{\"name\":\"Content-Length\",\"value\":\"1024\"}}],\"content\":{{\"size\":1024,\
                 \"mimeType\":\"text/plain\",\"text\":\"{body}\"}}}},\"timings\":{{\"send\":0,\"wait\":1,\"receive\":0}}}}"
            );
            out.push_str(&entry);
        }
        out.push_str("\n]}}\n");
        fs::write(&path, out).map_err(|error| error.to_string())?;
        Ok(path)
    }
}

impl Peer {
    /// User and system time of the server's processes so far, in clock ticks.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        self.processes()
            .iter()
            .filter_map(|pid| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                // The name in parentheses may hold spaces; the fields after it are counted from the state.
                let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
                Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
            })
            .sum()
    }

    /// The highest resident memory of its processes together, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.processes()
            .iter()
            .filter_map(|pid| {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
                status.lines().find_map(|line| {
                    line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
                })
            })
            .sum()
    }

    /// The processes that were started and their children.
    fn processes(&self) -> Vec<u32> {
        let mut found: Vec<u32> = self.children.iter().map(Child::id).collect();
        let mut at = 0;
        while at < found.len() {
            let children = format!("/proc/{0}/task/{0}/children", found[at]);
            let children = fs::read_to_string(children).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        found
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for child in &mut self.children {
            // SIGTERM lets nginx take its workers along.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

fn renamed(mut peer: Peer, name: &str) -> Peer {
    peer.name = name.to_owned();
    peer
}

fn nginx(folder: &Path, name: &str, port: u16, server: &str) -> Result<Peer, String> {
    nginx_with(folder, name, port, server, "")
}

fn nginx_with(folder: &Path, name: &str, port: u16, server: &str, http: &str) -> Result<Peer, String> {
    let at = folder.join(format!("nginx-{name}"));
    fs::create_dir_all(&at).map_err(|error| error.to_string())?;
    let at_text = at.display();
    let conf = format!(
        "worker_processes 2; daemon off; pid {at_text}/pid; error_log {at_text}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {at_text}/a; proxy_temp_path {at_text}/b;\n\
         fastcgi_temp_path {at_text}/c; uwsgi_temp_path {at_text}/d; scgi_temp_path {at_text}/e; {http}\n\
         server {{ listen 127.0.0.1:{port}; default_type text/plain; {server} }} }}\n"
    );
    let file = at.join("nginx.conf");
    fs::write(&file, conf).map_err(|error| error.to_string())?;
    let child = Command::new("nginx")
        .arg("-c")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("nginx: {error}"))?;
    started(name, &port.to_string(), vec![child])
}

/// Waits until the server answers.
fn started(name: &str, port: &str, children: Vec<Child>) -> Result<Peer, String> {
    let peer = Peer { name: name.to_owned(), url: format!("http://127.0.0.1:{port}/1k"), children };
    let deadline = Instant::now() + Duration::from_mins(1);
    while Instant::now() < deadline {
        if answers(port) {
            return Ok(peer);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{name} did not answer"))
}

fn answers(port: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(format!("127.0.0.1:{port}")) else { return false };
    let asked = stream.write_all(b"GET /1k HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    asked.and_then(|()| stream.read_to_end(&mut answer)).is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let also = [PathBuf::from("/usr/sbin")];
    std::env::split_paths(&path).chain(also).any(|folder| folder.join(program).is_file())
}
