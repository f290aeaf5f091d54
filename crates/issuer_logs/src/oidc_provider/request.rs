//! One request of the provider: its lines, and the events they mean together (DESIGN 6, table).
//!
//! ```text
//! token: code           USED(code) ISSUED(refresh) ISSUED(access)
//! token: refresh        REFRESHED(old) ISSUED(new refresh) ISSUED(access) ROTATED(old)
//! token: exchange       USED(subject token) ISSUED(access)
//! token: refused        USED | REFRESHED with DENY, then the revocations it caused
//! revocation, logout    REVOKED(session) REVOKED(grant) REVOKED(each living token of it)
//! ```
//!
//! The presentation is dated at the first line of its request: it came before all that the request
//! led to, so the request that causes a revocation is not a use after it.

use std::collections::BTreeSet;

use ledgerline_api::event::{Activation, Event, Link, Personal, Selector, Target};
use ledgerline_api::values::Str;
use ledgerline_proof::vocabulary::{EventType, Outcome, Relation, Strength, TargetKind, TokenKind};

use crate::oidc_provider::drafts::{Cause, Draft, EventName, part_of};
use crate::oidc_provider::facts::{
    Mark, TokenFacts, client_target, code, provider_event, request, subject, target, template,
    token_link,
};
use crate::oidc_provider::grants::{Death, Grants, Member};
use crate::oidc_provider::model::{Entities, Payload};
use ledgerline_adapter::Naming;
use ledgerline_adapter::pieces::{detail, says, texts, word};
use ledgerline_adapter::token_id::{claimed_jti, is_jws};

const CODE: &str = "authorization_code";
const REFRESH: &str = "refresh_token";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const WHY_GRANT_DIES: &str = "this provider destroys the whole grant when an opaque access token \
                              of it is revoked, and announces only the access token";

/// What a line contributes to its request.
pub(super) enum Item {
    Minted(TokenFacts),
    Consumed(TokenFacts),
    Destroyed(TokenFacts),
    GrantRevoked(GrantRevocation),
    SessionEnded(SessionEnd),
}

impl Item {
    pub(super) fn mark(&self) -> &Mark {
        match self {
            Self::Minted(token) | Self::Consumed(token) | Self::Destroyed(token) => &token.mark,
            Self::GrantRevoked(revocation) => &revocation.mark,
            Self::SessionEnded(end) => &end.mark,
        }
    }
}

/// A grant that died with all its tokens.
pub(super) struct GrantRevocation {
    pub mark: Mark,
    pub grant: String,
    /// The grant as a target; checked when its line was read.
    pub target: Target<'static>,
    pub client: Option<String>,
    pub reason: &'static str,
    /// The token whose presentation caused it.
    pub cause: Option<Link<'static>>,
    pub personal: Vec<Personal<'static>>,
}

/// A session that was ended.
pub(super) struct SessionEnd {
    pub mark: Mark,
    pub session: String,
    pub target: Target<'static>,
    /// Client and grant of each authorization in it.
    pub authorizations: Vec<(String, String)>,
    pub account: Option<String>,
}

/// The request event that ends a request: it alone knows the parameters and the outcome.
pub(super) struct Closing {
    pub mark: Mark,
    pub payload: Payload,
}

impl Closing {
    fn personal(&self) -> impl Iterator<Item = Personal<'static>> {
        request(self.payload.ip.as_deref(), self.payload.user_agent.as_deref(), None).into_iter()
    }

    fn is_refusal(&self) -> bool {
        self.mark.event.ends_with(".error")
    }
}

/// The credential that a request presents.
struct Presented {
    id: String,
    kind: EventType,
    token_kind: Option<TokenKind>,
    also_known_as: Vec<String>,
    /// The digest of the jti that an unverified JWT claims.
    claimed: Option<String>,
}

