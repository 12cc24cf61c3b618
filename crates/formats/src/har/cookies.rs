//! Cookies and query parameters as HAR repeats them, taken apart for whoever reads the file.
//!
//! Nothing here is read back: the header fields and the URL say it all.

use mimeo_model::Headers;
use serde::Serialize;

use crate::instant;

/// A name with its value.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct PairOut {
    name: String,
    value: String,
}

/// A cookie (RFC 6265).
#[derive(Debug, Serialize, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct CookieOut {
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secure: Option<bool>,
    #[serde(rename = "sameSite", skip_serializing_if = "Option::is_none")]
    same_site: Option<String>,
}

/// The cookies that a request sends.
pub(super) fn sent(headers: &Headers) -> Vec<CookieOut> {
    headers
        .get_all("cookie")
        .flat_map(|value| String::from_utf8_lossy(value).split(';').filter_map(named).collect::<Vec<_>>())
        .collect()
}

/// The cookies that a response sets.
pub(super) fn set(headers: &Headers) -> Vec<CookieOut> {
    headers
        .get_all("set-cookie")
        .filter_map(|value| {
            let value = String::from_utf8_lossy(value);
            let mut parts = value.split(';');
            let mut cookie = named(parts.next()?)?;
            for attribute in parts {
                let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                let value = value.trim().to_owned();
                match name.trim().to_ascii_lowercase().as_str() {
                    "path" => cookie.path = Some(value),
                    "domain" => cookie.domain = Some(value),
                    "expires" => cookie.expires = instant::parse_http_date(&value).map(|at| at.to_string()),
                    "httponly" => cookie.http_only = Some(true),
                    "secure" => cookie.secure = Some(true),
                    "samesite" => cookie.same_site = Some(value),
                    _ => {}
                }
            }
            Some(cookie)
        })
        .collect()
}

fn named(pair: &str) -> Option<CookieOut> {
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
    (!name.is_empty() || !value.is_empty()).then(|| CookieOut { name, value, ..CookieOut::default() })
}

/// The parameters of a query, with their escapes undone.
pub(super) fn query(query: Option<&[u8]>) -> Vec<PairOut> {
    query
        .unwrap_or_default()
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = at.map_or((pair, &pair[..0]), |at| (&pair[..at], &pair[at + 1..]));
            PairOut { name: unescaped(name), value: unescaped(value) }
        })
        .collect()
}

/// Undoes percent-encoding and `+`; what is not an escape stays.
fn unescaped(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        rest = tail;
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<PairOut> {
        list.iter().map(|(name, value)| PairOut { name: (*name).into(), value: (*value).into() }).collect()
    }

    #[test]
    fn queries_come_apart() {
        assert_eq!(
            query(Some(b"a=1&b=x%20y+z&&c&d=%zz%2&=e&f=g=h")),
            pairs(&[("a", "1"), ("b", "x y z"), ("c", ""), ("d", "%zz%2"), ("", "e"), ("f", "g=h")])
        );
        assert_eq!(query(None), []);
    }

    #[test]
    fn cookies_come_apart() {
        let headers: Headers = [
            ("Cookie", "a=1; b=\"x=y\";; lone"),
            ("Set-Cookie", "id=7; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT; HttpOnly; SameSite=Lax"),
            ("Set-Cookie", "x=; expires=never; Secure"),
        ]
        .into_iter()
        .collect();
        let sent: Vec<_> = sent(&headers).into_iter().map(|cookie| (cookie.name, cookie.value)).collect();
        let expected = [("a", "1"), ("b", "\"x=y\""), ("", "lone")];
        assert_eq!(sent, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(
            set(&headers),
            [
                CookieOut {
                    name: "id".into(),
                    value: "7".into(),
                    path: Some("/".into()),
                    expires: Some("1994-11-06T08:49:37.000000Z".into()),
                    http_only: Some(true),
                    same_site: Some("Lax".into()),
                    ..CookieOut::default()
                },
                CookieOut { name: "x".into(), secure: Some(true), ..CookieOut::default() },
            ]
        );
    }
}
