//! What user events become: logins, tokens, refreshes, exchanges, introspections and their ends.

use ledgerline_api::event::Event;
use ledgerline_api::values::Str;
use ledgerline_proof::vocabulary::{
    ActorKind, Delegation, EventType, Relation, Strength, TargetKind, TokenKind, Vantage,
};

use crate::keycloak::admin_events::policy;
use crate::keycloak::facts::{
    client, complete, deny, failed, grant, infer, issued_before, needs_token, printable,
    revoke_wide, session, token, upon_client,
};
use crate::keycloak::sessions::Sessions;
use ledgerline_adapter::pieces::{detail, texts, word};
use ledgerline_adapter::record::drafts::{Drafts, acting, actor, asserted, link, of_subject, wide};
use ledgerline_adapter::record::{Fate, Record};
use ledgerline_adapter::{Millis, Problem};

type Done = Result<Fate, Problem>;

const ACCESS: &str = "/details/token_id";
const REFRESH: &str = "/details/refresh_token_id";

/// Why an edge of an exchange is believed.
const EXCHANGED: &str = "the newest access token of subject_token_client_id in this session: the \
                         record does not name the token that was exchanged";
const EXCHANGED_BY_PERSON: &str = "the newest access token of subject_token_client_id of this \
                                   person, and with it the session: the webhook names another";
/// Why a replay ends more than the record says.
const REPLAYED: &str = "Keycloak ends the client's part of the session when a used refresh token \
                        is shown again, and writes no record of that";
const CODE_REPLAYED: &str = "Keycloak ends the client's part of the session when a used code is \
                             shown again, and writes no record of that";
const LAST_CLIENT: &str = "Keycloak removes a session with its last client, and no other client \
                           was seen in it";

/// Nothing for the ledger.
pub(super) fn skip(_: &Record<'_>, _: &mut Sessions, _: &mut Drafts<'_>) -> Done {
    Ok(Fate::Skipped)
}

/// Anything that failed and is about no token.
pub(super) fn refused(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let event = upon_client(record, drafts, EventType::Used);
    deny(event, record);
    complete(record, drafts)
}

/// A login: its tokens, or the session when tokens follow later.
pub(super) fn login(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    if record.has(ACCESS) {
        return issue(record, state, drafts);
    }
    let session = session(record)?.ok_or(Problem::Missing("/sessionId"))?;
    let is_new = match client(record)? {
        Some(client) => {
            state.know(client);
            state.enter(session, client, true)
        }
        None => state.enter(session, "", false),
    };
    let kind = if is_new { EventType::Issued } else { EventType::Used };
    let target = wide(record.naming(), TargetKind::Session, session, "/sessionId")?;
    let event = drafts.event(kind, target);
    event.token_kind = word(TokenKind::Session);
    impersonated(event, record);
    correlate(record, drafts);
    complete(record, drafts)
}

/// The tokens of a grant.
pub(super) fn issue(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let session = session(record)?;
    let minted = |id, kind| Minted { id, kind, session, expires: None };
    let access = needs_token(record, ACCESS)?;
    issued(record, state, drafts, &minted(access, TokenKind::Access))?;
    if let Some(refresh) = token(record, REFRESH) {
        issued(record, state, drafts, &minted(refresh, TokenKind::Refresh))?;
    }
    correlate(record, drafts);
    complete(record, drafts)
}

/// A decision of the authorization services, with a token or without.
pub(super) fn permission(
    record: &Record<'_>,
    state: &mut Sessions,
    drafts: &mut Drafts<'_>,
) -> Done {
    if record.has(ACCESS) { issue(record, state, drafts) } else { Ok(Fate::Skipped) }
}

/// A new token.
struct Minted<'s> {
    id: String,
    kind: TokenKind,
    session: Option<&'s str>,
    expires: Option<Millis>,
}

