//! The provider's log: lines of one request are gathered until its closing line, then mapped.
//!
//! Lines of requests interleave, so each request has its own buffer. A buffer is mapped without its
//! closing line when the log has gone on for [`IDLE_MILLIS`] since its first line, when there are
//! more than [`OPEN_REQUESTS_MAX`], or at the end. Lines that mean something alone are mapped at
//! once.

use ledgerline_api::event::Event;
use ledgerline_api::values::Str;
use ledgerline_proof::vocabulary::{
    EventType, Outcome, Relation, Strength, TargetKind, TokenKind, Vantage,
};

use crate::oidc_provider::drafts::{Cause, Draft, EventName, Recorder, seal};
use crate::oidc_provider::facts::{
    Mark, TokenFacts, actor, client_actor, client_target, code, mfa, provider_event, request,
    subject, target, token_link, wide_target, words,
};
use crate::oidc_provider::grants::Grants;
use crate::oidc_provider::model::{AnyLine, Payload, parse_payload};
use crate::oidc_provider::request::{
    Closing, GrantRevocation, Item, SessionEnd, events, refusal, request_event,
};
use crate::oidc_provider::resource_log::is_request_id;
use ledgerline_adapter::memory::Remembered;
use ledgerline_adapter::pieces::{detail, says, texts, word};
use ledgerline_adapter::token_id::{claimed_jti, is_jws};
use ledgerline_adapter::{Act, Millis, Naming, Problem, Report};

/// How long, in the log's own time, a request may wait for its closing line.
pub(super) const IDLE_MILLIS: i64 = 30_000;
/// Requests open at once.
const OPEN_REQUESTS_MAX: usize = 1 << 12;
/// Requests whose lines are counted, sessions and administrators' acts that are remembered.
const REQUESTS_MAX: usize = 1 << 16;
const SESSIONS_MAX: usize = 1 << 18;

/// What a line is to its request.
#[derive(Clone, Copy)]
enum Part {
    Mint(TokenKind),
    Consume(TokenKind),
    Destroy(TokenKind),
    DeviceSaved,
    GrantRevoked,
    SessionEnded,
    Close,
    Alone(Alone),
}

/// Lines that are mapped at once.
#[derive(Clone, Copy)]
enum Alone {
    SessionSaved,
    GrantSaved,
    GrantDestroyed,
    Admin,
    Introspection,
    Userinfo,
    Refused(EventType),
    Denied,
}

/// The events of the provider that mean something to the ledger; the others are counted.
const KNOWN: &[(&str, Part)] = &[
    ("access_token.issued", Part::Mint(TokenKind::Access)),
    ("access_token.saved", Part::Mint(TokenKind::Access)),
    ("access_token.destroyed", Part::Destroy(TokenKind::Access)),
    ("client_credentials.issued", Part::Mint(TokenKind::Access)),
    ("client_credentials.saved", Part::Mint(TokenKind::Access)),
    ("client_credentials.destroyed", Part::Destroy(TokenKind::Access)),
    ("refresh_token.saved", Part::Mint(TokenKind::Refresh)),
    ("refresh_token.consumed", Part::Consume(TokenKind::Refresh)),
    ("refresh_token.destroyed", Part::Destroy(TokenKind::Refresh)),
    ("authorization_code.saved", Part::Mint(TokenKind::AuthCode)),
    ("authorization_code.consumed", Part::Consume(TokenKind::AuthCode)),
    ("authorization_code.destroyed", Part::Destroy(TokenKind::AuthCode)),
    ("device_code.saved", Part::DeviceSaved),
    ("device_code.consumed", Part::Consume(TokenKind::DeviceCode)),
    ("device_code.destroyed", Part::Destroy(TokenKind::DeviceCode)),
    ("registration_access_token.saved", Part::Mint(TokenKind::Credential)),
    ("registration_access_token.destroyed", Part::Destroy(TokenKind::Credential)),
    ("initial_access_token.saved", Part::Mint(TokenKind::Credential)),
    ("initial_access_token.destroyed", Part::Destroy(TokenKind::Credential)),
    ("grant.revoked", Part::GrantRevoked),
    ("session.destroyed", Part::SessionEnded),
    ("grant.success", Part::Close),
    ("grant.error", Part::Close),
    ("authorization.success", Part::Close),
    ("device_authorization.success", Part::Close),
    ("end_session.success", Part::Close),
    ("middleware.revocation", Part::Close),
    ("registration_create.success", Part::Close),
    ("registration_update.success", Part::Close),
    ("registration_delete.success", Part::Close),
    ("session.saved", Part::Alone(Alone::SessionSaved)),
    ("grant.saved", Part::Alone(Alone::GrantSaved)),
    ("grant.destroyed", Part::Alone(Alone::GrantDestroyed)),
    ("middleware.admin", Part::Alone(Alone::Admin)),
    ("middleware.introspection", Part::Alone(Alone::Introspection)),
    ("middleware.userinfo", Part::Alone(Alone::Userinfo)),
    ("introspection.error", Part::Alone(Alone::Refused(EventType::Used))),
    ("revocation.error", Part::Alone(Alone::Refused(EventType::Revoked))),
    ("authorization.error", Part::Alone(Alone::Denied)),
    ("device_authorization.error", Part::Alone(Alone::Denied)),
    ("end_session.error", Part::Alone(Alone::Denied)),
    ("pushed_authorization_request.error", Part::Alone(Alone::Denied)),
    ("registration_create.error", Part::Alone(Alone::Denied)),
    ("registration_delete.error", Part::Alone(Alone::Denied)),
    ("registration_read.error", Part::Alone(Alone::Denied)),
    ("registration_update.error", Part::Alone(Alone::Denied)),
    ("userinfo.error", Part::Alone(Alone::Denied)),
];

