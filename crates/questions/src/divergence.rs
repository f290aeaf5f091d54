//! Possible theft: the first event from a key, address, device or client not seen before on a
//! token; and all services and audiences that it was shown to.

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_proof::entry::Entry;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, HandleKind, Outcome, Vantage};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::QueryError;

use super::accesses::{Of, tokens_meant};
use crate::lineage::{QueryContext, Record, occurred};

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trait {
    /// The key that signed it.
    Key,
    /// The network address.
    Address,
    /// The network.
    Network,
    /// The device.
    Device,
    /// The user agent.
    Agent,
    /// The client.
    Client,
}

impl Trait {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Key, Self::Address, Self::Network, Self::Device, Self::Agent, Self::Client];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Address => "address",
            Self::Network => "network",
            Self::Device => "device",
            Self::Agent => "agent",
            Self::Client => "client",
        }
    }

    /// What an event says of it; several handles of one kind are all said.
    fn values(self, entry: &Entry<'_>, statement: &Statement<'_>) -> BTreeSet<String> {
        let handles = |kind: HandleKind| {
            let of_kind = entry.handles.iter().filter(move |handle| handle.kind == kind);
            of_kind.map(|handle| hex(&handle.id)).collect()
        };
        let one = |text: Option<&str>| text.map(str::to_owned).into_iter().collect();
        match self {
            Self::Key => one(statement.issuer_kid),
            Self::Address => handles(HandleKind::Addr),
            Self::Network => handles(HandleKind::Net),
            Self::Device => handles(HandleKind::Device),
            Self::Agent => handles(HandleKind::Agent),
            Self::Client => one(statement.client_id),
        }
    }
}

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}

/// The first event in which something differs from what it was at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// What differs.
    pub what: Trait,
    /// What it was: handles as hex.
    pub before: BTreeSet<String>,
    /// The entry that said so first.
    pub before_at: EntryRef,
    /// What it is now.
    pub after: BTreeSet<String>,
    /// The entry.
    pub at: EntryRef,
    /// When.
    pub occurred_at: i64,
    /// The token it happened to.
    pub token: String,
}

/// Whether an event was made by the one who holds the token.
fn is_of_holder(statement: &Statement<'_>) -> bool {
    let act = matches!(
        statement.event_type,
        EventType::Issued
            | EventType::Activated
            | EventType::Used
            | EventType::ResourceAccessed
            | EventType::Refreshed
    );
    act && statement.vantage != Vantage::Introspection
}

/// Where the traces of a token, or of those with it, part: at most one event for each trait, in
/// event time, so the first is the answer. `None` when nothing is recorded about the token.
///
/// # Errors
/// [`QueryError`].
pub fn divergence(
    context: &mut QueryContext<'_>,
    id: &str,
    of: Of,
) -> Result<Option<Vec<Divergence>>, QueryError> {
    let Some(records) = lives(context, id, of)? else { return Ok(None) };
    let mut first: BTreeMap<Trait, (BTreeSet<String>, EntryRef)> = BTreeMap::new();
    let mut found: BTreeMap<Trait, Divergence> = BTreeMap::new();
    for record in &records {
        record.read(|entry, statement| {
            if !is_of_holder(statement) {
                return;
            }
            for what in Trait::ALL {
                let values = what.values(entry, statement);
                if values.is_empty() || found.contains_key(&what) {
                    continue;
                }
                let (before, before_at) =
                    first.entry(what).or_insert_with(|| (values.clone(), record.at)).clone();
                if before != values {
                    let divergence = Divergence {
                        what,
                        before,
                        before_at,
                        after: values,
                        at: record.at,
                        occurred_at: statement.occurred_at.nanos,
                        token: statement.target.id.to_owned(),
                    };
                    found.insert(what, divergence);
                }
            }
        });
    }
    let mut list: Vec<Divergence> = found.into_values().collect();
    list.sort_by_key(|one| (one.occurred_at, one.at));
    for one in &list {
        context.cite(one.before_at);
        context.cite(one.at);
    }
    Ok(Some(list))
}

/// One place a token was shown to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The service, if it says its name.
    pub service: Option<String>,
    /// From where that is known.
    pub vantage: Vantage,
    /// The source that recorded it.
    pub source: String,
    /// How often it was presented there.
    pub events: u64,
    /// How often it was let in.
    pub allowed: u64,
    /// First and last, in event time.
    pub first: i64,
    /// See `first`.
    pub last: i64,
}

/// The answer about exposure.
#[derive(Debug, Clone, Default)]
pub struct Exposure {
    /// Audiences that it was made for.
    pub audiences: BTreeSet<String>,
    /// Clients that presented it.
    pub clients: BTreeSet<String>,
    /// Services that saw it.
    pub places: Vec<Place>,
}

/// Which services and audiences a token, or those with it, was shown to. `None` when nothing is
/// recorded about it.
///
/// # Errors
/// [`QueryError`].
pub fn exposure(
    context: &mut QueryContext<'_>,
    id: &str,
    of: Of,
) -> Result<Option<Exposure>, QueryError> {
    let Some(records) = lives(context, id, of)? else { return Ok(None) };
    let mut answer = Exposure::default();
    let mut places: BTreeMap<(Option<String>, u8, String), Place> = BTreeMap::new();
    for record in &records {
        context.cite(record.at);
        record.read(|_, statement| {
            answer.audiences.extend(statement.audience.iter().map(|one| (*one).to_owned()));
            answer.clients.extend(statement.client_id.map(str::to_owned));
            let shown = matches!(
                statement.event_type,
                EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
            );
            if !shown {
                return;
            }
            let service = statement.service.map(str::to_owned);
            let at = statement.occurred_at.nanos;
            let key = (service.clone(), statement.vantage.position(), statement.source.to_owned());
            let place = places.entry(key).or_insert_with(|| Place {
                service,
                vantage: statement.vantage,
                source: statement.source.to_owned(),
                events: 0,
                allowed: 0,
                first: at,
                last: at,
            });
            // A producer may say any count.
            let count = statement.count.and_then(|n| u64::try_from(n).ok()).unwrap_or(1);
            place.events = place.events.saturating_add(count);
            place.allowed += u64::from(statement.outcome == Outcome::Allow);
            place.first = place.first.min(at);
            place.last = place.last.max(statement.last_at.unwrap_or(at));
        });
    }
    answer.places = places.into_values().collect();
    Ok(Some(answer))
}

/// The events of a token, or of those with it, in event time.
fn lives(
    context: &mut QueryContext<'_>,
    id: &str,
    of: Of,
) -> Result<Option<Vec<std::sync::Arc<Record>>>, QueryError> {
    let token = context.token(id)?;
    if !token.is_known() {
        return Ok(None);
    }
    let tokens = tokens_meant(context, &token, of)?;
    tokens.iter().chain([&token]).for_each(|token| context.show_token(&token.summary));
    let mut records: Vec<_> = tokens.iter().flat_map(|token| token.records.clone()).collect();
    records.sort_by_cached_key(|record| occurred(record));
    Ok(Some(records))
}
