//! GraphQL operations in requests (GraphQL over HTTP, and persisted queries as clients send them).

use std::borrow::Cow;

use mimeo_model::body::decoded::{DecodeLimits, decode};
use mimeo_model::body::media_type::MediaType;
use mimeo_model::{GraphqlKind, GraphqlOperation, Method, Request};
use serde_json::Value;

/// Longest decoded body that is looked into.
const MAX_BODY: u64 = 1 << 20;
/// Most operations taken from one batch.
const MAX_BATCH: usize = 100;

/// The operations that a request carries, in order; none when it is not GraphQL.
pub fn operations(request: &Request) -> Vec<GraphqlOperation> {
    if request.method == Method::GET {
        return request.query().and_then(of_query).into_iter().collect();
    }
    if request.method != Method::POST || request.body.is_empty() || request.body.is_truncated() {
        return Vec::new();
    }
    let content_type = request.headers.get("content-type");
    let is_text =
        content_type.is_some_and(|value| value.to_ascii_lowercase().starts_with(b"application/graphql"));
    if !is_text && MediaType::of(content_type) != MediaType::Json {
        return Vec::new();
    }
    let Some(bytes) = request.body.inline().filter(|bytes| bytes.len() as u64 <= MAX_BODY) else {
        return Vec::new();
    };
    let limits = DecodeLimits { output: MAX_BODY, ..DecodeLimits::default() };
    let Ok(body) = decode(bytes, request.headers.get("content-encoding"), limits) else { return Vec::new() };
    if is_text && MediaType::of(content_type) != MediaType::Json {
        return std::str::from_utf8(&body)
            .ok()
            .and_then(|text| of_document(text, None))
            .into_iter()
            .collect();
    }
    // Most JSON is not GraphQL; this look is cheaper than parsing it.
    let has = |key: &[u8]| body.windows(key.len()).any(|window| window == key);
    if !has(b"\"query\"") && !has(b"\"persistedQuery\"") {
        return Vec::new();
    }
    match serde_json::from_slice(&body) {
        Ok(Value::Array(batch)) => batch.iter().take(MAX_BATCH).filter_map(of_json).collect(),
        Ok(one) => of_json(&one).into_iter().collect(),
        Err(_) => Vec::new(),
    }
}

fn of_json(value: &Value) -> Option<GraphqlOperation> {
    let name = value.get("operationName").and_then(Value::as_str);
    if let Some(text) = value.get("query").and_then(Value::as_str) {
        return of_document(text, name);
    }
    value.pointer("/extensions/persistedQuery/sha256Hash")?.as_str()?;
    Some(GraphqlOperation { name: name.map(str::to_owned), kind: GraphqlKind::Persisted })
}

fn of_query(query: &[u8]) -> Option<GraphqlOperation> {
    let query = std::str::from_utf8(query).ok()?;
    let parameter = |wanted: &str| {
        query.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('=')).map(percent_decoded)
    };
    let name = parameter("operationName");
    if let Some(text) = parameter("query") {
        return of_document(&text, name.as_deref());
    }
    parameter("extensions").filter(|extensions| extensions.contains("persistedQuery"))?;
    Some(GraphqlOperation { name: name.map(Cow::into_owned), kind: GraphqlKind::Persisted })
}

/// Reads the operations' heads of a document; `wanted` picks one among several.
fn of_document(text: &str, wanted: Option<&str>) -> Option<GraphqlOperation> {
    let mut first = None;
    for (kind, name) in heads(text) {
        if wanted.is_some() && name == wanted {
            return Some(GraphqlOperation { name: name.map(str::to_owned), kind });
        }
        first.get_or_insert((kind, name));
    }
    let (kind, name) = first?;
    Some(GraphqlOperation { name: name.or(wanted).map(str::to_owned), kind })
}

