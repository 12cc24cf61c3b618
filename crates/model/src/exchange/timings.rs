//! How long the steps of an exchange took, as HAR 1.2 tells them apart.

use std::time::Duration;

/// Durations of the steps; `None` means that the step did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Waiting for a free connection or for the capture queue.
    pub blocked: Option<Duration>,
    /// Resolving the name.
    pub dns: Option<Duration>,
    /// Opening the TCP connection, without TLS.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// Sending the request.
    pub send: Option<Duration>,
    /// From the request's last byte to the response's first.
    pub wait: Option<Duration>,
    /// From the response's first byte to its last.
    pub receive: Option<Duration>,
    /// Whole exchange, from the first byte of the request head to the end.
    pub total: Duration,
    /// Whether the upstream connection had served an earlier exchange.
    pub reused: bool,
}
