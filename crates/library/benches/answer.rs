//! What an answer, a miss and a compilation cost, by the size of the library. `cargo bench -p mimeo-library`.

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use mimeo_library::{Decision, Library, RequestView};
use mimeo_model::{
    AnsweredBy, Body, Exchange, ExchangeId, Headers, Method, Request, Response, Scheme, Timestamp, Timings,
    Version,
};

/// Shows the allocations of each case: an answer must make none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const SIZES: [u32; 3] = [10, 1_000, 100_000];

fn main() {
    divan::main();
}

fn headers() -> Headers {
    [
        ("Host", "api.example.com"),
        ("User-Agent", "bench/1.0"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, br"),
        ("Content-Type", "application/json"),
        ("Authorization", "Bearer [REDACTED:0123456789ab]"),
        ("X-Request-Id", "5f3e9a1b2c"),
    ]
    .into_iter()
    .collect()
}

fn target(number: u32) -> String {
    format!("/v1/shops/{}/orders/{number}?expand=items&page=1", number % 97)
}

fn body(number: u32) -> String {
    format!("{{\"id\":{number},\"note\":\"{}\"}}", "x".repeat(1000))
}

fn exchange(number: u32, post: bool) -> Exchange {
    let at = Timestamp::from_unix_micros(i64::from(number));
    let mut random = [0; 10];
    random[..4].copy_from_slice(&number.to_be_bytes());
    Exchange {
        id: ExchangeId::new(at, random),
        started_at: at,
        connection: 1,
        request: Request {
            method: if post { Method::POST } else { Method::GET },
            scheme: Scheme::Https,
            authority: "api.example.com".to_owned(),
            target: target(number).into(),
            version: Version::Http11,
            headers: headers(),
            body: if post { Body::from_bytes(body(number)) } else { Body::empty() },
            trailers: Headers::new(),
        },
        response: Some(Response {
            status: 200,
            headers: headers(),
            body: Body::from_bytes(Bytes::from_static(b"{\"ok\":true}")),
            ..Response::default()
        }),
        failure: None,
        timings: Timings::default(),
        frames: Vec::new(),
        answered_by: AnsweredBy::Upstream,
        graphql: Vec::new(),
    }
}

fn library(size: u32, post: bool) -> Library {
    Library::compile((0..size).map(|number| exchange(number, post)), Vec::new())
}

fn ask(bencher: Bencher<'_, '_>, library: &Library, method: &Method, target: &str, body: &str, hit: bool) {
    let headers = headers();
    bencher.bench_local(|| {
        let request = RequestView {
            method: black_box(method),
            authority: None,
            target: black_box(target.as_bytes()),
            headers: black_box(&headers),
            body: black_box(body.as_bytes()),
        };
        let decision = library.answer(&request);
        assert_eq!(matches!(decision, Decision::Hit { .. }), hit);
    });
}

#[divan::bench(args = SIZES)]
fn get(bencher: Bencher<'_, '_>, size: u32) {
    ask(bencher, &library(size, false), &Method::GET, &target(size / 2), "", true);
}

#[divan::bench(args = SIZES)]
fn post_1_kib(bencher: Bencher<'_, '_>, size: u32) {
    ask(bencher, &library(size, true), &Method::POST, &target(size / 2), &body(size / 2), true);
}

#[divan::bench(args = SIZES)]
fn get_with_parameters_in_another_order(bencher: Bencher<'_, '_>, size: u32) {
    let target = target(size / 2).replace("expand=items&page=1", "page=1&expand=items");
    ask(bencher, &library(size, false), &Method::GET, &target, "", true);
}

#[divan::bench(args = SIZES)]
fn one_request_recorded_many_times(bencher: Bencher<'_, '_>, size: u32) {
    let repeated = (0..size).map(|number| {
        let mut exchange = exchange(number, false);
        exchange.request.target = Bytes::from_static(b"/poll");
        exchange
    });
    ask(bencher, &Library::compile(repeated, Vec::new()), &Method::GET, "/poll", "", true);
}

#[divan::bench(args = SIZES)]
fn miss_of_a_path(bencher: Bencher<'_, '_>, size: u32) {
    ask(bencher, &library(size, false), &Method::GET, &target(size + 7), "", false);
}

#[divan::bench(args = SIZES)]
fn miss_of_a_body(bencher: Bencher<'_, '_>, size: u32) {
    ask(bencher, &library(size, true), &Method::POST, &target(size / 2), &body(size + 7), false);
}

#[divan::bench(args = SIZES, sample_count = 5, sample_size = 1)]
fn compile(bencher: Bencher<'_, '_>, size: u32) {
    bencher
        .counter(ItemsCount::new(size))
        .with_inputs(|| (0..size).map(|number| exchange(number, true)).collect::<Vec<_>>())
        .bench_local_values(|exchanges| Library::compile(exchanges, Vec::new()));
}
