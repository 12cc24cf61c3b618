//! Which recording answers.

use mimeo_library::{Decision, RequestView, Tier};
use mimeo_model::{AnsweredBy, Exchange, Failure, FailureKind, Headers, Method, Phase};

use crate::recordings::{Ask, JSON, get, library, post, with_status};

#[test]
fn repeated_requests_answer_in_recorded_order_and_then_the_last() {
    let library = library((1..=3).map(|number| get("/jobs/1").recorded(number, &format!("state {number}"))));
    let answers: Vec<_> = (0..5).filter_map(|_| get("/jobs/1").of(&library)).collect();
    assert_eq!(answers, ["state 1", "state 2", "state 3", "state 3", "state 3"]);
    library.reset();
    assert_eq!(get("/jobs/1").of(&library).as_deref(), Some("state 1"));
    assert_eq!((library.requests(), library.mocks().len()), (1, 3));
}

#[test]
fn what_means_the_same_is_found_and_what_does_not_is_not() {
    let library = library([
        get("/s?b=2&a=1").recorded(1, "sorted"),
        post("/o", "{\"x\":1,\"y\":[1,2]}").recorded(2, "json"),
        post("/big", "{\"id\":12345678901234567890123}").recorded(3, "big"),
        get("/a%2fb/%7Ec").recorded(4, "escaped"),
    ]);
    for (ask, answer) in [
        (get("/s?a=1&b=2"), Some("sorted")),
        (get("/s?a=1"), None),
        (get("/s?a=1&b=2&b=2"), None),
        (post("/o", "{ \"y\": [1, 2], \"x\": 1 }"), Some("json")),
        (post("/o", "{\"x\":1,\"y\":[2,1]}"), None),
        (Ask { method: "PUT", ..post("/o", "{\"x\":1,\"y\":[1,2]}") }, None),
        (post("/big", "{\"id\": 12345678901234567890123}"), Some("big")),
        (post("/big", "{\"id\":12345678901234567890124}"), None),
        (get("/a%2Fb/~c"), Some("escaped")),
        (get("/a/b/~c"), None),
    ] {
        assert_eq!(ask.of(&library).as_deref(), answer, "{ask:?}");
    }
}

#[test]
fn one_sequence_holds_all_that_means_the_same() {
    let library =
        library([get("/poll?a=1&b=2").recorded(1, "pending"), get("/poll?b=2&a=1").recorded(2, "done")]);
    assert_eq!(get("/poll?a=1&b=2").of(&library).as_deref(), Some("pending"));
    assert_eq!(get("/poll?a=1&b=2").of(&library).as_deref(), Some("done"));
}

#[test]
fn the_same_bytes_under_two_content_types_are_one_request_with_a_choice() {
    let text: &[(&str, &str)] = &[("Content-Type", "text/plain")];
    let body = "{\"b\":1,\"a\":2}";
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let exchanges = [
            post("/o", body).recorded(1, "json"),
            post("/o", body).with(text).recorded(2, "text"),
            post("/o", "{\"a\":2,\"b\":1}").recorded(3, "json"),
        ];
        let library = library(order.map(|number| exchanges[number - 1].clone()));
        assert_eq!(library.requests(), 1);
        assert_eq!(post("/o", body).of(&library).as_deref(), Some("json"));
        assert_eq!(post("/o", body).with(text).of(&library).as_deref(), Some("text"));
    }
}

#[test]
fn hosts_and_selecting_headers_tell_recordings_apart() {
    let accept: [[(&str, &str); 1]; 2] = [[("Accept", "text/html")], [("Accept", "application/json")]];
    let library = library([
        get("/f").at("one").with(&accept[0]).recorded(1, "one first"),
        get("/f").at("one").with(&accept[1]).recorded(2, "one second"),
        get("/f").at("two:443").with(&accept[0]).recorded(3, "two first"),
    ]);
    let hosted = [("Host", "TWO"), ("Accept", "application/json")];
    for (ask, answer) in [
        (get("/f").at("one").with(&accept[1]), Some("one second")),
        (get("/f").at("ONE").with(&accept[1]), Some("one second")),
        (get("/f").at("two").with(&accept[0]), Some("two first")),
        (get("/f").at("two").with(&accept[1]), Some("two first")),
        (get("/f").at("three").with(&accept[0]), None),
        (get("/f").with(&accept[1]), Some("one second")),
        (get("/f").with(&hosted), Some("two first")),
    ] {
        assert_eq!(ask.of(&library).as_deref(), answer, "{ask:?}");
    }
}

