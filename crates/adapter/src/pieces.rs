//! The pieces of which adapters and tables build events.
//!
//! Promises: what is built is owned, in the words of the kernel's lists, and has nothing that the
//! caller did not name.

use ledgerline_api::event::{Attributes, Detail, Personal};
use ledgerline_api::values::{Str, Vocabulary};
use ledgerline_proof::vocabulary::PersonalRole;

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

/// A personal record in which nothing stands yet.
pub fn personal(role: PersonalRole) -> Personal<'static> {
    Personal {
        role: role.symbol().into(),
        user_id: None,
        ip: None,
        user_agent: None,
        device: None,
        resource: None,
        attributes: Attributes::new(),
        commitment: None,
    }
}
