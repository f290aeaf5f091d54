//! The filter: says for sure that a run does not hold a term, by one cache line.
//!
//! Promises: no false "no"; a false "yes" in about 1 of 2,000 look-ups. 18 bits a term.
//!
//! ```text
//! filter  = lines of 512 bits = 8 words, u64 little-endian; max(1, ceil(terms · 18 / 512)) lines
//! x       = mix(low half of the hash xor kind · 0x9e3779b97f4a7c15)
//! line    = high half of x · lines
//! y       = mix(high half of the hash + x)
//! a term sets in word w the bit (y >> 6w) & 63
//! mix(v)  = v ^= v >> 33; v *= 0xff51afd7ed558ccd; v ^= v >> 33; v *= 0xc4ceb9fe1a85ec53;
//!           v ^= v >> 33
//! ```

use crate::term::Term;

/// Bytes of one line.
pub(super) const LINE: usize = 64;
/// Bits of filter for each term.
const BITS_PER_TERM: u64 = 18;

#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct Line([u64; 8]);

/// A set of terms that may answer "perhaps" for others too.
pub(super) struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    /// How many lines `terms` terms get.
    pub(super) fn lines_for(terms: u64) -> u64 {
        u64::try_from((u128::from(terms) * u128::from(BITS_PER_TERM)).div_ceil(512))
            .unwrap_or(u64::MAX)
            .max(1)
    }

    /// An empty filter for `terms` terms.
    pub(super) fn new(terms: u64) -> Self {
        let lines = usize::try_from(Self::lines_for(terms)).expect("a filter that fits memory");
        Self { lines: vec![Line::default(); lines] }
    }

    pub(super) fn with_room(lines: usize) -> Self {
        Self { lines: Vec::with_capacity(lines) }
    }

    /// Appends whole lines as they stand in a file.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) {
        for line in bytes.chunks_exact(LINE) {
            let mut words = [0; 8];
            for (word, bytes) in words.iter_mut().zip(line.chunks_exact(8)) {
                *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
            }
            self.lines.push(Line(words));
        }
    }

    /// The lines as they stand in a file.
    pub(super) fn line_bytes(&self) -> impl Iterator<Item = [u8; LINE]> + '_ {
        self.lines.iter().map(|line| {
            let mut bytes = [0; LINE];
            for (word, place) in line.0.iter().zip(bytes.chunks_exact_mut(8)) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            bytes
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.lines.len() * LINE) as u64
    }

    pub(super) fn insert(&mut self, term: &Term) {
        let (line, bits) = self.place(term);
        for (at, word) in self.lines[line].0.iter_mut().enumerate() {
            *word |= 1 << (bits >> (6 * at) & 63);
        }
    }

    pub(super) fn may_hold(&self, term: &Term) -> bool {
        let (line, bits) = self.place(term);
        let words = &self.lines[line].0;
        let all = words
            .iter()
            .enumerate()
            .fold(1, |all, (at, word)| all & (word >> (bits >> (6 * at) & 63)));
        all & 1 == 1
    }

    fn place(&self, term: &Term) -> (usize, u64) {
        let bytes = term.hash.to_le_bytes();
        let half = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        let (low, high) = (half(0), half(8));
        let x = mix(low ^ u64::from(term.kind).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let line = (u128::from(x) * self.lines.len() as u128) >> 64;
        let line = usize::try_from(line).expect("below the number of lines");
        (line, mix(high.wrapping_add(x)))
    }
}

fn mix(mut value: u64) -> u64 {
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ value >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(seed: u64) -> Term {
        let hash = u128::from(mix(seed)) << 64 | u128::from(mix(seed ^ 0x5555));
        Term { kind: 1 + (seed % 3) as u8, hash }
    }

    #[test]
    fn holds_what_was_put_in_and_little_else() {
        let terms = 100_000;
        let mut filter = Filter::new(terms);
        (0..terms).for_each(|seed| filter.insert(&term(seed)));
        assert!((0..terms).all(|seed| filter.may_hold(&term(seed))));
        let wrong = (terms..4 * terms).filter(|&seed| filter.may_hold(&term(seed))).count();
        assert!(wrong < 300, "{wrong} of 300,000: more than one in a thousand");
    }
}
