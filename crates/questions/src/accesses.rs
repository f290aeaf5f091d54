//! "Which resources did X access between its last refresh and its revocation?"

use std::sync::Arc;

use ledgerline_proof::entry::Handle;
use ledgerline_proof::lifecycle::Birth;
use ledgerline_proof::vocabulary::{EventType, HandleKind, Outcome, TargetKind};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::QueryError;

use super::tokens_of::of_same_grant;
use crate::lineage::{Bounds, Direction, QueryContext, Record, Token, occurred, relatives};

/// The newest events of each id that are looked at for the last use.
const NEWEST: usize = 1024;

/// A point of a token's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Its birth, or its first event.
    Birth,
    /// Its last REFRESHED; of a token that never was refreshed, its birth.
    LastRefresh,
    /// The first time it was used or presented for a resource.
    FirstUse,
    /// The last time.
    LastUse,
    /// Its expiry.
    Expiry,
    /// When it was revoked, by itself or by something wider.
    Revocation,
    /// The end of the record.
    End,
    /// A time, Unix nanoseconds.
    At(i64),
}

/// Whose accesses are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The token's own.
    Token,
    /// Those of the token and all that descends from it.
    Descendants,
    /// Those of all tokens of its grant.
    Grant,
}

/// One access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The entry.
    pub at: EntryRef,
    /// The token.
    pub token: String,
    /// When, by the producer.
    pub occurred_at: i64,
    /// RESOURCE_ACCESSED or USED.
    pub event_type: EventType,
    /// Whether it was let in.
    pub outcome: Outcome,
    /// The service.
    pub service: Option<String>,
    /// The resource's template or declared-safe id.
    pub resource: Option<String>,
    /// The concrete resource's handle.
    pub concrete: Option<[u8; 16]>,
    /// What was done to it.
    pub action: Option<String>,
    /// Policies that decided, `id@version`.
    pub policies: Vec<String>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Accesses {
    /// From here on; `None` when the token never reached that point, and nothing is shown then.
    pub from: Option<i64>,
    /// Until here, exclusive; `None` when it never did: until the end of the record.
    pub until: Option<i64>,
    /// In event time.
    pub list: Vec<Access>,
    /// Tokens looked at.
    pub tokens: usize,
}

/// The resource that an entry speaks of by handle.
pub(super) fn concrete_of(handles: &[Handle]) -> Option<[u8; 16]> {
    handles.iter().find(|handle| handle.kind == HandleKind::Resource).map(|handle| handle.id)
}

/// The access by a token that an event is; `None` for every other event.
pub(super) fn access_of(record: &Record) -> Option<Access> {
    record.read(|entry, statement| {
        let concrete = concrete_of(&entry.handles);
        let named = statement.resource.is_some() || concrete.is_some();
        let is_access = match statement.event_type {
            _ if statement.target.kind != TargetKind::Token => false,
            EventType::ResourceAccessed => true,
            EventType::Used => named,
            _ => false,
        };
        let policies = statement.policies.iter();
        is_access.then(|| Access {
            at: record.at,
            token: statement.target.id.to_owned(),
            occurred_at: statement.occurred_at.nanos,
            event_type: statement.event_type,
            outcome: statement.outcome,
            service: statement.service.map(str::to_owned),
            resource: statement.resource.map(str::to_owned),
            concrete,
            action: statement.action.map(str::to_owned),
            policies: policies.map(|one| format!("{}@{}", one.id, one.version)).collect(),
        })
    })
}

/// When a token was last presented, also in an event that stands for several uses. Of a token with
/// more events than are looked at, by the newest too.
///
/// # Errors
/// [`QueryError`].
pub fn last_use(context: &mut QueryContext<'_>, token: &Token) -> Result<Option<i64>, QueryError> {
    let at = |record: &Arc<Record>| {
        record.read(|_, statement| {
            let used =
                matches!(statement.event_type, EventType::Used | EventType::ResourceAccessed);
            let begun = statement.occurred_at.nanos;
            used.then(|| statement.last_at.unwrap_or(begun).max(begun))
        })
    };
    let newest = if token.is_part { context.newest_records(token, NEWEST)? } else { Vec::new() };
    Ok(token.records.iter().chain(&newest).filter_map(at).max())
}