/// ISSUED of one token, known to the sessions.
fn issued<'d>(
    record: &Record<'_>,
    state: &mut Sessions,
    drafts: &'d mut Drafts<'_>,
    minted: &Minted<'_>,
) -> Result<&'d mut Event<'static>, Problem> {
    let (client, at) = (client(record)?, drafts.at());
    let Minted { id, kind, session, expires } = minted;
    client.into_iter().for_each(|client| state.know(client));
    if let (Some(session), Some(client)) = (session, client) {
        if *kind == TokenKind::Access {
            state.issued(session, client, id, at, *expires);
        } else {
            state.enter(session, client, true);
        }
        if let Some(user) = record.personal("/userId") {
            state.belongs(session, user);
        }
    }
    let event = drafts.token(EventType::Issued, id.clone());
    event.token_kind = word(*kind);
    event.session_id = session.map(|session| session.to_owned().into());
    event.scopes = texts(record.list("/details/scope"));
    event.audience = texts(record.list("/details/audience"));
    event.expires_at = expires.map(|at| at.rfc3339().into());
    event.grant_id = session.zip(client).map(|(session, client)| grant(session, client).into());
    for (key, at) in [
        ("grant_type", "/details/grant_type"),
        ("subject_token_client", "/details/subject_token_client_id"),
    ] {
        event.detail.extend(record.safe(at).map(|value| detail(key, value.to_owned())));
    }
    if *kind == TokenKind::Refresh {
        let offline = record.safe("/details/refresh_token_type");
        let offline = offline.map(|value| detail("refresh_token_type", value.to_owned()));
        event.detail.extend(offline);
    }
    impersonated(event, record);
    Ok(event)
}

/// Who acts for the person, where the record says so.
fn impersonated(event: &mut Event<'static>, record: &Record<'_>) {
    if let Some(impersonator) = record.personal("/details/impersonator") {
        event.delegation = word(Delegation::Impersonation);
        event.personal.extend(acting(Some(impersonator)));
    } else if let Some(actor) = record.personal("/details/actor_id") {
        event.delegation = word(Delegation::Delegation);
        event.personal.extend(acting(Some(actor)));
    }
}

/// The login and the tokens of one code have the same `code_id`. It is that of the session, so it
/// names no single code. One that is too short to be Keycloak's was made up by a client.
fn correlate(record: &Record<'_>, drafts: &mut Drafts<'_>) {
    let Ok(Some(code)) = record.hashed("/details/code_id") else { return };
    for event in drafts.each() {
        event.correlation_id = Some(Str::Owned(code.clone()));
    }
}

/// REFRESHED, ROTATED and the new tokens, as one act.
pub(super) fn refresh(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let old = needs_token(record, REFRESH)?;
    let access = needs_token(record, ACCESS)?;
    let new = token(record, "/details/updated_refresh_token_id").filter(|new| *new != old);
    let (session, client) = (session(record)?, client(record)?);
    let grant = session.zip(client).map(|(session, client)| grant(session, client));
    let produced = |id: &String| asserted(id.clone(), Relation::Produced);
    let event = drafts.token(EventType::Refreshed, old.clone());
    event.token_kind = word(TokenKind::Refresh);
    event.grant_id = grant.clone().map(Str::Owned);
    event.links = std::iter::once(&access).chain(&new).map(produced).collect();
    if let Some(new) = &new {
        let event = drafts.token(EventType::Rotated, old.clone());
        event.token_kind = word(TokenKind::Refresh);
        event.grant_id = grant.map(Str::Owned);
        event.links = vec![asserted(new.clone(), Relation::RotatedTo)];
        let kind = TokenKind::Refresh;
        let minted = Minted { id: new.clone(), kind, session, expires: None };
        let event = issued(record, state, drafts, &minted)?;
        event.links = vec![asserted(old.clone(), Relation::RotatedFrom)];
    }
    let expires = lifetime(record, drafts.at());
    let minted = Minted { id: access, kind: TokenKind::Access, session, expires };
    let event = issued(record, state, drafts, &minted)?;
    event.links = vec![asserted(old, Relation::RefreshedFrom)];
    complete(record, drafts)
}

/// The `exp` that a lifetime in seconds means: tokens carry whole seconds. The record is written
/// after the token, so this may be one second late.
fn lifetime(record: &Record<'_>, at: Millis) -> Option<Millis> {
    let seconds = record.number("/details/access_token_expiration_time")?;
    let seconds = (0..=i64::from(u32::MAX)).contains(&seconds).then_some(seconds)?;
    Some(at.whole_seconds().plus(seconds * 1000))
}

/// A refresh that was refused. One for a replay has ended the client's part of the session.
pub(super) fn refresh_refused(
    record: &Record<'_>,
    state: &mut Sessions,
    drafts: &mut Drafts<'_>,
) -> Done {
    let Some(old) = token(record, REFRESH) else { return refused(record, state, drafts) };
    let event = drafts.token(EventType::Refreshed, old.clone());
    event.token_kind = word(TokenKind::Refresh);
    deny(event, record);
    if record.safe("/derived/why") == Some("reuse")
        && let (Some(session), Some(client)) = (session(record)?, client(record)?)
    {
        cut_off(record, state, drafts, session, client, REPLAYED)?;
        if let Some(event) = drafts.all().last_mut() {
            let strength = Strength::Inferred;
            event.links.push(link(old, Relation::CausedBy, strength, Some(REPLAYED)));
        }
    }
    complete(record, drafts)
}

