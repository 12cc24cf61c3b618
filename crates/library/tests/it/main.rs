//! The library as a mock server uses it.

use std::time::Duration;

use bytes::Bytes;
use mimeo_library::{Decision, Library, RequestView, verify};
use mimeo_model::{
    AnsweredBy, Body, Exchange, ExchangeId, Gap, GapReason, Headers, Method, Request, Response, Scheme,
    Timestamp, Timings, Version,
};
use proptest::prelude::*;

fn recorded(
    number: u64,
    method: &str,
    url: (&str, &str),
    fields: &[(&str, &str)],
    body: &str,
    answer: &str,
) -> Exchange {
    let at = Timestamp::from_unix_micros(1_795_000_000_000_000 + number as i64 * 1_000);
    Exchange {
        id: ExchangeId::new(at, [number as u8; 10]),
        started_at: at,
        connection: 1,
        request: Request {
            method: Method::new(method.as_bytes()).expect("a method"),
            scheme: Scheme::Http,
            authority: url.0.to_owned(),
            target: Bytes::copy_from_slice(url.1.as_bytes()),
            version: Version::Http11,
            headers: fields.iter().copied().collect(),
            body: Body::from_bytes(body.to_owned()),
            trailers: Headers::new(),
        },
        response: Some(Response {
            status: 200,
            body: Body::from_bytes(answer.to_owned()),
            ..Response::default()
        }),
        failure: None,
        timings: Timings { wait: Some(Duration::from_millis(1)), ..Timings::default() },
        frames: Vec::new(),
        answered_by: AnsweredBy::Upstream,
        graphql: Vec::new(),
    }
}

