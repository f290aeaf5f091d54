//! What the adapter keeps of a line: ids instead of tokens, and the personal values apart.

use ledgerline_api::event::{Actor, Adapter, Event, Link, Mfa, Personal, Target};
use ledgerline_api::values::Str;
use ledgerline_proof::vocabulary::{
    ActorKind, Delegation, EventType, Outcome, PersonalRole, Relation, Strength, TargetKind,
    TokenKind, Vantage,
};

use crate::oidc_provider::model::{ActClaim, Payload};
use ledgerline_adapter::pieces::{detail, texts, word};
use ledgerline_adapter::{Millis, Naming, Problem};

/// The adapter's name.
pub(super) const NAME: &str = "oidc-provider";

/// Name and version that each event carries.
pub(super) const ADAPTER: Adapter<'static> =
    Adapter { name: Str::Borrowed(NAME), version: Str::Borrowed("1") };

/// Milliseconds are the resolution of the provider's clock.
pub(super) const PROVIDER_UNCERTAINTY_NS: i64 = 1_000_000;

/// The place of a line in its log: what the native ids of its events are made of.
#[derive(Clone)]
pub(super) struct Mark {
    pub at: Millis,
    pub event: &'static str,
    /// The request, `-` for a line outside one.
    pub request: String,
    /// 0-based place among the lines of its request.
    pub ordinal: u32,
    /// Its number in its file.
    pub line: u64,
}

impl Mark {
    /// `provider/<time>/<request>/<event>/<ordinal>.<nth>`; `nth` is 0 for the main event.
    pub(super) fn native_id(&self, nth: usize) -> String {
        format!("{}.{nth}", self.line_id())
    }

    /// What the native ids of all events of the line begin with.
    pub(super) fn line_id(&self) -> String {
        format!("{}/{}/{}", self.act_prefix(), self.event, self.ordinal)
    }

    /// The id of the act that begins with this line.
    pub(super) fn act_id(&self) -> String {
        format!("{}/{}", self.act_prefix(), self.ordinal)
    }

    fn act_prefix(&self) -> String {
        format!("provider/{}/{}", self.at.rfc3339(), self.request)
    }
}

/// A token as its own line describes it.
pub(super) struct TokenFacts {
    pub mark: Mark,
    pub id: String,
    pub kind: TokenKind,
    pub client: Option<String>,
    pub account: Option<String>,
    pub grant: Option<String>,
    pub session: Option<String>,
    pub gty: Option<String>,
    pub scopes: Vec<String>,
    pub audience: Vec<String>,
    pub issued: Option<Millis>,
    pub expires: Option<Millis>,
    pub generation: Option<u32>,
    pub expires_with_session: bool,
    pub acts: Vec<String>,
    pub mfa: Option<Mfa<'static>>,
}

impl TokenFacts {
    /// `named_by_jti`: this event's jti is a safe id and not the bearer value.
    pub(super) fn new(
        naming: &Naming,
        mark: Mark,
        kind: TokenKind,
        named_by_jti: bool,
        payload: Payload,
    ) -> Result<Self, Problem> {
        let jti = payload.jti.as_deref().ok_or(Problem::Missing("jti"))?;
        let id = if named_by_jti {
            naming.jti(jti).ok_or(Problem::Malformed("jti"))?
        } else {
            naming.bearer(jti).ok_or(Problem::WeakToken("jti"))?
        };
        let mfa = mfa(&payload);
        let audience =
            payload.aud.or(payload.resource).map(crate::oidc_provider::model::OneOrMany::into_vec);
        Ok(Self {
            mark,
            id,
            kind,
            client: payload.model_client_id,
            account: payload.model_account_id,
            grant: payload.grant_id,
            session: payload.session_uid,
            gty: payload.gty,
            scopes: words(payload.scope.as_deref()),
            audience: audience.unwrap_or_default(),
            issued: payload.iat.and_then(Millis::from_seconds),
            expires: payload.exp.and_then(Millis::end_from_seconds),
            generation: payload.rotations,
            expires_with_session: payload.expires_with_session.unwrap_or(false),
            acts: payload.extra.and_then(|extra| extra.act).map(act_chain).unwrap_or_default(),
            mfa,
        })
    }

