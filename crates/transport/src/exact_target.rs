//! Request targets that the HTTP library cannot hold, such as bytes that are not UTF-8 or `<`: it is given a
//! placeholder on the way in, and its placeholder is replaced by the true target on the way out, so that what
//! the client sent reaches the upstream byte for byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::uri::PathAndQuery;
use tokio::io::AsyncWrite;

/// What the HTTP library sees in place of the target.
pub const PLACEHOLDER: &[u8] = b"/";

/// Whether the HTTP library can hold the target as it is.
pub fn is_plain(target: &[u8]) -> bool {
    let odd = |byte: &u8| matches!(byte, b'<' | b'>' | b'`' | 0x80..);
    !target.iter().any(odd) || PathAndQuery::try_from(target).is_ok()
}

/// The head of a request with the placeholder in place of its target.
pub(crate) fn with_placeholder(head: &[u8], target: &[u8]) -> Option<BytesMut> {
    let start = memchr::memchr(b' ', head)? + 1;
    let mut out = BytesMut::with_capacity(head.len());
    out.extend_from_slice(&head[..start]);
    out.extend_from_slice(PLACEHOLDER);
    out.extend_from_slice(head.get(start + target.len()..)?);
    Some(out)
}

/// Bytes of a head that was changed and is not written yet.
#[derive(Default)]
pub(crate) struct Outgoing(BytesMut);

impl Outgoing {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes bytes that begin with a head, whose target is replaced.
    pub(crate) fn take(&mut self, data: &[u8], target: &Bytes) {
        let start = memchr::memchr(b' ', data).map_or(0, |at| at + 1);
        let end = memchr::memchr(b' ', &data[start..]).map_or(start, |at| start + at);
        self.0.extend_from_slice(&data[..start]);
        self.0.extend_from_slice(target);
        self.0.extend_from_slice(&data[end..]);
    }

    /// Writes what is held.
    pub(crate) fn poll_write_out<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.0.is_empty() {
            let written = ready!(Pin::new(&mut *io).poll_write(cx, &self.0))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.0.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_targets_are_told_from_plain_ones() {
        for (target, plain) in [
            (&b"/a?b=c"[..], true),
            ("/\u{e9}".as_bytes(), true),
            (b"/{x}|^\\", true),
            (b"/\xff", false),
            (b"/a<b>", false),
            (b"/`", false),
        ] {
            assert_eq!(is_plain(target), plain, "{}", String::from_utf8_lossy(target));
        }
    }

    #[test]
    fn a_target_goes_out_of_a_head_and_into_it_again() {
        let head = b"GET /\xff<x> HTTP/1.1\r\nHost: a\r\n\r\n";
        let shown = with_placeholder(head, b"/\xff<x>").expect("a head");
        assert_eq!(&shown[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut outgoing = Outgoing::default();
        outgoing.take(&shown, &Bytes::from_static(b"/\xff<x>"));
        assert_eq!(&outgoing.0[..], head);
    }
}
