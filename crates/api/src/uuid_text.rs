//! UUIDs as text (RFC 9562 section 4), and bytes as lower-case hex.

use uuid::Uuid;

/// Bytes of a UUID's text.
const TEXT_BYTES: usize = uuid::fmt::Hyphenated::LENGTH;

/// Lower-case text of a UUID.
#[must_use]
pub fn text(id: &[u8; 16]) -> String {
    Uuid::from_bytes(*id).hyphenated().to_string()
}

/// Writes the same at the begin of `out`, which has room for it; how many bytes these are.
pub(crate) fn put(id: &[u8; 16], out: &mut [u8]) -> usize {
    Uuid::from_bytes(*id).hyphenated().encode_lower(&mut out[..TEXT_BYTES]).len()
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// Writes the same at the begin of `out`, which has room for it; how many bytes these are.
pub(crate) fn put_hex(bytes: &[u8], out: &mut [u8]) -> usize {
    let length = bytes.len() * 2;
    // It fails for a room of another length alone.
    hex::encode_to_slice(bytes, &mut out[..length]).map_or(0, |()| length)
}

/// A UUID from its text, either case; with hyphens in their places or with none.
#[must_use]
pub fn parse(text: &str) -> Option<[u8; 16]> {
    // The library reads braces and URNs too.
    let is_plain = matches!(text.len(), 32 | TEXT_BYTES);
    Uuid::try_parse(text).ok().filter(|_| is_plain).map(Uuid::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_round_trip_and_other_text_is_refused() {
        let id = parse("01932F6E-7c1a-7b3e-9a55-3f1c0c6f2b11").expect("a UUID");
        assert_eq!(text(&id), "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11");
        assert_eq!(parse("01932f6e7c1a7b3e9a553f1c0c6f2b11"), Some(id));
        for bad in [
            "",
            "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b1",
            "g1932f6e7c1a7b3e9a553f1c0c6f2b11",
            "01932f6e7-c1a-7b3e-9a55-3f1c0c6f2b11",
            "{01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11}",
            "------------------------------------",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
