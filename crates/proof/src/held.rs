//! The digest of all tokens that a producer holds, which its heartbeats name.
//!
//! ```text
//! held_digest = SHA-256("ledgerline/held/v1\0" ‖ lp(id)*)      ids ascending by bytes, each once
//! ```
//!
//! Promises: two rounds of heartbeats have one digest when they name the same tokens, in whatever
//! order and in how many parts they came.

use crate::hash::{DomainHasher, Hash, domain};

/// The digest of a whole round. `ids` ascend by bytes, and none stands twice.
///
/// # Panics
/// When an id exceeds 65,535 bytes, which no token id does.
#[must_use]
pub fn digest<'a>(ids: impl IntoIterator<Item = &'a str>) -> Hash {
    ids.into_iter()
        .fold(DomainHasher::new(domain::HELD), |hasher, id| hasher.lp(id.as_bytes()))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_every_other_set_apart() {
        let check = |ids: &[&str]| digest(ids.iter().copied());
        let sets: [&[&str]; 6] = [&[], &["a"], &["b"], &["a", "b"], &["ab"], &["a", "b", "c"]];
        for (at, one) in sets.iter().enumerate() {
            assert_eq!(check(one), check(one));
            for other in &sets[at + 1..] {
                assert_ne!(check(one), check(other), "{one:?} {other:?}");
            }
        }
    }
}
