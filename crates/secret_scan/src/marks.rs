//! Finds where marks stand, at a fraction of what a search for each would cost.
//!
//! Promises: nothing is overlooked, wherever a mark begins and in whichever case it is written. A
//! place that is named may hold none: the table's row decides.
//!
//! ```text
//! mark      a c c e s s _ t o k e n          four bytes of it, those with most signs
//! window              s _ t o                two trigrams: one begins at an even place
//! bytes     · · · · · · · · · · · · · ·      so only every second place is looked at
//! ```
//!
//! A trigram is looked up by a hash in a table of 32 KiB. Letters of both cases are one: a bit is
//! set in every byte, which makes others alike, too, and harms nothing. Marks of three bytes have
//! no window; a searcher that looks at many bytes at a time finds those.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use crate::formats::{FORMATS, Format};

/// Bits of a trigram's hash.
const HASH_BITS: u32 = 14;
/// Bytes of a window.
const WINDOW: usize = 4;

/// What finds marks.
pub(crate) struct Marks {
    /// By hash: behind which of `grams` trigrams of it begin; zero for none.
    table: Box<[u16; 1 << HASH_BITS]>,
    /// Trigrams, the rows whose windows have them, and how far from the mark's begin; by hash.
    grams: Vec<(u32, u16, u8)>,
    /// Marks of three bytes, in small letters and in capitals.
    short: AhoCorasick,
    /// The rows of those.
    short_rows: Vec<u16>,
}

/// All marks of the table.
pub(crate) static MARKS: LazyLock<Marks> = LazyLock::new(Marks::new);

/// A trigram: three bytes, letters of both cases alike.
fn gram(bytes: u64) -> u32 {
    let three = (bytes & 0x00ff_ffff) as u32;
    three | 0x0020_2020
}

