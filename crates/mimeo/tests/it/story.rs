//! Record, mock, replay: the main job, with curl as the client.

use std::fs;
use std::process::Command;

use serde_json::Value;
use testbed::client::PATIENCE;
use testbed::eventually;
use testbed::upstream::{Reply, Upstream};

use crate::context::{TestContext, curl};

#[test]
fn traffic_is_recorded_mocked_and_replayed() {
    let context = TestContext::new();
    let shop = Reply::json("{\"total\":42.5,\"items\":[1,2]}").header("X-Shop", "north");
    let upstream = Upstream::http1().answering_everything(shop).start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "checkout", "--json"]);
    curl(&[&recorder.url("/v1/products?page=1"), "--header", "Authorization: Bearer s3cret"]);
    curl(&[&recorder.url("/v1/orders"), "--json", "{\"item\":1}"]);
    let second = curl(&[
        "--http2-prior-knowledge",
        "--write-out",
        "%{http_version}",
        &recorder.url("/v1/products?page=2"),
    ]);
    assert!(second.ends_with(b"2"), "HTTP/2 with the client, HTTP/1.1 with the upstream");
    let line: Value = serde_json::from_str(&recorder.wait_for("/v1/orders")).expect("JSON");
    assert_eq!((&line["method"], &line["status"]), (&"POST".into(), &200.into()));
    assert!(line["id"].is_string() && line["url"].as_str().expect("text").starts_with(&upstream.url()));
    let ended = recorder.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.told);

    let session = context.session("checkout");
    assert_eq!(session["entryCount"], 3);
    assert_eq!(session["status"], "stopped");
    let host = format!("Host: {}", upstream.address());
    let received = String::from_utf8(upstream.received_bytes()).expect("text");
    assert!(received.contains(&host), "the upstream's own name stands in Host");
    assert!(received.contains("Bearer s3cret"), "the upstream gets the credential");
    for entry in walk(&context.data_dir()) {
        let bytes = fs::read(&entry).expect("readable");
        assert!(
            !bytes.windows(6).any(|window| window == b"s3cret"),
            "{} holds the credential",
            entry.display()
        );
    }
    let shown = context.succeed(&["show", "checkout#1"]);
    assert!(shown.contains("Authorization: Bearer [REDACTED:"), "{shown}");
    assert!(shown.contains("\"total\": 42.5"), "{shown}");

    let mock = context.start(&["mock", "checkout"]);
    let answer = curl(&["--include", &mock.url("/v1/products?page=1")]);
    let answer = String::from_utf8(answer).expect("text").to_ascii_lowercase();
    assert!(answer.contains("x-shop: north") && answer.contains("x-mimeo-mock: exact"), "{answer}");
    assert!(answer.ends_with("{\"total\":42.5,\"items\":[1,2]}"), "{answer}");
    let answer = curl(&["--include", &mock.url("/v1/orders"), "--json", "{ \"item\": 1 }"]);
    assert!(answer.ends_with(b"[1,2]}"), "JSON that means the same is the same");
    let miss = String::from_utf8(curl(&["--include", &mock.url("/v1/products?page=9")])).expect("text");
    assert!(miss.starts_with("HTTP/1.1 404") && miss.contains("query page: asked 9, recorded 1"), "{miss}");
    assert_eq!(mock.stop().code, Some(0));
    assert!(context.succeed(&["mock", "checkout", "--verify"]).contains("3 of 3 reproduced"));

    context.succeed(&["replay", "checkout", "--target", &upstream.url(), "--speed", "max"]);
    let broken = Upstream::http1().answering_everything(Reply::json("{\"items\":[1,3]}")).start();
    let reports = ["json", "junit", "html", "md"].map(|kind| (kind, context.path(&format!("report.{kind}"))));
    let asked =
        reports.iter().map(|(kind, path)| format!("{kind}={}", path.display())).collect::<Vec<_>>().join(",");
    let judged =
        context.run(&["replay", "checkout", "--target", &broken.url(), "--speed", "max", "--report", &asked]);
    assert_eq!(judged.code, Some(1));
    assert!(judged.lines.iter().any(|line| line.contains("$.total missing")), "{:?}", judged.lines);
    assert!(reports.iter().all(|(_, path)| path.metadata().is_ok_and(|metadata| metadata.len() > 100)));
    let report: Value = serde_json::from_slice(&fs::read(&reports[0].1).expect("written")).expect("JSON");
    assert_eq!((&report["total_requests"], &report["mismatched"]), (&3.into(), &3.into()));
    let ignored = [
        "replay",
        "checkout",
        "--target",
        &broken.url(),
        "--speed",
        "max",
        "--ignore",
        "$.total",
        "--ignore",
        "$.items[*]",
    ];
    assert_eq!(context.run(&ignored).code, Some(0));
}

