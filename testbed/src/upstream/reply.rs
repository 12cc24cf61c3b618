//! What an upstream answers with, as a value that can be sent over HTTP/1.1 and HTTP/2.

use bytes::Bytes;

use crate::message::Fields;
use crate::pattern;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Fields,
    pub(super) interim: Vec<(u16, Fields)>,
    pub(super) gate: Option<String>,
    pub(super) body: Body,
    pub(super) ending: Ending,
    pub(super) trailers: Fields,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Pieces(Vec<Piece>),
    Pattern(u64),
}

#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) gate: Option<String>,
    pub(super) bytes: Bytes,
}

/// How HTTP/1.1 says where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Length,
    Chunked,
    Close,
}

impl Reply {
    /// An empty answer.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            interim: Vec::new(),
            gate: None,
            body: Body::Pieces(Vec::new()),
            ending: Ending::Length,
            trailers: Vec::new(),
        }
    }

    /// `200` with text.
    pub fn text(text: &str) -> Self {
        Self::status(200).header("Content-Type", "text/plain; charset=utf-8").piece(text.to_owned())
    }

    /// `200` with JSON.
    pub fn json(text: impl Into<String>) -> Self {
        Self::status(200).header("Content-Type", "application/json").piece(text.into())
    }

    /// `200` with bytes.
    pub fn bytes(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self::status(200).header("Content-Type", media_type).piece(bytes)
    }

    /// `200` with the first `length` bytes of [`crate::pattern`].
    pub fn pattern(length: u64) -> Self {
        let mut reply = Self::status(200).header("Content-Type", "application/octet-stream");
        reply.body = Body::Pattern(length);
        reply
    }

    /// Has another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Has one more header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Has one more trailer field, and is chunked.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.chunked()
    }

    /// Is preceded by an interim response.
    #[must_use]
    pub fn after_interim(mut self, status: u16, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.interim.push((status, headers));
        self
    }

    /// Is held back, head and all, until the gate lets it through.
    #[must_use]
    pub fn behind(mut self, gate: &str) -> Self {
        self.gate = Some(gate.to_owned());
        self
    }

    /// Has one more piece of body; each is sent as one chunk.
    #[must_use]
    pub fn piece(self, bytes: impl Into<Bytes>) -> Self {
        self.add(None, bytes.into())
    }

    /// Has one more piece of body that waits at a gate.
    #[must_use]
    pub fn piece_behind(self, gate: &str, bytes: impl Into<Bytes>) -> Self {
        self.add(Some(gate.to_owned()), bytes.into())
    }

    /// Is chunked over HTTP/1.1.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.ending = Ending::Chunked;
        self
    }

    /// Ends with the connection over HTTP/1.1.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.ending = Ending::Close;
        self
    }

    fn add(mut self, gate: Option<String>, bytes: Bytes) -> Self {
        match &mut self.body {
            Body::Pieces(pieces) => pieces.push(Piece { gate, bytes }),
            Body::Pattern(_) => panic!("a body is a pattern or pieces, not both"),
        }
        self
    }

    pub(super) fn has_body(&self) -> bool {
        self.status >= 200 && !matches!(self.status, 204 | 304)
    }
}

impl Body {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Pieces(pieces) => pieces.iter().map(|piece| piece.bytes.len() as u64).sum(),
            Self::Pattern(length) => *length,
        }
    }

    /// The pieces from the first to the last, with the gate each waits at.
    pub(super) fn pieces(self) -> Box<dyn Iterator<Item = Piece> + Send> {
        match self {
            Self::Pieces(pieces) => Box::new(pieces.into_iter()),
            Self::Pattern(length) => {
                let block = pattern::BLOCK as u64;
                Box::new((0..length.div_ceil(block)).map(move |number| {
                    let offset = number * block;
                    let mut bytes = vec![0; (length - offset).min(block) as usize];
                    pattern::fill(offset, &mut bytes);
                    Piece { gate: None, bytes: bytes.into() }
                }))
            }
        }
    }
}
