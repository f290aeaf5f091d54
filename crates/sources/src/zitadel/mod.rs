//! ZITADEL: events of its event store, as the admin API lists them or as an action's webhook sends
//! them.
//!
//! ```text
//! aggregate oidc_session/<id>  ──▶ the grant        payload.id of a token ──▶ …:jti:<id>
//! ```
//!
//! The id of a token opens nothing: the token is made of it with a key.
//!
//! Promises: a renewed refresh token is linked to the one before it in the same aggregate, which
//! the adapter remembers (JOINED). A revocation names no token: it is that of the aggregate's
//! latest access token, or of the whole grant for a refresh token. When the latest one is not
//! known, the revocation is quarantined and counted.
//!
//! Leaves out: what happens to users (`user.*` but for their tokens), whose aggregate is a person.

use std::borrow::Cow;

use ledgerline_api::event::Event;
use ledgerline_proof::vocabulary::{
    EventType, Outcome, Relation, Strength, TargetKind, TokenKind, Vantage,
};

use crate::memory::Remembered;
use crate::pieces::{texts, word};
use crate::record::drafts::{jti, link, of_policy, own, policy_changed, subject, wide};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, json,
    listed, nothing_held, row, safe, sealed, shown, skipped,
};
use crate::{Choice, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "zitadel",
    about: "ZITADEL: events of the event store, listed or sent by an action",
    evidence: Evidence::Documentation,
    detects: |line| {
        line.contains("\"sequence\"")
            && (line.contains("\"aggregate\"") || line.contains("\"aggregateID\""))
    },
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<Grants> = Table {
    name: "zitadel",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &["/events"]),
    kind: |record| Some(Cow::Borrowed(record.safe_at(&["/type/type", "/event_type"])?)),
    identity: |record| {
        let aggregate = aggregate(record)?;
        let kind = record.safe_at(&["/aggregate/type/type", "/aggregateType"]).unwrap_or("-");
        let sequence = record.number("/sequence").ok_or(Problem::Missing("/sequence"))?;
        let native_id = format!("{kind}/{aggregate}/{sequence}");
        let at = record.time("/creationDate").or_else(|| record.time("/created_at"));
        Ok(Identity { native_id, at: at.ok_or(Problem::Malformed("/creationDate"))? })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

/// Most grants whose latest tokens are remembered.
const GRANTS_MAX: usize = 100_000;

/// The latest tokens of the grants.
struct Grants {
    access: Remembered<String>,
    refresh: Remembered<String>,
}

impl Default for Grants {
    fn default() -> Self {
        Self { access: Remembered::new(GRANTS_MAX), refresh: Remembered::new(GRANTS_MAX) }
    }
}

const IDENTIFIERS: &[Identifier] = &[
    safe("/type/type"),
    safe("/event_type"),
    safe("/aggregate/id"),
    safe("/aggregate/type/type"),
    safe("/aggregateID"),
    safe("/aggregateType"),
    safe("/sequence"),
    safe("/creationDate"),
    safe("/created_at"),
    safe("/payload/id"),
    safe("/payload/tokenId"),
    safe("/payload/clientID"),
    safe("/payload/applicationId"),
    safe("/payload/sessionID"),
    safe("/payload/lifetime"),
    safe("/payload/expiration"),
    safe("/payload/scope/*"),
    safe("/payload/scopes/*"),
    safe("/payload/audience/*"),
    safe("/event_payload/id"),
    safe("/event_payload/tokenId"),
    safe("/event_payload/clientID"),
    safe("/event_payload/applicationId"),
    safe("/event_payload/sessionID"),
    safe("/event_payload/lifetime"),
    safe("/event_payload/expiration"),
    safe("/event_payload/scope/*"),
    safe("/event_payload/scopes/*"),
    safe("/event_payload/audience/*"),
    sealed("/payload/userID"),
    sealed("/event_payload/userID"),
    sealed("/editor/userId"),
    sealed("/userID"),
    dropped("/editor/displayName"),
    dropped("/payload/nonce"),
    dropped("/payload/encodedHash"),
];

const ROWS: &[Row<Grants>] = &[
    row(&["oidc_session.added"], "ISSUED of the grant", |record, _, out| {
        let target = wide(out.naming(), TargetKind::Grant, aggregate(record)?, "/aggregate/id")?;
        let event = out.event(EventType::Issued, target);
        event.session_id = own(member(record, "sessionID"));
        event.client_id = own(member(record, "clientID"));
        about(record, event);
        Ok(close(record, out))
    }),
    row(
        &["oidc_session.access_token.added", "user.token.v2.added", "user.token.added"],
        "ISSUED of the access token, in its grant",
        |record, grants, out| {
            let id = token(record, out, TokenKind::Access)?;
            grants.access.insert(aggregate(record)?, id);
            Ok(close(record, out))
        },
    ),
    row(
        &["oidc_session.refresh_token.added"],
        "ISSUED of the refresh token, in its grant",
        |record, grants, out| {
            let id = token(record, out, TokenKind::Refresh)?;
            grants.refresh.insert(aggregate(record)?, id);
            Ok(close(record, out))
        },
    ),
    row(
        &["oidc_session.refresh_token.renewed"],
        "ISSUED of the new refresh token, ROTATED_FROM the grant's one before, and ROTATED of \
         that (JOINED by the aggregate); the first part alone when that one is not known",
        renewed,
    ),
    row(
        &["oidc_session.access_token.revoked"],
        "REVOKED of the grant's latest access token; quarantined when it is not known",
        |record, grants, out| {
            let grant = aggregate(record)?;
            let latest = grants.access.get(grant).ok_or(Problem::Missing("/payload/id"))?;
            let event = out.token(EventType::Revoked, latest.clone());
            event.reason = own(Some("api"));
            event.grant_id = own(Some(grant));
            Ok(close(record, out))
        },
    ),
    row(&["oidc_session.refresh_token.revoked"], "REVOKED of the grant", |record, _, out| {
        let target = wide(out.naming(), TargetKind::Grant, aggregate(record)?, "/aggregate/id")?;
        out.event(EventType::Revoked, target).reason = own(Some("api"));
        Ok(close(record, out))
    }),
    row(
        &["user.pat.added", "user.pat.removed", "user.token.removed"],
        "ISSUED or REVOKED of the token that the payload names",
        |record, _, out| {
            if record.safe_at(&["/type/type", "/event_type"]) == Some("user.pat.added") {
                token(record, out, TokenKind::ApiKey)?;
            } else {
                let id = member(record, "tokenId").ok_or(Problem::Missing("/payload/tokenId"))?;
                let id = jti(out.naming(), id, "/payload/tokenId")?;
                out.token(EventType::Revoked, id).reason = own(Some("user"));
            }
            Ok(close(record, out))
        },
    ),
    row(
        &["session.added", "session.terminated"],
        "ISSUED or REVOKED (logout) of the session",
        |record, _, out| {
            let id = aggregate(record)?;
            let target = wide(out.naming(), TargetKind::Session, id, "/aggregate/id")?;
            let is_end =
                record.safe_at(&["/type/type", "/event_type"]) == Some("session.terminated");
            let event =
                out.event(if is_end { EventType::Revoked } else { EventType::Issued }, target);
            event.token_kind = word(TokenKind::Session);
            event.reason = own(is_end.then_some("logout"));
            Ok(close(record, out))
        },
    ),
    row(
        &[
            "user.grant.*",
            "project.*",
            "policy.*",
            "org.policy.*",
            "iam.policy.*",
            "org.member.*",
            "instance.member.*",
            "instance.policy.*",
            "iam.member.*",
        ],
        "POLICY_CHANGED of the aggregate",
        |record, _, out| {
            let kind = record.safe_at(&["/aggregate/type/type", "/aggregateType"]).unwrap_or("-");
            let id = format!("{kind}/{}", aggregate(record)?);
            let version = record.number("/sequence").unwrap_or_default().to_string();
            let at = out.at();
            let event = out.event(EventType::PolicyChanged, of_policy(&id));
            event.outcome = word(Outcome::None);
            policy_changed(event, &id, &version, at);
            Ok(close(record, out))
        },
    ),
    row(&["*"], "skipped: it says nothing of a token, a session or a right", skipped),
];

fn aggregate<'v>(record: &Record<'v>) -> Result<&'v str, Problem> {
    record.safe_at(&["/aggregate/id", "/aggregateID"]).ok_or(Problem::Missing("/aggregate/id"))
}

