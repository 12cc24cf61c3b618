//! The forward proxy: clients name the upstream in each request.

use std::sync::Arc;

use bytes::Bytes;
use mimeo_model::{Failure, FailureKind, Method, Phase, Scheme};
use mimeo_transport::protocol::head::RequestHead;
use mimeo_transport::protocol::outgoing_head::Host;
use mimeo_transport::protocol::target::{self, Origin};

use crate::outgoing::Destination;

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
    Ok(with_target(Arc::new(origin), rest, head))
}

/// Where a request goes that came through an intercepted tunnel to `origin`.
pub(crate) fn intercepted(head: &RequestHead, origin: &Arc<Origin>) -> Result<Destination, Failure> {
    if head.method == Method::CONNECT {
        return Err(refusal("CONNECT within an intercepted tunnel is not served"));
    }
    if !head.target.starts_with(b"/") && &head.target[..] != b"*" {
        let (named, rest) = target::absolute_form(&head.target)
            .map_err(|error| refusal(&format!("the request target is not a path: {error}")))?;
        if named != **origin {
            return Err(refusal("the request target names another host than the tunnel"));
        }
        return Ok(with_target(origin.clone(), rest, head));
    }
    Ok(with_target(origin.clone(), &head.target, head))
}

fn with_target(origin: Arc<Origin>, rest: &[u8], head: &RequestHead) -> Destination {
    let target = match rest {
        // RFC 9112, section 3.2.4: an absolute OPTIONS without a path asks about the whole server.
        [] if head.method == Method::OPTIONS => Bytes::from_static(b"*"),
        [] => Bytes::from_static(b"/"),
        [b'?', ..] => Bytes::from([b"/", rest].concat()),
        _ => head.target.slice_ref(rest),
    };
    let host = Host::Keep(Bytes::from(origin.authority()));
    Destination { origin, target, host }
}

fn refusal(detail: &str) -> Failure {
    Failure { kind: FailureKind::Refusal, phase: Phase::Request, detail: detail.to_owned() }
}
