//! What a miss tells.

use mimeo_library::Library;
use mimeo_library::Unanswerable;
use mimeo_model::{Failure, FailureKind, Gap, GapReason, Phase, Timestamp};

use crate::recordings::{Ask, get, library, post, with_status};

fn shop() -> Library {
    library([
        get("/v1/products?page=1").recorded(1, ""),
        post("/v1/orders", "{\"total\":1,\"note\":\"x\",\"lines\":[{\"sku\":7}]}").recorded(2, ""),
        get("/health").recorded(3, ""),
        get("/v1/products/42").recorded(4, ""),
    ])
}

#[test]
fn the_closest_recording_comes_first_with_what_differs() {
    let shop = shop();
    for (ask, url, differences) in [
        (
            post("/v1/orders", "{\"total\":2,\"extra\":true,\"lines\":[{\"sku\":8},{\"sku\":9}]}"),
            "/v1/orders",
            vec![
                "body $.total: asked 2, recorded 1",
                "body $.extra: asked true, not in the recording",
                "body $.lines[0].sku: asked 8, recorded 7",
                "body $.lines: asked 2 items, recorded 1",
                "body $.note: missing, recorded \"x\"",
            ],
        ),
        (get("/v1/products?page=2"), "/v1/products?page=1", vec!["query page: asked 2, recorded 1"]),
        (
            get("/v1/products?size=9"),
            "/v1/products?page=1",
            vec!["query size: asked 9, not in the recording", "query page: missing, recorded 1"],
        ),
        (
            get("/v1/products/43"),
            "/v1/products/42",
            vec!["path: asked /v1/products/43, recorded /v1/products/42"],
        ),
        (
            Ask { method: "DELETE", ..get("/v1/products/42") },
            "/v1/products/42",
            vec!["method: asked DELETE, recorded GET"],
        ),
        (
            Ask { body: b"total=1", ..post("/v1/orders", "") }.with(&[("Content-Type", "text/plain")]),
            "/v1/orders",
            vec![
                "header content-type: asked text/plain, recorded application/json",
                "body: differs from byte 0 on (asked 7 bytes, recorded 42)",
            ],
        ),
        (
            get("/v1/products/42").with(&[("Upgrade", "websocket")]),
            "/v1/products/42",
            vec!["upgrade: asked for a WebSocket, recorded without"],
        ),
    ] {
        let miss = ask.missed(&shop);
        assert_eq!(miss.candidates.len(), 3);
        assert_eq!(miss.candidates[0].url, format!("http://a.example{url}"), "{ask:?}");
        assert_eq!(miss.candidates[0].differences, differences, "{ask:?}");
    }
}

#[test]
fn a_miss_says_that_the_recording_has_holes() {
    let at = Timestamp::from_unix_micros(0);
    let gap = |exchanges, bodies| Gap { from: at, to: at, exchanges, bodies, reason: GapReason::Overflow };
    let library = Library::compile([get("/x").recorded(1, "")], vec![gap(2, 0), gap(0, 1)]);
    assert_eq!(get("/y").missed(&library).lost, 3);
}

#[test]
fn a_request_that_was_recorded_without_an_answer_is_named() {
    let mut failed = get("/x?b=1&a=2").recorded(1, "");
    failed.response = None;
    failed.failure = Some(Failure {
        kind: FailureKind::Timeout,
        phase: Phase::Wait,
        detail: "no answer in 30 s".to_owned(),
    });
    let id = failed.id;
    let miss = get("/x?a=2&b=1").missed(&library([failed]));
    assert!(miss.candidates.is_empty());
    let [unanswered] = miss.unanswered.as_slice() else { panic!("one") };
    assert_eq!((unanswered.id, unanswered.why), (id, Unanswerable::NoResponse));
    assert_eq!(unanswered.failure.as_deref(), Some("no answer in 30 s"));
}

#[test]
fn an_empty_library_misses_everything() {
    let miss = get("/x").missed(&library([]));
    assert!(miss.candidates.is_empty() && miss.unanswered.is_empty() && miss.lost == 0);
}

#[test]
fn other_hosts_are_told_where_there_are_several() {
    let library = library([get("/x").at("one").recorded(1, ""), get("/y").at("two").recorded(2, "")]);
    let miss = get("/x").at("two").missed(&library);
    assert_eq!(miss.candidates[0].differences, ["host: asked two, recorded one"]);
}

#[test]
fn what_is_close_is_found_among_many() {
    let paths: Vec<String> =
        (0..20_000).map(|number| format!("/v1/shops/{}/orders/{number}", number % 50)).collect();
    let bodies: Vec<String> =
        (0..2_000).map(|number| format!("{{\"query\":\"q{number}\",\"v\":1}}")).collect();
    let orders = (0_u64..).zip(&paths).map(|(number, path)| get(path).recorded(number, ""));
    let queries =
        (50_000_u64..).zip(&bodies).map(|(number, body)| post("/graphql", body).recorded(number, ""));
    let library = library(orders.chain(queries));
    for (ask, url) in [
        (get("/v1/shops/7/orders/19957x"), "/v1/shops/7/orders/19957"),
        (get("/v2/shops/7/orders/19957"), "/v1/shops/7/orders/19957"),
        (get("/v1/shops/7/orders/19957?x=1"), "/v1/shops/7/orders/19957"),
    ] {
        assert_eq!(ask.missed(&library).candidates[0].url, format!("http://a.example{url}"), "{ask:?}");
    }
    let miss = post("/graphql", "{\"query\":\"q1234\",\"v\":2}").missed(&library);
    assert_eq!(miss.candidates[0].differences, ["body $.v: asked 2, recorded 1"]);
}

#[test]
fn long_values_and_long_lists_are_cut() {
    let long = "é".repeat(500);
    let target = format!("/x?long={long}");
    let body = format!("{{{}}}", (0..100).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(","));
    let library = library([get("/x").recorded(1, ""), post("/many", "{\"k0\":1}").recorded(2, "")]);
    let miss = get(&target).missed(&library);
    assert!(miss.candidates[0].differences[0].chars().count() < 130);
    let differences = post("/many", &body).missed(&library).candidates[0].differences.clone();
    assert_eq!(differences.len(), 8);
    assert!(differences[7].starts_with("and "), "{}", differences[7]);
}

#[test]
fn a_recording_that_may_not_answer_says_why() {
    let tag = [("If-None-Match", "\"a\"")];
    let library = library([with_status(get("/x").with(&tag).recorded(1, ""), 304)]);
    let miss = get("/x").missed(&library);
    assert_eq!(miss.candidates[0].differences, ["header if-none-match: asked none, recorded \"a\""]);
}