/// A member of the payload, which has two names.
fn member<'v>(record: &Record<'v>, name: &str) -> Option<&'v str> {
    ["/payload/", "/event_payload/"].iter().find_map(|under| record.safe(&format!("{under}{name}")))
}

fn lists(record: &Record<'_>, name: &str) -> Vec<String> {
    let lists =
        ["/payload/", "/event_payload/"].map(|under| record.list(&format!("{under}{name}")));
    lists.into_iter().flatten().collect()
}

fn about(record: &Record<'_>, event: &mut Event<'static>) {
    event.scopes = texts(lists(record, "scope").into_iter().chain(lists(record, "scopes")));
    event.audience = texts(lists(record, "audience"));
}

fn token(record: &Record<'_>, out: &mut Drafts<'_>, kind: TokenKind) -> Result<String, Problem> {
    let id = member(record, "id").or_else(|| member(record, "tokenId"));
    let id = jti(out.naming(), id.unwrap_or_default(), "/payload/id")?;
    let at = out.at();
    let places = ["/payload/lifetime", "/event_payload/lifetime"];
    let lifetime = places.iter().find_map(|place| record.number(place)).filter(|nanos| *nanos > 0);
    let ends = lifetime
        .map(|nanos| at.plus(nanos / 1_000_000))
        .or_else(|| crate::record::time(member(record, "expiration")?));
    let event = out.token(EventType::Issued, id.clone());
    event.token_kind = word(kind);
    event.issued_at = Some(at.rfc3339().into());
    event.expires_at = ends.map(|at| at.rfc3339().into());
    event.client_id = own(member(record, "applicationId"));
    let is_granted = record
        .safe_at(&["/aggregate/type/type", "/aggregateType"])
        .is_some_and(|kind| kind == "oidc_session");
    event.grant_id = own(if is_granted { Some(aggregate(record)?) } else { None });
    about(record, event);
    Ok(id)
}

