use bytes::Bytes;
use mimeo_model::{
    AnsweredBy, Body, ExchangeId, Interim, Method, Request, Response, Scheme, Timestamp, Timings, Version,
};
use proptest::prelude::*;

use super::*;

fn hide(name: &str, value: &str) -> String {
    let mut headers: Headers = [("Host", "a"), (name, value)].into_iter().collect();
    Redactor::new([7; 32]).redact_headers(&mut headers);
    assert_eq!(headers.get_str("host"), Some("a"));
    headers.get_str(name).expect("kept").to_owned()
}

/// Shows the marks as `#`, so that what is kept around them can be compared.
fn shape(name: &str, value: &str) -> String {
    let mut hidden = hide(name, value);
    while let Some(at) = hidden.find(MARK) {
        hidden.replace_range(at..=at + MARK.len() + DIGITS, "#");
    }
    hidden
}

fn exchange(request: &[(&str, &str)], response: &[(&str, &str)]) -> Exchange {
    Exchange {
        id: ExchangeId::new(Timestamp::from_unix_micros(0), [0; 10]),
        started_at: Timestamp::from_unix_micros(0),
        connection: 1,
        request: Request {
            method: Method::GET,
            scheme: Scheme::Http,
            authority: "a.example".into(),
            target: Bytes::from_static(b"/x"),
            version: Version::Http11,
            headers: request.iter().copied().collect(),
            body: Body::empty(),
            trailers: request.iter().copied().collect(),
        },
        response: Some(Response {
            status: 200,
            headers: response.iter().copied().collect(),
            trailers: response.iter().copied().collect(),
            interim: vec![Interim { status: 103, headers: response.iter().copied().collect() }],
            ..Response::default()
        }),
        failure: None,
        timings: Timings::default(),
        frames: Vec::new(),
        answered_by: AnsweredBy::Upstream,
        graphql: Vec::new(),
    }
}

#[test]
fn what_a_mock_needs_around_a_secret_stays() {
    for (name, value, expected) in [
        ("Authorization", "Bearer s3cret", "Bearer #"),
        ("authorization", "bearer   s3cret ", "bearer #"),
        ("Proxy-Authorization", "Basic dTpw", "Basic #"),
        ("Authorization", "s3cret", "#"),
        ("Authorization", "s3cret second", "#"),
        ("Authorization", "Digest username=\"u\", response=\"r\"", "Digest #"),
        ("grpc-metadata-authorization", "Bearer s3cret", "Bearer #"),
        ("X-Api-Key", "s3cret", "#"),
        ("X-Api-Key", "", ""),
        ("Cookie", "sid=abc; theme=dark", "sid=#; theme=#"),
        ("Cookie", "sid=abc;theme=;lonely", "sid=#; theme=; #"),
        ("Set-Cookie", "sid=abc; Path=/; HttpOnly", "sid=#; Path=/; HttpOnly"),
        (
            "set-cookie",
            "sid=a=b; expires=Wed, 21 Oct 2026 07:28:00 GMT;Max-Age=9;",
            "sid=#; expires=Wed, 21 Oct 2026 07:28:00 GMT;Max-Age=9;",
        ),
        ("Set-Cookie", "sid=\"a;b\"; Secure", "sid=#;#; Secure"),
        ("Set-Cookie", "sid=a; Path=/, other=b; Secure", "sid=#; Path=#; Secure"),
    ] {
        assert_eq!(shape(name, value), expected, "{name}: {value}");
    }
}

#[test]
fn equal_secrets_are_seen_as_equal_wherever_they_stand() {
    let mark = |text: &str| {
        let at = text.find(MARK).expect("hidden");
        text[at..=at + MARK.len() + DIGITS].to_owned()
    };
    let cookie = mark(&hide("Set-Cookie", "sid=abc; Path=/"));
    assert_eq!(cookie, mark(&hide("Cookie", "sid=abc")));
    assert_eq!(cookie, mark(&hide("X-Auth-Token", "abc")));
    assert_ne!(cookie, mark(&hide("Cookie", "sid=abd")));
    let mut headers: Headers = [("x-auth-token", "abc")].into_iter().collect();
    Redactor::new([8; 32]).redact_headers(&mut headers);
    assert_ne!(Some(cookie.as_str()), headers.get_str("x-auth-token"), "the key decides");
}

#[test]
fn the_scope_of_an_aws_signature_stays() {
    let prefix = "AWS4-HMAC-SHA256 Credential=";
    let scope = "/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=";
    assert_eq!(shape("Authorization", &format!("{prefix}AKID{scope}ab12")), format!("{prefix}#{scope}#"));
    for odd in [
        "Credential=AKID/secret value/aws4_request, Signature=ab",
        "Credential=AKID, Signature=ab",
        "Credential=AKID/20260101/us-east-1/s3/aws4_request, Other=ab",
        "nonsense",
    ] {
        assert_eq!(shape("Authorization", &format!("AWS4-HMAC-SHA256 {odd}")), "AWS4-HMAC-SHA256 #");
    }
}

