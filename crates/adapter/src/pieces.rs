//! The pieces of which adapters and tables build events.
//!
//! Promises: what is built is owned, in the words of the kernel's lists, and has nothing that the
//! caller did not name.

use ledgerline_api::event::Detail;
use ledgerline_api::values::{Str, Vocabulary};

/// A word of a closed list.
pub fn word<E: Vocabulary>(word: E) -> Option<Str<'static>> {
    Some(word.symbol().into())
}

/// Whether a member holds a word.
pub fn says<E: Vocabulary>(member: Option<&Str<'_>>, word: E) -> bool {
    member.is_some_and(|text| text == word.symbol())
}

/// The texts of a list.
pub fn texts(list: impl IntoIterator<Item = String>) -> Vec<Str<'static>> {
    list.into_iter().map(Str::Owned).collect()
}

/// One more fact.
pub fn detail(key: &'static str, value: String) -> Detail<'static> {
    Detail { key: key.into(), value: value.into() }
}
