//! How old keys in force are.
//!
//! Promises: an age is that of the KEY_ADDED leaf, which is read once. Assumes: few callers; keys
//! are in memory anyway. Refuses: to guess the age of a key whose leaf cannot be read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_proof::schema::Leaf;
use ledgerline_proof::vocabulary::KeyPurpose;
use ledgerline_view::registry::Key;
use ledgerline_view::view::View;

use crate::Node;

/// When keys were registered, Unix nanoseconds.
#[derive(Default)]
pub(crate) struct AddedTimes(Mutex<BTreeMap<Arc<str>, i64>>);

impl Node {
    /// Producers' keys and credentials in force, and for how many nanoseconds each was, oldest
    /// first.
    #[must_use]
    pub fn key_ages(&self) -> Vec<(Arc<Key>, i64)> {
        let (now, view) = (self.now(), self.view());
        let mut times = self.inner.added_times.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ages = Vec::new();
        for key in self.keys() {
            let counts = matches!(key.purpose, KeyPurpose::Credential | KeyPurpose::Producer);
            let is_past = key.expires_at.is_some_and(|expiry| now >= expiry);
            if !counts || is_past || key.valid_until.is_some() {
                times.remove(&key.key_id);
                continue;
            }
            let known = times.get(&key.key_id).copied();
            let at = known.or_else(|| added_at(&view, &key.key_id, key.valid_from));
            if let Some(at) = at {
                times.insert(Arc::clone(&key.key_id), at);
                ages.push((key, now.saturating_sub(at).max(0)));
            }
        }
        ages.sort_by_key(|(_, age)| std::cmp::Reverse(*age));
        ages
    }
}

/// When a key was registered; it may be in an older origin.
fn added_at(view: &View, key_id: &str, valid_from: u64) -> Option<i64> {
    view.origins().iter().rev().find_map(|origin| {
        let leaf = origin.leaf(valid_from.checked_sub(1)?).ok()?;
        match Leaf::decode(&leaf).ok()? {
            Leaf::Control(control) => {
                let is_it = control.key_added.as_ref().is_some_and(|one| one.key_id == key_id);
                is_it.then_some(control.recorded_at.nanos)
            }
            _ => None,
        }
    })
}
