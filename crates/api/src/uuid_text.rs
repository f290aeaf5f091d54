//! UUIDs as text (RFC 9562 section 4): 8-4-4-4-12 hex digits.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case text of a UUID.
#[must_use]
pub fn text(id: &[u8; 16]) -> String {
    let mut text = Vec::with_capacity(36);
    write(id, &mut text);
    // Digits and hyphens only.
    String::from_utf8(text).unwrap_or_default()
}

/// Appends the same to `out`.
pub fn write(id: &[u8; 16], out: &mut Vec<u8>) {
    for (at, part) in [(0, 4), (4, 6), (6, 8), (8, 10), (10, 16)].into_iter().enumerate() {
        if at > 0 {
            out.push(b'-');
        }
        write_hex(&id[part.0..part.1], out);
    }
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len() * 2);
    write_hex(bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends lower-case hex to `out`.
pub fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        let digits = [byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]);
        out.extend_from_slice(&digits);
    }
}

/// A UUID from its text, either case; with hyphens in their places or with none.
#[must_use]
pub fn parse(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    let hyphens_fit = match bytes.len() {
        32 => true,
        36 => [8, 13, 18, 23].iter().all(|at| bytes[*at] == b'-'),
        _ => false,
    };
    let digits: Vec<u8> = bytes
        .iter()
        .filter(|byte| **byte != b'-')
        .map(|byte| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    if !hyphens_fit || digits.len() != 32 {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(id)
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
            "------------------------------------",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
