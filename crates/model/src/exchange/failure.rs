//! What went wrong, by whose doing and at which step.

use std::fmt;

/// Why an exchange has no complete response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// The step it happened in.
    pub phase: Phase,
    /// One sentence for a person, without secrets.
    pub detail: String,
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable code that files, APIs and headers carry.
            pub fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The value behind a stable code.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.code() == code)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.code())
            }
        }
    };
}

codes! {
    /// The causes that end an exchange early.
    FailureKind {
        /// The upstream's name did not resolve.
        Dns = "upstream.dns",
        /// The upstream refused the connection.
        Refused = "upstream.refused",
        /// The upstream could not be reached for another reason.
        Unreachable = "upstream.unreachable",
        /// The TLS handshake with the upstream failed or its certificate was not trusted.
        UpstreamTls = "upstream.tls",
        /// The upstream did not answer in time.
        Timeout = "upstream.timeout",
        /// The upstream reset the connection.
        Reset = "upstream.reset",
        /// The upstream closed the connection before the message was complete.
        Closed = "upstream.closed",
        /// The upstream sent something that is not valid HTTP.
        Malformed = "upstream.malformed",
        /// The client went away.
        ClientAborted = "client.aborted",
        /// The client was too slow.
        ClientTimeout = "client.timeout",
        /// The client did not complete the TLS handshake, most often because it does not trust the CA.
        ClientTls = "tls.client_rejected",
        /// The request's framing was ambiguous or malformed.
        Framing = "framing",
        /// The request's head was too large.
        TooLarge = "head.too_large",
        /// The request asked for what this listener does not do.
        Refusal = "request.refused",
        /// The request would have come back to Mimeo itself.
        Loop = "loop",
        /// Mimeo stopped before the exchange was complete.
        Shutdown = "shutdown",
        /// Mimeo was killed before the exchange was complete.
        Interrupted = "interrupted",
        /// No recording answers the request.
        Miss = "mock.miss",
    }
}

codes! {
    /// The steps of an exchange.
    Phase {
        /// Reading the request.
        Request = "request",
        /// Resolving the name.
        Dns = "dns",
        /// Opening the connection.
        Connect = "connect",
        /// The TLS handshake.
        Tls = "tls",
        /// Sending the request.
        Send = "send",
        /// Waiting for the response.
        Wait = "wait",
        /// Reading the response.
        Receive = "receive",
        /// Carrying bytes after an upgrade or CONNECT.
        Tunnel = "tunnel",
    }
}

impl FailureKind {
    /// Whether the upstream, rather than the client or Mimeo, is at fault.
    pub fn is_upstream(self) -> bool {
        self.code().starts_with("upstream.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_kind() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_code(kind.code()), Some(*kind));
        }
        for phase in Phase::ALL {
            assert_eq!(Phase::from_code(phase.code()), Some(*phase));
        }
        assert_eq!(FailureKind::from_code("nonsense"), None);
    }
}