fn ask(
    library: &Library,
    method: &str,
    authority: Option<&str>,
    target: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Option<String> {
    let method = Method::new(method.as_bytes()).expect("a method");
    let headers: Headers = fields.iter().copied().collect();
    let request = RequestView {
        method: &method,
        authority,
        target: target.as_bytes(),
        headers: &headers,
        body: body.as_bytes(),
    };
    match library.answer(&request) {
        Decision::Hit { mock, .. } => {
            Some(String::from_utf8_lossy(mock.response.body.inline().expect("in memory")).into_owned())
        }
        Decision::Miss(_) => None,
    }
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

#[test]
fn repeated_requests_answer_in_recorded_order_and_then_the_last() {
    let library = Library::compile(
        (1..=3).map(|number| recorded(number, "GET", ("a", "/jobs/1"), &[], "", &format!("state {number}"))),
        Vec::new(),
    );
    let answers: Vec<_> = (0..5).filter_map(|_| ask(&library, "GET", None, "/jobs/1", &[], "")).collect();
    assert_eq!(answers, ["state 1", "state 2", "state 3", "state 3", "state 3"]);
    library.reset();
    assert_eq!(ask(&library, "GET", None, "/jobs/1", &[], "").as_deref(), Some("state 1"));
}

#[test]
fn what_means_the_same_is_found_and_what_does_not_is_not() {
    let library = Library::compile(
        [
            recorded(1, "GET", ("a", "/s?b=2&a=1"), &[], "", "sorted"),
            recorded(2, "POST", ("a", "/o"), JSON, "{\"x\":1,\"y\":[1,2]}", "json"),
        ],
        Vec::new(),
    );
    assert_eq!(ask(&library, "GET", None, "/s?a=1&b=2", &[], "").as_deref(), Some("sorted"));
    assert_eq!(
        ask(&library, "POST", None, "/o", JSON, "{ \"y\": [1, 2], \"x\": 1 }").as_deref(),
        Some("json")
    );
    assert_eq!(ask(&library, "POST", None, "/o", JSON, "{\"x\":1,\"y\":[2,1]}"), None);
    assert_eq!(ask(&library, "PUT", None, "/o", JSON, "{\"x\":1,\"y\":[1,2]}"), None);
    assert_eq!(ask(&library, "GET", None, "/s?a=1", &[], ""), None);
}

#[test]
fn hosts_and_selecting_headers_tell_recordings_apart() {
    let range = |from: &'static str| [("Range", from)];
    let library = Library::compile(
        [
            recorded(1, "GET", ("one", "/f"), &range("bytes=0-1"), "", "one first"),
            recorded(2, "GET", ("one", "/f"), &range("bytes=2-3"), "", "one second"),
            recorded(3, "GET", ("two", "/f"), &range("bytes=0-1"), "", "two first"),
        ],
        Vec::new(),
    );
    assert_eq!(
        ask(&library, "GET", Some("one"), "/f", &range("bytes=2-3"), "").as_deref(),
        Some("one second")
    );
    assert_eq!(
        ask(&library, "GET", Some("two"), "/f", &range("bytes=0-1"), "").as_deref(),
        Some("two first")
    );
    assert_eq!(ask(&library, "GET", Some("three"), "/f", &range("bytes=0-1"), ""), None);
    assert_eq!(ask(&library, "GET", None, "/f", &range("bytes=2-3"), "").as_deref(), Some("one second"));
}

#[test]
fn a_miss_names_the_closest_recordings_and_what_differs() {
    let at = Timestamp::from_unix_micros(0);
    let gap = Gap { from: at, to: at, exchanges: 2, bodies: 0, reason: GapReason::Overflow };
    let library = Library::compile(
        [
            recorded(1, "GET", ("a", "/v1/products?page=1"), &[], "", ""),
            recorded(2, "POST", ("a", "/v1/orders"), JSON, "{\"total\":1,\"note\":\"x\"}", ""),
            recorded(3, "GET", ("a", "/health"), &[], "", ""),
        ],
        vec![gap],
    );
    let headers: Headers = JSON.iter().copied().collect();
    let request = RequestView {
        method: &Method::POST,
        authority: None,
        target: b"/v1/orders",
        headers: &headers,
        body: b"{\"total\":2,\"extra\":true}",
    };
    let Decision::Miss(miss) = library.answer(&request) else { panic!("a miss") };
    assert_eq!(miss.lost, 2);
    assert_eq!(miss.candidates.len(), 3);
    assert_eq!(miss.candidates[0].url, "http://a/v1/orders");
    assert_eq!(
        miss.candidates[0].differences,
        [
            "body $.total: asked 2, recorded 1",
            "body $.extra: asked true, not in the recording",
            "body $.note: missing, recorded \"x\"",
        ]
    );
    let request = RequestView {
        method: &Method::GET,
        authority: None,
        target: b"/v1/products?page=2",
        headers: &headers,
        body: b"",
    };
    let Decision::Miss(miss) = library.answer(&request) else { panic!("a miss") };
    assert_eq!(miss.candidates[0].differences, ["query page: asked 2, recorded 1"]);
}

#[test]
fn a_library_is_held_against_its_own_recording() {
    let mut cut = recorded(9, "GET", ("a", "/cut"), &[], "", "half");
    if let Some(response) = &mut cut.response {
        response.body.length = 100;
    }
    let library = Library::compile(
        [
            recorded(1, "GET", ("a", "/x?1"), &[], "", "1"),
            recorded(2, "GET", ("a", "/x?2"), &[], "", "2"),
            cut,
        ],
        Vec::new(),
    );
    let fidelity = verify::verify(&library);
    let told: Vec<_> = fidelity
        .iter()
        .map(|endpoint| (&endpoint.path[..], endpoint.recorded, endpoint.reproduced))
        .collect();
    assert_eq!(told, [("/cut", 1, 0), ("/x", 2, 2)]);
}

proptest! {
    #[test]
    fn every_recorded_request_finds_its_answers_in_order(
        requests in prop::collection::vec((prop::sample::select(vec!["GET", "POST"]), "/[ab]{1,2}", "([xy]=[12]&?){0,3}", "[01]{0,2}"), 1..40),
    ) {
        let exchanges: Vec<Exchange> = (1..)
            .zip(&requests)
            .map(|(number, (method, path, query, body))| {
                recorded(number, method, ("a", &format!("{path}?{query}")), &[], body, &number.to_string())
            })
            .collect();
        let library = Library::compile(exchanges.clone(), Vec::new());
        // The oracle: answers by position among recordings that mean the same.
        for exchange in &exchanges {
            let request = &exchange.request;
            let found = ask(
                &library,
                request.method.as_str(),
                Some("a"),
                &String::from_utf8_lossy(&request.target),
                &[],
                &String::from_utf8_lossy(request.body.inline().expect("in memory")),
            );
            let expected = String::from_utf8_lossy(exchange.response.as_ref().expect("answered").body.inline().expect("in memory")).into_owned();
            prop_assert_eq!(found, Some(expected));
        }
    }
}
