//! A bounded memory of what was used lately: two generations, the older one dropped whole.

use std::collections::BTreeMap;

/// The memory. Holds at most twice `most` things.
pub(crate) struct Lately<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
    most: usize,
}

impl<K: Ord, V> Lately<K, V> {
    pub(crate) const fn new(most: usize) -> Self {
        Self { young: BTreeMap::new(), old: BTreeMap::new(), most }
    }

    /// Takes a thing out.
    pub(crate) fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Looks at a thing without moving it.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(value) => Some(value),
            None => self.old.get_mut(key),
        }
    }

    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
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
        let mut lately = Lately::new(2);
        for at in 0..3 {
            lately.put(at, at);
        }
        assert_eq!(lately.get_mut(&0), Some(&mut 0));
        let again = lately.take(&0).expect("still there");
        lately.put(0, again);
        lately.put(4, 4);
        assert_eq!((lately.take(&1), lately.take(&0)), (None, Some(0)));
    }
}
