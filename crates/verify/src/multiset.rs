//! A sum over postings in which their order does not matter.
//!
//! ```text
//! p        = 2^127 - 1
//! element  = s + a · term + b · (index · 256 + kind)      mod p
//! sum      = the product of all elements                  mod p; 1 of none
//! s, a, b  = derived from a secret key
//! ```
//!
//! Promises: two different multisets of postings have the same sum for at most `n^2 / 2^127` of all
//! keys: distinct postings have distinct elements but for a root in `a` and `b`, and two different
//! products are different polynomials in `s`. Three multiplications a posting, where a keyed hash
//! of it takes three times as long.
//!
//! Assumes: whoever changes a file does not know the key.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

const PRIME: u128 = (1 << 127) - 1;

/// The secret of the sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct PostingKey {
    start: u128,
    term: u128,
    place: u128,
}

/// A sum over postings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PostingSum {
    product: u128,
    pub count: u64,
}

impl Default for PostingSum {
    fn default() -> Self {
        Self { product: 1, count: 0 }
    }
}

impl PostingKey {
    /// Derived from a secret.
    pub fn new(secret: &[u8; 16]) -> Self {
        let part = |number: u8| {
            let mut hasher = SipHasher13::new_with_key(secret);
            hasher.write(b"ledgerline/posting-sum/v1\0");
            hasher.write(&[number]);
            fold(u128::from(hasher.finish128()))
        };
        Self { start: part(0), term: part(1), place: part(2) }
    }
}

impl PostingSum {
    /// Takes one posting.
    pub fn add(&mut self, key: &PostingKey, kind: u8, term: u128, index: u64) {
        let place = u128::from(index) << 8 | u128::from(kind);
        let element = fold(key.start + times(key.term, fold(term)));
        let element = fold(element + times(key.place, place));
        self.product = times(self.product, element);
        self.count += 1;
    }

    /// Takes all that another one took.
    pub fn join(&mut self, other: &Self) {
        self.product = times(self.product, other.product);
        self.count += other.count;
    }
}

/// The remainder below `p`.
const fn fold(value: u128) -> u128 {
    let once = (value & PRIME) + (value >> 127);
    if once >= PRIME { once - PRIME } else { once }
}

/// The product of two remainders.
fn times(left: u128, right: u128) -> u128 {
    let halves = |value: u128| (value >> 64, value & u128::from(u64::MAX));
    let ((left_high, left_low), (right_high, right_low)) = (halves(left), halves(right));
    let low = left_low * right_low;
    // High halves are below 2^63, so neither sum overflows.
    let middle = left_high * right_low + left_low * right_high;
    let high = left_high * right_high;
    // 2^128 = 2 and 2^64 · 2^63 = 1.
    let (middle_high, middle_low) = (middle >> 63, middle & ((1 << 63) - 1));
    let sum = fold(fold(low) + (middle_low << 64));
    fold(fold(sum + middle_high) + (high << 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The product by doubling, which cannot be wrong in a carry.
    fn slowly(left: u128, mut right: u128) -> u128 {
        let (mut sum, mut step) = (0, left);
        while right > 0 {
            if right & 1 == 1 {
                sum = fold(sum + step);
            }
            step = fold(step + step);
            right >>= 1;
        }
        sum
    }

    #[test]
    fn products_are_those_of_the_field() {
        let mut values =
            vec![0, 1, 2, PRIME - 1, PRIME - 2, 1 << 126, u128::from(u64::MAX), 1 << 64];
        let mut next = 0x0123_4567_89ab_cdef_u128;
        for _ in 0..40 {
            next =
                fold(next.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).rotate_left(29));
            values.push(next);
        }
        for left in &values {
            for right in &values {
                assert_eq!(times(*left, *right), slowly(*left, *right), "{left:x} · {right:x}");
            }
        }
        assert_eq!((fold(PRIME), fold(u128::MAX)), (0, 1));
    }

    #[test]
    fn order_and_division_do_not_matter_and_everything_else_does() {
        let key = PostingKey::new(&[7; 16]);
        let postings: Vec<(u8, u128, u64)> =
            (0..50).map(|n| (1 + (n % 3) as u8, u128::from(n) << 60 | 5, n * 7)).collect();
        let sum_of = |postings: &[(u8, u128, u64)]| {
            let mut sum = PostingSum::default();
            postings.iter().for_each(|(kind, term, index)| sum.add(&key, *kind, *term, *index));
            sum
        };
        let whole = sum_of(&postings);
        let mut turned = postings.clone();
        turned.reverse();
        assert_eq!(sum_of(&turned), whole);
        let (mut first, second) = (sum_of(&postings[..17]), sum_of(&postings[17..]));
        first.join(&second);
        assert_eq!(first, whole);
        type Postings = Vec<(u8, u128, u64)>;
        let check = |what: &str, change: &dyn Fn(&mut Postings)| {
            let mut other = postings.clone();
            change(&mut other);
            assert_ne!(sum_of(&other), whole, "{what}");
        };
        check("another kind", &|list| list[9].0 ^= 3);
        check("another term", &|list| list[9].1 ^= 1 << 95);
        check("another index", &|list| list[9].2 += 1);
        check("one twice", &|list| list[9] = list[10]);
        check("one less", &|list| list.truncate(49));
        check("terms of two exchanged", &|list| {
            let term = list[9].1;
            list[9].1 = list[12].1;
            list[12].1 = term;
        });
        let other = PostingKey::new(&[8; 16]);
        let mut sum = PostingSum::default();
        postings.iter().for_each(|(kind, term, index)| sum.add(&other, *kind, *term, *index));
        assert_ne!(sum, whole, "another key");
    }
}
