//! A small seeded generator: xoshiro256++, its state filled by SplitMix64 (Blackman and Vigna).
//!
//! Promises: the same numbers for the same seed, for ever and everywhere; it is written here and
//! not taken from a crate so that no update changes what a seed means.
//!
//! Refuses: to be a source of secrets.

use std::ops::Range;

/// A seeded generator. A clone repeats what the original will draw.
#[derive(Debug, Clone)]
pub struct Random {
    seed: u64,
    state: [u64; 4],
}

impl Random {
    /// The generator of a seed. Every seed is good, zero too.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut walk = seed;
        Self { seed, state: std::array::from_fn(|_| split_mix(&mut walk)) }
    }

    /// The seed it was made from, to print when a run fails.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// An independent generator for one purpose. It depends on the seed and the label only, not on
    /// what was drawn before: a new draw in one part of a simulation moves no other part. The same
    /// label gives the same generator again.
    #[must_use]
    pub fn fork(&self, label: &str) -> Self {
        // FNV-1a, 64 bits.
        let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut walk = self.seed;
        let mixed = split_mix(&mut walk);
        Self::new(mixed ^ hash)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in `0..bound`, every one equally likely.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below zero");
        // Numbers from the incomplete last round would favour small results; draw again.
        let rest = (u64::MAX % bound + 1) % bound;
        loop {
            let bits = self.bits();
            if bits <= u64::MAX - rest {
                return bits % bound;
            }
        }
    }

    /// A number in `range`.
    ///
    /// # Panics
    /// When the range is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        assert!(range.start < range.end, "no number is in an empty range");
        range.start + self.below(range.end - range.start)
    }

    /// An index into something of `length` items.
    ///
    /// # Panics
    /// When `length` is zero.
    pub fn index(&mut self, length: usize) -> usize {
        let drawn = self.below(u64::try_from(length).expect("a length fits 64 bits"));
        usize::try_from(drawn).expect("less than a usize")
    }

    /// True in `per_mille` of 1000 draws. 0 and 1000 draw nothing: a switched-off fault moves no
    /// other.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        match per_mille {
            0 => false,
            1..1000 => self.below(1000) < u64::from(per_mille),
            _ => true,
        }
    }

    /// One of the items.
    ///
    /// # Panics
    /// When there is none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Fills `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.bits().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

fn split_mix(walk: &mut u64) -> u64 {
    *walk = walk.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *walk;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vectors of both generators.
    #[test]
    fn draws_the_published_numbers() {
        let mut walk = 1_234_567;
        let drawn: [u64; 3] = std::array::from_fn(|_| split_mix(&mut walk));
        let published = [6457827717110365317, 3203168211198807973, 9817491932198370423];
        assert_eq!(drawn, published, "SplitMix64");

        let mut random = Random { seed: 0, state: [1, 2, 3, 4] };
        let drawn: [u64; 5] = std::array::from_fn(|_| random.bits());
        let published =
            [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205];
        assert_eq!(drawn, published, "xoshiro256++");
    }

    #[test]
    fn stays_in_bounds_and_reaches_them() {
        let mut random = Random::new(7);
        let mut seen = [0_u32; 5];
        for _ in 0..5000 {
            let drawn = random.range(10..15);
            seen[usize::try_from(drawn - 10).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| (800..1200).contains(&count)), "{seen:?}");
        let hits = (0..10_000).filter(|_| random.chance(100)).count();
        assert!((800..1200).contains(&hits), "{hits}");
        assert!(!random.chance(0) && random.chance(1000));
        assert!(random.below(u64::MAX) < u64::MAX);
    }

    #[test]
    fn a_fork_depends_on_seed_and_label_only() {
        let quiet = Random::new(1);
        let mut busy = Random::new(1);
        busy.bits();
        assert_eq!(quiet.fork("disk").bits(), busy.fork("disk").bits());
        assert_ne!(quiet.fork("disk").bits(), quiet.fork("clock").bits());
        assert_ne!(quiet.fork("disk").bits(), Random::new(2).fork("disk").bits());
    }

    #[test]
    fn fill_writes_every_byte() {
        let mut buffer = [0_u8; 1003];
        Random::new(3).fill(&mut buffer);
        let zeros = buffer.iter().filter(|&&byte| byte == 0).count();
        assert!(zeros < 30, "{zeros} of 1003 bytes are zero");
        assert_ne!(buffer[1000..], [0; 3]);
    }
}
