//! The cache: bounded by weight; what was not used for longest is evicted, a generation at a time.
//!
//! ```text
//! put ──▶ young ──(full)──▶ old ──(young full again)──▶ evicted, all of it
//! get of an old one ──▶ young
//! ```
//!
//! Promises: all values together weigh no more than the cache was made for; a value that is heavier
//! than a generation is not taken. What was put or got within the last generation is there. A value
//! is replaced whole: the one before it is never found again. Look-ups and evictions are counted,
//! everywhere alike ([`Usage`]).
//!
//! Assumes: keys that nobody can choose to collide, or a hasher that withstands it. The order of
//! the maps is never looked at.
//!
//! Refuses: to know when a value is stale. Whoever owns the cache finds that out, and says so.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

/// What a value weighs. Always the same for the same value.
pub trait Weigh<V> {
    /// In the unit of the cache.
    fn weigh(value: &V) -> usize;
}

/// Every value weighs one: the cache is bounded by count.
#[derive(Debug, Clone, Copy)]
pub struct Each;

impl<V> Weigh<V> for Each {
    fn weigh(_: &V) -> usize {
        1
    }
}

/// How full a cache is, and what it was good for since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Values in it.
    pub entries: u64,
    /// What they weigh together.
    pub weight: u64,
    /// Look-ups that were answered.
    pub hits: u64,
    /// Look-ups that were not.
    pub misses: u64,
    /// Values that were pushed out by others.
    pub evicted: u64,
}

impl Usage {
    /// Of two caches, or of two parts of one.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            weight: self.weight + other.weight,
            hits: self.hits + other.hits,
            misses: self.misses + other.misses,
            evicted: self.evicted + other.evicted,
        }
    }
}

/// A cache with one owner.
pub struct Cache<K, V, S, W = Each> {
    young: HashMap<K, V, S>,
    old: HashMap<K, V, S>,
    young_weight: usize,
    old_weight: usize,
    /// What a generation may weigh.
    most: usize,
    hits: u64,
    misses: u64,
    evicted: u64,
    weigh: PhantomData<fn() -> W>,
}

impl<K: Eq + Hash, V, S: BuildHasher + Default, W: Weigh<V>> Cache<K, V, S, W> {
    /// An empty cache whose generations weigh at most `most` each.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            young_weight: 0,
            old_weight: 0,
            most,
            hits: 0,
            misses: 0,
            evicted: 0,
            weigh: PhantomData,
        }
    }

    /// A value, which is as good as new then.
    pub fn get(&mut self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        if let Some(value) = self.young.get(key) {
            self.hits += 1;
            return Some(value.clone());
        }
        let Some((key, value)) = self.old.remove_entry(key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.old_weight -= W::weigh(&value);
        self.put(key, value.clone());
        Some(value)
    }

    /// Whether a value is there, which is as good as new then.
    pub fn touch(&mut self, key: &K) -> bool {
        if self.young.contains_key(key) {
            self.hits += 1;
            return true;
        }
        let Some((key, value)) = self.old.remove_entry(key) else {
            self.misses += 1;
            return false;
        };
        self.hits += 1;
        self.old_weight -= W::weigh(&value);
        self.put(key, value);
        true
    }

    /// Takes a value out.
    pub fn take(&mut self, key: &K) -> Option<V> {
        let taken = self.remove(key);
        let counter = if taken.is_some() { &mut self.hits } else { &mut self.misses };
        *counter += 1;
        taken
    }

    /// Whether a value is there.
    #[must_use]
    pub fn has(&self, key: &K) -> bool {
        self.peek(key).is_some()
    }

    /// Looks at a value without moving it; no look-up that is counted.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Puts a value into the younger generation, in the place of the one before it.
    pub fn put(&mut self, key: K, value: V) {
        self.put_evicting(key, value, |_, _| ());
    }

    /// As [`Self::put`], with what is evicted handed out, in no order that means anything; a value
    /// that is too heavy among it.
    pub fn put_evicting(&mut self, key: K, value: V, mut evicted: impl FnMut(K, V)) {
        let weight = W::weigh(&value);
        if weight > self.most {
            self.remove(&key);
            evicted(key, value);
            return;
        }
        if self.young_weight + weight > self.most {
            // Put anew, it is not evicted.
            self.remove(&key);
            self.evict_old(evicted);
        }
        if let Some(before) = self.old.remove(&key) {
            self.old_weight -= W::weigh(&before);
        }
        self.young_weight += weight;
        if let Some(before) = self.young.insert(key, value) {
            self.young_weight -= W::weigh(&before);
        }
    }

    /// Forgets everything. Nothing of it counts as evicted.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        (self.young_weight, self.old_weight) = (0, 0);
    }

    /// How full it is, and what it was good for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            entries: (self.young.len() + self.old.len()) as u64,
            weight: (self.young_weight + self.old_weight) as u64,
            hits: self.hits,
            misses: self.misses,
            evicted: self.evicted,
        }
    }

    /// Forgets a value; no look-up that is counted.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.remove(key) {
            self.young_weight -= W::weigh(&value);
            return Some(value);
        }
        let value = self.old.remove(key)?;
        self.old_weight -= W::weigh(&value);
        Some(value)
    }

    fn evict_old(&mut self, mut evicted: impl FnMut(K, V)) {
        self.evicted += self.old.len() as u64;
        // The room of the older generation serves the next one.
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.drain().for_each(|(key, value)| evicted(key, value));
        self.old_weight = std::mem::take(&mut self.young_weight);
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> Cache<K, V, S, Each> {
    /// Looks at a value without moving it; no look-up that is counted. Whatever is done to it, it
    /// weighs one.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.young.get_mut(key) {
            Some(value) => Some(value),
            None => self.old.get_mut(key),
        }
    }

    /// Shows every value, in no order that means anything.
    pub fn each_mut(&mut self, mut each: impl FnMut(&K, &mut V)) {
        self.young.iter_mut().chain(&mut self.old).for_each(|(key, value)| each(key, value));
    }
}

