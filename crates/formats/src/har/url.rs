//! URLs: one string in HAR; scheme, authority and the bytes of the target in the model.

use bytes::Bytes;
use mimeo_model::{Request, Scheme};
use serde::Serialize;

use crate::import::{Import, Unusable};
use crate::json::Json;
use crate::octets::{self, Base64};
use crate::target::{escape, escaped, is_authority, is_target};

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) scheme: Scheme,
    pub(super) authority: String,
    pub(super) target: Bytes,
}

/// A request's URL, ready to be written.
#[derive(Serialize)]
pub(super) struct UrlOut<'r> {
    url: String,
    #[serde(rename = "_scheme", skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(rename = "_authority", skip_serializing_if = "Option::is_none")]
    authority: Option<&'r str>,
    #[serde(rename = "_target", skip_serializing_if = "Option::is_none")]
    target: Option<&'r str>,
    #[serde(rename = "_targetBase64", skip_serializing_if = "Option::is_none")]
    target_bytes: Option<Base64<'r>>,
}

impl<'r> UrlOut<'r> {
    /// WebSockets get the scheme under which browsers show them.
    pub(super) fn of(request: &'r Request, websocket: bool) -> Self {
        let scheme = match (request.scheme, websocket) {
            (scheme, false) => scheme.as_str(),
            (Scheme::Http, true) => "ws",
            (Scheme::Https, true) => "wss",
        };
        let slash = if request.target.starts_with(b"/") { "" } else { "/" };
        let url = format!("{scheme}://{}{slash}{}", request.authority, escaped(&request.target));
        let read = split(&url).ok().map(|(parts, _)| parts);
        let read = read.as_ref();
        let mut out = Self { url, scheme: None, authority: None, target: None, target_bytes: None };
        if read.is_none_or(|read| read.scheme != request.scheme) {
            out.scheme = Some(request.scheme.as_str());
        }
        if read.is_none_or(|read| read.authority != request.authority) {
            out.authority = Some(&request.authority);
        }
        if read.is_none_or(|read| read.target != request.target) {
            match std::str::from_utf8(&request.target) {
                Ok(target) => out.target = Some(target),
                Err(_) => out.target_bytes = Some(Base64(&request.target)),
            }
        }
        out
    }
}

/// What was taken out of a URL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Removed {
    credentials: bool,
}

/// Takes a URL apart; the fragment, credentials and the scheme's own port fall away.
pub(super) fn split(url: &str) -> Result<(Parts, Removed), String> {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    }) else {
        return Err("the URL is relative; an absolute one is needed".into());
    };
    let (scheme, rest) = match (scheme.to_ascii_lowercase().as_str(), rest.strip_prefix("//")) {
        ("http" | "ws", Some(rest)) => (Scheme::Http, rest),
        ("https" | "wss", Some(rest)) => (Scheme::Https, rest),
        ("http" | "https" | "ws" | "wss", None) => return Err("the URL has no host".into()),
        (other, _) => return Err(format!("a `{}:` URL is no HTTP request", &other[..other.len().min(40)])),
    };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let (credentials, authority) = match authority.rsplit_once('@') {
        Some((_, authority)) => (true, authority),
        None => (false, authority),
    };
    let own_port = format!(":{}", scheme.default_port());
    let authority = authority.strip_suffix(&own_port).unwrap_or(authority);
    if !is_authority(authority) {
        return Err("the URL has no valid host".into());
    }
    let target = target.split('#').next().unwrap_or_default();
    let mut target = escape(target.as_bytes(), |byte| *byte <= b' ' || *byte >= 0x7f);
    if !target.starts_with('/') {
        target.insert(0, '/');
    }
    let parts = Parts { scheme, authority: authority.to_owned(), target: target.into() };
    Ok((parts, Removed { credentials }))
}

