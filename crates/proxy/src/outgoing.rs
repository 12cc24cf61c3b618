//! Turns a request that came in into the one that goes to the upstream, changing nothing but what must change.

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{Uri, Version};
use mimeo_model::Scheme;
use mimeo_transport::protocol::hop_by_hop;
use mimeo_transport::protocol::target::Origin;

/// Where a request goes and under which name.
pub(crate) struct Destination {
    /// Where to connect.
    pub(crate) origin: Origin,
    /// Path and query to ask for, byte for byte.
    pub(crate) target: Bytes,
    /// The same as the HTTP library holds it; `None` when it cannot.
    pub(crate) plain: Option<PathAndQuery>,
    /// What becomes of `Host`.
    pub(crate) host: Host,
}

/// What becomes of the client's `Host`.
pub(crate) enum Host {
    /// The upstream gets this one.
    Replace(HeaderValue),
    /// The upstream gets the client's, or this one when the client sent none.
    Keep(HeaderValue),
}

/// What the upstream is told about the client, when it is told anything.
pub(crate) struct Announcement {
    pub(crate) client: std::net::IpAddr,
    pub(crate) scheme: Scheme,
    pub(crate) version: &'static str,
}

/// Whether the request asks to leave HTTP, and for what.
pub(crate) fn wanted_upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let asks = version == Version::HTTP_11
        && headers.get_all(CONNECTION).iter().any(|value| {
            value
                .as_bytes()
                .split(|byte| *byte == b',')
                .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        });
    let wanted = headers.get(UPGRADE).filter(|_| asks)?;
    // h2c by upgrade is deprecated (RFC 9113, section 3.1); it is ignored and HTTP/1.1 goes on.
    (!wanted.as_bytes().to_ascii_lowercase().starts_with(b"h2c")).then(|| wanted.clone())
}

impl Destination {
    /// A destination for a target as it travelled.
    pub(crate) fn new(origin: Origin, target: Bytes, host: Host) -> Self {
        let plain = PathAndQuery::from_maybe_shared(target.clone()).ok();
        Self { origin, target, plain, host }
    }
}

/// Makes the header fields that go to the upstream out of the client's.
pub(crate) fn request_headers(
    headers: &mut HeaderMap,
    destination: &Destination,
    upgrade: Option<&HeaderValue>,
    announcement: Option<&Announcement>,
    http2_upstream: bool,
) {
    let client_host = headers.get(HOST).cloned();
    hop_by_hop::strip(headers);
    headers.remove_in_order(&[HeaderName::from_static("proxy-authorization")]);
    match &destination.host {
        Host::Replace(host) if headers.contains_key(HOST) => {
            headers.insert(HOST, host.clone());
        }
        Host::Keep(_) if headers.contains_key(HOST) => {}
        Host::Replace(host) | Host::Keep(host) => prepend(headers, HOST, host.clone()),
    }
    if http2_upstream {
        headers.remove_in_order(&[HOST, EXPECT]);
    }
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, upgrade.clone());
    }
    if let Some(announcement) = announcement {
        announce(headers, announcement, client_host);
    }
}

/// The URI for the upstream's connection.
pub(crate) fn request_uri(destination: &Destination, http2: bool, host: Option<&HeaderValue>) -> Uri {
    let target = destination.plain.clone().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if !http2 {
        return Uri::from(target);
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(match destination.origin.scheme {
        Scheme::Http => UriScheme::HTTP,
        Scheme::Https => UriScheme::HTTPS,
    });
    let named = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    parts.authority = named.or_else(|| Authority::try_from(destination.origin.authority()).ok());
    parts.path_and_query = Some(target.clone());
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(target))
}

fn announce(headers: &mut HeaderMap, announcement: &Announcement, client_host: Option<HeaderValue>) {
    headers.append(
        http::header::VIA,
        HeaderValue::from_str(&format!("{} mimeo", announcement.version))
            .unwrap_or_else(|_| HeaderValue::from_static("1.1 mimeo")),
    );
    if let Ok(client) = HeaderValue::from_str(&announcement.client.to_string()) {
        headers.append("x-forwarded-for", client);
    }
    headers.append("x-forwarded-proto", HeaderValue::from_static(announcement.scheme.as_str()));
    if let Some(host) = client_host {
        headers.append("x-forwarded-host", host);
    }
}

fn prepend(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let old = std::mem::replace(headers, HeaderMap::with_capacity(headers.len() + 1));
    headers.insert(name, value);
    let mut current = None;
    for (name, value) in old {
        current = name.or(current);
        if let Some(name) = &current {
            headers.append(name.clone(), value);
        }
    }
}

/// Removal that keeps the order of what stays.
trait RemoveInOrder {
    fn remove_in_order(&mut self, names: &[HeaderName]);
}

impl RemoveInOrder for HeaderMap {
    fn remove_in_order(&mut self, names: &[HeaderName]) {
        if !names.iter().any(|name| self.contains_key(name)) {
            return;
        }
        let old = std::mem::replace(self, HeaderMap::with_capacity(self.len()));
        let mut current = None;
        for (name, value) in old {
            current = name.or(current);
            if let Some(name) = &current
                && !names.contains(name)
            {
                self.append(name.clone(), value);
            }
        }
    }
}