/// The events of a request, in their order.
///
/// `closing` is `None` when its line never came: then the events say less, never more.
pub(super) fn events(
    naming: &Naming,
    grants: &mut Grants,
    items: Vec<Item>,
    closing: Option<&Closing>,
) -> Vec<Draft> {
    let mut request =
        Request { naming, grants, closing, drafts: Vec::new(), dead: BTreeSet::new() };
    let presented = closing
        .and_then(|closing| presented(naming, closing))
        .or_else(|| items.iter().find_map(consumed));
    request.presentation(&items, presented.as_ref());
    request.issues(&items, presented.as_ref());
    request.rotations(&items, presented.as_ref());
    request.revocations(items);
    request.leftovers();
    request.drafts
}

struct Request<'a> {
    naming: &'a Naming,
    grants: &'a mut Grants,
    closing: Option<&'a Closing>,
    drafts: Vec<Draft>,
    /// Tokens that have their REVOKED or ROTATED already.
    dead: BTreeSet<String>,
}

impl Request<'_> {
    /// USED or REFRESHED on what was presented, or a refusal on the client that presented nothing.
    fn presentation(&mut self, items: &[Item], presented: Option<&Presented>) {
        let used = items.iter().find_map(|item| match item {
            Item::Consumed(token) => Some(token),
            _ => None,
        });
        let Some(presented) = presented else { return };
        let mut event = match (self.closing, used) {
            (Some(closing), _) => request_event(self.naming, presented.kind, closing),
            (None, Some(token)) => token.event(self.naming, presented.kind, 0),
            (None, None) => return,
        };
        if let Some(first) = items.first() {
            event.occurred_at = Some(first.mark().at.rfc3339().into());
        }
        event.token_id = Some(presented.id.clone().into());
        event.token_kind = presented.token_kind.and_then(word);
        event.also_known_as = texts(presented.also_known_as.clone());
        if let Some(value) = &presented.claimed {
            event.detail.push(detail("claimed_token", value.clone()));
        }
        let minted = items.iter().filter_map(minted);
        if let Some(token) = used.or_else(|| minted.clone().find(|token| token.grant.is_some())) {
            event.grant_id = token.grant.clone().map(Str::Owned);
            event.session_id = token.session.clone().map(Str::Owned);
            if event.personal.iter().all(|record| record.user_id.is_none()) {
                event.personal.extend(subject(token.account.as_deref()));
            }
        }
        event.links.extend(
            minted.map(|token| token_link(&token.id, Relation::Produced, self.strength(token))),
        );
        self.drafts.push(Draft::new(event));
    }

    /// ISSUED for each new token; the book of grants learns of it.
    fn issues(&mut self, items: &[Item], presented: Option<&Presented>) {
        let new_refresh = items.iter().filter_map(minted).find(|t| t.kind == TokenKind::Refresh);
        for token in items.iter().filter_map(minted) {
            let mut event = token.issued_event(self.naming);
            if let Some(presented) = presented {
                let relation = child_relation(presented, token);
                event.links.push(token_link(&presented.id, relation, self.strength(token)));
            }
            if token.kind == TokenKind::DeviceCode {
                event.activation = Some(Activation {
                    requires: vec!["user_consent".into()],
                    deadline: token.expires.map(|at| at.rfc3339().into()),
                });
            }
            let family = match (presented, token.grant.as_deref()) {
                (Some(parent), Some(grant)) if parent.kind == EventType::Refreshed => {
                    self.grants.family(grant, &parent.id)
                }
                _ => new_refresh.map(|token| token.id.clone()),
            };
            event.family_id = family.clone().map(Str::Owned);
            if let Some(closing) = self.closing {
                event.personal.extend(closing.personal());
            }
            self.drafts.push(Draft::new(event));
            if let Some(grant) = &token.grant {
                self.enter(grant, token, family);
            }
        }
    }

    /// Enters a token in the book of its grant, or revokes it when that has died: the request
    /// began before, or raced it.
    fn enter(&mut self, grant: &str, token: &TokenFacts, family: Option<String>) {
        let member = Member {
            id: token.id.clone(),
            kind: token.kind,
            expires: token.expires,
            family,
            minted: token.mark.at,
        };
        let Some(death) = self.grants.death_of(grant, &member) else {
            self.grants.add(grant, token.client.as_deref(), member, token.mark.at);
            return;
        };
        let mut event = token.event(self.naming, EventType::Revoked, 1);
        event.occurred_at = Some(death.at.max(token.mark.at).rfc3339().into());
        event.reason = Some(death.reason.into());
        if event.client_id.is_none() {
            event.client_id = death.client.map(Str::Owned);
        }
        self.drafts.push(Draft { event, cause: Some(Cause::Event(death.event)) });
        self.dead.insert(token.id.clone());
    }

    /// ROTATED on what was replaced; a spent code leaves the book.
    fn rotations(&mut self, items: &[Item], presented: Option<&Presented>) {
        for item in items {
            let (old, nth) = match item {
                Item::Consumed(token) => (token, 1),
                Item::Destroyed(token) if presented.is_some_and(|p| p.id == token.id) => (token, 0),
                _ => continue,
            };
            let successor = items.iter().filter_map(minted).find(|new| new.kind == old.kind);
            if let Some(new) = successor {
                let mut event = old.event(self.naming, EventType::Rotated, nth);
                event.links.push(token_link(&new.id, Relation::RotatedTo, self.strength(new)));
                self.drafts.push(Draft::new(event));
                self.dead.insert(old.id.clone());
            }
            if matches!(old.kind, TokenKind::AuthCode | TokenKind::DeviceCode)
                && let Some(grant) = &old.grant
            {
                self.grants.forget(grant, &old.id);
            }
        }
        self.untold_rotation(items, presented);
    }

    /// ROTATED on a refresh token that has a successor though no line says that it was consumed:
    /// the line was torn, and what is replaced must not look as if it were not.
    fn untold_rotation(&mut self, items: &[Item], presented: Option<&Presented>) {
        let is_refresh = |one: &&Presented| one.token_kind == Some(TokenKind::Refresh);
        let (Some(closing), Some(old)) = (self.closing, presented.filter(is_refresh)) else {
            return;
        };
        let successor = items.iter().filter_map(minted).find(|new| new.kind == TokenKind::Refresh);
        let Some(new) = successor.filter(|new| new.id != old.id) else { return };
        if closing.is_refusal() || !self.dead.insert(old.id.clone()) {
            return;
        }
        let mut event = provider_event(self.naming, EventType::Rotated, &closing.mark, 2);
        event.token_id = Some(old.id.clone().into());
        event.token_kind = word(TokenKind::Refresh);
        event.client_id = new.client.clone().map(Str::Owned);
        event.grant_id = new.grant.clone().map(Str::Owned);
        event.session_id = new.session.clone().map(Str::Owned);
        event.links.push(token_link(&new.id, Relation::RotatedTo, self.strength(new)));
        self.drafts.push(Draft::new(event));
    }

    fn revocations(&mut self, items: Vec<Item>) {
        let mut grants = Vec::new();
        let mut destroyed = Vec::new();
        let mut session = None;
        for item in items {
            match item {
                Item::GrantRevoked(revocation) => grants.push(revocation),
                Item::Destroyed(token) if !self.dead.contains(&token.id) => destroyed.push(token),
                Item::SessionEnded(end) => session = Some(end),
                Item::Minted(_) | Item::Consumed(_) | Item::Destroyed(_) => {}
            }
        }
        let logout = session.as_ref().map(|end| self.session_end(end, &grants));
        let announced = !grants.is_empty();
        for mut revocation in grants {
            if let Some(end) = &session {
                // The client of a logout's lines is the one that asked for it, for every grant.
                let owner = end.authorizations.iter().find(|(_, grant)| *grant == revocation.grant);
                revocation.client = owner.map(|(client, _)| client.clone());
            }
            self.grant_revocation(&revocation, 0, logout.map(Cause::Draft));
        }
        for token in destroyed {
            self.token_revocation(&token, announced);
        }
    }

    /// REVOKED on the session, once for each client whose grant died with it.
    ///
    /// Grants with `offline_access` outlive the session, so a REVOKED that covers all of
    /// its tokens would say what is not true. Returns the place of the first event.
    fn session_end(&mut self, end: &SessionEnd, grants: &[GrantRevocation]) -> usize {
        let place = self.drafts.len();
        let dead = |grant: &str| grants.iter().any(|revocation| revocation.grant == grant);
        let clients = end.authorizations.iter().filter(|(_, grant)| dead(grant));
        let mut selectors: Vec<Option<String>> = clients.map(|(c, _)| Some(c.clone())).collect();
        if selectors.is_empty() {
            selectors.push(None);
        }
        for (nth, client) in selectors.into_iter().enumerate() {
            let kind = if client.is_some() { EventType::Revoked } else { EventType::Used };
            let mut event = provider_event(self.naming, kind, &end.mark, nth);
            event.target = Some(end.target.clone());
            event.session_id = Some(end.session.clone().into());
            event.token_kind = word(TokenKind::Session);
            event.reason = Some("logout".into());
            event.selector = client.map(|client| Selector {
                issued_before: None,
                client: Some(client.into()),
                audience: None,
            });
            event.personal.extend(subject(end.account.as_deref()));
            event.personal.extend(self.closing.into_iter().flat_map(Closing::personal));
            self.drafts.push(Draft::new(event));
        }
        place
    }

    /// REVOKED on a grant and on each token of it that had not expired.
    fn grant_revocation(&mut self, revoked: &GrantRevocation, nth: usize, cause: Option<Cause>) {
        let place = self.drafts.len();
        let (client, members) = self.grants.take(&revoked.grant, revoked.mark.at);
        let client = client.or_else(|| revoked.client.clone());
        let blank = |nth| {
            let mut event = provider_event(self.naming, EventType::Revoked, &revoked.mark, nth);
            event.reason = Some(revoked.reason.into());
            event.grant_id = Some(revoked.grant.clone().into());
            event.client_id = client.clone().map(Str::Owned);
            event.links.extend(revoked.cause.clone());
            event
        };
        let mut event = blank(nth);
        event.target = Some(revoked.target.clone());
        event.personal.clone_from(&revoked.personal);
        let native_id = revoked.mark.native_id(nth);
        let name = EventName { native_id, part: part_of(place) };
        let death = Death::new(revoked.mark.at, revoked.reason, client.clone(), name);
        self.grants.bury(&revoked.grant, death);
        self.drafts.push(Draft { event, cause });
        let alive = members.into_iter().filter(|member| self.dead.insert(member.id.clone()));
        for (place_of_member, member) in alive.enumerate() {
            let mut event = blank(nth + 1 + place_of_member);
            event.links.retain(|link| link.token_id.as_deref() != Some(member.id.as_str()));
            for link in &mut event.links {
                // No line names this token.
                if says(link.strength.as_ref(), Strength::Asserted) {
                    link.strength = word(Strength::Joined);
                }
            }
            // Nothing ends before it begins: its request closed before that of the revocation.
            event.occurred_at = Some(revoked.mark.at.max(member.minted).rfc3339().into());
            event.token_id = Some(member.id.into());
            event.token_kind = word(member.kind);
            self.drafts.push(Draft { event, cause: Some(Cause::Draft(place)) });
        }
    }

    /// REVOKED on a single token, and on its grant where the provider lets that die in silence.
    fn token_revocation(&mut self, token: &TokenFacts, announced: bool) {
        if !self.dead.insert(token.id.clone()) {
            return;
        }
        let by_client = self.closing.is_some_and(|c| c.mark.event == "middleware.revocation");
        let reason = if by_client { "api" } else { "issuer" };
        let mut event = token.event(self.naming, EventType::Revoked, 0);
        event.reason = Some(reason.into());
        event.personal.extend(subject(token.account.as_deref()));
        event.personal.extend(self.closing.into_iter().flat_map(Closing::personal));
        self.drafts.push(Draft::new(event));
        let Some(grant) = &token.grant else { return };
        self.grants.forget(grant, &token.id);
        let id = self.naming.wide(grant);
        let (Some(id), TokenKind::Access, false, true) = (id, token.kind, announced, by_client)
        else {
            return;
        };
        let mut cause = token_link(&token.id, Relation::CausedBy, Strength::Inferred);
        cause.why = Some(WHY_GRANT_DIES.into());
        let revocation = GrantRevocation {
            mark: token.mark.clone(),
            grant: grant.clone(),
            target: target(TargetKind::Grant, id),
            client: token.client.clone(),
            reason,
            cause: Some(cause),
            personal: subject(token.account.as_deref()).into_iter().collect(),
        };
        self.grant_revocation(&revocation, 1, None);
    }

    /// What a closing line means by itself: a refusal with no credential, a revocation of nothing,
    /// a change of a client.
    fn leftovers(&mut self) {
        let Some(closing) = self.closing else { return };
        let payload = &closing.payload;
        match closing.mark.event {
            "grant.error" if self.drafts.is_empty() => {
                self.on_client(request_event(self.naming, EventType::Used, closing));
            }
            "middleware.revocation" if self.drafts.is_empty() => {
                let value = payload.params.as_ref().and_then(|params| params.token.as_deref());
                let mut event = request_event(self.naming, EventType::Revoked, closing);
                event.outcome = word(Outcome::Deny);
                event.reason = Some("not_found".into());
                event.token_id = value.and_then(|value| self.naming.bearer(value)).map(Str::Owned);
                if event.token_id.is_some() {
                    self.drafts.push(Draft::new(event));
                } else {
                    self.on_client(event);
                }
            }
            "registration_create.success"
            | "registration_update.success"
            | "registration_delete.success" => {
                let mut event = request_event(self.naming, EventType::AdminAct, closing);
                event.native_id = Some(closing.mark.native_id(1).into());
                event.action = payload.route.as_deref().and_then(code).map(Str::Owned);
                self.on_client(event);
            }
            _ => {}
        }
    }

    fn on_client(&mut self, mut event: Event<'static>) {
        event.target = Some(client_target(self.naming, event.client_id.as_deref()));
        self.drafts.push(Draft::new(event));
    }

    /// ASSERTED when the closing line names both ends, JOINED when only the request id does.
    fn strength(&self, token: &TokenFacts) -> Strength {
        let entities = self.closing.and_then(|closing| closing.payload.entities.as_ref());
        if entities.is_some_and(|entities| names(self.naming, entities, &token.id)) {
            Strength::Asserted
        } else {
            Strength::Joined
        }
    }
}