#[test]
fn a_list_without_credentials_is_left_as_it_is() {
    let fields = [("Host", "a"), ("Accept", "*/*"), ("From", "me@a.example")];
    let mut exchange = exchange(&fields, &fields);
    let before = exchange.clone();
    Redactor::new([7; 32]).redact(&mut exchange);
    assert_eq!(exchange, before);
}

#[test]
fn every_place_of_an_exchange_is_reached() {
    let mut exchange = exchange(&[("Authorization", "Bearer planted")], &[("Set-Cookie", "sid=planted")]);
    Redactor::new([7; 32]).redact(&mut exchange);
    let response = exchange.response.expect("kept");
    let lists = [
        &exchange.request.headers,
        &exchange.request.trailers,
        &response.headers,
        &response.trailers,
        &response.interim[0].headers,
    ];
    for headers in lists {
        assert_eq!(headers.len(), 1);
        for (_, value) in headers.iter() {
            assert!(is_hidden(value) && !value.windows(7).any(|window| window == b"planted"));
        }
    }
}

#[test]
fn urls_lose_user_name_and_password() {
    for (name, value, expected) in [
        ("Location", "https://u:p@a.example/x", "https://a.example/x"),
        ("Location", "//u@a.example", "//a.example"),
        (
            "Referer",
            "https://a.example/@u//b@c?next=https://u:p@b/",
            "https://a.example/@u//b@c?next=https://b/",
        ),
        ("Refresh", "5; url=http://u:p@a/", "5; url=http://a/"),
        ("Link", "<https://u:p@a/>; rel=next", "<https://a/>; rel=next"),
        ("Host", "u:p@a.example", "a.example"),
        ("X-Contact", "https://u:p@a.example/x", "https://u:p@a.example/x"),
    ] {
        let mut exchange = exchange(&[(name, value)], &[(name, value)]);
        exchange.request.authority = "u:p@ss@a.example:8080".into();
        strip_userinfo(&mut exchange);
        assert_eq!(exchange.request.authority, "a.example:8080");
        assert_eq!(exchange.request.headers.get_str(name), Some(expected));
        assert_eq!(exchange.response.expect("kept").headers.get_str(name), Some(expected));
    }
}

#[test]
fn a_target_in_origin_form_is_left_as_it_is() {
    for (target, expected) in [
        ("http://u:p@a.example/@x", "http://a.example/@x"),
        ("/@scope/package", "/@scope/package"),
        ("//u@a/b", "//u@a/b"),
        ("/to?url=http://u@a/", "/to?url=http://u@a/"),
    ] {
        let mut exchange = exchange(&[], &[]);
        exchange.request.target = Bytes::from_static(target.as_bytes());
        strip_userinfo(&mut exchange);
        assert_eq!(exchange.request.target, expected);
    }
}

proptest! {
    #[test]
    fn no_secret_survives_and_hiding_twice_is_hiding_once(
        secret in "[A-Za-z0-9+/]{8,40}",
        place in prop::sample::select(floor::CREDENTIALS.to_vec()),
        form in 0..9_usize,
    ) {
        let value = [
            secret.clone(),
            format!("Bearer {secret}"),
            format!("{secret} {secret}"),
            format!("a={secret}; b={secret}"),
            format!("a=\"x;{secret}\"; Path=/, b={secret}; Domain=x={secret}"),
            format!("AWS4-HMAC-SHA256 Credential={secret}, SignedHeaders={secret} x, Signature={secret}"),
            format!("AWS4-HMAC-SHA256 Credential={secret}/a/b/c/aws4_request, Token={secret}"),
            format!("Digest username=\"{secret}\", cnonce={secret}"),
            format!("{MARK}{secret}]"),
        ][form].clone();
        let mut headers: Headers = [(place, value.as_str())].into_iter().collect();
        let redactor = Redactor::new([1; 32]);
        redactor.redact_headers(&mut headers);
        let hidden = headers.get_str(place).expect("kept").to_owned();
        prop_assert!(!hidden.contains(&secret), "{}", hidden);
        let mut again = headers.clone();
        redactor.redact_headers(&mut again);
        prop_assert_eq!(again, headers);
    }

    #[test]
    fn any_bytes_are_hidden_without_a_fault(value in prop::collection::vec(any::<u8>(), 0..60)) {
        for place in ["cookie", "set-cookie", "authorization", "token", "location", "host"] {
            let fields = [(place.as_bytes(), value.as_slice())];
            let mut exchange = exchange(&[], &[]);
            exchange.request.headers = fields.into_iter().collect();
            let redactor = Redactor::new([1; 32]);
            redactor.redact(&mut exchange);
            let once = exchange.clone();
            redactor.redact(&mut exchange);
            prop_assert_eq!(once, exchange);
        }
    }
}