/// What became of a line.
pub(super) enum Fate {
    Mapped,
    Skipped(String),
    /// It is counted when its request is mapped, with the other lines of it.
    WithItsRequest,
}

/// The state of a reading of the provider's log.
pub(super) struct ProviderLog {
    naming: Naming,
    recorder: Option<Recorder>,
    open: Remembered<Vec<Item>>,
    ordinals: Remembered<u32>,
    grants: Grants,
    sessions: Remembered<Option<Millis>>,
    /// Administrators' acts, by request.
    admins: Remembered<EventName>,
}

impl ProviderLog {
    pub(super) fn new(naming: Naming, recorder: Option<Recorder>) -> Self {
        Self {
            naming,
            recorder,
            open: Remembered::new(OPEN_REQUESTS_MAX),
            ordinals: Remembered::new(REQUESTS_MAX),
            grants: Grants::new(),
            sessions: Remembered::new(SESSIONS_MAX),
            admins: Remembered::new(REQUESTS_MAX),
        }
    }

    /// Reads one line. On an error nothing is kept of it.
    pub(super) fn line(
        &mut self,
        number: u64,
        line: &AnyLine<'_>,
        out: &mut Vec<Act>,
        report: &mut Report,
    ) -> Result<Fate, Problem> {
        let time = line.time.as_deref().ok_or(Problem::Missing("time"))?;
        let at = Millis::parse(time).ok_or(Problem::Malformed("time"))?;
        let event = line.event.as_deref().ok_or(Problem::Missing("event"))?;
        let request = line.request_id.as_deref().unwrap_or("-");
        if !is_request_id(request) {
            return Err(Problem::Malformed("request_id"));
        }
        let ordinal = self.ordinal(request);
        self.close_idle(at, out, report);
        let Some((event, part)) = KNOWN.iter().find(|(name, _)| *name == event) else {
            return Ok(Fate::Skipped(event_name(event)));
        };
        let raw = line.payload.ok_or(Problem::Missing("payload"))?;
        let mark = Mark { at, event, request: request.to_owned(), ordinal, line: number };
        self.part(*part, mark, parse_payload(raw)?, out, report)
    }

    /// Maps what is still open, oldest first.
    pub(super) fn finish(&mut self, out: &mut Vec<Act>, report: &mut Report) {
        while let Some(items) = self.open.pop_oldest() {
            self.close_without_line(items, out, report);
        }
        report.forgotten = self.grants.forgotten;
    }