fn minted(item: &Item) -> Option<&TokenFacts> {
    match item {
        Item::Minted(token) => Some(token),
        _ => None,
    }
}

fn consumed(item: &Item) -> Option<Presented> {
    let Item::Consumed(token) = item else { return None };
    let kind =
        if token.kind == TokenKind::Refresh { EventType::Refreshed } else { EventType::Used };
    Some(Presented {
        id: token.id.clone(),
        kind,
        token_kind: Some(token.kind),
        also_known_as: Vec::new(),
        claimed: None,
    })
}

fn names(naming: &Naming, entities: &Entities, id: &str) -> bool {
    let values = [
        &entities.access_token,
        &entities.client_credentials,
        &entities.refresh_token,
        &entities.registration_access_token,
    ];
    values.into_iter().flatten().any(|value| {
        naming.jti(value).as_deref() == Some(id) || naming.bearer(value).as_deref() == Some(id)
    })
}

fn child_relation(parent: &Presented, child: &TokenFacts) -> Relation {
    match (parent.token_kind, child.kind) {
        (Some(TokenKind::AuthCode | TokenKind::DeviceCode), _) => Relation::FromCode,
        (Some(TokenKind::Refresh), TokenKind::Refresh) => Relation::RotatedFrom,
        (Some(TokenKind::Refresh), _) => Relation::RefreshedFrom,
        (Some(TokenKind::Credential), TokenKind::Credential) if parent.renews() => {
            Relation::RotatedFrom
        }
        (Some(TokenKind::Credential), _) => Relation::MintedBy,
        _ => Relation::ExchangedFrom,
    }
}