/// Reads the URL of a HAR request.
pub(super) fn read(request: &Json, import: &mut Import<'_>) -> Result<Parts, Unusable> {
    let Some(url) = request.get("url").and_then(Json::text) else {
        return Err(Unusable::new("request.url", "the request has no URL"));
    };
    let text = |key| request.get(key).and_then(Json::text);
    let (mut parts, removed) = match split(url) {
        Ok(parts) => parts,
        // An authority that no URL can hold stands in a field of its own.
        Err(_) if text("_authority").is_some() => {
            (Parts { scheme: Scheme::Http, authority: String::new(), target: "/".into() }, Removed::default())
        }
        Err(why) => return Err(Unusable::new("request.url", why)),
    };
    if removed.credentials {
        import.note("the URL holds a user name or password: left out", "request.url");
    }
    match text("_scheme") {
        Some("http") => parts.scheme = Scheme::Http,
        Some("https") => parts.scheme = Scheme::Https,
        _ => {}
    }
    match text("_authority") {
        Some(authority) if authority.is_empty() || is_authority(authority) => {
            authority.clone_into(&mut parts.authority);
        }
        Some(_) => return Err(Unusable::new("request._authority", "it is no valid host")),
        None => {}
    }
    let exact = match (text("_target"), text("_targetBase64")) {
        (Some(target), _) => Some(Bytes::copy_from_slice(target.as_bytes())),
        (None, Some(target)) => Some(octets::decode(target).unwrap_or_default()),
        (None, None) => None,
    };
    match exact {
        Some(target) if is_target(&target) => parts.target = target,
        Some(_) => return Err(Unusable::new("request._target", "it is no valid request target")),
        None => add_query(&mut parts, request, import),
    }
    Ok(parts)
}

/// Tools that describe requests rather than record them give the query in `queryString` alone.
fn add_query(parts: &mut Parts, request: &Json, import: &mut Import<'_>) {
    let list = request.get("queryString").and_then(Json::list).unwrap_or_default();
    if list.is_empty() || parts.target.contains(&b'?') {
        return;
    }
    import.note("the URL lacks the query that `queryString` has: added", "request.queryString");
    parts.target = [&parts.target[..], b"?", form(list).as_bytes()].concat().into();
}

/// A list of names and values as `application/x-www-form-urlencoded` (WHATWG URL, section 5.2).
pub(super) fn form(pairs: &[Json]) -> String {
    let pair = |pair: &Json| {
        let part = |key| {
            let text = pair.get(key).and_then(Json::text).unwrap_or_default();
            escape(text.as_bytes(), |byte| !byte.is_ascii_alphanumeric() && !b"-._~".contains(byte))
        };
        format!("{}={}", part("name"), part("value"))
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_apart() {
        for (url, expected) in [
            ("https://a.example/x?y=1#z", Ok(("https", "a.example", "/x?y=1"))),
            ("HTTP://a.example:8080", Ok(("http", "a.example:8080", "/"))),
            ("http://a.example:80?q", Ok(("http", "a.example", "/?q"))),
            ("wss://[::1]:443/s", Ok(("https", "[::1]", "/s"))),
            ("https://user:pw@a.example/x y/\u{e9}", Ok(("https", "a.example", "/x%20y/%C3%A9"))),
            ("https://a.example/%zz%2f[1]", Ok(("https", "a.example", "/%zz%2f[1]"))),
            ("/x", Err("the URL is relative; an absolute one is needed")),
            ("", Err("the URL is relative; an absolute one is needed")),
            ("data:image/png;base64,AAAA", Err("a `data:` URL is no HTTP request")),
            ("chrome-extension://abc/x.js", Err("a `chrome-extension:` URL is no HTTP request")),
            ("http:///x", Err("the URL has no valid host")),
            ("http:x", Err("the URL has no host")),
            ("http://a b/", Err("the URL has no valid host")),
        ] {
            let outcome = split(url).map(|(parts, _)| parts);
            let expected = expected.map_err(str::to_owned).map(|(scheme, authority, target)| Parts {
                scheme: if scheme == "http" { Scheme::Http } else { Scheme::Https },
                authority: authority.into(),
                target: Bytes::copy_from_slice(target.as_bytes()),
            });
            assert_eq!(outcome, expected, "{url}");
        }
    }
}
