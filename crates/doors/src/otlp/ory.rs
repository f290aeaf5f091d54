//! Span events of Ory Hydra and Ory Kratos.
//!
//! ```text
//! OAuth2AccessTokenIssued OAuth2RefreshTokenIssued OIDCIdentityTokenIssued
//! OAuth2TokenExchangeError OAuth2ConsentAccepted OAuth2ConsentRejected
//! OAuth2ClientCreated OAuth2ClientUpdated OAuth2ClientDeleted   ADMIN_ACT about the client
//! OAuth2ConsentRevoked        REVOKED of the person, narrowed to the client
//! OAuth2AccessTokenRevoked OAuth2AccessTokenInspected           no_token: they name none
//! SessionIssued SessionChecked SessionChanged SessionLifespanExtended SessionRevoked
//! SessionTokenizedAsJWT       ISSUED, USED, USED, REFRESHED, REVOKED, ADMIN_ACT of the session
//! ```
//!
//! Why no ISSUED of Hydra: its events name client, subject and grant type, never the token. What is
//! recorded says that a token was issued to the client, and is no life of a token.
//!
//! The issuer is `token.issuer` or `service.name`: an alias of the register.

use ledgerline_api::event::{Detail, Event, Mfa, Personal, Selector, Target};
use ledgerline_api::time_text;
use ledgerline_api::values::Timestamp;
use ledgerline_ledger::intake::EventError;
use ledgerline_proof::vocabulary::{EventType, Outcome, PersonalRole, TargetKind};
use ledgerline_sources::Naming;

use super::convention::base;
use super::{Happened, Named};

/// What an event of Ory is about.
enum About {
    Client,
    Consent,
    Session(EventType),
    Nothing,
}

fn about(name: &str) -> Option<About> {
    Some(match name {
        "OAuth2AccessTokenIssued"
        | "OAuth2RefreshTokenIssued"
        | "OIDCIdentityTokenIssued"
        | "OAuth2TokenExchangeError"
        | "OAuth2ConsentAccepted"
        | "OAuth2ConsentRejected"
        | "OAuth2ClientCreated"
        | "OAuth2ClientUpdated"
        | "OAuth2ClientDeleted" => About::Client,
        "OAuth2ConsentRevoked" => About::Consent,
        "OAuth2AccessTokenRevoked" | "OAuth2AccessTokenInspected" => About::Nothing,
        "SessionIssued" => About::Session(EventType::Issued),
        "SessionChecked" | "SessionChanged" => About::Session(EventType::Used),
        "SessionLifespanExtended" => About::Session(EventType::Refreshed),
        "SessionRevoked" => About::Session(EventType::Revoked),
        "SessionTokenizedAsJWT" => About::Session(EventType::AdminAct),
        _ => return None,
    })
}

fn no_token(detail: &str) -> EventError {
    EventError::new("no_token", detail.to_owned())
}

/// The event that something of Ory's is; `None` for what is none of theirs.
pub(crate) fn event(
    happened: &Happened<'_>,
    named: Named<'_>,
) -> Option<Result<Event<'static>, EventError>> {
    let about = about(happened.name)?;
    Some(made(happened, &about, named))
}

fn made(
    happened: &Happened<'_>,
    about: &About,
    named: Named<'_>,
) -> Result<Event<'static>, EventError> {
    if matches!(about, About::Nothing) {
        return Err(no_token(
            "the event names neither a token nor a client: it is recorded nowhere",
        ));
    }
    let alias = happened.text("token.issuer").or_else(|| happened.text("service.name"));
    let naming = alias.and_then(named).ok_or_else(|| {
        no_token("token.issuer or service.name is no alias of an issuer in the register")
    })?;
    let mut event = base(happened)?;
    event.issuer = Some(naming.alias().to_owned().into());
    match about {
        About::Session(event_type) => session(&mut event, happened, *event_type, &naming)?,
        About::Consent => consent(&mut event, happened)?,
        About::Client | About::Nothing => client(&mut event, happened, &naming)?,
    }
    Ok(event)
}

fn target(kind: TargetKind, id: String) -> Option<Target<'static>> {
    Some(Target { kind: kind.symbol().into(), id: id.into() })
}