fn renewed(
    record: &Record<'_>,
    grants: &mut Grants,
    out: &mut Drafts<'_>,
) -> Result<Fate, Problem> {
    let grant = aggregate(record)?;
    let new = token(record, out, TokenKind::Refresh)?;
    let why = Some("the refresh token before it in the same aggregate");
    if let Some(old) = grants.refresh.get(grant).filter(|old| **old != new).cloned() {
        let from = link(old.clone(), Relation::RotatedFrom, Strength::Joined, why);
        out.all()[0].links.push(from);
        let event = out.token(EventType::Rotated, old);
        event.token_kind = word(TokenKind::Refresh);
        event.grant_id = own(Some(grant));
        event.links.push(link(new.clone(), Relation::RotatedTo, Strength::Joined, why));
    }
    grants.refresh.insert(grant, new);
    Ok(close(record, out))
}

fn close(record: &Record<'_>, out: &mut Drafts<'_>) -> Fate {
    out.seen_from(Vantage::Issuer);
    for event in out.all() {
        event.action = own(record.safe_at(&["/type/type", "/event_type"]));
    }
    let places = ["/payload/userID", "/event_payload/userID", "/userID", "/editor/userId"];
    out.persons([subject(record.personal_at(&places))]);
    Fate::Mapped
}
