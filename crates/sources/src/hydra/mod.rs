//! Ory Hydra and Ory Kratos: their span events, each as one JSON record.
//!
//! ```json
//! {"name":"OAuth2AccessTokenIssued","time_unix_nano":"1790000000000000000","trace_id":"…",
//!  "span_id":"…","attributes":{"OAuth2ClientID":"web"},"resource":{"service.name":"hydra"}}
//! ```
//!
//! Promises: a token is named by the digest of its signature where the span has it
//! (`OAuth2AccessTokenSignature`, `OAuth2RefreshTokenSignature`); without it, what was issued is on
//! the grant, the person or the client. A revocation that names nothing, as Hydra emits it, is
//! quarantined and counted: it must not look as if nothing had happened.
//!
//! Assumes: names of Kratos' sessions are their ids, never their tokens.

use std::borrow::Cow;

use ledgerline_api::event::{Selector, Target};
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind, TokenKind, Vantage};

use crate::pieces::word;
use crate::record::drafts::{
    Presenter, facts, of_policy, of_subject, own, policy_changed, request, subject, wide,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, hashed,
    json, listed, nothing_held, row, safe, sealed, shown, skipped,
};
use crate::{Choice, Millis, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "hydra",
    about: "Ory Hydra and Ory Kratos: span events as JSON records",
    evidence: Evidence::Documentation,
    detects: |line| {
        line.contains("\"time_unix_nano\"")
            && ["\"OAuth2", "\"OIDC", "\"Session", "\"Identity"]
                .iter()
                .any(|one| line.contains(one))
    },
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "hydra",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &[]),
    kind: |record| {
        Some(Cow::Borrowed(record.safe("/name").filter(|_| record.has("/time_unix_nano"))?))
    },
    identity: |record| {
        let nanos =
            record.number("/time_unix_nano").ok_or(Problem::Malformed("/time_unix_nano"))?;
        let names = [record.needs("/trace_id")?, record.needs("/span_id")?, record.needs("/name")?];
        let native_id = format!("{}/{nanos}", names.join("/"));
        let at = Millis::from_millis(nanos.div_euclid(1_000_000));
        Ok(Identity { native_id, at: at.ok_or(Problem::Malformed("/time_unix_nano"))? })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const ACCESS: &str = "/attributes/OAuth2AccessTokenSignature";
const REFRESH: &str = "/attributes/OAuth2RefreshTokenSignature";

const IDENTIFIERS: &[Identifier] = &[
    safe("/name"),
    safe("/time_unix_nano"),
    safe("/trace_id"),
    safe("/span_id"),
    safe("/resource/service.name"),
    safe("/attributes/OAuth2ClientID"),
    safe("/attributes/OAuth2GrantType"),
    safe("/attributes/OAuth2TokenFormat"),
    safe("/attributes/OAuth2ConsentRequestID"),
    safe("/attributes/SessionID"),
    safe("/attributes/SessionExpiresAt"),
    safe("/attributes/SessionAAL"),
    hashed(ACCESS),
    hashed(REFRESH),
    sealed("/attributes/OAuth2Subject"),
    sealed("/attributes/IdentityID"),
    sealed("/attributes/ClientIP"),
    sealed("/attributes/UserAgent"),
    dropped("/attributes/OAuth2LoginChallenge"),
    dropped("/attributes/OAuth2ConsentChallenge"),
];

const ROWS: &[Row<()>] = &[
    row(
        &["OAuth2AccessTokenIssued", "OAuth2RefreshTokenIssued", "OIDCIdentityTokenIssued"],
        "ISSUED of the token by the digest of its signature; without one on the person or client",
        |record, (), out| issued(record, out, Outcome::Allow),
    ),
    row(
        &["OAuth2TokenExchangeError"],
        "ISSUED with DENY on the person or the client",
        |record, (), out| issued(record, out, Outcome::Deny),
    ),
    row(
        &["OAuth2AccessTokenInspected"],
        "USED of the token by the digest of its signature; without one of the person or client",
        |record, (), out| on_token(record, out, EventType::Used),
    ),
    row(
        &["OAuth2AccessTokenRevoked"],
        "REVOKED of the token by the digest of its signature; without one quarantined, since it \
         says of nothing what it revoked",
        |record, (), out| match record.has(ACCESS) || record.has(REFRESH) {
            true => on_token(record, out, EventType::Revoked),
            false => Err(Problem::Missing(ACCESS)),
        },
    ),
    row(
        &["OAuth2ConsentRevoked"],
        "REVOKED of the grant; without one of the person, for the client that it names",
        |record, (), out| consent_revoked(record, out),
    ),
    row(
        &["OAuth2Consent*", "OAuth2Login*"],
        "USED of the person (DENY when rejected)",
        |record, (), out| {
            let is_rejected = record.safe("/name").is_some_and(|name| name.ends_with("Rejected"));
            let said = if is_rejected { Outcome::Deny } else { Outcome::Allow };
            at_best(record, out, EventType::Used, said)
        },
    ),
    row(
        &["OAuth2ClientCreated", "OAuth2ClientUpdated", "OAuth2ClientDeleted"],
        "POLICY_CHANGED of the client; REVOKED of it when it was deleted",
        |record, (), out| client(record, out),
    ),
    row(
        &["SessionIssued", "SessionRevoked", "SessionLifespanExtended", "SessionTokenizedAsJWT"],
        "ISSUED, REVOKED, REFRESHED of the session; ISSUED of a JWT without a name as USED of it",
        |record, (), out| session(record, out),
    ),
    row(&["*"], "skipped: it says nothing of a token or a session", skipped),
];

/// What all events of a record say.
fn close(record: &Record<'_>, out: &mut Drafts<'_>) -> Fate {
    for event in out.all() {
        event.client_id = own(record.safe("/attributes/OAuth2ClientID"));
        event.grant_id = own(record.safe("/attributes/OAuth2ConsentRequestID"));
        event.session_id = own(record.safe("/attributes/SessionID"));
        event.trace_id = own(record.safe("/trace_id"));
        event.service = own(record.safe("/resource/service.name"));
        event.action = own(record.safe("/name"));
        facts(
            event,
            [
                ("aal", record.safe("/attributes/SessionAAL")),
                ("grant_type", record.safe("/attributes/OAuth2GrantType")),
                ("token_format", record.safe("/attributes/OAuth2TokenFormat")),
            ],
        );
    }
    let person = record.personal_at(&["/attributes/OAuth2Subject", "/attributes/IdentityID"]);
    let (ip, agent) =
        (record.personal("/attributes/ClientIP"), record.personal("/attributes/UserAgent"));
    out.persons([subject(person), request(ip, agent)]);
    Fate::Mapped
}

fn token(record: &Record<'_>) -> Option<String> {
    let name = record.safe("/name").unwrap_or_default();
    let at = if name.contains("Refresh") { REFRESH } else { ACCESS };
    let other = if at == ACCESS { REFRESH } else { ACCESS };
    let is_id = name == "OIDCIdentityTokenIssued";
    let signature = record.hashed_by_source(at).or_else(|| record.hashed_by_source(other));
    signature.filter(|_| !is_id).map(|signature| record.naming().jti_digest(signature))
}

fn at_best(
    record: &Record<'_>,
    out: &mut Drafts<'_>,
    kind: EventType,
    said: Outcome,
) -> Result<Fate, Problem> {
    let client = record.safe("/attributes/OAuth2ClientID");
    let person = record.personal_at(&["/attributes/OAuth2Subject", "/attributes/IdentityID"]);
    let session = record.safe("/attributes/SessionID");
    let by = Presenter { token: token(record), session, person, client };
    let target = by.target(out.naming())?.ok_or(Problem::Missing("/attributes"))?;
    out.event(kind, target).outcome = word(said);
    Ok(close(record, out))
}

fn issued(record: &Record<'_>, out: &mut Drafts<'_>, said: Outcome) -> Result<Fate, Problem> {
    let fate = at_best(record, out, EventType::Issued, said)?;
    out.all()[0].token_kind = word(match record.safe("/name") {
        Some("OAuth2RefreshTokenIssued") => TokenKind::Refresh,
        Some("OIDCIdentityTokenIssued") => TokenKind::Id,
        _ => TokenKind::Access,
    });
    Ok(fate)
}

fn on_token(record: &Record<'_>, out: &mut Drafts<'_>, kind: EventType) -> Result<Fate, Problem> {
    out.seen_from(if kind == EventType::Used { Vantage::Introspection } else { Vantage::Issuer });
    let fate = at_best(record, out, kind, Outcome::Allow)?;
    out.all()[0].reason = own((kind == EventType::Revoked).then_some("api"));
    Ok(fate)
}

fn consent_revoked(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let (grant, client) = ("/attributes/OAuth2ConsentRequestID", "/attributes/OAuth2ClientID");
    let target: Target<'static> =
        match (record.safe(grant), record.personal("/attributes/OAuth2Subject")) {
            (Some(id), _) => wide(out.naming(), TargetKind::Grant, id, grant)?,
            (None, Some(_)) => of_subject(),
            (None, None) => return Err(Problem::Missing(grant)),
        };
    let is_wide = target.id.is_empty();
    let event = out.event(EventType::Revoked, target);
    event.reason = own(Some("user"));
    let only = own(record.safe(client).filter(|_| is_wide));
    event.selector =
        only.map(|client| Selector { issued_before: None, client: Some(client), audience: None });
    Ok(close(record, out))
}

fn client(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let place = "/attributes/OAuth2ClientID";
    let id = record.needs(place)?;
    let (at, version, policy) = (out.at(), out.native_id().to_owned(), format!("client/{id}"));
    let event = out.event(EventType::PolicyChanged, of_policy(&policy));
    event.outcome = word(Outcome::None);
    policy_changed(event, &policy, &version, at);
    if record.safe("/name") == Some("OAuth2ClientDeleted") {
        let target = wide(out.naming(), TargetKind::Client, id, place)?;
        out.event(EventType::Revoked, target).reason = own(Some("admin"));
    }
    Ok(close(record, out))
}

fn session(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let place = "/attributes/SessionID";
    let target = wide(out.naming(), TargetKind::Session, record.needs(place)?, place)?;
    let kind = match record.needs("/name")? {
        "SessionIssued" => EventType::Issued,
        "SessionRevoked" => EventType::Revoked,
        "SessionLifespanExtended" => EventType::Refreshed,
        _ => EventType::Used,
    };
    let ends = record.time("/attributes/SessionExpiresAt");
    let event = out.event(kind, target);
    event.token_kind = word(TokenKind::Session);
    event.expires_at = ends.map(|at| at.rfc3339().into());
    event.reason = own((kind == EventType::Revoked).then_some("logout"));
    Ok(close(record, out))
}