#[test]
fn a_recording_survives_a_trip_through_files() {
    let context = TestContext::new();
    let upstream = Upstream::http1().answering_everything(Reply::json("{\"a\":1}")).start();
    let har = context.path("rec.har");
    let recorder = context.start(&[
        "record",
        &upstream.url(),
        "--name",
        "first",
        "--output",
        &har.display().to_string(),
    ]);
    curl(&[&recorder.url("/a?b=c")]);
    recorder.wait_for("/a?b=c");
    assert_eq!(recorder.stop().code, Some(0));
    let written: Value = serde_json::from_slice(&fs::read(&har).expect("written")).expect("JSON");
    assert_eq!(written["log"]["entries"][0]["response"]["content"]["text"], "{\"a\":1}");

    context.succeed(&["import", &har.display().to_string(), "--name", "second"]);
    assert_eq!(context.session("second")["entryCount"], 1);
    let json = context.path("rec.json");
    context.succeed(&["export", "second", "--output", &json.display().to_string()]);
    let mock = context.start(&["mock", &json.display().to_string(), "--quiet"]);
    assert_eq!(curl(&[&mock.url("/a?b=c")]), b"{\"a\":1}");
    assert_eq!(mock.stop().code, Some(0));
}

#[test]
fn what_was_not_recorded_is_learned_from_the_upstream() {
    let context = TestContext::new();
    let upstream = Upstream::http1().answering_everything(Reply::json("{\"a\":1}")).start();
    let recorder = context.start(&["record", &upstream.url(), "--name", "known"]);
    curl(&[&recorder.url("/known")]);
    recorder.wait_for("/known");
    recorder.stop();
    let mock = context.start(&["mock", "known", "--on-miss", "record", "--target", &upstream.url()]);
    curl(&[&mock.url("/known")]);
    assert_eq!(curl(&[&mock.url("/new"), "--data", "x=1"]), b"{\"a\":1}");
    let ended = mock.stop();
    assert!(ended.told.contains("left the machine") && ended.told.contains("POST"), "{}", ended.told);
    let asked: Vec<String> = upstream.received().into_iter().map(|request| request.target).collect();
    assert_eq!(asked, ["/known", "/new"], "what is known is not asked again");
    assert_eq!(context.session("@last")["entryCount"], 1);
}

#[test]
fn a_command_is_recorded_with_the_proxy_in_its_environment() {
    let context = TestContext::new();
    let upstream = Upstream::http1().answering_everything(Reply::json("{}")).start();
    let output = context
        .mimeo(&["record", "--name", "command", "--quiet", "--port", "0", "--", "sh", "-c"])
        .arg(format!("curl --silent --show-error {}/from-a-command; exit 7", upstream.url()))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(7), "the command's own code");
    let session = context.session("command");
    assert_eq!(session["entries"][0]["path"], "/from-a-command");
}

#[test]
fn two_recorders_share_a_data_directory() {
    let context = TestContext::new();
    let upstream = Upstream::http1().answering_everything(Reply::json("{}")).start();
    let recorders = ["one", "two"].map(|name| context.start(&["record", &upstream.url(), "--name", name]));
    for round in 0..20 {
        for recorder in &recorders {
            curl(&[&recorder.url(&format!("/{round}"))]);
        }
    }
    for recorder in recorders {
        assert_eq!(recorder.stop().code, Some(0));
    }
    for name in ["one", "two"] {
        assert_eq!(context.session(name)["entryCount"], 20);
    }
}

#[test]
fn git_clones_through_the_forward_proxy_and_again_from_the_recording() {
    let context = TestContext::new();
    let source = context.path("source");
    let git = |arguments: &[&str], folder: &std::path::Path| {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Ada",
                "-c",
                "user.email=ada@example.com",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .current_dir(folder)
            .env_remove("GIT_DIR")
            .env("GIT_TERMINAL_PROMPT", "0")
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::create_dir(&source).expect("a folder");
    git(&["init", "--quiet"], &source);
    fs::write(source.join("file"), "content").expect("written");
    git(&["add", "file"], &source);
    git(&["commit", "--quiet", "--message", "first"], &source);
    git(&["update-server-info"], &source);
    // The protocol of plain files: any web server serves it.
    let served = source.join(".git");
    let upstream = walk(&served)
        .into_iter()
        .fold(Upstream::http1(), |upstream, file| {
            let path = file.strip_prefix(&served).expect("below it").display().to_string();
            let bytes = fs::read(&file).expect("readable");
            upstream.answering(&format!("/repo.git/{path}"), Reply::bytes("application/octet-stream", bytes))
        })
        .start();
    let url = format!("{}/repo.git", upstream.url());
    let recorder = context.start(&["record", "--forward", "--name", "clone"]);
    let proxy = format!("http.proxy=http://{}", recorder.address());
    git(&["-c", &proxy, "clone", "--quiet", &url, "one"], &context.path(""));
    assert_eq!(recorder.stop().code, Some(0));
    drop(upstream);
    let mock = context.start(&["mock", "clone", "--quiet"]);
    let proxy = format!("http.proxy=http://{}", mock.address());
    git(&["-c", &proxy, "clone", "--quiet", &url, "two"], &context.path(""));
    assert_eq!(fs::read(context.path("two/file")).expect("cloned"), b"content");
    assert_eq!(mock.stop().code, Some(0));
}

#[test]
fn the_demo_tells_its_story_and_leaves_its_files() {
    let context = TestContext::new();
    let told = context.succeed(&["demo"]);
    assert!(told.contains("10 of 10 answers") && told.contains("$.total missing"), "{told}");
    eventually(PATIENCE, "the files are there", || {
        ["shop.har", "replay.html"].iter().all(|name| context.data_dir().join("demo").join(name).exists())
    });
}

/// Every file below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(walk(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}
