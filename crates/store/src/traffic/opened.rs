//! Exchanges that were opened and are put together from their parts.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mimeo_model::{Body, Chunk, Content, Exchange, ExchangeId, Failure, FailureKind, Frame, Phase};

use crate::traffic::frame::Handed;
use crate::traffic::{Location, Part, Side};

/// What is known of an opened exchange.
#[derive(Debug, Clone)]
pub(crate) struct OpenExchange {
    pub(crate) sequence: u64,
    /// Where it was opened.
    pub(crate) location: Location,
    head: Box<Exchange>,
    request: Pieces,
    response: Pieces,
    frames: Vec<Frame>,
    /// Whether a frame is missing.
    frames_torn: bool,
    held: usize,
    /// Whether its parts were too much to keep; they are read again when it ends.
    deferred: bool,
}

/// The bytes of a body so far.
#[derive(Debug, Clone, Default)]
struct Pieces {
    bytes: BytesMut,
    chunks: Vec<Chunk>,
    /// Whether a piece is missing, so that what comes after it is of no use.
    torn: bool,
}

/// The exchanges that are open at a place in a log.
#[derive(Debug)]
pub(crate) struct OpenExchanges {
    open: HashMap<ExchangeId, OpenExchange>,
    held: usize,
    budget: usize,
}

/// An exchange that was put together.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) exchange: Box<Exchange>,
    /// Whether it misses bytes or frames that were written.
    pub(crate) torn: bool,
}

impl OpenExchanges {
    /// Keeps at most about `budget` bytes of parts.
    pub(crate) fn new(budget: usize) -> Self {
        Self { open: HashMap::new(), held: 0, budget }
    }

    /// Takes a beginning. One that came before only tells more.
    pub(crate) fn begin(&mut self, sequence: u64, location: Location, head: Box<Exchange>) {
        if let Some(known) = self.open.get_mut(&head.id) {
            known.head = head;
            return;
        }
        let open = OpenExchange {
            sequence,
            location,
            head,
            request: Pieces::default(),
            response: Pieces::default(),
            frames: Vec::new(),
            frames_torn: false,
            held: 0,
            deferred: false,
        };
        self.open.insert(open.head.id, open);
    }

    /// Takes bytes of a body; those of an exchange without a beginning are of no use.
    pub(crate) fn piece(
        &mut self,
        id: ExchangeId,
        side: Side,
        offset: u64,
        at: Option<Duration>,
        bytes: &[u8],
    ) {
        let Some(open) = self.charge(id, bytes.len() + size_of::<Chunk>()) else { return };
        let pieces = match side {
            Side::Request => &mut open.request,
            Side::Response => &mut open.response,
        };
        pieces.take(offset, bytes, at);
        self.keep_within_budget();
    }

    /// Takes a frame, which is the `number`th of its exchange.
    pub(crate) fn frame(&mut self, id: ExchangeId, number: u64, frame: &Frame) {
        let Some(open) = self.charge(id, frame.payload.len() + size_of::<Frame>()) else { return };
        open.frames_torn |= number != open.frames.len() as u64;
        // A slice would keep the whole block in memory for as long as the exchange is open.
        let payload = Bytes::copy_from_slice(&frame.payload);
        open.frames.push(Frame { payload, ..frame.clone() });
        self.keep_within_budget();
    }

    /// Takes a part as it was stored.
    pub(crate) fn part(&mut self, id: ExchangeId, offset: u64, part: Part) {
        match part {
            Part::RequestBody(bytes) => self.piece(id, Side::Request, offset, None, &bytes),
            Part::ResponseBody(bytes) => self.piece(id, Side::Response, offset, None, &bytes),
            Part::Frame(frame) => self.frame(id, offset, &frame),
        }
    }

    /// The exchange, on whose account `weight` bytes are put, when its parts are kept.
    fn charge(&mut self, id: ExchangeId, weight: usize) -> Option<&mut OpenExchange> {
        let open = self.open.get_mut(&id).filter(|open| !open.deferred)?;
        self.held += weight;
        open.held += weight;
        Some(open)
    }