/// When a token reached a point of its life.
#[must_use]
pub fn point_of(token: &Token, point: Point) -> Option<i64> {
    let uses = || {
        token.records.iter().filter_map(|record| {
            record.read(|_, statement| {
                let used =
                    matches!(statement.event_type, EventType::Used | EventType::ResourceAccessed);
                used.then_some(statement.occurred_at.nanos)
            })
        })
    };
    let born = || {
        (token.happened.birth != Birth::None || !token.records.is_empty())
            .then(|| token.lifetime().0)
    };
    match point {
        Point::Birth => born(),
        Point::LastRefresh => token.happened.last_refreshed_at.or_else(born),
        Point::FirstUse => uses().min(),
        Point::LastUse => uses().max(),
        Point::Expiry => token.happened.expires_at,
        Point::Revocation => token.happened.revoked_at,
        Point::End => None,
        Point::At(nanos) => Some(nanos),
    }
}

/// The tokens that are meant.
pub(super) fn tokens_meant(
    context: &mut QueryContext<'_>,
    token: &Arc<Token>,
    of: Of,
) -> Result<Vec<Arc<Token>>, QueryError> {
    match of {
        Of::Token => Ok(vec![Arc::clone(token)]),
        Of::Descendants => {
            let found = relatives(context, &token.id, Direction::Descendants, Bounds::default())?;
            Ok(found.unwrap_or_default().relatives.into_iter().map(|one| one.token).collect())
        }
        Of::Grant => of_same_grant(context, token, Bounds::default().tokens),
    }
}

/// What a token, or those with it, accessed between two points of its life. `None` when nothing is
/// recorded about it.
///
/// # Errors
/// [`QueryError`].
pub fn accesses(
    context: &mut QueryContext<'_>,
    id: &str,
    of: Of,
    from: Point,
    until: Point,
) -> Result<Option<Accesses>, QueryError> {
    let token = context.token(id)?;
    if !token.is_known() {
        return Ok(None);
    }
    let (from, until) = (point_of(&token, from), point_of(&token, until));
    let tokens = tokens_meant(context, &token, of)?;
    // Also when there is no access to name: a proof of that is about these lives.
    tokens.iter().chain([&token]).for_each(|token| context.show_token(&token.summary));
    let mut answer = Accesses { from, until, list: Vec::new(), tokens: tokens.len() };
    let Some(start) = from else { return Ok(Some(answer)) };
    let mut records: Vec<_> = tokens.iter().flat_map(|token| token.records.clone()).collect();
    records.sort_by_cached_key(|record| occurred(record));
    for record in records {
        let access = access_of(&record);
        let inside = |access: &Access| {
            access.occurred_at >= start && until.is_none_or(|end| access.occurred_at < end)
        };
        if let Some(access) = access.filter(inside) {
            context.cite(access.at);
            answer.list.push(access);
        }
    }
    Ok(Some(answer))
}

/// Accesses that an answer about a token alone leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotShown {
    /// Its own before or after the range.
    pub outside: usize,
    /// Those of what descends from it, over the whole record.
    pub descendants: usize,
    /// Descendants that accessed anything.
    pub tokens: usize,
    /// Whether these are all: false when there was more to read than one answer may.
    pub whole: bool,
}

/// What an answer about the token alone, with so many accesses, does not show.
///
/// # Errors
/// [`QueryError`].
pub fn not_shown(
    context: &mut QueryContext<'_>,
    id: &str,
    shown: usize,
) -> Result<NotShown, QueryError> {
    let token = context.token(id)?;
    let count = |token: &Token| token.records.iter().filter_map(|one| access_of(one)).count();
    let mut found =
        NotShown { outside: count(&token).saturating_sub(shown), ..NotShown::default() };
    for other in tokens_meant(context, &token, Of::Descendants)? {
        let accesses = if other.id == token.id { 0 } else { count(&other) };
        found.descendants += accesses;
        found.tokens += usize::from(accesses > 0);
    }
    found.whole = context.cuts().is_empty();
    Ok(found)
}
