//! Change marks of chains: when something happened on one last. They let a cached summary prove
//! that it is not stale.
//!
//! Promises: what is said to be quiet is. Bounded: of the last [`MARKED`] happenings, and up to
//! twice as many; of what lies before nothing is said to be quiet.

use hashbrown::HashTable;

/// Chains of a generation, some 20 bytes each. A token that was not looked at for more happenings
/// is read again.
const MARKED: usize = 1 << 16;

/// By a part of a chain's term the number of its last happening.
type Last = HashTable<(u32, u64)>;

/// The memory of it: two generations.
#[derive(Default)]
pub struct Marked {
    young: Last,
    old: Last,
    /// All of this number and behind it are there.
    since: u64,
    /// The first that is in the younger one.
    begun: u64,
}

/// Parts of terms are random; a table wants their bits at the top too.
fn hash_of(chain: u32) -> u64 {
    u64::from(chain).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Marked {
    /// One that knows of nothing before a number.
    #[must_use]
    pub fn behind(number: u64) -> Self {
        Self { since: number, begun: number, ..Self::default() }
    }

    /// Takes note of a happening; numbers ascend.
    pub fn mark(&mut self, chain: u32, number: u64) {
        if self.young.len() >= MARKED {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            (self.since, self.begun) = (self.begun, number);
        }
        let hash = |one: &(u32, u64)| hash_of(one.0);
        match self.young.find_mut(hash_of(chain), |one| one.0 == chain) {
            Some(one) => one.1 = number,
            None => drop(self.young.insert_unique(hash_of(chain), (chain, number), hash)),
        }
    }

    /// Whether on none of the chains anything of this number or behind it happened.
    #[must_use]
    pub fn are_quiet(&self, chains: &[u32], since: u64) -> bool {
        since >= self.since && chains.iter().all(|chain| self.is_quiet(*chain, since))
    }

    fn is_quiet(&self, chain: u32, since: u64) -> bool {
        let last = |of: &Last| of.find(hash_of(chain), |one| one.0 == chain).map(|one| one.1);
        last(&self.young).or_else(|| last(&self.old)).is_none_or(|number| number < since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forgotten_is_not_called_quiet() {
        let mut marked = Marked::behind(5);
        assert!(!marked.are_quiet(&[1], 4) && marked.are_quiet(&[1], 5));
        let many = u64::try_from(MARKED).unwrap() * 3;
        let mut last = std::collections::BTreeMap::new();
        for number in 5..many {
            let chain = u32::try_from(number % 70_001).unwrap();
            marked.mark(chain, number);
            last.insert(chain, number);
        }
        assert!(!marked.are_quiet(&[], many - 3 * 65_536 + 1), "that is too long ago");
        for (chain, number) in last {
            for since in [number, number + 1] {
                let is_known = since >= marked.since;
                let is_quiet = marked.are_quiet(&[chain], since);
                assert_eq!(is_quiet, is_known && number < since, "{chain}: {number}, {since}");
            }
        }
    }
}
