//! What is sent, in which order, and when.

use std::time::Duration;

use mimeo_model::{AnsweredBy, Exchange, Method};
use mimeo_rules::redaction;

/// How fast recorded requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// This many times as fast as they were recorded.
    Times(f64),
    /// Without waiting.
    Max,
}

/// How a plan is made.
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions {
    /// How fast recorded requests follow each other.
    pub speed: Speed,
    /// Longest pause between two requests, after scaling.
    pub max_gap: Duration,
}

/// One request to send.
#[derive(Debug)]
pub struct Planned {
    /// The exchange it was recorded in, with the response that is expected.
    pub recorded: Exchange,
    /// Which conversation it belongs to; requests of one keep their order.
    pub lane: u64,
    /// When it is due, from the start of the run.
    pub due: Duration,
    /// Names of headers that are left out, because their value was hidden when it was recorded.
    pub without: Vec<String>,
}

/// Why an exchange is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// It has no response to compare with.
    NoResponse,
    /// Mimeo itself answered.
    Local,
    /// It is a tunnel.
    Tunnel,
    /// It is a WebSocket.
    WebSocket,
    /// Less of its request body was kept than travelled.
    Truncated,
}

impl Skip {
    /// One phrase for a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoResponse => "the recording has no response to compare with",
            Self::Local => "it was refused or failed when it was recorded",
            Self::Tunnel => "it is an opaque tunnel",
            Self::WebSocket => "it is a WebSocket",
            Self::Truncated => "its request body was longer than the capture limit",
        }
    }
}

/// What is sent and what is not.
#[derive(Debug, Default)]
pub struct Plan {
    /// The requests in the order in which they began.
    pub items: Vec<Planned>,
    /// The exchanges that are not sent.
    pub skipped: Vec<(Exchange, Skip)>,
}

impl Plan {
    /// Plans a run of recorded exchanges whose bodies are in memory.
    pub fn new(exchanges: impl IntoIterator<Item = Exchange>, options: PlanOptions) -> Self {
        let mut plan = Self::default();
        let mut kept = Vec::new();
        for exchange in exchanges {
            match skip(&exchange) {
                Some(reason) => plan.skipped.push((exchange, reason)),
                None => kept.push(exchange),
            }
        }
        // Exchanges are recorded when they end; they are sent in the order in which they began.
        kept.sort_by_key(|exchange| (exchange.started_at, exchange.id));
        let (mut due, mut before) = (Duration::ZERO, None);
        for recorded in kept {
            let pause = before.map_or(Duration::ZERO, |before| recorded.started_at.since(before));
            before = Some(recorded.started_at);
            due += match options.speed {
                Speed::Max => Duration::ZERO,
                Speed::Times(times) => {
                    let scaled = pause.as_secs_f64() / times;
                    Duration::try_from_secs_f64(scaled).unwrap_or(options.max_gap).min(options.max_gap)
                }
            };
            let without = recorded
                .request
                .headers
                .iter()
                .filter(|(_, value)| redaction::is_hidden(value))
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect();
            plan.items.push(Planned { lane: recorded.connection, due, without, recorded });
        }
        plan
    }
}

fn skip(exchange: &Exchange) -> Option<Skip> {
    if exchange.request.method == Method::CONNECT {
        Some(Skip::Tunnel)
    } else if exchange.answered_by == AnsweredBy::Proxy {
        Some(Skip::Local)
    } else if exchange.is_websocket() {
        Some(Skip::WebSocket)
    } else if exchange.response.is_none() {
        Some(Skip::NoResponse)
    } else if exchange.request.body.is_truncated() {
        Some(Skip::Truncated)
    } else {
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use mimeo_model::{Body, ExchangeId, Headers, Request, Response, Scheme, Timestamp, Timings, Version};

    use super::*;

    pub(crate) fn recorded(number: u8, at_ms: i64, connection: u64, target: &str, body: &str) -> Exchange {
        let started_at = Timestamp::from_unix_micros(1_795_000_000_000_000 + at_ms * 1_000);
        Exchange {
            id: ExchangeId::new(started_at, [number; 10]),
            started_at,
            connection,
            request: Request {
                method: Method::GET,
                scheme: Scheme::Http,
                authority: "api.example".into(),
                target: Bytes::copy_from_slice(target.as_bytes()),
                version: Version::Http11,
                headers: [("Authorization", "Bearer [REDACTED:0123456789ab]"), ("Accept", "*/*")]
                    .into_iter()
                    .collect(),
                body: Body::empty(),
                trailers: Headers::new(),
            },
            response: Some(Response {
                status: 200,
                headers: [("Content-Type", "application/json")].into_iter().collect(),
                body: Body::from_bytes(body.to_owned()),
                ..Response::default()
            }),
            failure: None,
            timings: Timings::default(),
            frames: Vec::new(),
            answered_by: AnsweredBy::Upstream,
            graphql: Vec::new(),
        }
    }

    #[test]
    fn requests_keep_their_order_and_pace_and_long_pauses_are_cut() {
        let exchanges =
            [recorded(2, 100, 1, "/b", ""), recorded(1, 0, 1, "/a", ""), recorded(3, 90_000, 2, "/c", "")];
        let plan =
            |speed| Plan::new(exchanges.clone(), PlanOptions { speed, max_gap: Duration::from_secs(5) });
        let dues = |plan: &Plan| plan.items.iter().map(|item| item.due.as_millis()).collect::<Vec<_>>();
        assert_eq!(dues(&plan(Speed::Times(1.0))), [0, 100, 5_100]);
        assert_eq!(dues(&plan(Speed::Times(10.0))), [0, 10, 5_010]);
        assert_eq!(dues(&plan(Speed::Max)), [0, 0, 0]);
        assert_eq!(plan(Speed::Max).items[0].without, ["Authorization"]);
    }

    #[test]
    fn what_cannot_be_compared_is_skipped_by_name() {
        let mut silent = recorded(1, 0, 1, "/a", "");
        silent.response = None;
        let mut local = recorded(2, 0, 1, "/a", "");
        local.answered_by = AnsweredBy::Proxy;
        let plan = Plan::new([silent, local], PlanOptions { speed: Speed::Max, max_gap: Duration::ZERO });
        let reasons: Vec<_> = plan.skipped.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, [Skip::NoResponse, Skip::Local]);
    }
}
