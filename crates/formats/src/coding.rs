//! Content codings (RFC 9110, section 8.4): which one a message announces, and whether its bytes really
//! are in it. Many programs write the decoded body beside the headers of the encoded one.

use bytes::Bytes;
use mimeo_model::Headers;
use mimeo_model::body::decoded::{self, DecodeLimits};

/// Larger decoded views are not written; the encoded bytes are, and say everything.
pub(crate) const SHOWN: DecodeLimits = DecodeLimits { output: 8 << 20, ratio: 200, codings: 3 };

/// The content coding that applies to a message, when there is one (RFC 9110, section 8.4).
pub(crate) fn applied(headers: &Headers) -> Option<String> {
    let listed: Vec<String> = headers
        .get_all("content-encoding")
        .flat_map(|value| String::from_utf8_lossy(value).split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    (!listed.is_empty()).then(|| listed.join(","))
}

/// Whether bytes are still in the coding that the headers announce.
pub(crate) fn is_still_applied(
    bytes: &Bytes,
    coding: &str,
    size: Option<u64>,
    body_size: Option<u64>,
) -> bool {
    let last = coding.rsplit(',').next().unwrap_or_default();
    match last {
        "gzip" | "x-gzip" => bytes.starts_with(&[0x1f, 0x8b]),
        "zstd" => bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        // Neither has a signature; the sizes must speak for it.
        "deflate" | "br" => {
            let length = bytes.len() as u64;
            body_size == Some(length) && size != Some(length) && unpacks(bytes, last)
        }
        // What cannot be undone here was not undone by whoever wrote the file either.
        _ => true,
    }
}

fn unpacks(bytes: &Bytes, coding: &str) -> bool {
    decoded::decode(bytes, Some(coding.as_bytes()), DecodeLimits { output: 64 << 20, ..SHOWN }).is_ok()
}

/// The headers of a message whose body of `length` bytes is no longer in the coding they announce.
pub(crate) fn undone(headers: &Headers, length: usize) -> Headers {
    let length = length.to_string();
    headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case(b"content-encoding"))
        .map(|(name, value)| {
            (name, if name.eq_ignore_ascii_case(b"content-length") { length.as_bytes() } else { value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_found_and_undone_in_headers() {
        let headers: Headers =
            [("Content-Encoding", "identity, GZIP"), ("content-encoding", "br"), ("Content-Length", "3")]
                .into_iter()
                .collect();
        assert_eq!(applied(&headers).as_deref(), Some("gzip,br"));
        assert_eq!(undone(&headers, 12), [("Content-Length", "12")].into_iter().collect());
        assert_eq!(applied(&Headers::new()), None);
    }

    #[test]
    fn bytes_tell_whether_they_are_coded() {
        let gzip = Bytes::from_static(&[0x1f, 0x8b, 8, 0]);
        let text = Bytes::from_static(b"{}");
        for (bytes, coding, expected) in [
            (&gzip, "gzip", true),
            (&text, "gzip", false),
            (&text, "br", false),
            (&text, "zstd", false),
            (&text, "aws-chunked", true),
        ] {
            assert_eq!(is_still_applied(bytes, coding, None, None), expected, "{coding}");
        }
    }
}