/// A code that was refused. One that was used before has ended the client's part of the session.
pub(super) fn code_refused(
    record: &Record<'_>,
    state: &mut Sessions,
    drafts: &mut Drafts<'_>,
) -> Done {
    let event = upon_client(record, drafts, EventType::Used);
    deny(event, record);
    if record.safe("/error") == Some("invalid_code")
        && let (Some(session), Some(client)) = (session(record)?, client(record)?)
    {
        cut_off(record, state, drafts, session, client, CODE_REPLAYED)?;
    }
    correlate(record, drafts);
    complete(record, drafts)
}

/// The silent end of a client's part of a session.
fn cut_off(
    record: &Record<'_>,
    state: &mut Sessions,
    drafts: &mut Drafts<'_>,
    session: &str,
    client: &str,
    why: &'static str,
) -> Result<(), Problem> {
    let grant = grant(session, client);
    revoke_wide(record.naming(), drafts, TargetKind::Grant, &grant, "reuse")?;
    infer(drafts, why);
    // The session stays, though it has no client: its other tokens live on.
    state.leave(session, client);
    Ok(())
}

/// The tokens of an exchange, joined to the token that was exchanged.
pub(super) fn exchange(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let access = needs_token(record, ACCESS)?;
    let subject = record.safe("/details/subject_token_client_id");
    let (mut session, at) = (session(record)?.map(ToOwned::to_owned), drafts.at());
    let mut why = EXCHANGED;
    let from = match (&session, subject, record.personal("/userId")) {
        (Some(session), Some(client), _) => {
            state.newest(session, client, at).map(ToOwned::to_owned)
        }
        (None, Some(client), Some(user)) => {
            let found = state.newest_of(user, client, at);
            why = EXCHANGED_BY_PERSON;
            session = found.as_ref().map(|found| found.session.clone());
            found.map(|found| found.token)
        }
        _ => None,
    };
    let tokens = [(Some(access), TokenKind::Access), (token(record, REFRESH), TokenKind::Refresh)];
    for (id, kind) in tokens.into_iter().filter_map(|(id, kind)| Some((id?, kind))) {
        let minted = Minted { id, kind, session: session.as_deref(), expires: None };
        let event = issued(record, state, drafts, &minted)?;
        match &from {
            Some(from) => {
                let (relation, strength) = (Relation::ExchangedFrom, Strength::Inferred);
                event.links.push(link(from.clone(), relation, strength, Some(why)));
            }
            None => event.detail.push(detail("exchanged_from", "unknown".to_owned())),
        }
    }
    complete(record, drafts)
}

/// An introspection. One that says `inactive` tells of the caller as much as of the token, so it is
/// a refusal and no end.
pub(super) fn introspect(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    drafts.seen_from(Vantage::Introspection);
    let event = match token(record, ACCESS).or_else(|| token(record, REFRESH)) {
        Some(id) => drafts.token(EventType::Used, id),
        None if failed(record) => upon_client(record, drafts, EventType::Used),
        None => return Err(Problem::Missing(ACCESS)),
    };
    event.token_kind = match record.safe("/details/token_type") {
        Some("Bearer") => word(TokenKind::Access),
        Some("Refresh" | "Offline") => word(TokenKind::Refresh),
        Some("ID") => word(TokenKind::Id),
        _ => None,
    };
    let owner = record.safe("/details/token_issued_for");
    event.client_id = owner.map(|owner| owner.to_owned().into());
    let asker = client(record)?;
    event.actors.extend(asker.map(|asker| actor(ActorKind::Client, record.naming(), asker)));
    if failed(record) {
        deny(event, record);
    }
    complete(record, drafts)
}

/// A call of the userinfo endpoint. The record names the session and not the token.
pub(super) fn userinfo(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let naming = record.naming();
    let event = match session(record)? {
        Some(session) => {
            let target = wide(naming, TargetKind::Session, session, "/sessionId")?;
            drafts.event(EventType::Used, target)
        }
        None => upon_client(record, drafts, EventType::Used),
    };
    event.service = Some("userinfo".into());
    if failed(record) {
        deny(event, record);
    }
    complete(record, drafts)
}

