//! Real clients of other languages, through every way of standing in the traffic.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testbed::client::PATIENCE;
use testbed::eventually;
use testbed::upstream::{Reply, Upstream};

use crate::context::{TestContext, client, curl, python};

/// A server written in Python that prints its port.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        use std::io::{BufRead, BufReader};
        let mut child =
            client("servers.py").args(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("`{line}` is no port"));
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) -> Value {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A certificate for localhost and its key, and the file to trust.
fn certificate(context: &TestContext) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .expect("made");
    let (certificate, key) = (context.path("server.pem"), context.path("server-key.pem"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

#[test]
fn events_stream_through_live_and_play_back() {
    let context = TestContext::new();
    let server = Server::start(&["sse"]);
    let recorder = context.start(&[
        "record",
        &format!("http://127.0.0.1:{}", server.port),
        "--name",
        "events",
        "--json",
    ]);
    let got = run(client("sse_client.py").arg(recorder.url("/events")));
    assert_eq!(got["events"], serde_json::json!(["one", "two", "three"]));
    let line: Value = serde_json::from_str(&recorder.wait_for("\"sse\"")).expect("JSON");
    assert_eq!(line["method"], "GET");
    assert_eq!(recorder.stop().code, Some(0));
    drop(server);
    let mock = context.start(&["mock", "events", "--speed", "max"]);
    let again = run(client("sse_client.py").arg(mock.url("/events")));
    assert_eq!(again["events"], got["events"]);
}

#[test]
fn websockets_pass_with_every_frame_recorded_and_play_back() {
    let context = TestContext::new();
    let server = Server::start(&["websocket"]);
    let recorder = context.start(&[
        "record",
        &format!("http://127.0.0.1:{}", server.port),
        "--name",
        "socket",
        "--json",
    ]);
    let url = |address| format!("ws://{address}/chat");
    let got = run(client("websocket_client.py").arg(url(recorder.address())));
    assert_eq!(got["answers"], serde_json::json!(["echo: hello", "echo: again"]));
    let line: Value = serde_json::from_str(&recorder.wait_for("/chat")).expect("JSON");
    assert_eq!((&line["entryType"], &line["status"]), (&"websocket".into(), &101.into()));
    assert!(line["frames"].as_u64().expect("a number") >= 6, "{line}");
    assert_eq!(recorder.stop().code, Some(0));
    let shown = context.succeed(&["show", "socket#1"]);
    assert!(shown.contains("→ Text hello") && shown.contains("← Text echo: hello"), "{shown}");
    drop(server);
    let mock = context.start(&["mock", "socket", "--speed", "max"]);
    let again = run(client("websocket_client.py").arg(url(mock.address())));
    assert_eq!(again["answers"], got["answers"]);
}

#[test]
fn https_is_intercepted_over_both_versions_and_a_client_without_the_ca_is_named() {
    let context = TestContext::new();
    let (certificate, key) = certificate(&context);
    let server = Server::start(&["https", &certificate.display().to_string(), &key.display().to_string()]);
    let upstream = format!("https://localhost:{}/secret", server.port);
    let recorder = context.start(&[
        "record",
        "--forward",
        "--mitm",
        "--name",
        "intercepted",
        "--json",
        "--upstream-ca",
        &certificate.display().to_string(),
    ]);
    let ca = context.succeed(&["ca", "path"]);
    let proxy = format!("http://{}", recorder.address());
    for version in ["--http1.1", "--http2"] {
        let told = curl(&[
            "--proxy",
            &proxy,
            "--cacert",
            ca.trim(),
            version,
            "--write-out",
            "%{http_version}",
            &upstream,
        ]);
        let told = String::from_utf8_lossy(&told).into_owned();
        assert_eq!(
            told,
            format!("{{\"path\": \"/secret\"}}{}", if version == "--http2" { "2" } else { "1.1" })
        );
    }
    let got = run(client("httpx_client.py").args([&upstream, &proxy, ca.trim()]));
    assert_eq!((&got["status"], &got["version"]), (&200.into(), &"HTTP/2".into()));
    let refused =
        Command::new("curl").args(["--silent", "--proxy", &proxy, &upstream]).output().expect("curl runs");
    assert!(!refused.status.success());
    let line = recorder.wait_for("tls.client_rejected");
    assert!(line.contains("does not trust the CA"), "{line}");
    assert_eq!(recorder.stop().code, Some(0));
    let session = context.session("intercepted");
    assert_eq!(session["entries"][0]["host"], format!("localhost:{}", server.port));

    drop(server);
    let mock = context.start(&["mock", "intercepted", "--mitm"]);
    let proxy = format!("http://{}", mock.address());
    assert_eq!(curl(&["--proxy", &proxy, "--cacert", ca.trim(), &upstream]), b"{\"path\": \"/secret\"}");
}

#[test]
fn an_upstream_with_a_certificate_nobody_trusts_is_refused() {
    let context = TestContext::new();
    let (certificate, key) = certificate(&context);
    let server = Server::start(&["https", &certificate.display().to_string(), &key.display().to_string()]);
    let url = format!("https://localhost:{}", server.port);
    let recorder = context.start(&["record", &url, "--json"]);
    let told = curl(&["--write-out", "%{http_code}", &recorder.url("/")]);
    assert!(String::from_utf8_lossy(&told).contains("upstream.tls"), "{}", String::from_utf8_lossy(&told));
    recorder.stop();
    let recorder = context.start(&["record", &url, "--insecure", "--json"]);
    assert_eq!(curl(&[&recorder.url("/x")]), b"{\"path\": \"/x\"}");
    assert!(recorder.stop().told.contains("certificates of upstreams are not checked"));
}

#[test]
fn boto3_works_against_moto_through_the_recorder_and_validates() {
    let context = TestContext::new();
    let server = Server::start(&["moto"]);
    let target = format!("http://127.0.0.1:{}", server.port);
    let recorder =
        context.start(&["record", &target, "--name", "cloud", "--preserve-host", "--keep-credentials"]);
    let got = run(client("boto3_client.py").arg(recorder.url("")));
    assert_eq!(got["object"], "content");
    assert_eq!(got["item"], "Ada");
    assert_eq!(recorder.stop().code, Some(0));
    let recording = context.path("cloud.json").display().to_string();
    context.succeed(&["export", "cloud", "--output", &recording]);
    let written: Value = serde_json::from_slice(&fs::read(&recording).expect("written")).expect("JSON");
    let actions: Vec<&str> = written["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| entry["action"].as_str().filter(|action| !action.is_empty()))
        .collect();
    assert!(actions.contains(&"CreateTable") && actions.contains(&"PutItem"), "{actions:?}");
    drop(server);
    let fresh = Server::start(&["moto"]);
    let endpoint = format!("http://127.0.0.1:{}", fresh.port);
    let validated = context.run(&["validate", "--input", &recording, "--endpoint", &endpoint]);
    assert_eq!(validated.code, Some(0), "{:?} {}", validated.lines, validated.told);
}

#[test]
fn pip_downloads_through_interception_and_again_offline_from_the_recording() {
    let context = TestContext::new();
    // A package index of our own, over HTTPS: no test needs the network.
    let (certificate, key) = certificate(&context);
    let server = Server::start(&["index", &certificate.display().to_string(), &key.display().to_string()]);
    let index = format!("https://localhost:{}/simple/", server.port);
    let download = |into: &str| {
        vec![
            python().display().to_string(),
            "-m".into(),
            "pip".into(),
            "download".into(),
            "--quiet".into(),
            "--isolated".into(),
            "--no-cache-dir".into(),
            "--no-deps".into(),
            "--disable-pip-version-check".into(),
            "--index-url".into(),
            index.clone(),
            "--dest".into(),
            context.path(into).display().to_string(),
            "mimeo-sample".into(),
        ]
    };
    let run = |mode: &[&str], into: &str| {
        let output =
            context.mimeo(mode).args(["--port", "0", "--"]).args(download(into)).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        eventually(PATIENCE, "the package is there", || {
            fs::read_dir(context.path(into)).is_ok_and(|mut files| files.next().is_some())
        });
    };
    run(
        &["record", "--name", "packages", "--quiet", "--upstream-ca", &certificate.display().to_string()],
        "online",
    );
    drop(server);
    run(&["mock", "packages", "--quiet"], "offline");
}

#[test]
fn graphql_operations_are_named() {
    let context = TestContext::new();
    let upstream = Upstream::http1().answering_everything(Reply::json("{\"data\":{}}")).start();
    let recorder = context.start(&["record", &upstream.url()]);
    curl(&[&recorder.url("/graphql"), "--json", "{\"query\":\"mutation Pay { pay }\"}"]);
    assert!(recorder.wait_for("/graphql").contains("graphql Pay"));
}
