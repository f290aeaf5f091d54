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
use ledgerline_summaries::{Kept, Reader};

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
        // Most have one or two, and there are many tokens.
        self.0.reserve_exact(1);
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

    /// What a use is by what had happened before it, revocations of something wider in force since
    /// the times of `wide` among it.
    pub(super) fn judge(&self, used: &Fact<'_>, wide: impl Iterator<Item = i64>) -> Judged {
        let mut state = TokenState::default();
        for (_, one) in self.0.iter().take_while(|(_, one)| one.occurred_at <= used.occurred_at) {
            state.apply(one);
        }
        // The earliest counts, in whatever order they come.
        for at in wide {
            lifecycle::end_by(&mut state, at);
        }
        match state.apply(used).violation {
            Some(Violation::UnknownToken) => Judged::Unknown,
            // A turn that was forgotten may be what ended it.
            None if self.0.len() >= MAX_TURNS => Judged::Unknown,
            found => Judged::By(found),
        }
    }
}

/// What a use is by the history before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// The history known by then does not say: the token was not born, or a turn is forgotten.
    Unknown,
    /// What is off about it; nothing, where it was right.
    By(Option<Violation>),
}

impl Judged {
    /// What is off, by the state now where its own time does not say.
    pub(super) fn or(self, now: Option<Violation>) -> Option<Violation> {
        match self {
            Self::Unknown => now,
            Self::By(found) => found,
        }
    }
}

impl Kept for Turns {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Kept::read(from).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::hlc::Hlc;

    use super::*;

    fn turn(event_type: EventType, at: i64, expires_at: Option<i64>) -> (u64, Fact<'static>) {
        let place = at.unsigned_abs();
        let at = Hlc { nanos: at, logical: 0 };
        (place, Fact { expires_at, ..Fact::new(place, event_type, at) })
    }

    #[test]
    fn an_expiry_that_was_said_later_ended_what_came_before_it() {
        let turns = Turns(vec![
            turn(EventType::Issued, 10, Some(50)),
            turn(EventType::Expired, 60, Some(50)),
        ]);
        let now = Some(Violation::UseAfterExpiry);
        let cases = [
            // Before it was born: the state now says.
            (5, Judged::Unknown, now),
            // Alive by its own time, whatever the state says now.
            (40, Judged::By(None), None),
            // Its birth says when it ended, before anybody stated it.
            (55, Judged::By(now), now),
            (70, Judged::By(now), now),
        ];
        for (at, expected, by_now) in cases {
            let (_, used) = turn(EventType::Used, at, None);
            let judged = turns.judge(&used, std::iter::empty());
            assert_eq!((judged, judged.or(now)), (expected, by_now), "used at {at}");
        }
    }
}
