//! Two tiers of summaries: those used lately cached in memory, evicted ones in the store.
//!
//! Promises: what is put is found again until [`Store`] lets go of it, as it was put: nothing here
//! says anything of its own. A value is written when it leaves memory, and not again unless it was
//! put anew meanwhile.
//!
//! Assumes: of a value that is looked at and changed, but neither put nor said to be changed, the
//! change may be lost.

use ledgerline_index::{Term, TermCache};
use ledgerline_proof::wire::Reader;

use crate::kept::Kept;
use crate::store::{Store, TIERS};

/// One kind of what is remembered.
pub struct Tier<V> {
    number: usize,
    hot: TermCache<Hot<V>>,
    /// What was taken and not put back yet: the store may hold what it was before.
    out: Vec<Term>,
}

struct Hot<V> {
    value: V,
    /// Whether the store holds the same.
    is_kept: bool,
}

impl<V: Kept> Tier<V> {
    /// The tier of this number, below [`TIERS`], with a memory whose generations hold so many
    /// values.
    #[must_use]
    pub fn new(number: usize, most: usize) -> Self {
        debug_assert!(number < TIERS);
        Self { number, hot: TermCache::new(most), out: Vec::new() }
    }

    /// Takes a value, to put it back changed.
    pub fn take(&mut self, store: &mut Store, key: &Term) -> Option<V> {
        let taken = match self.hot.take(key) {
            Some(hot) => Some(hot.value),
            None => self.read(store, key),
        };
        if taken.is_some() {
            self.out.push(*key);
        }
        taken
    }

    fn read(&self, store: &mut Store, key: &Term) -> Option<V> {
        if self.out.contains(key) || !store.may_have(self.number, key) {
            return None;
        }
        let bytes = store.read(self.number, key)?;
        V::read(&mut Reader::new(bytes))
    }

    /// Puts a value.
    pub fn put(&mut self, store: &mut Store, key: Term, value: V) {
        self.out.retain(|out| *out != key);
        self.hold(store, key, Hot { value, is_kept: false });
    }

    fn hold(&mut self, store: &mut Store, key: Term, hot: Hot<V>) {
        let number = self.number;
        self.hot.put_evicting(key, hot, |key, old| {
            if !old.is_kept {
                debug_assert!(comes_back(&old.value), "a summary is written as it is read");
                store.keep(number, &key, |out| old.value.write(out));
            }
        });
    }

    /// Looks at a value.
    pub fn get_mut(&mut self, store: &mut Store, key: &Term) -> Option<&mut V> {
        if !self.hot.has(key) {
            let value = self.read(store, key)?;
            self.hold(store, *key, Hot { value, is_kept: true });
        }
        self.hot.get_mut(key).map(|hot| &mut hot.value)
    }

    /// Says that a value that was looked at is to be kept as it is now.
    pub fn changed(&mut self, key: &Term) {
        self.hot.get_mut(key).into_iter().for_each(|hot| hot.is_kept = false);
    }

    /// Forgets a value.
    pub fn remove(&mut self, store: &mut Store, key: &Term) {
        self.out.retain(|out| out != key);
        self.hot.take(key);
        store.remove(self.number, key);
    }

    /// Has the store hold all that is in memory.
    pub fn keep_all(&mut self, store: &mut Store) {
        let number = self.number;
        self.hot.each_mut(|key, hot| {
            if !std::mem::replace(&mut hot.is_kept, true) {
                store.keep(number, key, |out| hot.value.write(out));
            }
        });
    }
}

/// Whether a value that is written and read is written the same again.
fn comes_back<V: Kept>(value: &V) -> bool {
    let written = |value: &V| {
        let mut out = Vec::new();
        value.write(&mut out);
        out
    };
    let once = written(value);
    V::read(&mut Reader::new(&once)).is_some_and(|again| written(&again) == once)
}