    fn keep_within_budget(&mut self) {
        if self.held > self.budget
            && let Some(largest) = self.open.values_mut().max_by_key(|open| open.held)
        {
            self.held -= largest.defer();
        }
    }

    /// Takes an exchange out, because it ended.
    pub(crate) fn remove(&mut self, id: ExchangeId) -> Option<OpenExchange> {
        let open = self.open.remove(&id)?;
        self.held -= open.held;
        Some(open)
    }

    /// The exchanges that are open, by number.
    pub(crate) fn in_order(&self) -> Vec<&OpenExchange> {
        let mut open: Vec<_> = self.open.values().collect();
        open.sort_by_key(|open| open.sequence);
        open
    }
}

impl OpenExchange {
    pub(crate) fn id(&self) -> ExchangeId {
        self.head.id
    }

    pub(crate) fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// Lets go of the parts; gives how much that was.
    fn defer(&mut self) -> usize {
        self.deferred = true;
        (self.request, self.response, self.frames) = (Pieces::default(), Pieces::default(), Vec::new());
        std::mem::take(&mut self.held)
    }

    /// Puts the exchange together with its end, which tells what was handed over.
    pub(crate) fn ended(self, mut end: Box<Exchange>, handed: Option<Handed>) -> Assembled {
        let handed = handed.unwrap_or_default();
        let mut torn = self.frames_torn || (self.frames.len() as u64) < handed.frames;
        let mut fill = |body: &mut Body, pieces: Pieces, handed: u64| {
            let came_in_parts = matches!(&body.content, Content::Inline(inline) if inline.is_empty());
            if came_in_parts {
                torn |= pieces.torn || (pieces.bytes.len() as u64) < handed;
                body.content = Content::Inline(pieces.bytes.freeze());
                if body.chunks.is_empty() {
                    body.chunks = pieces.chunks;
                }
            }
        };
        fill(&mut end.request.body, self.request, handed.request);
        if let Some(response) = &mut end.response {
            fill(&mut response.body, self.response, handed.response);
        }
        end.frames.splice(..0, self.frames);
        Assembled { exchange: end, torn }
    }

    /// Puts together what there is of an exchange that did not end: it is still going on, or was interrupted.
    pub(crate) fn unfinished(self, live: bool) -> Assembled {
        let mut exchange = self.head;
        let mut torn = self.frames_torn;
        let mut last = exchange.timings.total;
        let mut fill = |body: &mut Body, pieces: Pieces| {
            torn |= pieces.torn;
            last = pieces.chunks.last().map_or(last, |chunk| last.max(chunk.at));
            if !pieces.bytes.is_empty() {
                body.length = body.length.max(pieces.bytes.len() as u64);
                body.content = Content::Inline(pieces.bytes.freeze());
                body.chunks = pieces.chunks;
            }
        };
        fill(&mut exchange.request.body, self.request);
        if let Some(response) = &mut exchange.response {
            fill(&mut response.body, self.response);
        }
        exchange.frames.extend(self.frames);
        exchange.timings.total = exchange.frames.last().map_or(last, |frame| last.max(frame.at));
        if !live {
            let phase = if exchange.response.is_some() { Phase::Receive } else { Phase::Wait };
            exchange.failure.get_or_insert_with(|| Failure {
                kind: FailureKind::Interrupted,
                phase,
                detail: "the recorder was killed before the exchange was complete".to_owned(),
            });
        }
        Assembled { exchange, torn }
    }
}

impl Pieces {
    fn take(&mut self, offset: u64, bytes: &[u8], at: Option<Duration>) {
        self.torn |= offset != self.bytes.len() as u64;
        if self.torn {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if let Some(at) = at {
            self.chunks.push(Chunk { at, end: self.bytes.len() as u64 });
        }
    }
}