impl Presented {
    /// Whether presenting it replaces or prolongs it.
    fn renews(&self) -> bool {
        self.kind == EventType::Refreshed
    }
}

/// The credential that the parameters of a request name.
fn presented(naming: &Naming, closing: &Closing) -> Option<Presented> {
    let payload = &closing.payload;
    let plain = |value: Option<&String>, kind, token_kind| {
        let id = naming.bearer(value?)?;
        let (also_known_as, claimed) = (Vec::new(), None);
        Some(Presented { id, kind, token_kind: Some(token_kind), also_known_as, claimed })
    };
    if let Some(entities) = &payload.entities {
        let initial = entities.initial_access_token.as_ref();
        let rotated = entities.rotated_registration_access_token.as_ref();
        match closing.mark.event {
            "registration_create.success" => {
                return plain(initial, EventType::Used, TokenKind::Credential);
            }
            "registration_update.success" => {
                return plain(rotated, EventType::Refreshed, TokenKind::Credential);
            }
            _ => {}
        }
    }
    if !matches!(closing.mark.event, "grant.success" | "grant.error") {
        return None;
    }
    let params = payload.params.as_ref()?;
    match params.grant_type.as_deref()? {
        CODE => plain(params.code.as_ref(), EventType::Used, TokenKind::AuthCode),
        DEVICE => plain(params.device_code.as_ref(), EventType::Used, TokenKind::DeviceCode),
        REFRESH => plain(params.refresh_token.as_ref(), EventType::Refreshed, TokenKind::Refresh),
        EXCHANGE => subject_token(naming, closing, params.subject_token.as_deref()?),
        _ => None,
    }
}

