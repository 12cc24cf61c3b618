//! Recorded exchanges become mocks.

use mimeo_model::{AnsweredBy, Exchange, ExchangeId, Frame, Method, Request, Response, Timings};

use crate::index::exact::Keyed;

/// What answers a request.
#[derive(Debug, Clone)]
pub struct Mock {
    /// The exchange it was made from.
    pub id: ExchangeId,
    /// The request that was recorded.
    pub request: Request,
    /// The response that was recorded.
    pub response: Response,
    /// WebSocket frames that were recorded.
    pub frames: Vec<Frame>,
    /// How long everything took.
    pub timings: Timings,
}

impl Mock {
    /// Whether the exchange became a WebSocket, or asked to become one.
    pub fn is_websocket(&self) -> bool {
        self.keyed().is_websocket()
    }

    pub(crate) fn keyed(&self) -> Keyed<'_> {
        Keyed::recorded(&self.request, self.response.status == 101 || !self.frames.is_empty())
    }
}

/// Why an exchange answers nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswerable {
    /// It has no response.
    NoResponse,
    /// Its response was cut short.
    Cut,
    /// Less of its response body was kept than travelled.
    Truncated,
    /// Mimeo itself answered.
    Local,
    /// It is an opaque tunnel.
    Tunnel,
}

impl Unanswerable {
    /// One phrase for a person.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoResponse => "no response came",
            Self::Cut => "the response was cut short",
            Self::Truncated => "the response body was longer than the capture limit",
            Self::Local => "it was refused or failed, so there is no upstream's answer",
            Self::Tunnel => "it is an opaque tunnel",
        }
    }
}

/// Makes the mock of a recorded exchange whose bodies are in memory.
pub fn mock(exchange: Exchange) -> Result<Mock, (Box<Exchange>, Unanswerable)> {
    let websocket = exchange.is_websocket();
    let fault = if exchange.request.method == Method::CONNECT {
        Some(Unanswerable::Tunnel)
    } else if exchange.answered_by == AnsweredBy::Proxy {
        Some(Unanswerable::Local)
    } else {
        match &exchange.response {
            None => Some(Unanswerable::NoResponse),
            // What came of a stream that broke off is still worth playing.
            Some(_) if exchange.failure.is_some() && !websocket && !exchange.is_event_stream() => {
                Some(Unanswerable::Cut)
            }
            Some(response) if response.body.is_truncated() && !websocket => Some(Unanswerable::Truncated),
            Some(_) => None,
        }
    };
    if let Some(fault) = fault {
        return Err((Box::new(exchange), fault));
    }
    match exchange.response {
        Some(response) => Ok(Mock {
            id: exchange.id,
            request: exchange.request,
            response,
            frames: exchange.frames,
            timings: exchange.timings,
        }),
        None => Err((Box::new(exchange), Unanswerable::NoResponse)),
    }
}