    fn part(
        &mut self,
        part: Part,
        mark: Mark,
        payload: Payload,
        out: &mut Vec<Act>,
        report: &mut Report,
    ) -> Result<Fate, Problem> {
        let item = match part {
            Part::Mint(kind) => Item::Minted(self.token(mark, kind, payload)?),
            Part::Consume(kind) => Item::Consumed(self.token(mark, kind, payload)?),
            Part::Destroy(kind) => Item::Destroyed(self.token(mark, kind, payload)?),
            Part::DeviceSaved if payload.expires_in.is_some() => {
                Item::Minted(self.token(mark, TokenKind::DeviceCode, payload)?)
            }
            Part::DeviceSaved => return self.device_progress(mark, payload, out),
            Part::GrantRevoked => Item::GrantRevoked(self.grant_revoked(mark, &payload)?),
            Part::SessionEnded => Item::SessionEnded(self.session_end(mark, payload)?),
            Part::Close => {
                let items = self.open.remove(&mark.request).unwrap_or_default();
                self.close(items, Some(&Closing { mark, payload }), out, report);
                return Ok(Fate::WithItsRequest);
            }
            Part::Alone(alone) => return self.alone(alone, mark, payload, out),
        };
        self.hold(item, out, report);
        Ok(Fate::WithItsRequest)
    }

    fn token(&self, mark: Mark, kind: TokenKind, p: Payload) -> Result<TokenFacts, Problem> {
        // The one place that decides it. `*.issued` is written for JWTs alone, and their jti is
        // no bearer value; all other events show the value itself in the same member.
        let named_by_jti = mark.event.ends_with(".issued") && p.format.as_deref() == Some("jwt");
        TokenFacts::new(&self.naming, mark, kind, named_by_jti, p)
    }

    fn hold(&mut self, item: Item, out: &mut Vec<Act>, report: &mut Report) {
        let request = item.mark().request.clone();
        if request == "-" {
            self.close(vec![item], None, out, report);
        } else if let Some(items) = self.open.get_mut(&request) {
            items.push(item);
        } else if let Some(oldest) = self.open.insert(&request, vec![item]) {
            self.close_without_line(oldest, out, report);
        }
    }

    fn close_idle(&mut self, now: Millis, out: &mut Vec<Act>, report: &mut Report) {
        let is_idle = |items: &Vec<Item>| {
            items.first().is_none_or(|item| item.mark().at.plus(IDLE_MILLIS) < now)
        };
        while self.open.oldest().is_some_and(is_idle) {
            let items = self.open.pop_oldest().unwrap_or_default();
            self.close_without_line(items, out, report);
        }
    }

    fn close_without_line(&mut self, items: Vec<Item>, out: &mut Vec<Act>, report: &mut Report) {
        report.unclosed += 1;
        self.close(items, None, out, report);
    }

    /// Maps a request, and counts its lines by what became of them.
    fn close(
        &mut self,
        items: Vec<Item>,
        closing: Option<&Closing>,
        out: &mut Vec<Act>,
        report: &mut Report,
    ) {
        let marks = items.iter().map(Item::mark).chain(closing.map(|closing| &closing.mark));
        let marks: Vec<Mark> = marks.cloned().collect();
        let Some(act_id) = marks.first().map(Mark::act_id) else { return };
        let lines = [marks[0].line, marks[marks.len() - 1].line];
        let drafts = events(&self.naming, &mut self.grants, items, closing);
        for mark in &marks {
            if drafts.is_empty() {
                report.skip(mark.event);
                continue;
            }
            report.mapped += 1;
            if !drafts.iter().any(|draft| draft.is_of(mark)) {
                report.join(mark.event);
            }
        }
        let before = out.len();
        seal(drafts, &act_id, self.recorder.as_ref(), out);
        out[before..].iter_mut().for_each(|act| act.lines = Some(lines));
    }

