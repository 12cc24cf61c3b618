//! The servers that are measured: each is started on its own port and ends when it is dropped.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::measure;
use crate::bench::stage::Stage;

/// A server under load.
pub(crate) struct Peer {
    pub(crate) name: String,
    /// Scheme, host and port that the load asks for.
    pub(crate) origin: String,
    /// Address of the proxy when it is reached by CONNECT.
    pub(crate) through: Option<String>,
    /// Certificates that the load trusts.
    pub(crate) trust: Option<PathBuf>,
    /// File of the paths that are asked for in turn.
    pub(crate) paths: PathBuf,
    child: Option<Child>,
}

/// How long a server may take until it answers: a JVM that reads 10,000 mocks takes its time.
const START: Duration = Duration::from_mins(1);

impl Peer {
    /// Starts a program and waits until it answers.
    pub(crate) fn start(
        stage: &Stage,
        name: &str,
        origin: &str,
        command: &mut Command,
    ) -> Result<Self, String> {
        let mut peer = Self::running(stage, name, origin, command)?;
        peer.wait()?;
        Ok(peer)
    }

    /// Starts a program; [`Peer::wait`] is for when more is known of it.
    pub(crate) fn running(
        stage: &Stage,
        name: &str,
        origin: &str,
        command: &mut Command,
    ) -> Result<Self, String> {
        let log = fs::File::create(stage.folder().join(format!("{}.log", file_name(name))))
            .map_err(|error| error.to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            origin: origin.to_owned(),
            through: None,
            trust: None,
            paths: stage.one_path(),
            child: Some(child),
        })
    }

    /// The upstream itself, whose time is not that of a server in between.
    pub(crate) fn direct(stage: &Stage, origin: &str, trust: Option<PathBuf>) -> Self {
        Self {
            name: "direct, nothing in between".to_owned(),
            origin: origin.to_owned(),
            through: None,
            trust,
            paths: stage.one_path(),
            child: None,
        }
    }

    /// Waits until its port takes connections.
    pub(crate) fn wait(&mut self) -> Result<(), String> {
        let origin = self.origin.split_once("://").map_or(self.origin.as_str(), |(_, authority)| authority);
        let address = self.through.as_deref().unwrap_or(origin).replace("localhost", "127.0.0.1");
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if std::net::TcpStream::connect(&address).is_ok() {
                return Ok(());
            }
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                return Err(format!("{} ended at once ({status}); its log is in target/bench", self.name));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{} does not listen on {address}", self.name))
    }

    /// User and system time of its processes so far, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        measure::cpu_us(&self.processes())
    }

    /// The highest resident memory of its processes, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        measure::peak_kib(&self.processes())
    }

    fn processes(&self) -> Vec<u32> {
        measure::with_children(self.child.iter().map(Child::id))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // SIGTERM lets nginx take its workers along.
            let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline {
                if child.try_wait().is_ok_and(|status| status.is_some()) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// An nginx with one server block.
///
/// `http` goes before the server block, `server` into it.
pub(crate) fn nginx(
    stage: &Stage,
    name: &str,
    listen: &Listen,
    server: &str,
    http: &str,
) -> Result<Peer, String> {
    let at = stage.folder().join(format!("nginx-{}", file_name(name)));
    fs::create_dir_all(&at).map_err(|error| error.to_string())?;
    let at_text = at.display();
    let port = listen.port;
    let (flag, certificates) = match &listen.tls {
        Some((chain, key)) => {
            (" ssl", format!("ssl_certificate {}; ssl_certificate_key {};", chain.display(), key.display()))
        }
        None => ("", String::new()),
    };
    let conf = format!(
        "worker_processes auto; daemon off; pid {at_text}/pid; error_log {at_text}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {at_text}/a;\n\
         proxy_temp_path {at_text}/b; fastcgi_temp_path {at_text}/c; uwsgi_temp_path {at_text}/d;\n\
         scgi_temp_path {at_text}/e; {http}\n\
         server {{ listen 127.0.0.1:{port}{flag}; {certificates} default_type text/plain; {server} }} }}\n"
    );
    let file = at.join("nginx.conf");
    fs::write(&file, conf).map_err(|error| error.to_string())?;
    Peer::start(stage, name, &listen.origin(), Command::new("nginx").arg("-c").arg(&file))
}

/// Where an nginx listens.
pub(crate) struct Listen {
    port: u16,
    /// Certificate chain and key.
    tls: Option<(PathBuf, PathBuf)>,
}

impl Listen {
    pub(crate) fn plain() -> Result<Self, String> {
        Ok(Self { port: free_port()?, tls: None })
    }

    pub(crate) fn tls(folder: &Path) -> Result<Self, String> {
        Ok(Self { port: free_port()?, tls: Some((folder.join("chain.pem"), folder.join("key.pem"))) })
    }

    fn origin(&self) -> String {
        if self.tls.is_some() {
            format!("https://localhost:{}", self.port)
        } else {
            format!("http://127.0.0.1:{}", self.port)
        }
    }
}

/// A name as a file is called.
pub(crate) fn file_name(name: &str) -> String {
    name.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
