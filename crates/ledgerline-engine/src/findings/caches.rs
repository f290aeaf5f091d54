//! A bounded memory of what was used lately: two generations, the older one dropped whole.
//!
//! Things are known by the index term of their chain: a keyed hash of 96 bits, so nobody can choose
//! two ids that meet in it, and among 10^10 of them the chance that any do is below 10^-8.

use crate::index::{Term, TermMap};

/// The memory. Holds at most twice `most` things.
pub(crate) struct Lately<V> {
    young: TermMap<V>,
    old: TermMap<V>,
    most: usize,
}

impl<V> Lately<V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { young: TermMap::default(), old: TermMap::default(), most }
    }

    /// Takes a thing out.
    pub(crate) fn take(&mut self, key: &Term) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Whether a thing is there.
    pub(crate) fn has(&self, key: &Term) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Looks at a thing without moving it.
    pub(crate) fn get_mut(&mut self, key: &Term) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(value) => Some(value),
            None => self.old.get_mut(key),
        }
    }

    pub(crate) fn put(&mut self, key: Term, value: V) {
        if self.young.len() >= self.most {
            // The room of the older generation serves the next one.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_two_generations_is_gone() {
        let key = |hash| Term { kind: 2, hash };
        let mut lately = Lately::new(2);
        for at in 0..3 {
            lately.put(key(at), at);
        }
        assert_eq!(lately.get_mut(&key(0)), Some(&mut 0));
        let again = lately.take(&key(0)).expect("still there");
        lately.put(key(0), again);
        lately.put(key(4), 4);
        assert!(!lately.has(&key(1)) && lately.has(&key(4)));
        assert_eq!((lately.take(&key(1)), lately.take(&key(0))), (None, Some(0)));
    }
}