fn person(happened: &Happened<'_>, name: &str) -> Option<Personal<'static>> {
    let user_id = happened.text(name)?.to_owned();
    Some(Personal { user_id: Some(user_id.into()), ..Personal::of(PersonalRole::Subject) })
}

fn session(
    event: &mut Event<'static>,
    happened: &Happened<'_>,
    event_type: EventType,
    naming: &Naming,
) -> Result<(), EventError> {
    let id = happened.text("SessionID").ok_or_else(|| no_token("SessionID is missing"))?;
    let whole = naming.wide(id).ok_or_else(|| no_token("SessionID is malformed"))?;
    event.target = target(TargetKind::Session, whole);
    event.session_id = Some(id.to_owned().into());
    event.event_type = Some(event_type.symbol().into());
    if event_type == EventType::AdminAct {
        event.action = Some(happened.name.to_owned().into());
    }
    if event_type == EventType::Revoked {
        event.reason = Some("issuer".into());
    }
    event.expires_at = happened.text("SessionExpiresAt").and_then(go_time).map(Timestamp::At);
    let acr = happened.text("SessionAAL").map(|acr| acr.to_owned().into());
    event.mfa = acr.map(|acr| Mfa { methods: Vec::new(), acr: Some(acr), completed_at: None });
    event.personal = person(happened, "IdentityID").into_iter().collect();
    Ok(())
}

/// A time as Go's `time.String` writes it: `2026-01-02 03:04:05.5 +0000 UTC`.
fn go_time(text: &str) -> Option<i64> {
    let mut parts = text.split(' ');
    let (date, time, offset) = (parts.next()?, parts.next()?, parts.next()?);
    let (hours, minutes) = offset.split_at_checked(3)?;
    time_text::parse(&format!("{date}T{time}{hours}:{minutes}"))
}

fn consent(event: &mut Event<'static>, happened: &Happened<'_>) -> Result<(), EventError> {
    let subject = person(happened, "OAuth2Subject");
    let subject = subject.ok_or_else(|| no_token("OAuth2Subject is missing"))?;
    event.event_type = Some(EventType::Revoked.symbol().into());
    event.target = target(TargetKind::Subject, String::new());
    event.reason = Some("user".into());
    event.selector = Some(Selector {
        issued_before: event.occurred_at.clone(),
        client: happened.text("OAuth2ClientID").map(|id| id.to_owned().into()),
        audience: None,
    });
    event.personal = vec![subject];
    Ok(())
}

fn client(
    event: &mut Event<'static>,
    happened: &Happened<'_>,
    naming: &Naming,
) -> Result<(), EventError> {
    let id =
        happened.text("OAuth2ClientID").ok_or_else(|| no_token("OAuth2ClientID is missing"))?;
    let whole = naming.wide(id).ok_or_else(|| no_token("OAuth2ClientID is malformed"))?;
    event.event_type = Some(EventType::AdminAct.symbol().into());
    event.target = target(TargetKind::Client, whole);
    event.client_id = Some(id.to_owned().into());
    event.action = Some(happened.name.to_owned().into());
    if happened.name == "OAuth2TokenExchangeError" {
        event.outcome = Some(Outcome::Error.symbol().into());
    }
    event.grant_id = happened.text("OAuth2ConsentRequestID").map(|id| id.to_owned().into());
    for (name, key) in [("OAuth2GrantType", "grant_type"), ("OAuth2TokenFormat", "token_format")] {
        if let Some(value) = happened.text(name) {
            event.detail.push(Detail { key: key.into(), value: value.to_owned().into() });
        }
    }
    event.personal = person(happened, "OAuth2Subject").into_iter().collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_go_are_read() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(go_time(text), expected.and_then(time_text::parse), "{text}");
        };
        check("2026-01-02 03:04:05.5 +0000 UTC", Some("2026-01-02T03:04:05.5Z"));
        check("2026-01-02 03:04:05 +0100 CET m=+1.2", Some("2026-01-02T03:04:05+01:00"));
        check("2026-01-02", None);
        check("soon", None);
    }
}
