//! What the rows share: ids of a record, and what every event of a record says.

use ledgerline_api::event::{Event, Selector};
use ledgerline_proof::vocabulary::{EventType, Outcome, Strength, TargetKind};

use ledgerline_adapter::pieces::{detail, word};
use ledgerline_adapter::record::drafts::{Drafts, of_source, request, subject, wide};
use ledgerline_adapter::record::{Fate, Record};
use ledgerline_adapter::{Millis, Naming, Problem};

/// A log line is written after the act, and by another clock than the record's.
pub(super) const LINE_UNCERTAINTY_NS: i64 = 1_000_000_000;
/// Longest name of a client or session that is taken.
const NAME_BYTES_MAX: usize = 160;

/// The session of a record.
///
/// # Errors
/// When it is there and cannot be one.
pub(super) fn session<'v>(record: &Record<'v>) -> Result<Option<&'v str>, Problem> {
    let Some(session) = record.safe("/sessionId") else { return Ok(None) };
    if is_word(session) { Ok(Some(session)) } else { Err(Problem::Malformed("/sessionId")) }
}

/// The client that asked.
///
/// # Errors
/// When it is there and too long.
pub(super) fn client<'v>(record: &Record<'v>) -> Result<Option<&'v str>, Problem> {
    let Some(client) = record.safe("/clientId") else { return Ok(None) };
    if client.len() <= NAME_BYTES_MAX {
        Ok(Some(client))
    } else {
        Err(Problem::Malformed("/clientId"))
    }
}

/// The id of a token that a member names: clear where it has the form of Keycloak's ids, a UUID
/// behind a prefix that tells the context; by its digest where it is something else.
pub(super) fn token(record: &Record<'_>, at: &str) -> Option<String> {
    let jti = record.safe(at)?;
    let naming = record.naming();
    let uuid = jti.rsplit_once(':').map_or(jti, |(_, uuid)| uuid);
    let is_uuid = uuid.len() == 36
        && uuid.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    let is_known = is_uuid && is_word(jti) && jti.len() <= 64;
    if is_known { naming.jti(jti) } else { Some(naming.jti_digest(jti)) }
}

/// As [`token`], for what must be there.
pub(super) fn needs_token(record: &Record<'_>, at: &'static str) -> Result<String, Problem> {
    token(record, at).ok_or(Problem::Missing(at))
}

/// The grant of a client in a session: what Keycloak calls a client session.
pub(super) fn grant(session: &str, client: &str) -> String {
    format!("{session}/{}", printable(client))
}

/// A name of printable characters: others are percent-encoded.
pub(super) fn printable(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if (0x21..=0x7e).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Letters, digits and `._:-`, as ids and words of the server have them.
pub(super) fn is_word(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(sound)
}

/// The server's word for an error.
pub(super) fn error<'v>(record: &Record<'v>) -> &'v str {
    record.safe("/error").filter(|error| is_word(error)).unwrap_or("error")
}

/// Whether the record is of an act that failed.
pub(super) fn failed(record: &Record<'_>) -> bool {
    record.has("/error")
}

/// Turns an event into one of an act that was refused.
pub(super) fn deny(event: &mut Event<'static>, record: &Record<'_>) {
    event.outcome = word(Outcome::Deny);
    event.reason = Some(error(record).to_owned().into());
    if let Some(why) = record.safe("/derived/why") {
        event.detail.push(detail("why_refused", why.to_owned()));
    }
}

/// One more event about a client; about the issuer when the record names none that can be an id.
pub(super) fn upon_client<'d>(
    record: &Record<'_>,
    drafts: &'d mut Drafts<'_>,
    kind: EventType,
) -> &'d mut Event<'static> {
    let client = record.safe("/clientId").map(printable);
    let target = client
        .and_then(|client| wide(record.naming(), TargetKind::Client, &client, "/clientId").ok());
    drafts.event(kind, target.unwrap_or_else(|| of_source(record.naming())))
}

/// One more REVOKED of something wider than a token: of what was issued until now. The same
/// millisecond counts, since the records have no finer time.
pub(super) fn revoke_wide<'d>(
    naming: &Naming,
    drafts: &'d mut Drafts<'_>,
    kind: TargetKind,
    id: &str,
    reason: &'static str,
) -> Result<&'d mut Event<'static>, Problem> {
    let before = drafts.at().plus(1);
    let field = match kind {
        TargetKind::Client => "/clientId",
        _ => "/sessionId",
    };
    let event = drafts.event(EventType::Revoked, wide(naming, kind, id, field)?);
    match kind {
        TargetKind::Session => event.session_id = Some(id.to_owned().into()),
        TargetKind::Grant => event.grant_id = Some(id.to_owned().into()),
        _ => event.client_id = Some(id.to_owned().into()),
    }
    event.reason = Some(reason.into());
    event.selector = Some(issued_before(before));
    Ok(event)
}

/// Narrows a revocation to tokens that were issued before.
pub(super) fn issued_before(at: Millis) -> Selector<'static> {
    Selector { issued_before: Some(at.rfc3339().into()), client: None, audience: None }
}

/// Marks an event that the log does not tell: with why it is believed, and with its cause.
pub(super) fn infer(drafts: &mut Drafts<'_>, why: &'static str) {
    let cause = drafts.caused_by_first(Strength::Inferred, why);
    let Some(event) = drafts.all().last_mut() else { return };
    event.links.extend(cause);
    event.detail.push(detail("strength", "INFERRED".to_owned()));
    event.detail.push(detail("why", why.to_owned()));
}

/// Gives all events of a record what they share, and ends the row.
pub(super) fn complete(record: &Record<'_>, drafts: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let (session, client) = (session(record)?, client(record)?);
    let is_line = record.has("/derived/line");
    let (kind, realm) = (record.safe("/type"), record.safe("/realmName"));
    let realm_id = record.safe("/realmId").filter(|_| realm.is_none());
    let user = record.personal("/userId").or_else(|| record.personal("/details/refresh_token_sub"));
    let ip = record.personal("/ipAddress");
    for event in drafts.each() {
        if is_line {
            event.time_uncertainty_ns = Some(LINE_UNCERTAINTY_NS);
        }
        if event.session_id.is_none() {
            event.session_id = session.map(|session| session.to_owned().into());
        }
        if event.client_id.is_none() && event.actors.is_empty() {
            event.client_id = client.map(|client| client.to_owned().into());
        }
        event.personal.extend(subject(user));
        event.personal.extend(request(ip, None));
        let facts = [("keycloak_type", kind), ("realm", realm), ("realm_id", realm_id)];
        let facts = facts.into_iter().filter_map(|(key, value)| Some((key, value?)));
        event.detail.extend(facts.map(|(key, value)| detail(key, value.to_owned())));
        event.detail.sort_by(|one, other| one.key.cmp(&other.key));
    }
    Ok(Fate::Mapped)
}
