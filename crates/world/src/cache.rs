//! A bounded cache of what was used lately: two generations, the older one evicted whole.
//!
//! Promises: holds at most twice as many values as it was made for. What was put or taken within
//! the last generation is there.
//!
//! Assumes: keys that nobody can choose to collide, or a hasher that withstands it. The order of
//! the maps is never looked at.

use std::hash::{BuildHasher, Hash};

use hashbrown::HashMap;

/// The cache. Holds at most twice `most` values.
pub struct Cache<K, V, S> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    most: usize,
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> Cache<K, V, S> {
    /// An empty cache whose generations hold `most` values each.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), most }
    }

    /// Takes a value out.
    pub fn take(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Whether a value is there.
    #[must_use]
    pub fn has(&self, key: &K) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Looks at a value without moving it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(value) => Some(value),
            None => self.old.get_mut(key),
        }
    }

    /// Puts a value into the younger generation.
    pub fn put(&mut self, key: K, value: V) {
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
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use super::*;

    #[test]
    fn what_was_not_used_for_two_generations_is_gone() {
        let mut cache: Cache<u64, u64, BuildHasherDefault<DefaultHasher>> = Cache::new(2);
        for at in 0..3 {
            cache.put(at, at);
        }
        assert_eq!(cache.get_mut(&0), Some(&mut 0));
        let again = cache.take(&0).expect("still there");
        cache.put(0, again);
        cache.put(4, 4);
        assert!(!cache.has(&1) && cache.has(&4));
        assert_eq!((cache.take(&1), cache.take(&0)), (None, Some(0)));
    }
}
