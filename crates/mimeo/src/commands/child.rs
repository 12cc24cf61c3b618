//! A command that is recorded or mocked: run with the proxy and the CA in its environment.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use mimeo_engine::{Authority, Problem, ProblemKind};
use tokio::process::Command;

use crate::commands::Interrupts;
use crate::exit::Exit;

/// Variables that name a file of trusted certificates, all of them: system roots and the CA.
const BUNDLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
];

/// Runs the command to its end; its exit code becomes ours.
pub(crate) async fn run(
    command: &[String],
    proxy: SocketAddr,
    authority: &Authority,
    root: &Path,
    interrupts: &mut Interrupts,
) -> Result<Exit, Problem> {
    let [program, arguments @ ..] = command else { return Ok(Exit::Ok) };
    let url = format!("http://{proxy}");
    let bundle = bundle(authority, root)?;
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::inherit());
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, &url);
    }
    // What was excluded from some other proxy is not excluded from being recorded.
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    child.env("NODE_EXTRA_CA_CERTS", authority.certificate_path());
    child.env("NODE_USE_ENV_PROXY", "1");
    child.env("DENO_CERT", authority.certificate_path());
    for name in BUNDLES {
        child.env(name, &bundle);
    }
    if let Some(options) = java_options(proxy, authority, root).await {
        let given = std::env::var("JAVA_TOOL_OPTIONS").unwrap_or_default();
        child.env("JAVA_TOOL_OPTIONS", format!("{given} {options}").trim());
    }
    let mut child = child.spawn().map_err(|error| {
        Problem::new(ProblemKind::Invalid, format!("cannot run `{program}`: {error}")).in_field("COMMAND")
    })?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            // The terminal sends the interrupt to the command as well; it ends as it sees fit.
            () = interrupts.next() => {}
        }
    };
    let status = status.map_err(|error| {
        Problem::new(ProblemKind::Unavailable, format!("cannot wait for `{program}`: {error}"))
    })?;
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) => Exit::Ok,
        (Some(code), _) => Exit::Command(u8::try_from(code).unwrap_or(1)),
        (None, signal) => Exit::Command(u8::try_from(128 + signal.unwrap_or(0)).unwrap_or(1)),
    })
}

/// A file with the system's roots and the CA: most programs take one file for all.
fn bundle(authority: &Authority, root: &Path) -> Result<PathBuf, Problem> {
    const SYSTEM: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/cert.pem",
        "/etc/ssl/ca-bundle.pem",
    ];
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let system = named
        .into_iter()
        .chain(SYSTEM.map(PathBuf::from))
        .find_map(|path| std::fs::read_to_string(path).ok());
    let path = root.join("ca").join("bundle.pem");
    let text = format!("{}\n{}", system.unwrap_or_default(), authority.certificate_pem());
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&aside)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .and_then(|()| std::fs::rename(&aside, &path));
    written.map_err(|error| {
        Problem::new(ProblemKind::Unavailable, format!("cannot write `{}`: {error}", path.display()))
    })?;
    Ok(path)
}

/// Java takes neither variables nor PEM: a trust store is made where there is a `keytool`.
async fn java_options(proxy: SocketAddr, authority: &Authority, root: &Path) -> Option<String> {
    let store = root.join("ca").join("java-trust.p12");
    let options = format!(
        "-Dhttp.proxyHost={host} -Dhttp.proxyPort={port} -Dhttps.proxyHost={host} -Dhttps.proxyPort={port} \
         -Dhttp.nonProxyHosts= -Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStorePassword=changeit",
        store.display(),
        host = proxy.ip(),
        port = proxy.port(),
    );
    if store.exists() {
        return Some(options);
    }
    let made = Command::new("keytool")
        .args([
            "-importcert",
            "-noprompt",
            "-alias",
            "mimeo",
            "-storetype",
            "PKCS12",
            "-storepass",
            "changeit",
        ])
        .arg("-keystore")
        .arg(&store)
        .arg("-file")
        .arg(authority.certificate_path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    made.is_ok_and(|status| status.success()).then_some(options)
}
