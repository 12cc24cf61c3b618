//! The reverse proxy: one upstream for whatever the clients ask.

use bytes::Bytes;
use mimeo_model::{Failure, FailureKind, Method, Phase};
use mimeo_transport::protocol::head::RequestHead;
use mimeo_transport::protocol::outgoing_head::Host;
use mimeo_transport::protocol::target::UpstreamUrl;

use crate::outgoing::Destination;

/// Where a request goes.
pub(crate) fn destination(
    head: &RequestHead,
    upstream: &UpstreamUrl,
    preserve_host: bool,
) -> Result<Destination, Failure> {
    if head.method == Method::CONNECT {
        return Err(refusal(
            "CONNECT is for a forward proxy and this is a reverse proxy; start one with `mimeo record --forward`",
        ));
    }
    let star = &head.target[..] == b"*" && head.method == Method::OPTIONS;
    if !head.target.starts_with(b"/") && !star {
        return Err(refusal(
            "the request target is in absolute form, which is for a forward proxy; this reverse proxy takes paths",
        ));
    }
    let target = if upstream.base_path.is_empty() || star {
        head.target.clone()
    } else {
        Bytes::from([upstream.base_path.as_bytes(), &head.target].concat())
    };
    let authority = Bytes::from(upstream.origin.authority());
    let host = if preserve_host { Host::Keep(authority) } else { Host::Replace(authority) };
    Ok(Destination { origin: upstream.origin.clone(), target, host })
}

fn refusal(detail: &str) -> Failure {
    Failure { kind: FailureKind::Refusal, phase: Phase::Request, detail: detail.to_owned() }
}