fn hash(gram: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Where the window of a mark begins: words are written in letters, so signs tell most.
fn window(mark: &str) -> usize {
    let signs = |at: &usize| {
        let letters = mark.as_bytes()[*at..*at + WINDOW].iter().filter(|b| b.is_ascii_alphabetic());
        letters.count()
    };
    (0..=mark.len() - WINDOW).min_by_key(signs).unwrap_or(0)
}

/// A trigram of the text that some window has.
#[derive(Clone, Copy)]
struct Trigram {
    gram: u32,
    /// Where the windows with its hash begin in the list, counted from 1.
    place: u16,
    /// Where in the text.
    at: usize,
}

impl Marks {
    fn new() -> Self {
        let (mut grams, mut short, mut short_rows) = (Vec::new(), Vec::new(), Vec::new());
        for (row, format) in (0u16..).zip(FORMATS) {
            let mark = format.mark;
            if mark.len() < WINDOW {
                let capital = (!format.exact).then(|| mark.to_ascii_uppercase());
                for written in [Some(mark.to_owned()), capital.filter(|one| one != mark)] {
                    short.extend(written.map(|one| (one, short_rows.push(row)).0));
                }
                continue;
            }
            let begin = window(mark);
            for at in begin..begin + 2 {
                let gram = gram(word(&mark.as_bytes()[at..at + 3]));
                grams.push((gram, row, u8::try_from(at).expect("marks are short")));
            }
        }
        grams.sort_unstable_by_key(|(gram, row, at)| (hash(*gram), *gram, *row, *at));
        let mut table = Box::new([0; 1 << HASH_BITS]);
        for (place, (gram, _, _)) in (1u16..).zip(&grams) {
            // The first of a hash stands for all.
            let first = &mut table[hash(*gram)];
            *first = if *first == 0 { place } else { *first };
        }
        // Of all kinds of match only this one lets the crate look at sixteen bytes at a time.
        let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(short);
        Self { table, grams, short: builder.expect("a few short patterns"), short_rows }
    }

    /// Whether `is` says so of a row and the place where its mark begins, of all that begin in
    /// `bytes`.
    pub(crate) fn any(
        &self,
        bytes: &[u8],
        mut is: impl FnMut(&'static Format, usize) -> bool,
    ) -> bool {
        self.any_short(bytes, &mut is) || self.any_long(bytes, &mut is)
    }

    fn any_short(&self, bytes: &[u8], is: &mut impl FnMut(&'static Format, usize) -> bool) -> bool {
        let mut from = 0;
        while let Some(found) = self.short.find(Input::new(bytes).range(from..)) {
            let row = self.short_rows[found.pattern().as_usize()];
            if is(&FORMATS[usize::from(row)], found.start()) {
                return true;
            }
            from = found.start() + 1;
        }
        false
    }

    fn any_long(&self, bytes: &[u8], is: &mut impl FnMut(&'static Format, usize) -> bool) -> bool {
        let mut at = 0;
        // Eight bytes hold the trigrams of three even places.
        while let Some(eight) = bytes.get(at..at + 8) {
            let eight = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
            let grams = [gram(eight), gram(eight >> 16), gram(eight >> 32)];
            let places = grams.map(|gram| self.table[hash(gram)]);
            if places[0] | places[1] | places[2] != 0 {
                for (n, (gram, place)) in grams.into_iter().zip(places).enumerate() {
                    if place != 0 && self.begins(bytes, Trigram { gram, place, at: at + 2 * n }, is)
                    {
                        return true;
                    }
                }
            }
            at += 6;
        }
        let mut rest = (at..bytes.len().saturating_sub(2)).step_by(2);
        rest.any(|at| {
            let gram = gram(word(&bytes[at..at + 3]));
            let place = self.table[hash(gram)];
            place != 0 && self.begins(bytes, Trigram { gram, place, at }, is)
        })
    }

    /// Whether `is` says so of a mark whose window has this trigram.
    #[cold]
    fn begins(
        &self,
        bytes: &[u8],
        Trigram { gram, place, at }: Trigram,
        is: &mut impl FnMut(&'static Format, usize) -> bool,
    ) -> bool {
        let alike = &self.grams[usize::from(place) - 1..];
        let alike = alike.iter().take_while(|(one, _, _)| hash(*one) == hash(gram));
        let mut starts = alike.filter(|(one, _, _)| *one == gram).filter_map(|(_, row, offset)| {
            let format = &FORMATS[usize::from(*row)];
            let start = at.checked_sub(usize::from(*offset))?;
            let written = bytes.get(start..start + format.mark.len())?;
            written.eq_ignore_ascii_case(format.mark.as_bytes()).then_some((format, start))
        });
        starts.any(|(format, start)| is(format, start))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{FORMATS, MARKS};

    /// The document says which marks there are: all of them, and none besides.
    #[test]
    fn marks_that_are_looked_for_were_not_in_the_document() {
        let text = include_str!("../../../docs/explanation/trust.md");
        let (_, list) = text.split_once("<!-- marks: begin -->").expect("a list");
        let (list, _) = list.split_once("<!-- marks: end -->").expect("its end");
        let said: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
        let looked_for: BTreeSet<&str> = FORMATS.iter().map(|format| format.mark).collect();
        let missing: Vec<_> = looked_for.difference(&said).collect();
        let beyond: Vec<_> = said.difference(&looked_for).collect();
        assert!(missing.is_empty(), "not in docs/explanation/trust.md: {missing:?}");
        assert!(beyond.is_empty(), "in docs/explanation/trust.md, and not looked for: {beyond:?}");
    }

    #[test]
    fn every_mark_is_found_wherever_it_begins() {
        for (row, format) in FORMATS.iter().enumerate() {
            let cases = match format.exact {
                true => vec![format.mark.to_owned()],
                false => vec![format.mark.to_owned(), format.mark.to_ascii_uppercase()],
            };
            for (mark, before) in cases.iter().flat_map(|mark| (0..17).map(move |n| (mark, n))) {
                for behind in 0..9 {
                    let text = [&"x".repeat(before), mark.as_str(), &"x".repeat(behind)].concat();
                    let is = |found: &'static super::Format, at: usize| {
                        std::ptr::eq(found, &raw const FORMATS[row]) && at == before
                    };
                    assert!(MARKS.any(text.as_bytes(), is), "{mark} in {text}");
                }
            }
        }
    }
}
