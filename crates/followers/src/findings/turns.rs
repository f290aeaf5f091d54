//! The acts that turned a token's state, for judging a use that arrives behind a later one.
//!
//! ```text
//! recorded   ISSUED  ROTATED  REVOKED  REFRESHED (late: it occurred before the REVOKED)
//! known      ACTIVE  SUPERSEDED  REVOKED           no longer says what the refresh met
//! occurred   ISSUED  ROTATED  REFRESHED  REVOKED   refresh_reuse
//! ```
//!
//! Promises: such a use is judged as the history in event time judges it. Which turns are
//! remembered follows from their set alone, not from the order in which they came.
//!
//! Refuses: to remember more than [`MAX_TURNS`]; of more the newest by their time and the births
//! count.

use ledgerline_proof::lifecycle::{self, Fact, TokenState, Violation, changes_state};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::EventType;

/// Turns of one token that are remembered, some 150 bytes each.
const MAX_TURNS: usize = 32;

/// What turned a token's state, by time and then by place.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Vec<(u64, Fact<'static>)>);

impl Turns {
    /// Takes note of an act at a place, if it may turn the state.
    pub(super) fn note(&mut self, statement: &Statement<'_>, fact: &Fact<'_>, place: u64) {
        if !changes_state(statement) {
            return;
        }
        let fact = Fact { client_id: None, audience: Vec::new(), ..fact.clone() };
        let key = |place: u64, fact: &Fact<'_>| (fact.occurred_at, place);
        let own = key(place, &fact);
        let at = self.0.partition_point(|(place, one)| key(*place, one) <= own);
        self.0.insert(at, (place, fact));
        if self.0.len() > MAX_TURNS {
            let is_birth =
                |one: &Fact<'_>| matches!(one.event_type, EventType::Issued | EventType::Origin);
            let oldest = self.0.iter().position(|(_, one)| !is_birth(one));
            // Of births that are too many the newest goes: the first one counts.
            self.0.remove(oldest.unwrap_or(MAX_TURNS));
        }
    }

    /// Whether a turn is behind a time.
    pub(super) fn are_behind(&self, at: i64) -> bool {
        self.0.last().is_some_and(|(_, one)| one.occurred_at.nanos > at)
    }

    /// What is off about a use by what had happened before it, revocations of something wider in
    /// force since the times of `wide` among it. `None` when nothing is, and when the token was not
    /// born by then.
    pub(super) fn judge(
        &self,
        used: &Fact<'_>,
        wide: impl Iterator<Item = i64>,
    ) -> Option<Violation> {
        let mut state = TokenState::default();
        for (_, one) in self.0.iter().take_while(|(_, one)| one.occurred_at <= used.occurred_at) {
            state.apply(one);
        }
        // The earliest counts, in whatever order they come.
        for at in wide {
            lifecycle::end_by(&mut state, at);
        }
        let violation = state.apply(used).violation;
        violation.filter(|one| *one != Violation::UnknownToken)
    }
}
