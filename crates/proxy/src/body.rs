//! The bodies that the proxy sends up and down.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::playback::Playback;
use crate::tap::Tee;

/// A body on its way to the upstream or to the client.
pub(crate) enum ProxyBody {
    /// Passes and is captured.
    Tee(Box<Tee>),
    /// Made here.
    Local(Option<Bytes>),
    /// Played back as it was recorded.
    Playback(Box<Playback>),
}

impl ProxyBody {
    pub(crate) fn local(bytes: Bytes) -> Self {
        Self::Local((!bytes.is_empty()).then_some(bytes))
    }

    pub(crate) fn empty() -> Self {
        Self::Local(None)
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Tee(tee) => Pin::new(&mut **tee).poll_frame(cx),
            Self::Local(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Playback(playback) => {
                playback.poll_next(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Tee(tee) => tee.is_end_stream(),
            Self::Local(bytes) => bytes.is_none(),
            Self::Playback(playback) => playback.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Tee(tee) => tee.size_hint(),
            Self::Local(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Playback(_) => SizeHint::default(),
        }
    }
}
