//! Which fields an event of each type needs, which ones the ledger acts upon, and an example: the
//! table from which `docs/reference/events.md` is written.
//!
//! Promises: every type that a producer may send has one [`Recipe`], every other one an
//! [`OwnType`]; every nested record of an event has a [`Nested`]. Tests send the examples to a
//! running server and take out what is said to be needed.
//!
//! Assumes: what a field means stands at its member in `ledgerline_api::event`; here is only what
//! it does in an event of the type.
//!
//! For tests and the documentation: no part of the program.

pub mod page;
mod recipes;
mod records;

use ledgerline_proof::lifecycle::State;
use ledgerline_proof::vocabulary::{EventType, Relation, TargetKind};

pub use self::recipes::{OWN_TYPES, RECIPES};
pub use self::records::{RECORDS, RELATIONS};

/// What an event of each type needs: of each row one member. Without it the event is refused.
pub const NEEDED: [&[&str]; 4] =
    [&["type"], &["occurred_at"], &["native_id", "event_id"], &["token_id", "target"]];

/// A field upon which the ledger acts in events of some type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acted {
    /// The member of the event.
    pub field: &'static str,
    /// What it does, or what is lost without it.
    pub upon: &'static str,
}

/// How to make an event of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// The type.
    pub event_type: EventType,
    /// Who sends it.
    pub sender: &'static str,
    /// When.
    pub when: &'static str,
    /// What it may be about.
    pub targets: &'static [TargetKind],
    /// Whether an event of this type about anything else is refused.
    pub only_these: bool,
    /// What it does to its target.
    pub effect: &'static str,
    /// Fields upon which the ledger acts.
    pub acted: &'static [Acted],
    /// Further fields that are of use with this type.
    pub also: &'static [&'static str],
    /// An event that is recorded, as JSON.
    pub example: &'static str,
    /// The state of the example's token behind it, if it is about a token.
    pub state: Option<State>,
}

/// A type that only the ledger writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnType {
    /// The type.
    pub event_type: EventType,
    /// When the ledger writes it; `None` where this version never does.
    pub when: Option<&'static str>,
    /// What it is about.
    pub target: &'static str,
    /// The keys of its `detail`.
    pub detail: &'static [&'static str],
}

/// A record within an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nested {
    /// The member of the event that holds it.
    pub member: &'static str,
    /// What a newcomer has to know.
    pub text: &'static str,
    /// Its members without which the event is refused; of each row one.
    pub needed: &'static [&'static [&'static str]],
    /// The type whose example it may stand in.
    pub within: EventType,
    /// The member with its value, as a JSON object.
    pub example: &'static str,
}

/// What a relation of links means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// The relation.
    pub relation: Relation,
    /// On which events it stands.
    pub upon: &'static str,
    /// What stands at the other end.
    pub other: &'static str,
}