#[test]
fn a_library_of_one_host_answers_under_any_name() {
    let library = library([get("/f").at("api.example.com").recorded(1, "f")]);
    for ask in [get("/f"), get("/f").at("localhost:9090"), get("/f").with(&[("Host", "localhost")])] {
        assert_eq!(ask.of(&library).as_deref(), Some("f"), "{ask:?}");
    }
}

#[test]
fn no_one_is_given_a_part_that_was_not_asked_for() {
    let range: [[(&str, &str); 1]; 3] =
        [[("Range", "bytes=0-1")], [("Range", "bytes=2-3")], [("Range", "bytes=4-5")]];
    let parts = || {
        (1_u64..)
            .zip(&range[..2])
            .map(|(number, range)| with_status(get("/f").with(range).recorded(number, range[0].1), 206))
    };
    let partial = library(parts());
    assert_eq!(get("/f").with(&range[1]).of(&partial).as_deref(), Some("bytes=2-3"));
    assert_eq!(get("/f").with(&range[2]).of(&partial), None);
    assert_eq!(get("/f").of(&partial), None);
    let miss = get("/f").missed(&partial);
    assert_eq!(miss.candidates[0].differences, ["header range: asked none, recorded bytes=0-1"]);
    let whole = library(parts().chain([get("/f").recorded(3, "whole")]));
    assert_eq!(get("/f").with(&range[0]).of(&whole).as_deref(), Some("bytes=0-1"));
    assert_eq!(get("/f").with(&range[2]).of(&whole).as_deref(), Some("whole"));
    assert_eq!(get("/f").of(&whole).as_deref(), Some("whole"));
}

#[test]
fn not_modified_answers_only_who_has_what_was_not_modified() {
    let tag: [[(&str, &str); 1]; 2] = [[("If-None-Match", "\"a\"")], [("If-None-Match", "\"b\"")]];
    let first = get("/f").recorded(1, "fresh");
    let second = with_status(get("/f").with(&tag[0]).recorded(2, "cached"), 304);
    let both = library([first, second.clone()]);
    assert_eq!(get("/f").with(&tag[0]).of(&both).as_deref(), Some("cached"));
    assert_eq!(get("/f").with(&tag[1]).of(&both).as_deref(), Some("fresh"));
    assert_eq!(get("/f").of(&both).as_deref(), Some("fresh"));
    let only = library([second]);
    assert_eq!(get("/f").of(&only), None);
}

#[test]
fn operations_named_in_headers_are_not_mixed_up() {
    let target =
        |name: &'static str| [("X-Amz-Target", name), ("Content-Type", "application/x-amz-json-1.0")];
    let (list, streams) = (target("DynamoDB_20120810.ListTables"), target("DynamoDB_20120810.ListStreams"));
    let library = library([post("/", "{}").with(&list).recorded(1, "tables")]);
    assert_eq!(post("/", "{}").with(&list).of(&library).as_deref(), Some("tables"));
    assert_eq!(post("/", "{}").with(&streams).of(&library), None);
}

#[test]
fn credentials_decide_nothing() {
    let hidden =
        [("Authorization", "Bearer [REDACTED:0123456789ab]"), ("Cookie", "sid=[REDACTED:0123456789ab]")];
    let library = library([get("/me").with(&hidden).recorded(1, "me")]);
    assert_eq!(get("/me").with(&[("Authorization", "Bearer real")]).of(&library).as_deref(), Some("me"));
}

#[test]
fn a_date_that_is_always_new_does_not_stop_a_sequence() {
    let since = |day: &'static str| [("If-Modified-Since", day)];
    let days = ["Mon", "Tue", "Wed"].map(since);
    let library =
        library((1_u64..).zip(&days).map(|(number, day)| get("/p").with(day).recorded(number, day[0].1)));
    let new = since("Sun");
    let answers: Vec<_> = (0..4).filter_map(|_| get("/p").with(&new).of(&library)).collect();
    assert_eq!(answers, ["Mon", "Tue", "Wed", "Wed"]);
}

#[test]
fn an_upload_between_new_boundaries_is_the_same_upload() {
    let sent = |boundary: &str| {
        let body =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=f\r\n\r\nx\r\n--{boundary}--\r\n");
        (format!("multipart/form-data; boundary={boundary}"), body)
    };
    let ask = |kept: &(String, String), answer: u64| {
        let fields = [("Content-Type", kept.0.as_str())];
        Ask { body: kept.1.as_bytes(), ..post("/u", "") }.with(&fields).recorded(answer, &answer.to_string())
    };
    let library = library([ask(&sent("one"), 1), ask(&sent("two"), 2)]);
    let third = sent("three");
    let fields = [("Content-Type", third.0.as_str())];
    let asked = Ask { body: third.1.as_bytes(), ..post("/u", "") }.with(&fields);
    let answers: Vec<_> = (0..3).filter_map(|_| asked.of(&library)).collect();
    assert_eq!(answers, ["1", "2", "2"]);
}

