//! The two states of a token: what the ledger knew, and what happened.
//!
//! ```text
//! known     facts by index                   as of a size: index < size
//! happened  facts by (occurred_at, index)    as of a time: occurred_at <= time
//! ```
//!
//! Both bounds combine: `happened_at(as_of(facts, size), time)` is what happened by `time`, as
//! far as the ledger had recorded it at `size`.
//!
//! Assumes: the facts of one token, in ledger order.

use super::{Fact, TokenState};

/// The state in ledger order: what introspection answers from.
#[must_use]
pub fn known(facts: &[Fact<'_>]) -> TokenState {
    fold(facts.iter())
}

/// The state in ledger order when the ledger had `size` entries.
#[must_use]
pub fn known_at(facts: &[Fact<'_>], size: u64) -> TokenState {
    known(as_of(facts, size))
}

/// The state in order of event time, ties by index: what reports and checks answer from. The
/// final state is this one's [`TokenState::state_at`] at the end of the record.
#[must_use]
pub fn happened(facts: &[Fact<'_>]) -> TokenState {
    happened_at(facts, i64::MAX)
}

/// The state in order of event time by what occurred up to and including `at_nanos`. Expiry by
/// time is the caller's next question: `state_at(at_nanos)`.
#[must_use]
pub fn happened_at(facts: &[Fact<'_>], at_nanos: i64) -> TokenState {
    let in_time = |fact: &&Fact<'_>| fact.occurred_at.nanos <= at_nanos;
    if facts.is_sorted_by_key(|fact| (fact.occurred_at, fact.index)) {
        return fold(facts.iter().filter(in_time));
    }
    fold(in_event_order(facts).into_iter().filter(in_time))
}

/// The facts in order of event time, ties by index.
#[must_use]
pub fn in_event_order<'f, 'a>(facts: &'f [Fact<'a>]) -> Vec<&'f Fact<'a>> {
    let mut ordered: Vec<_> = facts.iter().collect();
    ordered.sort_unstable_by_key(|fact| (fact.occurred_at, fact.index));
    ordered
}

/// The facts that a ledger of `size` entries held.
#[must_use]
pub fn as_of<'f, 'a>(facts: &'f [Fact<'a>], size: u64) -> &'f [Fact<'a>] {
    debug_assert!(facts.is_sorted_by_key(|fact| fact.index), "facts come in ledger order");
    &facts[..facts.partition_point(|fact| fact.index < size)]
}

fn fold<'f, 'a: 'f>(facts: impl Iterator<Item = &'f Fact<'a>>) -> TokenState {
    let mut state = TokenState::UNKNOWN;
    for fact in facts {
        state.apply(fact);
    }
    state
}
