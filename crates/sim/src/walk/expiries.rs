//! What must have been stated about expiries, by the leaves of a ledger.

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_index::terms::expires;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::{self, Fact, State};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};

/// Holds a whole ledger, in which a schedule came to rest at `now`, against what it must have
/// stated: every token that an event gave an expiry, and whose expiry is in force and has passed,
/// has one EXPIRED for it. Nothing is stated twice, and nothing ahead of `latest`, the latest that
/// the clock ever stood at. Returns how many were stated.
///
/// # Errors
/// What does not hold.
pub fn expiries<'l>(
    leaves: impl Iterator<Item = (u64, &'l [u8])>,
    now: i64,
    latest: i64,
) -> Result<usize, String> {
    let mut tokens: BTreeMap<(String, String), Vec<(u64, Entry<'l>)>> = BTreeMap::new();
    for (index, leaf) in leaves {
        let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, leaf) else { continue };
        let statement = statement_of(&entry)?;
        if statement.target.kind == TargetKind::Token {
            let key = (statement.tenant.to_owned(), statement.target.id.to_owned());
            tokens.entry(key).or_default().push((index, entry));
        }
    }
    let mut stated = 0;
    for ((tenant, token), entries) in &tokens {
        stated += of_one(entries, token, now, latest)
            .map_err(|what| format!("{tenant:?} {token}: {what}"))?;
    }
    Ok(stated)
}

fn of_one(
    entries: &[(u64, Entry<'_>)],
    token: &str,
    now: i64,
    latest: i64,
) -> Result<usize, String> {
    let (mut facts, mut stated, mut given) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (index, entry) in entries {
        let statement = statement_of(entry)?;
        facts.push(Fact::of(&statement, *index, entry.recorded_at));
        given.extend(expires(&statement));
        if statement.source != "ledger" || statement.event_type != EventType::Expired {
            continue;
        }
        let at = statement.occurred_at.nanos;
        let named = statement.native_id == Some(&format!("{token}\0{at}"));
        if !named || statement.outcome != Outcome::Allow {
            return Err(format!("entry {index} is no proper EXPIRED"));
        }
        if at > latest {
            return Err(format!("it expires ahead of time, at {at} after {latest}"));
        }
        if !stated.insert(at) {
            return Err(format!("it expires twice at {at}"));
        }
    }
    let end = lifecycle::known(&facts);
    let due = end.expires_at.filter(|at| *at <= now && end.state != State::Revoked);
    match due.filter(|at| given.contains(at)) {
        Some(at) if !stated.contains(&at) => Err(format!("it has no EXPIRED at {at}")),
        Some(at) if end.state != State::Expired => {
            Err(format!("it is {:?} after its EXPIRED at {at}", end.state))
        }
        _ => Ok(stated.len()),
    }
}

fn statement_of<'a>(entry: &Entry<'a>) -> Result<Statement<'a>, String> {
    decode_object(Kind::Statement, entry.statement)
        .map_err(|error| format!("a statement does not decode: {error}"))
}
