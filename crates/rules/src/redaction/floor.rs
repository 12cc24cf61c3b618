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
    CREDENTIALS
        .iter()
        .any(|credential| credential.len() == name.len() && name.eq_ignore_ascii_case(credential.as_bytes()))
}
