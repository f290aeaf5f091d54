//! What single events say of their token: below those who read its life and those who walk from it.

use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::Fact;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::token_id::can_be_one_token;
use ledgerline_proof::vocabulary::{EventType, Outcome};

/// Ids of one token that are looked at.
pub const MAX_IDS: usize = 16;

/// The fact of an event that brings no token in; its index is filled in later.
pub fn fact_of(entry: &Entry<'_>, statement: &Statement<'_>) -> Option<Fact<'static>> {
    if matches!(statement.event_type, EventType::Issued | EventType::Origin) {
        return None;
    }
    // Only births are asked for client and audience.
    let fact = Fact::of(statement, 0, entry.recorded_at);
    Some(Fact { client_id: None, audience: Vec::new(), ..fact })
}

/// The ids that an event of a token says are all its own: the one place that decides which ids are
/// one token's. What was refused gives no token another name.
pub fn joined_ids<'s>(statement: &Statement<'s>, id: &str) -> impl Iterator<Item = &'s str> {
    let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
    let target = statement.target.id;
    let joins = done && can_be_one_token(target, id);
    let ids = statement.also_known_as.clone().into_iter().chain([target]);
    ids.filter(move |other| joins && can_be_one_token(other, target))
}
