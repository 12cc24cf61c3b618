//! Where a message body ends (RFC 9112, section 6), judged so strictly that no two readers can disagree.

use mimeo_model::{Headers, Method, Version};

use crate::protocol::head::{Rejection, ResponseHead};

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is no body.
    None,
    /// The body has this many bytes.
    Length(u64),
    /// The body is chunked.
    Chunked,
    /// The body lasts until the connection closes; responses only.
    UntilClose,
    /// What follows is no longer HTTP: an upgrade or a tunnel.
    Tunnel,
}

/// The framing of a request body.
pub fn of_request(version: Version, headers: &Headers) -> Result<BodyFraming, Rejection> {
    let declared = declared(version, headers)?;
    for value in headers.get_all("connection") {
        for name in value.split(|byte| *byte == b',') {
            let name = name.trim_ascii();
            if [&b"host"[..], b"content-length", b"transfer-encoding", b"authorization"]
                .iter()
                .any(|essential| name.eq_ignore_ascii_case(essential))
            {
                return Err(Rejection::new(
                    400,
                    "framing.connection",
                    "`Connection` names a field that the message cannot do without",
                ));
            }
        }
    }
    Ok(match declared {
        Declared::Nothing => BodyFraming::None,
        Declared::Length(length) => BodyFraming::Length(length),
        Declared::Chunked => BodyFraming::Chunked,
    })
}

/// The framing of the body that answers a request of `method`.
pub fn of_response(method: &Method, head: &ResponseHead) -> Result<BodyFraming, Rejection> {
    let declared = declared(head.version, &head.headers)?;
    if head.status == 101 || *method == Method::CONNECT && (200..300).contains(&head.status) {
        return Ok(BodyFraming::Tunnel);
    }
    if *method == Method::HEAD || head.status < 200 || matches!(head.status, 204 | 304) {
        return Ok(BodyFraming::None);
    }
    Ok(match declared {
        Declared::Nothing => BodyFraming::UntilClose,
        Declared::Length(length) => BodyFraming::Length(length),
        Declared::Chunked => BodyFraming::Chunked,
    })
}

enum Declared {
    Nothing,
    Length(u64),
    Chunked,
}

fn declared(version: Version, headers: &Headers) -> Result<Declared, Rejection> {
    let bad = |code, detail: &str| Rejection::new(400, code, detail);
    let mut length = None;
    let mut lengths = headers.get_all("content-length");
    if let Some(value) = lengths.next() {
        length = Some(decimal(value).ok_or_else(|| {
            bad("framing.content_length", "`Content-Length` is not a decimal number below 2^63")
        })?);
    }
    if lengths.next().is_some() {
        return Err(bad("framing.content_length_repeated", "the message has more than one `Content-Length`"));
    }
    let mut codings = headers.get_all("transfer-encoding");
    let Some(coding) = codings.next() else {
        return Ok(length.map_or(Declared::Nothing, Declared::Length));
    };
    if length.is_some() {
        return Err(bad(
            "framing.cl_and_te",
            "the message has both `Content-Length` and `Transfer-Encoding`",
        ));
    }
    if codings.next().is_some() {
        return Err(bad(
            "framing.transfer_encoding_repeated",
            "the message has more than one `Transfer-Encoding`",
        ));
    }
    if version < Version::Http11 {
        return Err(bad("framing.transfer_encoding_1_0", "HTTP/1.0 has no `Transfer-Encoding`"));
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(Declared::Chunked);
    }
    let known = |name: &[u8]| {
        [&b"chunked"[..], b"identity", b"gzip", b"deflate", b"compress", b"x-gzip", b"x-compress"]
            .iter()
            .any(|known| name.trim_ascii().eq_ignore_ascii_case(known))
    };
    let token = |name: &[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    if !known(coding) && token(coding) {
        return Err(Rejection::new(501, "framing.transfer_coding", "the transfer coding is not `chunked`"));
    }
    Err(bad("framing.transfer_encoding", "`Transfer-Encoding` is not exactly `chunked`"))
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        value.iter().fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    (number < 1 << 63).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &[(&str, &str)]) -> Result<BodyFraming, (u16, &'static str)> {
        let headers: Headers = fields.iter().copied().collect();
        of_request(Version::Http11, &headers).map_err(|rejection| (rejection.status, rejection.code))
    }

    #[test]
    fn ambiguous_lengths_are_refused() {
        for (fields, status) in [
            (&[("Content-Length", "4"), ("Transfer-Encoding", "chunked")][..], 400),
            (&[("Content-Length", "4"), ("Content-Length", "5")], 400),
            (&[("Content-Length", "4"), ("Content-Length", "4")], 400),
            (&[("Content-Length", "4, 4")], 400),
            (&[("Content-Length", "+4")], 400),
            (&[("Content-Length", "-1")], 400),
            (&[("Content-Length", "0x4")], 400),
            (&[("Content-Length", "1_0")], 400),
            (&[("Content-Length", "")], 400),
            (&[("Content-Length", "18446744073709551616")], 400),
            (&[("Content-Length", "9223372036854775808")], 400),
            (&[("Transfer-Encoding", "xchunked")], 501),
            (&[("Transfer-Encoding", "chunked, gzip")], 400),
            (&[("Transfer-Encoding", "chunked, chunked")], 400),
            (&[("Transfer-Encoding", "gzip, chunked")], 400),
            (&[("Transfer-Encoding", "identity")], 400),
            (&[("Transfer-Encoding", "\u{b}chunked")], 400),
            (&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], 400),
            (&[("Connection", "close, Content-Length")], 400),
        ] {
            assert_eq!(framing(fields).map_err(|(status, _)| status), Err(status), "{fields:?}");
        }
        let headers: Headers = [("Transfer-Encoding", "chunked")].into_iter().collect();
        assert!(of_request(Version::Http10, &headers).is_err());
    }

    #[test]
    fn plain_lengths_are_taken() {
        assert_eq!(framing(&[]), Ok(BodyFraming::None));
        assert_eq!(framing(&[("content-length", "10")]), Ok(BodyFraming::Length(10)));
        assert_eq!(
            framing(&[("content-length", "9223372036854775807")]),
            Ok(BodyFraming::Length(i64::MAX as u64))
        );
        assert_eq!(framing(&[("Transfer-Encoding", "Chunked")]), Ok(BodyFraming::Chunked));
        assert_eq!(framing(&[("Connection", "keep-alive, X-Hop")]), Ok(BodyFraming::None));
    }

    #[test]
    fn responses_without_bodies_have_none_whatever_they_declare() {
        let head = |status, fields: &[(&str, &str)]| ResponseHead {
            status,
            reason: bytes::Bytes::new(),
            version: Version::Http11,
            headers: fields.iter().copied().collect(),
        };
        let length = [("Content-Length", "5")];
        assert_eq!(of_response(&Method::HEAD, &head(200, &length)), Ok(BodyFraming::None));
        assert_eq!(of_response(&Method::GET, &head(304, &length)), Ok(BodyFraming::None));
        assert_eq!(of_response(&Method::GET, &head(204, &[])), Ok(BodyFraming::None));
        assert_eq!(of_response(&Method::GET, &head(200, &length)), Ok(BodyFraming::Length(5)));
        assert_eq!(of_response(&Method::GET, &head(200, &[])), Ok(BodyFraming::UntilClose));
        assert_eq!(of_response(&Method::GET, &head(101, &[])), Ok(BodyFraming::Tunnel));
        assert_eq!(of_response(&Method::CONNECT, &head(200, &[])), Ok(BodyFraming::Tunnel));
    }
}
