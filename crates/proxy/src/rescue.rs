//! What a client is told when there is no response to pass on: the one table from failures to statuses.

use bytes::Bytes;
use http::{Response, StatusCode};
use mimeo_model::{Failure, FailureKind, Phase};
use mimeo_transport::head_tap::TapHandle;
use mimeo_transport::protocol::head::Rejection;
use serde_json::json;

/// Media type of problem documents (RFC 9457).
const PROBLEM: &str = "application/problem+json";

/// Status that answers a failure.
pub(crate) fn status_of(kind: FailureKind) -> StatusCode {
    match kind {
        FailureKind::Dns
        | FailureKind::Refused
        | FailureKind::Unreachable
        | FailureKind::UpstreamTls
        | FailureKind::Reset
        | FailureKind::Closed
        | FailureKind::Malformed => StatusCode::BAD_GATEWAY,
        FailureKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        FailureKind::ClientTimeout => StatusCode::REQUEST_TIMEOUT,
        FailureKind::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        FailureKind::Loop => StatusCode::LOOP_DETECTED,
        FailureKind::Miss => StatusCode::NOT_FOUND,
        FailureKind::Shutdown | FailureKind::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
        FailureKind::ClientAborted | FailureKind::ClientTls | FailureKind::Framing | FailureKind::Refusal => {
            StatusCode::BAD_REQUEST
        }
    }
}

/// The problem document for a failure.
pub(crate) fn problem(status: StatusCode, code: &str, detail: &str) -> (Response<()>, Bytes) {
    let title = status.canonical_reason().unwrap_or("Error");
    let document = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    let body = Bytes::from(document.to_string());
    let response = Response::builder()
        .status(status)
        .header("content-type", PROBLEM)
        .header("content-length", body.len())
        .header("mimeo-error", code)
        .body(())
        .expect("fixed names and a checked status make a response");
    (response, body)
}

/// The raw response to a message that was refused on its head; the connection ends with it.
pub(crate) fn render_refusal(rejection: &Rejection) -> Bytes {
    let status = StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::BAD_REQUEST);
    let (response, body) = problem(status, rejection.code, &rejection.detail);
    let mut text =
        format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    for (name, value) in response.headers() {
        text.push_str(name.as_str());
        text.push_str(": ");
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        text.push_str("\r\n");
    }
    text.push_str("connection: close\r\n\r\n");
    text.push_str(&String::from_utf8_lossy(&body));
    text.into()
}

/// The failure behind a message that was refused.
pub(crate) fn failure_of_refusal(rejection: &Rejection) -> Failure {
    let kind = match rejection.status {
        408 => FailureKind::ClientTimeout,
        414 | 431 => FailureKind::TooLarge,
        _ if rejection.code == "head.incomplete" => FailureKind::ClientAborted,
        _ if rejection.code.starts_with("framing.") => FailureKind::Framing,
        _ => FailureKind::Refusal,
    };
    Failure { kind, phase: Phase::Request, detail: format!("{} ({})", rejection.detail, rejection.code) }
}

/// What happened to a request that got no response.
pub(crate) fn failure_of_send(error: &hyper::Error, tap: Option<&TapHandle>) -> Failure {
    if let Some(refused) = tap.and_then(TapHandle::refusal) {
        return Failure {
            kind: FailureKind::Malformed,
            phase: Phase::Wait,
            detail: format!(
                "the response is malformed: {} ({})",
                refused.rejection.detail, refused.rejection.code
            ),
        };
    }
    let (kind, detail) = if error.is_user() {
        (FailureKind::ClientAborted, "the request ended before it was complete".to_owned())
    } else {
        failure_of_io(error)
    };
    Failure { kind, phase: Phase::Wait, detail }
}

/// What ended a message in the middle.
pub(crate) fn failure_of_body(error: &hyper::Error, of_request: bool, tap: Option<&TapHandle>) -> Failure {
    let phase = if of_request { Phase::Request } else { Phase::Receive };
    if let Some(refused) = tap.and_then(TapHandle::refusal) {
        let kind = if of_request { FailureKind::Framing } else { FailureKind::Malformed };
        let detail = format!("{} ({})", refused.rejection.detail, refused.rejection.code);
        return Failure { kind, phase, detail };
    }
    let (kind, detail) = failure_of_io(error);
    let kind = match (of_request, kind) {
        (true, FailureKind::Timeout) => FailureKind::ClientTimeout,
        (true, _) => FailureKind::ClientAborted,
        (false, kind) => kind,
    };
    Failure { kind, phase, detail }
}

fn failure_of_io(error: &hyper::Error) -> (FailureKind, String) {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(fault) = source {
        if let Some(io) = fault.downcast_ref::<std::io::Error>() {
            let kind = match io.kind() {
                std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::BrokenPipe
                | std::io::ErrorKind::ConnectionAborted => FailureKind::Reset,
                std::io::ErrorKind::TimedOut => FailureKind::Timeout,
                std::io::ErrorKind::UnexpectedEof => FailureKind::Closed,
                _ => FailureKind::Unreachable,
            };
            return (kind, io.to_string());
        }
        source = fault.source();
    }
    if error.is_parse() {
        return (FailureKind::Malformed, format!("the response is malformed: {error}"));
    }
    if error.is_timeout() {
        return (FailureKind::Timeout, error.to_string());
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return (FailureKind::Closed, "the connection was closed before the message was complete".to_owned());
    }
    (FailureKind::Reset, error.to_string())
}