/// Refusals of the provider's JOSE library that come after it found the signature good.
const AFTER_SIGNATURE: [&str; 2] =
    ["subject_token ERR_JWT_EXPIRED", "subject_token ERR_JWT_CLAIM_VALIDATION_FAILED"];

/// A subject token is known by its jti only where the provider found its signature good: when the
/// exchange succeeded, or failed at what is looked at after the signature.
fn subject_token(naming: &Naming, closing: &Closing, value: &str) -> Option<Presented> {
    let bearer = naming.bearer(value)?;
    let blank = |id: String| Presented {
        id,
        kind: EventType::Used,
        token_kind: None,
        also_known_as: Vec::new(),
        claimed: None,
    };
    if !is_jws(value) {
        return Some(blank(bearer));
    }
    let detail = closing.payload.error_detail.as_deref();
    let verified = !closing.is_refusal() || detail.is_some_and(|d| AFTER_SIGNATURE.contains(&d));
    let jti = claimed_jti(value);
    if let Some(id) = jti.as_deref().filter(|_| verified).and_then(|jti| naming.jti(jti)) {
        return Some(Presented { also_known_as: vec![bearer], ..blank(id) });
    }
    Some(Presented { claimed: jti.map(|jti| naming.jti_digest(&jti)), ..blank(bearer) })
}

