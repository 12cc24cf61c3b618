//! Turns a message that came in into the one that goes out, changing nothing but what must change.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{Uri, Version};
use mimeo_model::Scheme;
use mimeo_transport::protocol::head::RequestHead;
use mimeo_transport::protocol::outgoing_head::{Host, OutgoingHead};
use mimeo_transport::protocol::target::Origin;

/// Where a request goes and under which name.
pub(crate) struct Destination {
    /// Where to connect.
    pub(crate) origin: Arc<Origin>,
    /// Path and query to ask for, byte for byte.
    pub(crate) target: Bytes,
    /// What becomes of `Host`.
    pub(crate) host: Host,
}

/// What the upstream is told about the client, when it is told anything.
pub(crate) struct Announcement {
    pub(crate) client: IpAddr,
    pub(crate) scheme: Scheme,
}

/// Whether the request asks to leave HTTP, and for what.
pub(crate) fn wanted_upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let wanted = headers.get(UPGRADE).filter(|_| version == Version::HTTP_11)?;
    let asks = headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|name| name.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    // h2c by upgrade is deprecated (RFC 9113, section 3.1); it is ignored and HTTP/1.1 goes on.
    (asks && !wanted.as_bytes().to_ascii_lowercase().starts_with(b"h2c")).then(|| wanted.clone())
}

/// The head that goes to the upstream, made out of the client's.
pub(crate) fn head(
    client: &RequestHead,
    destination: &Destination,
    announcement: Option<&Announcement>,
) -> OutgoingHead {
    let mut head = OutgoingHead::request(destination.target.clone(), client.headers.clone())
        .host(destination.host.clone());
    if let Some(Announcement { client: address, scheme }) = announcement {
        let version = client.version.as_str().trim_start_matches("HTTP/");
        head.add("Via", format!("{version} mimeo"));
        head.add("X-Forwarded-For", address.to_string());
        head.add("X-Forwarded-Proto", scheme.as_str());
        if let Some(host) = client.headers.get("host") {
            head.add("X-Forwarded-Host", Bytes::copy_from_slice(host));
        }
    }
    head
}

/// What the HTTP library has to know of an HTTP/1 message, out of all that it was shown: how it is framed.
pub(crate) fn framing(headers: HeaderMap) -> HeaderMap {
    if headers.len() == 1 && headers.contains_key(CONTENT_LENGTH) {
        return headers;
    }
    let mut framing = HeaderMap::new();
    // HTTP/2 lets the same length be declared twice; once is enough.
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        framing.insert(CONTENT_LENGTH, length.clone());
    }
    for value in headers.get_all(TRAILER) {
        framing.append(TRAILER, value.clone());
    }
    framing
}

/// Has the HTTP library ask for an upgrade, or agree to one.
pub(crate) fn leave_http(framing: &mut HeaderMap, upgrade: HeaderValue) {
    framing.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    framing.insert(UPGRADE, upgrade);
}

/// Has the HTTP library send a body in chunks; without a length it would send none with a GET.
pub(crate) fn send_in_chunks(framing: &mut HeaderMap) {
    framing.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
}

/// The URI of an HTTP/2 request; `None` when the target has a byte that HTTP/2 cannot carry.
pub(crate) fn http2_uri(destination: &Destination, head: &OutgoingHead) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(destination.target.clone()).ok()?);
    parts.scheme = Some(match destination.origin.scheme {
        Scheme::Http => UriScheme::HTTP,
        Scheme::Https => UriScheme::HTTPS,
    });
    let named = head.named_host().and_then(|host| Authority::try_from(host).ok());
    parts.authority = named.or_else(|| Authority::try_from(destination.origin.authority()).ok());
    Uri::from_parts(parts).ok()
}
