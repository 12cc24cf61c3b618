//! Normal forms, so that what means the same finds the same.
//!
//! A query and a form body mean the same in any order of their parameters, but for repeated ones, whose order
//! is kept; JSON means the same with any white space and any order of keys.

use std::borrow::Cow;

use mimeo_model::body::decoded::{DecodeLimits, decode};
use mimeo_model::body::media_type::MediaType;
use serde_json::Value;

use crate::request::RequestView;

/// Parameters in order of their names.
pub fn query(query: &[u8]) -> Cow<'_, [u8]> {
    let name = |parameter: &[u8]| parameter.split(|byte| *byte == b'=').next().unwrap_or_default().to_vec();
    let mut parameters: Vec<&[u8]> = query.split(|byte| *byte == b'&').collect();
    if parameters.is_sorted_by_key(|parameter| name(parameter)) {
        return Cow::Borrowed(query);
    }
    parameters.sort_by_key(|parameter| name(parameter));
    Cow::Owned(parameters.join(&b'&'))
}

/// The body in its normal form.
pub fn body<'a>(request: &RequestView<'a>) -> Cow<'a, [u8]> {
    if request.body.is_empty() {
        return Cow::Borrowed(request.body);
    }
    let encoding = request.headers.get("content-encoding");
    let plain = match encoding {
        None => Cow::Borrowed(request.body),
        Some(_) => {
            let bytes = bytes::Bytes::copy_from_slice(request.body);
            match decode(&bytes, encoding, DecodeLimits::default()) {
                Ok(plain) => Cow::Owned(plain.to_vec()),
                Err(_) => return Cow::Borrowed(request.body),
            }
        }
    };
    match MediaType::of(request.headers.get("content-type")) {
        MediaType::Json => match serde_json::from_slice::<Value>(&plain) {
            Ok(value) => Cow::Owned(json(&value).into_bytes()),
            Err(_) => plain,
        },
        MediaType::Form => Cow::Owned(query(&plain).into_owned()),
        _ => plain,
    }
}

/// JSON without white space, keys in order.
fn json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), json(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
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

    #[test]
    fn what_means_the_same_is_the_same() {
        let json = "application/json";
        assert_eq!(
            normal(json, "{\"b\": [1, 2], \"a\": {\"d\": 1, \"c\": 2}}"),
            normal(json, "{\"a\":{\"c\":2,\"d\":1},\"b\":[1,2]}")
        );
        assert_ne!(normal(json, "[1,2]"), normal(json, "[2,1]"));
        assert_eq!(normal(json, "not json"), b"not json");
        let form = "application/x-www-form-urlencoded";
        assert_eq!(normal(form, "b=2&a=1&b=1"), b"a=1&b=2&b=1");
        assert_eq!(&*query(b"b=2&a=1&b=1"), b"a=1&b=2&b=1");
        assert_eq!(&*query(b""), b"");
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own_normal_form(text in "[a-c=&]{0,20}") {
            let once = query(text.as_bytes()).into_owned();
            prop_assert_eq!(query(&once).into_owned(), once.clone());
        }
    }
}