    fn alone(
        &mut self,
        alone: Alone,
        mark: Mark,
        payload: Payload,
        out: &mut Vec<Act>,
    ) -> Result<Fate, Problem> {
        let act_id = mark.act_id();
        let name = mark.event;
        let closing = Closing { mark, payload };
        let event = match alone {
            Alone::SessionSaved => self.session_saved(&closing)?,
            Alone::GrantSaved => Some(self.grant_saved(&closing)?),
            Alone::Admin => Some(self.admin(&closing)?),
            Alone::Introspection => Some(self.introspection(&closing)?),
            Alone::Userinfo => Some(self.userinfo(&closing)?),
            Alone::Refused(kind) => Some(self.refused(kind, &closing)?),
            Alone::Denied => Some(self.denied(&closing)?),
            Alone::GrantDestroyed => {
                let (revocation, cause) = self.grant_destroyed(&closing)?;
                let mut drafts = events(
                    &self.naming,
                    &mut self.grants,
                    vec![Item::GrantRevoked(revocation)],
                    None,
                );
                if let Some(draft) = drafts.first_mut() {
                    draft.cause = cause;
                }
                seal(drafts, &act_id, self.recorder.as_ref(), out);
                return Ok(Fate::Mapped);
            }
        };
        let Some(event) = event else { return Ok(Fate::Skipped(format!("{name} (no change)"))) };
        seal(vec![Draft::new(event)], &act_id, self.recorder.as_ref(), out);
        Ok(Fate::Mapped)
    }

