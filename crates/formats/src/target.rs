//! What may stand as the authority or the target of a request, whatever a file says.

use std::borrow::Cow;

/// Whether a text can stand as the authority of a request; it need not resolve.
pub(crate) fn is_authority(text: &str) -> bool {
    !text.is_empty()
        && !text.chars().any(|character| {
            character.is_whitespace() || character.is_control() || "/?#@\\".contains(character)
        })
}

/// Whether bytes can stand as the target in a request line.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !bytes.iter().any(|byte| *byte <= b' ' || *byte == 0x7f)
}

/// A target with everything escaped that may not stand in a URL; escapes that are there stay.
pub(crate) fn escaped(target: &[u8]) -> Cow<'_, str> {
    let unsafe_byte = |byte: &u8| *byte <= b' ' || *byte >= 0x7f || b"\"<>#".contains(byte);
    match std::str::from_utf8(target) {
        Ok(text) if !target.iter().any(unsafe_byte) => text.into(),
        _ => escape(target, unsafe_byte).into(),
    }
}

/// Bytes as text in which those that `unsafe_byte` picks are percent-encoded.
pub(crate) fn escape(bytes: &[u8], unsafe_byte: impl Fn(&u8) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 16);
    for byte in bytes {
        if unsafe_byte(byte) {
            let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
            out.extend(['%', digit(byte >> 4), digit(*byte)]);
        } else {
            out.push(char::from(*byte));
        }
    }
    out
}
