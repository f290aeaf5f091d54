//! Microsoft Entra ID: sign-in logs of Microsoft Graph (`signIn`) or of a diagnostic setting.
//!
//! `uniqueTokenIdentifier` is the claim `uti` of the token that the sign-in gave, and opens
//! nothing: it is the id of the token (`…:jti:<uti>`).
//!
//! Promises: a sign-in that gave a token is its ISSUED; one that failed is a DENY on the person or
//! the application. The log does not name the token that was presented, so there are no edges:
//! sign-ins of one session share its digest.

use std::borrow::Cow;

use ledgerline_api::event::Policy;
use ledgerline_proof::vocabulary::{EventType, Outcome, PolicyRole, TokenKind};
use serde_json_borrow::Value;

use crate::pieces::{texts, word};
use crate::record::drafts::{Presenter, facts, jti, own, policy, request, subject};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, find,
    hashed, json, listed, nothing_held, row, safe, sealed, shown,
};
use crate::{Choice, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "entra",
    about: "Microsoft Entra ID: sign-in logs",
    evidence: Evidence::Documentation,
    detects: |line| line.contains("\"createdDateTime\"") && line.contains("\"appId\""),
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "entra",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: records,
    kind: |record| {
        (record.has("/createdDateTime") && record.has("/appId")).then_some(Cow::Borrowed("signIn"))
    },
    identity: |record| {
        let native_id = record.needs("/id")?.to_owned();
        let at = record.time("/createdDateTime").ok_or(Problem::Malformed("/createdDateTime"))?;
        Ok(Identity { native_id, at })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const IDENTIFIERS: &[Identifier] = &[
    safe("/id"),
    safe("/createdDateTime"),
    safe("/appId"),
    safe("/resourceId"),
    safe("/correlationId"),
    safe("/uniqueTokenIdentifier"),
    safe("/status/errorCode"),
    safe("/incomingTokenType"),
    safe("/conditionalAccessStatus"),
    safe("/clientAppUsed"),
    safe("/authenticationRequirement"),
    safe("/servicePrincipalId"),
    safe("/appliedConditionalAccessPolicies/*/id"),
    safe("/appliedConditionalAccessPolicies/*/result"),
    hashed("/sessionId"),
    sealed("/userId"),
    sealed("/userPrincipalName"),
    sealed("/ipAddress"),
    sealed("/userAgent"),
    sealed("/deviceDetail/deviceId"),
    dropped("/status/failureReason"),
    dropped("/location"),
    dropped("/userDisplayName"),
];

const ROWS: &[Row<()>] = &[row(
    &["signIn"],
    "ISSUED of the token that the sign-in gave (its `uti`), with the policies that took part; \
     without one, and with DENY when it failed, on the session, the person or the application",
    |record, (), out| sign_in(record, out),
)];

fn records<'v>(value: &'v Value<'v>) -> Vec<&'v Value<'v>> {
    let listed = listed(value, &["/value", "/records"]).into_iter();
    listed.map(|one| find(one, "/properties").filter(|p| p.is_object()).unwrap_or(one)).collect()
}

fn sign_in(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    // A record that does not say how it ended is no success.
    let status = "/status/errorCode";
    let error = record.number(status).ok_or(Problem::Missing(status))?;
    let error = (error != 0).then_some(error);
    let place = "/uniqueTokenIdentifier";
    let token = record.safe(place).filter(|_| error.is_none());
    let token = token.map(|id| jti(out.naming(), id, place)).transpose()?;
    let session = record.digested("/sessionId");
    let person = record.personal("/userId").filter(|id| !id.starts_with("00000000-0000"));
    let by =
        Presenter { token, session: session.as_deref(), person, client: record.safe("/appId") };
    let target = by.target(out.naming())?.ok_or(Problem::Missing("/appId"))?;
    let at = out.at().rfc3339();
    let event = out.event(EventType::Issued, target);
    event.outcome = word(if error.is_some() { Outcome::Deny } else { Outcome::Allow });
    event.reason = error.map(|code| format!("AADSTS{code}").into());
    event.token_kind = word(TokenKind::Access);
    event.issued_at = error.is_none().then(|| at.into());
    event.client_id = own(record.safe("/appId"));
    event.session_id = session.map(Into::into);
    event.audience = texts(record.safe("/resourceId").map(ToOwned::to_owned));
    event.correlation_id = own(record.safe("/correlationId"));
    let rule = "/appliedConditionalAccessPolicies/*/";
    let (id, said) = (format!("{rule}id"), format!("{rule}result"));
    let parts = record.each("/appliedConditionalAccessPolicies");
    event.policies = parts
        .iter()
        .filter_map(|part| {
            let effect = match record.safe_of(part, "/result", &said)? {
                "success" => "ALLOW",
                "failure" => "DENY",
                _ => return None,
            };
            let policy = policy(record.safe_of(part, "/id", &id)?, "-", PolicyRole::Mfa);
            Some(Policy { effect: own(Some(effect)), ..policy })
        })
        .collect();
    facts(
        event,
        [
            ("client_app", record.safe("/clientAppUsed")),
            ("conditional_access", record.safe("/conditionalAccessStatus")),
            ("incoming_token_type", record.safe("/incomingTokenType")),
            ("requirement", record.safe("/authenticationRequirement")),
            ("service_principal", record.safe("/servicePrincipalId")),
        ],
    );
    let mut who = subject(person);
    if let (Some(who), Some(name)) = (&mut who, record.personal("/userPrincipalName")) {
        who.attributes.insert("login".into(), name.to_owned().into());
    }
    let mut from = request(record.personal("/ipAddress"), record.personal("/userAgent"));
    if let Some(from) = &mut from {
        from.device = own(record.personal("/deviceDetail/deviceId"));
    }
    event.personal.extend(who.into_iter().chain(from));
    Ok(Fate::Mapped)
}
