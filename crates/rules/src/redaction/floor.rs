//! The headers that always count as credentials; rules may add to them and never take away.

/// Lower-case names of the credential headers.
pub const CREDENTIALS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-session-id",
    "x-access-token",
    "x-user-token",
    "x-csrf-token",
    "x-amz-security-token",
    "x-amz-session-token",
    "x-goog-api-key",
    "grpc-metadata-authorization",
    "api-key",
    "token",
];

/// Whether the header carries a credential.
pub fn is_credential(name: &[u8]) -> bool {
    // Most names have a length that no credential has.
    LENGTHS & 1_u64.checked_shl(name.len() as u32).unwrap_or(0) != 0
        && CREDENTIALS
            .iter()
            .any(|known| known.len() == name.len() && name.eq_ignore_ascii_case(known.as_bytes()))
}

/// A bit for each length that a credential's name has.
const LENGTHS: u64 = {
    let (mut lengths, mut at) = (0, 0);
    while at < CREDENTIALS.len() {
        lengths |= 1 << CREDENTIALS[at].len();
        at += 1;
    }
    lengths
};
