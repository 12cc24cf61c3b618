//! Bytes as base64 (RFC 4648) inside JSON.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::display::Base64Display;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;
use serde::{Serialize, Serializer};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const LENIENT_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const LENIENT_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Bytes that are written as base64, without a copy of the text.
#[derive(Clone, Copy)]
pub(crate) struct Base64<'b>(pub(crate) &'b [u8]);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(self.0, &STANDARD).fmt(f)
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

/// Reads base64 in the standard or the URL alphabet, with or without padding, broken over lines or not.
pub(crate) fn decode(text: &str) -> Option<Bytes> {
    let joined;
    let text = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        joined = text.split_ascii_whitespace().collect::<String>();
        &joined
    } else {
        text
    };
    let engine = if text.contains(['-', '_']) { &LENIENT_URL } else { &LENIENT_STANDARD };
    engine.decode(text).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_dialects_of_base64_are_read() {
        for (text, bytes) in [
            ("+/8=", Some(&b"\xfb\xff"[..])),
            ("-_8", Some(b"\xfb\xff")),
            ("aGVs\r\n bG8=", Some(b"hello")),
            ("", Some(b"")),
            ("a*b", None),
            ("a", None),
        ] {
            assert_eq!(decode(text).as_deref(), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_bytes_are_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode(&Base64(&bytes).to_string()), Some(Bytes::from(bytes)));
        }
    }
}