    /// An event on this token with what is known of it; `nth` as in [`Mark::native_id`].
    pub(super) fn event(&self, naming: &Naming, kind: EventType, nth: usize) -> Event<'static> {
        let mut event = provider_event(naming, kind, &self.mark, nth);
        event.token_id = Some(self.id.clone().into());
        event.token_kind = word(self.kind);
        event.client_id = self.client.clone().map(Str::Owned);
        event.grant_id = self.grant.clone().map(Str::Owned);
        event.session_id = self.session.clone().map(Str::Owned);
        event
    }

    /// The ISSUED event of this token.
    pub(super) fn issued_event(&self, naming: &Naming) -> Event<'static> {
        let mut event = self.event(naming, EventType::Issued, 0);
        event.scopes = texts(self.scopes.clone());
        event.audience = texts(self.audience.clone());
        event.issued_at = self.issued.map(|at| at.rfc3339().into());
        event.expires_at = self.expires.map(|at| at.rfc3339().into());
        event.generation = self.generation.map(i64::from);
        event.personal.extend(subject(self.account.as_deref()));
        if self.expires_with_session {
            event.detail.push(detail("expires_with_session", "true".to_owned()));
        }
        if let Some(gty) = &self.gty {
            event.detail.push(detail("gty", gty.clone()));
        }
        if self.kind == TokenKind::AuthCode {
            event.mfa.clone_from(&self.mfa);
        }
        delegate(&mut event, naming, &self.acts, self.client.as_deref());
        event
    }
}

/// An event of the provider with the members every one of them has.
pub(super) fn provider_event(
    naming: &Naming,
    kind: EventType,
    mark: &Mark,
    nth: usize,
) -> Event<'static> {
    Event {
        native_id: Some(mark.native_id(nth).into()),
        event_type: word(kind),
        outcome: word(Outcome::Allow),
        occurred_at: Some(mark.at.rfc3339().into()),
        time_uncertainty_ns: Some(PROVIDER_UNCERTAINTY_NS),
        vantage: word(Vantage::Issuer),
        issuer: Some(naming.alias().to_owned().into()),
        correlation_id: (mark.request != "-").then(|| mark.request.clone().into()),
        adapter: Some(ADAPTER),
        ..Event::default()
    }
}

/// A session, grant or client as target.
pub(super) fn wide_target(
    naming: &Naming,
    kind: TargetKind,
    id: &str,
    field: &'static str,
) -> Result<Target<'static>, Problem> {
    let id = naming.wide(id).ok_or(Problem::Malformed(field))?;
    Ok(target(kind, id))
}

/// A client as target; the provider itself for none, or for one that cannot be named: such a
/// refusal is still an act.
pub(super) fn client_target(naming: &Naming, client: Option<&str>) -> Target<'static> {
    match client.and_then(|client| naming.wide(client)) {
        Some(id) => target(TargetKind::Client, id),
        None => target(TargetKind::Source, naming.alias().to_owned()),
    }
}

/// What an event is about, when it is no token.
pub(super) fn target(kind: TargetKind, id: String) -> Target<'static> {
    Target { kind: kind.symbol().into(), id: id.into() }
}

/// An edge to a token.
pub(super) fn token_link(token_id: &str, relation: Relation, strength: Strength) -> Link<'static> {
    Link {
        token_id: Some(token_id.to_owned().into()),
        event: None,
        relation: relation.symbol().into(),
        strength: word(strength),
        why: None,
    }
}

/// How the person logged in, from `amr`, `acr` and the time of it.
pub(super) fn mfa(payload: &Payload) -> Option<Mfa<'static>> {
    let methods = payload.amr.clone().unwrap_or_default();
    if methods.is_empty() && payload.acr.is_none() {
        return None;
    }
    let completed = payload.auth_time.or(payload.login_time).and_then(Millis::from_seconds);
    Some(Mfa {
        methods: texts(methods),
        acr: payload.acr.clone().map(Str::Owned),
        completed_at: completed.map(|at| at.rfc3339().into()),
    })
}

