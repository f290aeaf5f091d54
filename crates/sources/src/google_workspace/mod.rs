//! Google Workspace: the token audit of the Reports API (`applicationName` `token`).
//!
//! The audit names no token: an authorisation is one of a person for an application. So its acts
//! are on the person, with the application as client.
//!
//! Promises: a withdrawal is REVOKED of the person narrowed to the application; it never ends the
//! person's other tokens. Activities of other applications are quarantined by kind.

use std::borrow::Cow;

use ledgerline_api::event::Selector;
use ledgerline_proof::vocabulary::{EventType, TokenKind, Vantage};

use crate::pieces::word;
use crate::record::drafts::{facts, of_subject, own, request, subject};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, json, listed,
    nothing_held, row, safe, sealed, shown,
};
use crate::{Choice, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "google-workspace",
    about: "Google Workspace: token audit of the Reports API",
    evidence: Evidence::Documentation,
    detects: |line| line.contains("admin#reports#activit") && line.contains("\"token\""),
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "google-workspace",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &["/items"]),
    kind: |record| Some(Cow::Borrowed(record.safe("/id/applicationName")?)),
    identity: |record| {
        let native_id =
            format!("{}/{}", record.needs("/id/time")?, record.needs("/id/uniqueQualifier")?);
        let at = record.time("/id/time").ok_or(Problem::Malformed("/id/time"))?;
        Ok(Identity { native_id, at })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const IDENTIFIERS: &[Identifier] = &[
    safe("/id/time"),
    safe("/id/uniqueQualifier"),
    safe("/id/applicationName"),
    safe("/events/*/name"),
    safe("/events/*/parameters/*/name"),
    safe("/events/*/parameters/*/value"),
    safe("/events/*/parameters/*/multiValue/*"),
    sealed("/actor/profileId"),
    sealed("/actor/email"),
    sealed("/ipAddress"),
];

const ROWS: &[Row<()>] = &[row(
    &["token"],
    "authorize: ISSUED for the person and the application; revoke: REVOKED of the person, for \
     this application alone; activity and the others: RESOURCE_ACCESSED by it",
    |record, (), out| activity(record, out),
)];

fn activity(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let person = record.personal_at(&["/actor/profileId", "/actor/email"]);
    if person.is_none() {
        return Ok(Fate::Skipped);
    }
    for (number, part) in record.each("/events").iter().enumerate() {
        let name = record
            .safe_of(part, "/name", "/events/*/name")
            .ok_or(Problem::Missing("/events/name"))?;
        let under = format!("/events/{number}/parameters");
        let given = |wanted: &str| {
            record.each(&under).iter().position(|one| {
                record.safe_of(one, "/name", "/events/*/parameters/*/name") == Some(wanted)
            })
        };
        let value = |wanted: &str| record.safe(&format!("{under}/{}/value", given(wanted)?));
        let scopes = given("scope").map(|at| record.list(&format!("{under}/{at}/multiValue")));
        let client = value("client_id");
        let kind = match name {
            "authorize" => EventType::Issued,
            "revoke" => EventType::Revoked,
            _ => EventType::ResourceAccessed,
        };
        out.seen_from(match kind {
            EventType::ResourceAccessed => Vantage::Resource,
            _ => Vantage::Issuer,
        });
        if kind == EventType::Revoked && client.is_none() {
            return Err(Problem::Missing("/events/parameters/client_id"));
        }
        let event = out.event(kind, of_subject());
        event.client_id = own(client);
        event.scopes = crate::pieces::texts(scopes.unwrap_or_default());
        event.action = own(value("method_name").or(Some(name)));
        event.service = own(value("api_name").or(Some("google-workspace")));
        facts(event, [("client_type", value("client_type"))]);
        match kind {
            EventType::Issued => event.token_kind = word(TokenKind::Access),
            EventType::Revoked => {
                event.reason = own(Some("user"));
                let client = own(client);
                event.selector = Some(Selector { issued_before: None, client, audience: None });
            }
            _ => {}
        }
    }
    let mut who = subject(person);
    if let (Some(who), Some(email)) = (&mut who, record.personal("/actor/email")) {
        who.attributes.insert("login".into(), email.to_owned().into());
    }
    out.persons([who, request(record.personal("/ipAddress"), None)]);
    Ok(Fate::Mapped)
}