#[test]
fn a_websocket_and_a_plain_request_for_one_path_are_two_requests() {
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x")];
    let library = library([
        with_status(get("/ws").with(&upgrade).recorded(1, "socket"), 101),
        with_status(get("/ws").recorded(2, "upgrade required"), 426),
    ]);
    let again = [("Upgrade", "WebSocket"), ("Sec-WebSocket-Key", "y")];
    assert_eq!(get("/ws").of(&library).as_deref(), Some("upgrade required"));
    assert_eq!(get("/ws").with(&again).of(&library).as_deref(), Some("socket"));
    assert_eq!(get("/ws").with(&again).of(&library).as_deref(), Some("socket"));
}

#[test]
fn a_long_upload_is_found_by_the_part_that_was_kept() {
    let whole = vec![b'u'; 5_000];
    let mut recorded = Ask { body: &whole[..2_000], ..post("/u", "") }.recorded(1, "stored");
    recorded.request.body.length = 5_000;
    let library = library([recorded]);
    let ask = |body: &[u8]| Ask { body, ..post("/u", "") }.of(&library);
    assert_eq!(ask(&whole).as_deref(), Some("stored"));
    assert_eq!(ask(&whole[..4_999]), None, "another length");
    assert_eq!(ask(&whole[..2_000]), None, "only the part");
    let mut other = whole.clone();
    other[1_999] = b'v';
    assert_eq!(ask(&other), None, "another beginning");
}

#[test]
fn only_what_the_upstream_answered_in_full_answers() {
    let failed = |kind| Some(Failure { kind, phase: Phase::Receive, detail: "broke off".to_owned() });
    let changed = |number: u64, change: fn(&mut Exchange)| {
        let mut exchange = get("/x").recorded(number, "half");
        change(&mut exchange);
        exchange
    };
    let mut cut = changed(1, |exchange| exchange.request.target = "/cut".into());
    cut.failure = failed(FailureKind::Reset);
    let mut stream = cut.clone();
    stream.request.target = "/events".into();
    if let Some(response) = &mut stream.response {
        response.headers = [("Content-Type", "text/event-stream")].into_iter().collect();
    }
    let library = library([
        cut,
        stream,
        changed(2, |exchange| exchange.response = None),
        changed(3, |exchange| exchange.answered_by = AnsweredBy::Proxy),
        changed(4, |exchange| exchange.request.method = Method::CONNECT),
        changed(5, |exchange| {
            if let Some(response) = &mut exchange.response {
                response.body.length += 1;
            }
        }),
    ]);
    assert_eq!(library.mocks().len(), 1);
    assert_eq!(library.unanswerable().len(), 5);
    assert_eq!(get("/events").of(&library).as_deref(), Some("half"), "what came of a stream is played");
    assert_eq!(get("/cut").of(&library), None);
    assert_eq!(get("/x").of(&library), None);
}

#[test]
fn a_hit_names_its_tier() {
    let library = library([get("/x").recorded(1, "x")]);
    let (headers, method) = (Headers::new(), Method::GET);
    let request =
        RequestView { method: &method, authority: None, target: b"/x", headers: &headers, body: b"" };
    let Decision::Hit { tier, .. } = library.answer(&request) else { panic!("a hit") };
    assert_eq!((tier, tier.as_str()), (Tier::Exact, "exact"));
}

#[test]
fn compressed_bodies_are_compared_as_what_they_hold() {
    // Gzip of `{"a":1}` in one stored block, with two different times in its head.
    let gzip = |time: u8| {
        let plain = b"{\"a\":1}";
        let mut out = vec![0x1f, 0x8b, 8, 0, time, 0, 0, 0, 0, 3, 1, 7, 0, 0xf8, 0xff];
        out.extend_from_slice(plain);
        out.extend_from_slice(&CRC.to_le_bytes());
        out.extend_from_slice(&7_u32.to_le_bytes());
        out
    };
    let fields = [JSON[0], ("Content-Encoding", "gzip")];
    let (one, other) = (gzip(1), gzip(2));
    let library = library([Ask { body: &one, ..post("/o", "") }.with(&fields).recorded(1, "found")]);
    assert_eq!(Ask { body: &other, ..post("/o", "") }.with(&fields).of(&library).as_deref(), Some("found"));
    assert_eq!(post("/o", "{\"a\": 1}").of(&library).as_deref(), Some("found"), "and without a coding");
}

/// CRC-32 of `{"a":1}`.
const CRC: u32 = 0x561b_acaf;