/// The record of the person whose token it is.
pub(super) fn subject(account: Option<&str>) -> Option<Personal<'static>> {
    Some(Personal {
        user_id: Some(account?.to_owned().into()),
        ..Personal::of(PersonalRole::Subject)
    })
}

/// The record of where a request came from; `None` when nothing is known.
pub(super) fn request(
    ip: Option<&str>,
    user_agent: Option<&str>,
    resource: Option<&str>,
) -> Option<Personal<'static>> {
    if ip.is_none() && user_agent.is_none() && resource.is_none() {
        return None;
    }
    Some(Personal {
        ip: owned(ip),
        user_agent: owned(user_agent),
        resource: owned(resource),
        ..Personal::of(PersonalRole::Request)
    })
}

/// The record of a person who acts on somebody else's things.
pub(super) fn actor(user: Option<&str>, ip: Option<&str>) -> Option<Personal<'static>> {
    let user_id = Some(user?.to_owned().into());
    Some(Personal { user_id, ip: owned(ip), ..Personal::of(PersonalRole::Actor) })
}

fn owned(text: Option<&str>) -> Option<Str<'static>> {
    text.map(|text| text.to_owned().into())
}

/// The `sub` of an `act` claim and of those inside it, the present actor first.
pub(super) fn act_chain(claim: ActClaim) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = Some(Box::new(claim));
    while let Some(claim) = next {
        chain.extend(claim.sub);
        next = claim.act;
    }
    chain
}

/// Writes who acts into an event. An actor that is the token's own client is a client; of any other
/// `act.sub` nobody says that it is not a person, so it is personal.
pub(super) fn delegate(
    event: &mut Event<'_>,
    naming: &Naming,
    acts: &[String],
    client: Option<&str>,
) {
    if acts.is_empty() {
        return;
    }
    event.delegation = word(Delegation::Delegation);
    for sub in acts {
        if Some(sub.as_str()) == client {
            event.actors.push(client_actor(naming, sub));
        } else {
            event.personal.extend(actor(Some(sub), None));
        }
    }
}

/// A client as actor.
pub(super) fn client_actor(naming: &Naming, client: &str) -> Actor<'static> {
    Actor {
        kind: word(ActorKind::Client),
        issuer: Some(naming.alias().to_owned().into()),
        id: client.to_owned().into(),
    }
}

/// The words of a space-separated list.
pub(super) fn words(list: Option<&str>) -> Vec<String> {
    list.unwrap_or_default().split_ascii_whitespace().map(ToOwned::to_owned).collect()
}

/// A path with every part replaced that could be the id of something.
///
/// A part stays only if it reads as a word of an interface: up to 24 lower-case letters, `-` and
/// `_`, or a version (`v1`). A user name of letters alone would stay; such logs need a route table.
pub(super) fn template(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts = path.split('/').map(|part| {
        let word = part.len() <= 24
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'));
        let digits = part.strip_prefix('v').unwrap_or_default();
        let version = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if word || version { part } else { "{id}" }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A reason code of a log, if it is one; free text is never passed on.
pub(super) fn code(text: &str) -> Option<String> {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    ((1..=64).contains(&text.len()) && text.bytes().all(sound)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_templates() {
        for (path, expected) in [
            ("/orders", "/orders"),
            ("/orders/ord-1018", "/orders/{id}"),
            ("/patients/pat-7/labs", "/patients/{id}/labs"),
            ("/exports/latest?user=x", "/exports/latest"),
            ("/v1/tokens/Abc", "/v1/tokens/{id}"),
            ("/auth/HJyYpNiY1bMagS36bW47QEDmgl90pDSeGVzd-yKTOZv", "/auth/{id}"),
            ("/abcdefghijklmnopqrstuvwxyz", "/{id}"),
            ("/", "/"),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
    }

    #[test]
    fn a_reason_is_a_code_or_nothing() {
        assert_eq!(code("token_expired").as_deref(), Some("token_expired"));
        for text in ["", "User alice is gone", "a-b", &"a".repeat(65)] {
            assert_eq!(code(text), None, "{text}");
        }
    }
}