/// The kind and name of each operation that stands at the top of a document. Braces, parentheses and strings
/// are skipped as wholes, which is all that finding the heads needs.
fn heads(text: &str) -> Vec<(GraphqlKind, Option<&str>)> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    let mut found = Vec::new();
    let mut expected: Option<GraphqlKind> = None;
    let mut in_fragment = false;
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                at += bytes[at..]
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | b'\r'))
                    .unwrap_or(bytes.len() - at);
            }
            b'"' if bytes[at..].starts_with(b"\"\"\"") => {
                let end = text[at + 3..].find("\"\"\"").map_or(bytes.len(), |end| at + 3 + end + 3);
                at = end;
            }
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'{' | b'(' | b'[' => {
                if depth == 0 && bytes[at] == b'{' {
                    match expected.take() {
                        Some(kind) => found.push((kind, None)),
                        None if found.is_empty() && !in_fragment => found.push((GraphqlKind::Query, None)),
                        None => {}
                    }
                    in_fragment = false;
                } else if depth == 0
                    && let Some(kind) = expected.take()
                {
                    found.push((kind, None));
                }
                depth += 1;
                at += 1;
            }
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            byte if depth == 0 && (byte.is_ascii_alphabetic() || byte == b'_') => {
                let length = bytes[at..]
                    .iter()
                    .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
                    .unwrap_or(bytes.len() - at);
                let word = &text[at..at + length];
                at += length;
                match (expected.take(), word) {
                    (Some(kind), name) => found.push((kind, Some(name))),
                    (None, "query") => expected = Some(GraphqlKind::Query),
                    (None, "mutation") => expected = Some(GraphqlKind::Mutation),
                    (None, "subscription") => expected = Some(GraphqlKind::Subscription),
                    (None, "fragment") => in_fragment = true,
                    (None, _) => {}
                }
            }
            _ => at += 1,
        }
    }
    found
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match (bytes[at], pair) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mimeo_model::{Body, Headers, Scheme, Version};

    use super::*;

    fn request(method: Method, target: &str, content_type: &str, body: &str) -> Request {
        Request {
            method,
            scheme: Scheme::Http,
            authority: "a".into(),
            target: Bytes::copy_from_slice(target.as_bytes()),
            version: Version::Http11,
            headers: [("content-type", content_type)].into_iter().collect::<Headers>(),
            body: Body::from_bytes(body.to_owned()),
            trailers: Headers::new(),
        }
    }

    fn posted(body: &str) -> Vec<(Option<String>, GraphqlKind)> {
        operations(&request(Method::POST, "/graphql", "application/json", body))
            .into_iter()
            .map(|operation| (operation.name, operation.kind))
            .collect()
    }

    #[test]
    fn operations_are_named_over_every_way_of_asking() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(
            posted(r#"{"query":"query Cart($id: ID!) { cart(id: $id) { id } }"}"#),
            [(name("Cart"), GraphqlKind::Query)]
        );
        assert_eq!(posted(r#"{"query":"{ me { id } }"}"#), [(None, GraphqlKind::Query)]);
        assert_eq!(
            posted(
                r##"{"query":"# c\nfragment F on X { a } query A { a } mutation B { b(s: \"}{\") }","operationName":"B"}"##
            ),
            [(name("B"), GraphqlKind::Mutation)]
        );
        assert_eq!(
            posted(r#"[{"query":"subscription S { s }"},{"query":"mutation { m }"}]"#),
            [(name("S"), GraphqlKind::Subscription), (None, GraphqlKind::Mutation)]
        );
        assert_eq!(
            posted(
                r#"{"operationName":"P","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}}}"#
            ),
            [(name("P"), GraphqlKind::Persisted)]
        );
        let got = operations(&request(Method::GET, "/g?query=query%20Q%20%7B+a+%7D", "", ""));
        assert_eq!(got, [GraphqlOperation { name: name("Q"), kind: GraphqlKind::Query }]);
        let text = operations(&request(Method::POST, "/g", "application/graphql", "mutation M { a }"));
        assert_eq!(text, [GraphqlOperation { name: name("M"), kind: GraphqlKind::Mutation }]);
    }

    #[test]
    fn other_requests_are_none() {
        assert!(posted(r#"{"total":1}"#).is_empty());
        assert!(posted(r#"{"query":"#).is_empty());
        assert!(posted(r#"{"query":"search words","page":1}"#).is_empty());
        assert!(operations(&request(Method::GET, "/search?query=shoes", "", "")).is_empty());
    }
}
