//! A bounded map: beyond its limit the oldest entry is evicted.
//!
//! Order is that of insertion and nothing else, so what is forgotten depends on the input alone.

use std::collections::BTreeMap;

/// A bounded map from text to `V`, oldest out first.
pub struct Remembered<V> {
    limit: usize,
    next: u64,
    values: BTreeMap<String, (u64, V)>,
    order: BTreeMap<u64, String>,
}

impl<V> Remembered<V> {
    /// An empty map for at most `limit` entries.
    pub fn new(limit: usize) -> Self {
        assert!(limit > 0, "a memory of nothing is a mistake");
        Self { limit, next: 0, values: BTreeMap::new(), order: BTreeMap::new() }
    }

    /// What stands under the key.
    pub fn get(&self, key: &str) -> Option<&V> {
        self.values.get(key).map(|(_, value)| value)
    }

    /// What stands under the key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.values.get_mut(key).map(|(_, value)| value)
    }

    /// Puts a value. Returns the oldest entry when it had to make room for this one.
    pub fn insert(&mut self, key: &str, value: V) -> Option<V> {
        if let Some((_, held)) = self.values.get_mut(key) {
            *held = value;
            return None;
        }
        let oldest = if self.values.len() >= self.limit { self.pop_oldest() } else { None };
        self.order.insert(self.next, key.to_owned());
        self.values.insert(key.to_owned(), (self.next, value));
        self.next += 1;
        assert!(self.values.len() == self.order.len(), "each value has one place in the order");
        oldest
    }

    /// Takes what stands under the key.
    pub fn remove(&mut self, key: &str) -> Option<V> {
        let (place, value) = self.values.remove(key)?;
        self.order.remove(&place);
        Some(value)
    }

    /// The entry that was put first.
    pub fn oldest(&self) -> Option<&V> {
        self.order.values().next().and_then(|key| self.get(key))
    }

    /// Takes the entry that was put first.
    pub fn pop_oldest(&mut self) -> Option<V> {
        let (_, key) = self.order.pop_first()?;
        self.values.remove(&key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_and_nothing_else() {
        let mut memory = Remembered::new(2);
        assert_eq!(memory.insert("a", 1), None);
        assert_eq!(memory.insert("b", 2), None);
        assert_eq!(memory.insert("a", 3), None, "an update makes no room");
        assert_eq!(memory.insert("c", 4), Some(3));
        assert_eq!((memory.get("a"), memory.get("b"), memory.get("c")), (None, Some(&2), Some(&4)));
        assert_eq!(memory.remove("b"), Some(2));
        assert_eq!(memory.insert("d", 5), None, "a removal makes room");
        assert_eq!(memory.oldest(), Some(&4));
        assert_eq!(
            (memory.pop_oldest(), memory.pop_oldest(), memory.pop_oldest()),
            (Some(4), Some(5), None)
        );
    }
}
