//! The alphabets that secrets, ids and digests are written in, as tests of a byte.

/// `[0-9A-Fa-f]`.
pub(crate) fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}
/// `[0-9A-Za-z]`.
pub(crate) fn alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}
/// `[0-9A-Z]`.
pub(crate) fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}
/// base64url: what secrets, ids and digests are written in.
pub(crate) fn url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
/// base64url and dots.
pub(crate) fn dotted(byte: u8) -> bool {
    url(byte) || byte == b'.'
}
/// base64 of either alphabet, padded or not.
pub(crate) fn base64(byte: u8) -> bool {
    url(byte) || matches!(byte, b'+' | b'/' | b'=')
}