impl<K, V, S, W> fmt::Debug for Cache<K, V, S, W> {
    // Neither keys nor values: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.young.len() + self.old.len();
        f.debug_struct("Cache").field("entries", &entries).finish_non_exhaustive()
    }
}

type Part<K, V, S, W> = Mutex<Cache<K, V, S, W>>;

/// A cache that threads share: parts with a lock each, so that they seldom meet.
pub struct SharedCache<K, V, S, W = Each> {
    parts: Box<[Part<K, V, S, W>]>,
    /// Values that were found and could not be used.
    stale: AtomicU64,
}

impl<K: Eq + Hash, V, S: BuildHasher + Default, W: Weigh<V>> SharedCache<K, V, S, W> {
    /// An empty cache of at most `most` together, in so many parts.
    ///
    /// # Panics
    /// When the number of parts is no power of two.
    #[must_use]
    pub fn new(parts: usize, most: usize) -> Self {
        assert!(parts.is_power_of_two(), "a part is found by the bits of a key");
        let of_part = most / (2 * parts);
        Self {
            parts: (0..parts).map(|_| Mutex::new(Cache::new(of_part))).collect(),
            stale: AtomicU64::new(0),
        }
    }

    /// The part of a key, locked. `bits` are of the key, other ones than its hash begins and ends
    /// with: its map goes by those.
    pub fn part(&self, bits: u8) -> MutexGuard<'_, Cache<K, V, S, W>> {
        Self::locked(&self.parts[usize::from(bits) & (self.parts.len() - 1)])
    }

    /// A value that was got is stale: the look-up was none that was answered.
    pub fn note_stale(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.parts.iter().for_each(|part| Self::locked(part).clear());
    }

    /// How full it is, and what it was good for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let parts = self.parts.iter().map(|part| Self::locked(part).usage());
        let found = parts.fold(Usage::default(), Usage::with);
        let stale = self.stale.load(Ordering::Relaxed);
        Usage { hits: found.hits.saturating_sub(stale), misses: found.misses + stale, ..found }
    }

    fn locked(part: &Part<K, V, S, W>) -> MutexGuard<'_, Cache<K, V, S, W>> {
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasherDefault, DefaultHasher};

    use super::*;

    type Fixed = BuildHasherDefault<DefaultHasher>;

    /// A text weighs what it is long.
    struct Length;

    impl Weigh<&'static str> for Length {
        fn weigh(value: &&'static str) -> usize {
            value.len()
        }
    }

    #[test]
    fn what_is_evicted_is_handed_out_once_unless_it_is_put_anew() {
        let mut cache: Cache<u64, u64, BuildHasherDefault<DefaultHasher>> = Cache::new(2);
        let mut evicted = Vec::new();
        for at in [0, 1, 2, 3, 0, 4, 5, 6] {
            cache.put_evicting(at, at, |key, _| evicted.push(key));
        }
        let mut kept = Vec::new();
        cache.each_mut(|key, _| kept.push(*key));
        evicted.sort_unstable();
        kept.sort_unstable();
        assert_eq!(evicted.len() + kept.len(), 7, "each is there once: {evicted:?} {kept:?}");
        assert!(kept.contains(&0) && !evicted.contains(&0), "it was put anew: {evicted:?}");
    }

    #[test]
    fn what_was_not_used_for_two_generations_is_gone() {
        let mut cache: Cache<u64, u64, Fixed> = Cache::new(2);
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

    #[test]
    fn what_was_got_was_evicted_with_what_was_not() {
        let mut cache: Cache<u64, u64, Fixed> = Cache::new(2);
        for at in 0..10 {
            cache.put(at, at);
            assert_eq!(cache.get(&0), Some(0), "used all the time");
        }
        assert_eq!(cache.get(&3), None);
        let usage = cache.usage();
        assert!(usage.entries <= 4 && usage.weight == usage.entries, "{usage:?}");
        assert_eq!((usage.hits, usage.misses), (10, 1));
        assert_eq!(usage.evicted + usage.entries, 10, "each is there or was evicted");
    }

    #[test]
    fn a_heavy_value_took_more_room_than_there_was() {
        let mut cache: Cache<u64, &str, Fixed, Length> = Cache::new(5);
        cache.put(1, "12345");
        cache.put(2, "123");
        cache.put(2, "12");
        assert_eq!(cache.usage().weight, 7, "the one before is gone");
        cache.put(1, "123456");
        assert!(!cache.has(&1), "neither the heavy one nor what it was to replace");
        cache.put(3, "1234");
        cache.put(4, "12345");
        let usage = cache.usage();
        assert_eq!((usage.entries, usage.weight, usage.evicted), (2, 9, 1));
        cache.clear();
        let usage = cache.usage();
        assert_eq!((usage.entries, usage.weight, usage.evicted), (0, 0, 1));
    }

    #[test]
    fn a_stale_value_was_counted_as_an_answer() {
        let cache: SharedCache<u8, u8, Fixed> = SharedCache::new(4, 64);
        for key in 0..100 {
            cache.part(key).put(key, key);
        }
        let found = (0..100).filter(|key| cache.part(*key).get(key).is_some()).count() as u64;
        cache.note_stale();
        let usage = cache.usage();
        assert!((32..=64).contains(&found) && usage.entries == found, "{usage:?}");
        assert_eq!((usage.hits, usage.misses), (found - 1, 101 - found));
        cache.clear();
        assert_eq!(cache.usage().entries, 0);
    }
}