    /// ISSUED at the first line that shows the session with its user, REFRESHED when its end moved.
    fn session_saved(&mut self, line: &Closing) -> Result<Option<Event<'static>>, Problem> {
        let payload = &line.payload;
        let uid = payload.uid.as_deref().ok_or(Problem::Missing("uid"))?;
        let target = wide_target(&self.naming, TargetKind::Session, uid, "uid")?;
        let Some(account) = payload.model_account_id.as_deref() else { return Ok(None) };
        let expires = payload.exp.and_then(Millis::end_from_seconds);
        let known = self.sessions.get(uid).copied();
        if known.is_some_and(|before| expires <= before) {
            return Ok(None);
        }
        self.sessions.insert(uid, expires);
        let kind = if known.is_some() { EventType::Refreshed } else { EventType::Issued };
        let mut event = provider_event(&self.naming, kind, &line.mark, 0);
        event.target = Some(target);
        event.session_id = Some(uid.to_owned().into());
        event.token_kind = word(TokenKind::Session);
        event.expires_at = expires.map(|at| at.rfc3339().into());
        if known.is_none() {
            let login = payload.login_time.and_then(Millis::from_seconds);
            event.issued_at = login.map(|at| at.rfc3339().into());
            event.mfa = mfa(payload);
        }
        event.personal.extend(subject(Some(account)));
        Ok(Some(event))
    }

    /// ISSUED for a new grant; the same grant again is consent given anew: REFRESHED.
    fn grant_saved(&mut self, line: &Closing) -> Result<Event<'static>, Problem> {
        let payload = &line.payload;
        let grant = payload.jti.as_deref().ok_or(Problem::Missing("jti"))?;
        let target = wide_target(&self.naming, TargetKind::Grant, grant, "jti")?;
        let is_new = self.grants.open(grant, payload.model_client_id.as_deref());
        self.grants.reopen(grant, line.mark.at);
        let kind = if is_new { EventType::Issued } else { EventType::Refreshed };
        let mut event = provider_event(&self.naming, kind, &line.mark, 0);
        event.target = Some(target);
        event.grant_id = Some(grant.to_owned().into());
        event.client_id = payload.model_client_id.clone().map(Str::Owned);
        let asked = payload.openid.as_ref().and_then(|openid| openid.scope.as_deref());
        event.scopes = texts(words(asked));
        for (audience, scope) in payload.resources.iter().flatten() {
            event.audience.push(audience.clone().into());
            for scope in texts(words(Some(scope))) {
                if !event.scopes.contains(&scope) {
                    event.scopes.push(scope);
                }
            }
        }
        let end = payload.exp.and_then(Millis::end_from_seconds);
        event.expires_at = end.map(|at| at.rfc3339().into());
        event.personal.extend(subject(payload.model_account_id.as_deref()));
        Ok(event)
    }

    fn admin(&mut self, line: &Closing) -> Result<Event<'static>, Problem> {
        let payload = &line.payload;
        let account = payload.account_id.as_deref().ok_or(Problem::Missing("account_id"))?;
        let mut event = provider_event(&self.naming, EventType::AdminAct, &line.mark, 0);
        event.target = Some(target(TargetKind::Subject, String::new()));
        event.reason = Some("admin".into());
        event.action = payload.action.as_deref().and_then(code).map(Str::Owned);
        event.personal.extend(subject(Some(account)));
        event.personal.extend(actor(payload.admin.as_deref(), payload.ip.as_deref()));
        let event_of = EventName { native_id: line.mark.native_id(0), part: 0 };
        self.admins.insert(&line.mark.request, event_of);
        Ok(event)
    }

    fn grant_destroyed(&self, line: &Closing) -> Result<(GrantRevocation, Option<Cause>), Problem> {
        let payload = &line.payload;
        let grant = payload.jti.clone().ok_or(Problem::Missing("jti"))?;
        let admin = self.admins.get(&line.mark.request).cloned();
        let revocation = GrantRevocation {
            mark: line.mark.clone(),
            target: wide_target(&self.naming, TargetKind::Grant, &grant, "jti")?,
            grant,
            client: payload.model_client_id.clone(),
            reason: if admin.is_some() { "admin" } else { "issuer" },
            cause: None,
            personal: subject(payload.model_account_id.as_deref()).into_iter().collect(),
        };
        Ok((revocation, admin.map(Cause::Event)))
    }

    fn grant_revoked(&self, mark: Mark, payload: &Payload) -> Result<GrantRevocation, Problem> {
        let grant = payload.grant_id.clone().ok_or(Problem::Missing("grantId"))?;
        let target = wide_target(&self.naming, TargetKind::Grant, &grant, "grantId")?;
        let reason = match payload.route.as_deref() {
            Some("token") => "reuse",
            Some("revocation") => "api",
            Some(route) if route.starts_with("end_session") => "logout",
            _ => "issuer",
        };
        let params = payload.params.as_ref();
        let value = params.and_then(|params| {
            params.code.as_ref().or(params.refresh_token.as_ref()).or(params.token.as_ref())
        });
        let cause = value.and_then(|value| self.naming.bearer(value));
        let personal = request(payload.ip.as_deref(), payload.user_agent.as_deref(), None);
        Ok(GrantRevocation {
            mark,
            grant,
            target,
            client: payload.client_id.clone(),
            reason,
            cause: cause.map(|id| token_link(&id, Relation::CausedBy, Strength::Asserted)),
            personal: subject(payload.account_id.as_deref()).into_iter().chain(personal).collect(),
        })
    }

    fn session_end(&self, mark: Mark, payload: Payload) -> Result<SessionEnd, Problem> {
        let session = payload.uid.ok_or(Problem::Missing("uid"))?;
        let target = wide_target(&self.naming, TargetKind::Session, &session, "uid")?;
        let authorizations = payload.authorizations.into_iter().flatten();
        let authorizations = authorizations
            .filter_map(|(client, authorization)| Some((client, authorization.grant_id?)))
            .collect();
        Ok(SessionEnd { mark, session, target, authorizations, account: payload.model_account_id })
    }

    /// A device code after its issue: the user agreed, refused, or only opened the page.
    fn device_progress(
        &self,
        mark: Mark,
        payload: Payload,
        out: &mut Vec<Act>,
    ) -> Result<Fate, Problem> {
        let refused = payload.error.is_some();
        if !refused && payload.model_account_id.is_none() {
            return Ok(Fate::Skipped("device_code.saved (no change)".to_owned()));
        }
        let device = payload.device_info.as_ref();
        let device = device.and_then(|d| request(d.ip.as_deref(), d.ua.as_deref(), None));
        let token = self.token(mark, TokenKind::DeviceCode, payload)?;
        let kind = if refused { EventType::Revoked } else { EventType::Activated };
        let mut event = token.event(&self.naming, kind, 0);
        if refused {
            event.reason = Some("user".into());
        } else {
            event.mfa.clone_from(&token.mfa);
        }
        event.personal.extend(subject(token.account.as_deref()));
        event.personal.extend(device);
        seal(vec![Draft::new(event)], &token.mark.act_id(), self.recorder.as_ref(), out);
        Ok(Fate::Mapped)
    }

    fn introspection(&self, line: &Closing) -> Result<Event<'static>, Problem> {
        let payload = &line.payload;
        let value = payload.params.as_ref().and_then(|params| params.token.as_deref());
        let value = value.ok_or(Problem::Missing("token"))?;
        let active = payload.active.ok_or(Problem::Missing("active"))?;
        let mut event = request_event(&self.naming, EventType::Used, line);
        event.vantage = word(Vantage::Introspection);
        if !active {
            event.outcome = word(Outcome::Deny);
            event.reason = Some("inactive".into());
        }
        self.aim(&mut event, value, "token", active)?;
        if let Some(entities) = &payload.entities {
            let access = entities.access_token.is_some() || entities.client_credentials.is_some();
            event.token_kind = match (access, entities.refresh_token.is_some()) {
                (true, _) => word(TokenKind::Access),
                (false, true) => word(TokenKind::Refresh),
                _ => None,
            };
        }
        self.asked_by_client(&mut event);
        Ok(event)
    }

    fn userinfo(&self, line: &Closing) -> Result<Event<'static>, Problem> {
        let value = line.payload.presented.as_deref().ok_or(Problem::Missing("presented"))?;
        let mut event = request_event(&self.naming, EventType::ResourceAccessed, line);
        event.token_kind = word(TokenKind::Access);
        event.resource = event.endpoint.clone();
        // A call that failed says nothing of whose signature it was.
        let failed = line.payload.error.is_some() || line.payload.active == Some(false);
        if failed {
            event.outcome = word(Outcome::Deny);
            event.reason = Some(refusal(&line.payload).into());
        }
        self.aim(&mut event, value, "presented", !failed)?;
        Ok(event)
    }

    /// A token that introspection or revocation would not look at. Its signature was not checked.
    fn refused(&self, kind: EventType, line: &Closing) -> Result<Event<'static>, Problem> {
        let value = line.payload.params.as_ref().and_then(|params| params.token.as_deref());
        let mut event = request_event(&self.naming, kind, line);
        match value {
            Some(value) => self.aim(&mut event, value, "token", false)?,
            None => self.aim_at_client(&mut event),
        }
        if kind == EventType::Used {
            event.vantage = word(Vantage::Introspection);
            self.asked_by_client(&mut event);
        }
        Ok(event)
    }

    fn denied(&self, line: &Closing) -> Result<Event<'static>, Problem> {
        let mut event = request_event(&self.naming, EventType::Used, line);
        self.aim_at_client(&mut event);
        Ok(event)
    }

    /// Gives the event its token. Of a JWT that nobody verified only the bytes are taken.
    fn aim(
        &self,
        event: &mut Event<'static>,
        value: &str,
        field: &'static str,
        verified: bool,
    ) -> Result<(), Problem> {
        let bearer = self.naming.bearer(value).map(Str::Owned);
        if !is_jws(value) {
            event.token_id = bearer;
        } else if verified && let Some(jti) = claimed_jti(value) {
            event.token_id = self.naming.jti(&jti).map(Str::Owned);
            event.also_known_as.extend(bearer);
        } else {
            event.token_id = bearer;
            if let Some(jti) = claimed_jti(value) {
                let value = self.naming.jti_digest(&jti);
                event.detail.push(detail("claimed_token", value));
            }
        }
        match event.token_id {
            Some(_) => {}
            None if says(event.outcome.as_ref(), Outcome::Allow) => {
                return Err(Problem::WeakToken(field));
            }
            None => self.aim_at_client(event),
        }
        Ok(())
    }

    /// The client, or the provider itself when the request is of none that can be named.
    fn aim_at_client(&self, event: &mut Event<'static>) {
        event.target = Some(client_target(&self.naming, event.client_id.as_deref()));
    }

    /// The client of an introspection is who asks, not whose token it is.
    fn asked_by_client(&self, event: &mut Event<'static>) {
        if let Some(client) = event.client_id.take() {
            event.actors.push(client_actor(&self.naming, &client));
        }
    }

    fn ordinal(&mut self, request: &str) -> u32 {
        if let Some(ordinal) = self.ordinals.get_mut(request) {
            *ordinal += 1;
            return *ordinal;
        }
        self.ordinals.insert(request, 0);
        0
    }
}

/// An event name fit for a report: names are words, anything else is not repeated.
fn event_name(event: &str) -> String {
    let sound = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'.' | b'_');
    if (1..=64).contains(&event.len()) && event.bytes().all(sound) {
        event.to_owned()
    } else {
        "other".to_owned()
    }
}
