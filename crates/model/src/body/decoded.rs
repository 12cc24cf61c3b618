//! The decoded view of a body, made on reading and never on the way through.
//!
//! Decoding stops at limits taken from the bytes that really came out, for every coding and for nested
//! ones, so that a small hostile body cannot fill the memory of whoever looks at it.

use std::io::Read;

use bytes::Bytes;

/// Bounds of one decoding.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Most bytes that may come out.
    pub output: u64,
    /// Most bytes out for each byte in, once more than 64 KiB came out.
    pub ratio: u64,
    /// Most codings applied on top of each other.
    pub codings: usize,
}

impl Default for DecodeLimits {
    /// 32 MiB out, 200 bytes out for one in, three codings.
    fn default() -> Self {
        Self { output: 32 << 20, ratio: 200, codings: 3 }
    }
}

/// Why a body has no decoded view; its encoded bytes are untouched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The coding is not one that can be undone here.
    #[error("content coding `{0}` is not known; known are gzip, deflate, br, zstd and identity")]
    UnknownCoding(String),
    /// More codings are nested than [`DecodeLimits::codings`].
    #[error("{0} content codings are nested, more than the limit")]
    TooManyCodings(usize),
    /// The output passed [`DecodeLimits::output`] or [`DecodeLimits::ratio`].
    #[error("the decoded body would be larger than the limit")]
    TooLarge,
    /// The bytes are not what the coding promises.
    #[error("the body is not valid {coding}: {detail}")]
    Invalid {
        /// The coding that failed.
        coding: &'static str,
        /// What its decoder said.
        detail: String,
    },
}

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Undoes every coding that `content_encoding` lists (RFC 9110, section 8.4), last one first.
pub fn decode(
    bytes: &Bytes,
    content_encoding: Option<&[u8]>,
    limits: DecodeLimits,
) -> Result<Bytes, DecodeError> {
    let listed = content_encoding.map(String::from_utf8_lossy).unwrap_or_default();
    let mut codings = Vec::new();
    for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name.to_ascii_lowercase().as_str() {
            "identity" => {}
            "gzip" | "x-gzip" => codings.push(Coding::Gzip),
            "deflate" => codings.push(Coding::Deflate),
            "br" => codings.push(Coding::Brotli),
            "zstd" => codings.push(Coding::Zstd),
            _ => return Err(DecodeError::UnknownCoding(name.to_owned())),
        }
    }
    if codings.len() > limits.codings {
        return Err(DecodeError::TooManyCodings(codings.len()));
    }
    let mut out = bytes.clone();
    for coding in codings.into_iter().rev() {
        if out.is_empty() {
            return Ok(out);
        }
        out = undo(coding, &out, limits)?.into();
    }
    Ok(out)
}

fn undo(coding: Coding, input: &[u8], limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let invalid = |coding: &'static str| {
        move |error: std::io::Error| DecodeError::Invalid { coding, detail: error.to_string() }
    };
    match coding {
        Coding::Gzip => bounded(flate2::read::MultiGzDecoder::new(input), input, limits, invalid("gzip")),
        Coding::Deflate => {
            // Half the field sends raw deflate where RFC 9110 asks for the zlib wrapper.
            let zlib = input.first().is_some_and(|byte| byte & 0x0f == 8)
                && input.len() > 1
                && (u16::from(input[0]) << 8 | u16::from(input[1])) % 31 == 0;
            if zlib {
                bounded(flate2::read::ZlibDecoder::new(input), input, limits, invalid("deflate"))
            } else {
                bounded(flate2::read::DeflateDecoder::new(input), input, limits, invalid("deflate"))
            }
        }
        Coding::Brotli => bounded(brotli::Decompressor::new(input, 16 << 10), input, limits, invalid("br")),
        Coding::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(invalid("zstd"))?;
            bounded(decoder, input, limits, invalid("zstd"))
        }
    }
}

fn bounded(
    mut reader: impl Read,
    input: &[u8],
    limits: DecodeLimits,
    invalid: impl Fn(std::io::Error) -> DecodeError,
) -> Result<Vec<u8>, DecodeError> {
    let most = limits.output.min((input.len() as u64).saturating_mul(limits.ratio).max(64 << 10));
    let mut out = Vec::new();
    reader.by_ref().take(most).read_to_end(&mut out).map_err(&invalid)?;
    if out.len() as u64 == most && reader.read(&mut [0]).map_err(&invalid)? > 0 {
        return Err(DecodeError::TooLarge);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).expect("a vector takes every byte");
        encoder.finish().expect("a vector takes every byte").into()
    }

    #[test]
    fn every_coding_is_undone() {
        let plain = b"{\"hello\":\"world\"}".repeat(50);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).expect("a vector takes every byte");
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        raw.write_all(&plain).expect("a vector takes every byte");
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 5, 22)
            .write_all(&plain)
            .expect("a vector takes every byte");
        for (name, encoded) in [
            ("gzip", gzip(&plain)),
            ("X-GZIP", gzip(&plain)),
            ("deflate", zlib.finish().expect("a vector takes every byte").into()),
            ("deflate", raw.finish().expect("a vector takes every byte").into()),
            ("br", br.into()),
            ("zstd", zstd::encode_all(&plain[..], 1).expect("a vector takes every byte").into()),
            ("gzip, gzip", gzip(&gzip(&plain))),
            ("identity", Bytes::from(plain.clone())),
        ] {
            let decoded = decode(&encoded, Some(name.as_bytes()), DecodeLimits::default());
            assert_eq!(decoded.as_deref(), Ok(&plain[..]), "{name}");
        }
    }

    #[test]
    fn bombs_stop_at_the_limit_for_every_coding() {
        let zeros = vec![0; 40 << 20];
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 1, 22)
            .write_all(&zeros)
            .expect("a vector takes every byte");
        for (name, bomb) in [
            ("gzip", gzip(&zeros)),
            ("br", br.into()),
            ("zstd", zstd::encode_all(&zeros[..], 1).expect("a vector takes every byte").into()),
            ("gzip, gzip", gzip(&gzip(&zeros))),
        ] {
            let outcome = decode(&bomb, Some(name.as_bytes()), DecodeLimits::default());
            assert_eq!(outcome, Err(DecodeError::TooLarge), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        let bytes = Bytes::from_static(b"plain");
        assert!(matches!(
            decode(&bytes, Some(b"gzip"), DecodeLimits::default()),
            Err(DecodeError::Invalid { coding: "gzip", .. })
        ));
        assert_eq!(
            decode(&bytes, Some(b"rot13"), DecodeLimits::default()),
            Err(DecodeError::UnknownCoding("rot13".into()))
        );
        assert_eq!(
            decode(&bytes, Some(b"gzip,gzip,gzip,gzip"), DecodeLimits::default()),
            Err(DecodeError::TooManyCodings(4))
        );
    }
}
