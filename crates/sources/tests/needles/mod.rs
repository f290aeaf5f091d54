//! Secrets in a text, however they are written.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Finds any of many needles in a text: by their first eight bytes, then in full.
pub struct Needles {
    /// Which first three bytes some needle has; most places of a text fall out here.
    heads: Vec<bool>,
    by_head: HashMap<[u8; 8], Vec<Vec<u8>>>,
}

impl Needles {
    /// Each needle has at least eight bytes.
    pub fn new(needles: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut heads = vec![false; 1 << 24];
        let mut by_head: HashMap<[u8; 8], Vec<Vec<u8>>> = HashMap::new();
        for needle in needles {
            let head = needle[..8].try_into().expect("a needle has at least eight bytes");
            heads[Self::slot(&needle)] = true;
            by_head.entry(head).or_default().push(needle);
        }
        Self { heads, by_head }
    }

    fn slot(bytes: &[u8]) -> usize {
        usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
    }

    /// Where the first of them begins.
    pub fn found_in(&self, text: &[u8]) -> Option<usize> {
        (0..text.len().saturating_sub(7)).find(|&at| {
            let head = &text[at..at + 8];
            let full = if self.heads[Self::slot(head)] { self.by_head.get(head) } else { None };
            full.is_some_and(|full| full.iter().any(|needle| text[at..].starts_with(needle)))
        })
    }
}

/// A value as it is, percent-encoded, with JSON escapes, and inside base64 at each of the three
/// alignments.
pub fn forms(value: &str) -> Vec<Vec<u8>> {
    let escaped = |upper: bool| {
        let byte = |b: u8| if upper { format!("%{b:02X}") } else { format!("%{b:02x}") };
        value.bytes().map(byte).collect::<String>().into_bytes()
    };
    let unicode = value.bytes().map(|byte| format!("\\u{byte:04x}")).collect::<String>();
    let mut forms = vec![value.as_bytes().to_vec(), escaped(true), escaped(false)];
    forms.push(unicode.into_bytes());
    for skip in 0..3 {
        let mut padded = vec![0; skip];
        padded.extend_from_slice(value.as_bytes());
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&padded).into_bytes();
            // The characters at the edges also carry bits of the neighbours.
            let whole = encoded[if skip == 0 { 0 } else { 4 }..encoded.len() - 1].to_vec();
            forms.push(whole);
        }
    }
    forms.retain(|form| form.len() >= 8);
    forms
}
