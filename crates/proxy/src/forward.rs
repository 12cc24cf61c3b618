//! The forward proxy: clients name the upstream in each request.

use bytes::Bytes;
use http::HeaderValue;
use mimeo_model::{Failure, FailureKind, Method, Phase, Scheme};
use mimeo_transport::protocol::head::RequestHead;
use mimeo_transport::protocol::target::{self, Origin};

use crate::outgoing::{Destination, Host};

/// Where a request in absolute form goes.
pub(crate) fn destination(head: &RequestHead) -> Result<Destination, Failure> {
    if head.target.starts_with(b"/") || &head.target[..] == b"*" {
        return Err(refusal(
            "this is a forward proxy: name it as your client's proxy (HTTP_PROXY), do not ask it for a path",
        ));
    }
    let (origin, rest) = target::absolute_form(&head.target)
        .map_err(|error| refusal(&format!("the request target is not an http URL: {error}")))?;
    if origin.scheme != Scheme::Http {
        return Err(refusal("https goes through CONNECT, not through an absolute target"));
    }
    with_target(origin, rest, &head.method)
}

/// Where a request goes that came through an intercepted tunnel to `origin`.
pub(crate) fn intercepted(head: &RequestHead, origin: &Origin) -> Result<Destination, Failure> {
    if head.method == Method::CONNECT {
        return Err(refusal("CONNECT within an intercepted tunnel is not served"));
    }
    if !head.target.starts_with(b"/") && &head.target[..] != b"*" {
        let (named, rest) = target::absolute_form(&head.target)
            .map_err(|error| refusal(&format!("the request target is not a path: {error}")))?;
        if named != *origin {
            return Err(refusal("the request target names another host than the tunnel"));
        }
        return with_target(named, rest, &head.method);
    }
    with_target(origin.clone(), &head.target, &head.method)
}

fn with_target(origin: Origin, rest: &[u8], method: &Method) -> Result<Destination, Failure> {
    let rest = match rest {
        // RFC 9112, section 3.2.4: an absolute OPTIONS without a path asks about the whole server.
        [] if *method == Method::OPTIONS => Bytes::from_static(b"*"),
        [] => Bytes::from_static(b"/"),
        [b'?', ..] => Bytes::from([b"/", rest].concat()),
        _ => Bytes::copy_from_slice(rest),
    };
    let authority = HeaderValue::from_str(&origin.authority())
        .map_err(|_| refusal("the upstream's name cannot stand in `Host`"))?;
    Ok(Destination::new(origin, rest, Host::Keep(authority)))
}

fn refusal(detail: &str) -> Failure {
    Failure { kind: FailureKind::Refusal, phase: Phase::Request, detail: detail.to_owned() }
}
