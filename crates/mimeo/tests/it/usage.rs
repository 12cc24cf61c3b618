//! Wrong usage: exit 2, one line that says what, and a hint where there is a next step.

use std::fs;
use std::net::TcpListener;

use crate::context::TestContext;

#[test]
fn wrong_usage_says_what_and_exits_with_2() {
    let context = TestContext::new();
    let broken = context.path("broken.har");
    fs::write(&broken, "{\"log\":{\"entries\":[{\"request\":").expect("written");
    let broken = broken.display().to_string();
    let text = context.path("text.txt");
    fs::write(&text, "plain text").expect("written");
    let text = text.display().to_string();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    for (arguments, says) in [
        (&["record"][..], "nothing to record"),
        (&["record", "api.example.com"], "there is no scheme"),
        (&["record", "http://user:pass@x"], "credentials"),
        (&["record", "ftp://x"], "not http or https"),
        (&["record", "http://x", "--port", &port], &format!("port {port} is taken")),
        (&["record", "http://x", "--port", "99999"], "99999"),
        (&["record", "http://x", "--max-body", "ten"], "accepted"),
        (&["record", "--forward", "--passthrough-host", "a b"], "no such character"),
        (&["record", "http://x", "--upstream-ca", "/nonexistent"], "cannot read certificates"),
        (&["mock", "nothing"], "no session and no file `nothing`"),
        (&["mock"], "nothing was recorded yet"),
        (&["mock", &broken], "broken.har"),
        (&["mock", &text], "not JSON"),
        (&["mock", &text, "--on-miss", "record"], "nowhere to go"),
        (&["replay", "nothing", "--target", "http://127.0.0.1:1"], "no session and no file"),
        (&["replay", &broken, "--target", "nowhere"], "there is no scheme"),
        (&["replay", "x", "--target", "http://x", "--ignore", "$["], "bracket is not closed"),
        (&["replay", "x", "--target", "http://x", "--speed", "fast"], "accepted"),
        (&["replay", "x", "--target", "http://x", "--report", "pdf=x"], "accepted"),
        (&["show", "nothing"], "no exchange"),
        (&["sessions", "show", "nothing"], "no session"),
        (&["sessions", "rm", "nothing"], "no session"),
        (&["sessions", "prune", "--older-than", "soon"], "accepted"),
        (&["import", "/nonexistent.har"], "nonexistent"),
        (&["export", "nothing", "--output", "x.har"], "no session"),
        (&["nonsense"], "unrecognized"),
    ] {
        let ended = context.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.told);
        assert!(ended.told.contains(says), "{arguments:?} says {}", ended.told);
        assert!(!ended.told.contains("panicked"), "{}", ended.told);
    }
}

#[test]
fn a_target_that_is_down_is_not_a_mismatch() {
    let context = TestContext::new();
    let har = context.path("one.har");
    let entry = "{\"startedDateTime\":\"2026-01-01T00:00:00Z\",\"time\":1,\"request\":{\"method\":\"GET\",\"url\":\"http://a/\",\
                 \"httpVersion\":\"HTTP/1.1\",\"headers\":[]},\"response\":{\"status\":200,\"statusText\":\"OK\",\
                 \"httpVersion\":\"HTTP/1.1\",\"headers\":[],\"content\":{\"size\":0,\"mimeType\":\"\"}},\"timings\":{}}";
    fs::write(&har, format!("{{\"log\":{{\"version\":\"1.2\",\"entries\":[{entry}]}}}}")).expect("written");
    let ended = context.run(&["replay", &har.display().to_string(), "--target", "http://127.0.0.1:1"]);
    assert_eq!(ended.code, Some(3), "{}", ended.told);
    assert!(ended.told.contains("does not answer") && ended.told.contains("hint:"), "{}", ended.told);
}

#[test]
fn every_command_has_help_with_examples_or_flags() {
    let context = TestContext::new();
    for command in
        ["record", "mock", "replay", "validate", "export", "import", "sessions", "show", "ca", "demo"]
    {
        assert!(context.succeed(&[command, "--help"]).contains("Usage: mimeo"), "{command}");
    }
    assert!(context.succeed(&["--help"]).contains("Exit codes:"));
}
