//! GraphQL operations in requests (GraphQL over HTTP, and persisted queries as clients send them).

mod document;

use memchr::memmem;
use mimeo_model::body::decoded::{DecodeLimits, decode};
use mimeo_model::body::media_type::MediaType;
use mimeo_model::{GraphqlKind, GraphqlOperation, Method, Request};
use serde_json::Value;

use crate::detect::parameter::parameter;

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
    let is_json = MediaType::of(content_type) == MediaType::Json;
    let is_document = !is_json && content_type.is_some_and(is_graphql);
    if !is_json && !is_document {
        return Vec::new();
    }
    let Some(bytes) = request.body.inline().filter(|bytes| bytes.len() as u64 <= MAX_BODY) else {
        return Vec::new();
    };
    let limits = DecodeLimits { output: MAX_BODY, ..DecodeLimits::default() };
    let Ok(body) = decode(bytes, request.headers.get("content-encoding"), limits) else { return Vec::new() };
    if is_document {
        let text = std::str::from_utf8(&body).ok();
        return text.and_then(|text| of_document(text, None)).into_iter().collect();
    }
    // Most JSON is not GraphQL; this look is cheaper than parsing it.
    let has = |key: &str| memmem::find(&body, key.as_bytes()).is_some();
    if !has("\"query\"") && !has("\"persistedQuery\"") {
        return Vec::new();
    }
    match serde_json::from_slice(&body) {
        Ok(Value::Array(batch)) => batch.iter().take(MAX_BATCH).filter_map(of_json).collect(),
        Ok(one) => of_json(&one).into_iter().collect(),
        Err(_) => Vec::new(),
    }
}

/// `application/graphql`, with or without parameters.
fn is_graphql(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/graphql")
}

fn of_json(value: &Value) -> Option<GraphqlOperation> {
    let name = value.get("operationName").and_then(Value::as_str);
    if let Some(text) = value.get("query").and_then(Value::as_str) {
        return of_document(text, name);
    }
    persisted(value.get("extensions")?, name)
}

fn of_query(query: &[u8]) -> Option<GraphqlOperation> {
    let name = parameter(query, "operationName");
    if let Some(text) = parameter(query, "query") {
        return of_document(&text, name.as_deref());
    }
    let extensions: Value = serde_json::from_str(&parameter(query, "extensions")?).ok()?;
    persisted(&extensions, name.as_deref())
}

/// Tells the operation of a document; `wanted` picks one among several.
fn of_document(text: &str, wanted: Option<&str>) -> Option<GraphqlOperation> {
    let wanted = wanted.filter(|name| !name.is_empty());
    let operations = document::operations(text)?;
    let named = operations.iter().find(|(_, name)| wanted.is_some() && *name == wanted);
    let (kind, name) = named.or(operations.first()).copied()?;
    Some(GraphqlOperation { name: name.or(wanted).map(str::to_owned), kind })
}

/// Automatic persisted queries: the hash stands for the document.
fn persisted(extensions: &Value, name: Option<&str>) -> Option<GraphqlOperation> {
    extensions.pointer("/persistedQuery/sha256Hash")?.as_str()?;
    let name = name.filter(|name| !name.is_empty());
    Some(GraphqlOperation { name: name.map(str::to_owned), kind: GraphqlKind::Persisted })
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
        let extensions = "%7B%22persistedQuery%22%3A%7B%22sha256Hash%22%3A%22ab%22%7D%7D";
        let target = format!("/g?operationName=P&extensions={extensions}");
        let got = operations(&request(Method::GET, &target, "", ""));
        assert_eq!(got, [GraphqlOperation { name: name("P"), kind: GraphqlKind::Persisted }]);
        let text = operations(&request(Method::POST, "/g", "Application/GraphQL; a=b", "mutation M { a }"));
        assert_eq!(text, [GraphqlOperation { name: name("M"), kind: GraphqlKind::Mutation }]);
    }

    #[test]
    fn an_encoded_body_is_looked_into_and_a_long_or_cut_one_is_not() {
        let plain = "{\"query\":\"{ a }\"}";
        // Gzip with one stored block.
        let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
        gzip.extend((plain.len() as u16).to_le_bytes());
        gzip.extend((!(plain.len() as u16)).to_le_bytes());
        gzip.extend(plain.as_bytes());
        gzip.extend(0x748f_8ffa_u32.to_le_bytes());
        gzip.extend((plain.len() as u32).to_le_bytes());
        let mut asked = request(Method::POST, "/g", "application/json", plain);
        assert_eq!(operations(&asked).len(), 1);
        asked.body.length += 1;
        assert!(operations(&asked).is_empty(), "cut");
        asked.body = Body::from_bytes(format!("{plain}{}", " ".repeat(2 << 20)));
        assert!(operations(&asked).is_empty(), "long");
        asked.headers =
            [("content-type", "application/json"), ("content-encoding", "gzip")].into_iter().collect();
        asked.body = Body::from_bytes(gzip);
        assert_eq!(operations(&asked).len(), 1, "encoded");
    }

    #[test]
    fn other_requests_are_none() {
        assert!(posted(r#"{"total":1}"#).is_empty());
        assert!(posted(r#"{"query":"#).is_empty());
        assert!(posted(r#"{"query":"query words","page":1}"#).is_empty());
        assert!(posted(r#"{"query":{"match":{"title":"x"}}}"#).is_empty());
        assert!(posted("[1,2,\"query\"]").is_empty());
        assert!(operations(&request(Method::GET, "/search?query=shoes", "", "")).is_empty());
        let logs = "/loki/api/v1/query?query=%7Bjob%3D%22x%22%7D";
        assert!(operations(&request(Method::GET, logs, "", "")).is_empty());
        assert!(operations(&request(Method::POST, "/g", "text/plain", "{ a }")).is_empty());
    }
}
