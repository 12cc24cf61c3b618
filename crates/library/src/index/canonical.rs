//! Normal forms, so that what means the same finds the same.
//!
//! A query and a form body mean the same in any order of their parameters, but for repeated ones, whose order
//! is kept; JSON means the same with any white space and any order of keys; parts of a multipart body mean the
//! same between any boundaries. Percent-encoding is normalised as RFC 3986, section 6.2.2, has it.

mod json;
mod multipart;
mod parameters;

use std::borrow::Cow;

use bytes::Bytes;
use mimeo_model::body::decoded::{DecodeLimits, decode};
use mimeo_model::body::media_type::MediaType;

use crate::request::RequestView;

/// Longest body, decoded, of which a normal form is made; a longer one stands for itself.
const MAX_BODY: usize = 16 << 20;

/// A request in its normal form, but for the headers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form<'a> {
    pub(crate) path: Cow<'a, [u8]>,
    pub(crate) query: Cow<'a, [u8]>,
    pub(crate) body: Cow<'a, [u8]>,
}

/// The normal form of a request; a body that was `cut` stands for itself.
pub(crate) fn form<'a>(request: &RequestView<'a>, cut: bool) -> Form<'a> {
    Form {
        path: parameters::escapes(request.path()),
        query: parameters::query(request.query()),
        body: if cut { Cow::Borrowed(request.body) } else { body(request) },
    }
}

/// The body in its normal form.
fn body<'a>(request: &RequestView<'a>) -> Cow<'a, [u8]> {
    if request.body.is_empty() || request.body.len() > MAX_BODY {
        return Cow::Borrowed(request.body);
    }
    let Some(plain) = plain(request, MAX_BODY) else { return Cow::Borrowed(request.body) };
    let content_type = request.headers.get("content-type");
    let normal = match MediaType::of(content_type) {
        MediaType::Json => json::canonical(&plain),
        MediaType::Form => Some(parameters::form(&plain)),
        MediaType::Binary => content_type.and_then(|value| multipart::canonical(value, &plain)),
        MediaType::JsonLines
        | MediaType::EventStream
        | MediaType::Xml
        | MediaType::Html
        | MediaType::Text => None,
    };
    normal.map_or(plain, Cow::Owned)
}

/// The body with its content codings undone; `None` where that cannot be or would give more than `most` bytes.
pub(crate) fn plain<'a>(request: &RequestView<'a>, most: usize) -> Option<Cow<'a, [u8]>> {
    let Some(encoding) = request.headers.get("content-encoding") else {
        return Some(Cow::Borrowed(request.body));
    };
    let limits = DecodeLimits { output: most as u64, ..DecodeLimits::default() };
    let decoded = decode(&Bytes::copy_from_slice(request.body), Some(encoding), limits).ok()?;
    Some(Cow::Owned(decoded.into()))
}

#[cfg(test)]
mod tests {
    use mimeo_model::{Headers, Method};
    use proptest::prelude::*;

    use super::*;

    fn normal(content_type: &str, text: &str) -> Vec<u8> {
        let headers: Headers = [("Content-Type", content_type)].into_iter().collect();
        let request = RequestView {
            method: &Method::POST,
            authority: None,
            target: b"/",
            headers: &headers,
            body: text.as_bytes(),
        };
        body(&request).into_owned()
    }

    const JSON: &str = "application/vnd.a+json; charset=utf-8";
    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn what_means_the_same_is_the_same() {
        for (content_type, one, other) in [
            (JSON, "{\"b\": [1, 2], \"a\": {\"d\": 1, \"c\": 2}}", "{\"a\":{\"c\":2,\"d\":1},\"b\":[1,2]}"),
            (FORM, "b=2&a=1&b=1", "a=1&b=2&b=1"),
            (FORM, "a=x+y%2f", "a=x%20y%2F"),
        ] {
            assert_eq!(normal(content_type, one), normal(content_type, other), "{one}");
        }
        let mixed = |boundary: &str| {
            let body = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--{boundary}--\r\n"
            );
            normal(&format!("multipart/form-data; boundary={boundary}"), &body)
        };
        assert_eq!(mixed("one"), mixed("other"));
    }

    #[test]
    fn what_means_something_else_is_something_else() {
        for (content_type, one, other) in [
            (JSON, "[1,2]", "[2,1]"),
            (FORM, "b=2&b=1", "b=1&b=2"),
            ("text/plain", "b=2&a=1", "a=1&b=2"),
            ("text/plain", "{\"a\": 1}", "{\"a\":1}"),
        ] {
            assert_ne!(normal(content_type, one), normal(content_type, other), "{one}");
        }
        assert_eq!(normal(JSON, "not json"), b"not json");
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(
            text in "[a-c=&%+2E/\\\"{}:, \\[\\]]{0,24}",
            content_type in prop::sample::select(vec![JSON, FORM, "text/plain", "multipart/mixed; boundary=a"]),
        ) {
            let once = normal(content_type, &text);
            if let Ok(text) = std::str::from_utf8(&once) {
                prop_assert_eq!(normal(content_type, text), once.clone());
            }
        }
    }
}