/// A token that its client revoked, or the consent that a person took back.
pub(super) fn revoke(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let naming = record.naming();
    let (session, client) = (session(record)?, client(record)?);
    let revoked = record.safe("/details/revoked_client").or(client);
    if let Some(access) = token(record, ACCESS) {
        let event = drafts.token(EventType::Revoked, access.clone());
        (event.token_kind, event.reason) = (word(TokenKind::Access), Some("api".into()));
        state.revoke(&access);
    } else if let Some(refresh) = token(record, REFRESH) {
        let event = drafts.token(EventType::Revoked, refresh);
        (event.token_kind, event.reason) = (word(TokenKind::Refresh), Some("api".into()));
        if let (Some(session), Some(client)) = (session, revoked) {
            let grant = grant(session, client);
            revoke_wide(naming, drafts, TargetKind::Grant, &grant, "api")?;
        }
    } else {
        let client = record.safe("/details/revoked_client");
        let client = client.ok_or(Problem::Missing("/details/revoked_client"))?;
        let mut selector = issued_before(drafts.at().plus(1));
        selector.client = Some(client.to_owned().into());
        let event = drafts.event(EventType::Revoked, of_subject());
        (event.reason, event.selector) = (Some("user".into()), Some(selector));
        event.client_id = Some(client.to_owned().into());
        return complete_person(record, drafts);
    }
    let mut is_empty = false;
    if let Some(session) = session {
        let others = record.safe("/details/token_exchange_revoked_clients").unwrap_or_default();
        for other in others.split(',').filter(|other| !other.is_empty()) {
            let grant = grant(session, other);
            revoke_wide(naming, drafts, TargetKind::Grant, &grant, "parent_revoked")?;
            is_empty |= state.leave(session, other);
        }
        if record.has(REFRESH) {
            is_empty |= revoked.is_some_and(|client| state.leave(session, client));
        }
        if is_empty {
            revoke_wide(naming, drafts, TargetKind::Session, session, "parent_revoked")?;
            infer(drafts, LAST_CLIENT);
            state.end(session);
        }
    }
    complete(record, drafts)
}

/// A revocation that was refused.
pub(super) fn revoke_refused(
    record: &Record<'_>,
    state: &mut Sessions,
    drafts: &mut Drafts<'_>,
) -> Done {
    let id = token(record, ACCESS).or_else(|| token(record, REFRESH));
    let Some(id) = id else { return refused(record, state, drafts) };
    let event = drafts.token(EventType::Revoked, id);
    deny(event, record);
    complete(record, drafts)
}

/// The end of a session.
pub(super) fn logout(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let session = session(record)?.ok_or(Problem::Missing("/sessionId"))?;
    let reason = match record.safe("/type") {
        Some("LOGOUT") => "logout",
        _ => "issuer",
    };
    revoke_wide(record.naming(), drafts, TargetKind::Session, session, reason)?;
    state.end(session);
    complete(record, drafts)
}

/// A person whose account ended.
pub(super) fn account_ended(
    record: &Record<'_>,
    _: &mut Sessions,
    drafts: &mut Drafts<'_>,
) -> Done {
    let selector = issued_before(drafts.at().plus(1));
    let event = drafts.event(EventType::Revoked, of_subject());
    let is_deleted = record.safe("/type") == Some("DELETE_ACCOUNT");
    event.reason = Some(if is_deleted { "user" } else { "account_disabled" }.into());
    event.selector = Some(selector);
    complete_person(record, drafts)
}

/// As [`complete`], for an event whose target is the person: without one there is no target.
fn complete_person(record: &Record<'_>, drafts: &mut Drafts<'_>) -> Done {
    if !record.has("/userId") {
        return Err(Problem::Missing("/userId"));
    }
    complete(record, drafts)
}

/// A client that was removed by itself (dynamic registration).
pub(super) fn client_removed(
    record: &Record<'_>,
    _: &mut Sessions,
    drafts: &mut Drafts<'_>,
) -> Done {
    let client = client(record)?.ok_or(Problem::Missing("/clientId"))?;
    revoke_wide(record.naming(), drafts, TargetKind::Client, &printable(client), "client_deleted")?;
    complete(record, drafts)
}

/// A consent, or a client that was registered or changed by itself: what may be granted changed.
pub(super) fn changed(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let client = client(record)?.ok_or(Problem::Missing("/clientId"))?;
    let what = match record.safe("/type") {
        Some("GRANT_CONSENT" | "UPDATE_CONSENT") => "consents",
        _ => "clients",
    };
    let id = format!("{what}/{}", printable(client));
    policy(drafts, &id);
    complete(record, drafts)
}