/// An event made of a request event: who asked, where, and how it ended.
pub(super) fn request_event(naming: &Naming, kind: EventType, closing: &Closing) -> Event<'static> {
    let payload = &closing.payload;
    let mut event = provider_event(naming, kind, &closing.mark, 0);
    if closing.is_refusal() {
        event.outcome = word(Outcome::Deny);
        event.reason = Some(refusal(payload).into());
    }
    event.client_id = payload.client_id.clone().map(Str::Owned);
    let grant = payload.entities.as_ref().and_then(|entities| entities.grant.clone());
    event.grant_id = grant.map(Str::Owned);
    event.endpoint = payload.path.as_deref().map(|path| template(path).into());
    event.action = payload.method.clone().map(Str::Owned);
    event.personal.extend(subject(payload.account_id.as_deref()));
    event.personal.extend(closing.personal());
    event
}

/// The reason code of a refusal. `error_detail` is free text: known texts become codes, the rest
/// leaves only the OAuth error code.
pub(super) fn refusal(payload: &Payload) -> String {
    let reason = match payload.error_detail.as_deref() {
        Some("refresh token already used" | "authorization code already consumed") => "reuse",
        Some("refresh token not found" | "authorization code not found") => "not_found",
        Some(
            "refresh token is expired"
            | "authorization code is expired"
            | "subject_token ERR_JWT_EXPIRED",
        ) => "expired",
        Some("subject_token ERR_JWS_SIGNATURE_VERIFICATION_FAILED") => "invalid_signature",
        Some("client mismatch") => "client_mismatch",
        _ => return payload.error.as_deref().and_then(code).unwrap_or_else(|| "other".to_owned()),
    };
    reason.to_owned()
}
