//! Envoy and NGINX: access logs in JSON, of a form that this project ships
//! (docs/reference/adapters.md).
//!
//! Both proxies write the same members: what was called, how it ended, and the claims of the token
//! that the proxy had verified. The token itself is never in the log.
//!
//! Promises: a call with a `jti` is on the token's chain; without one on the person or the client
//! that the claims name; a call without claims is skipped. A line in which anything looks like a
//! token, or which has a member such as `authorization`, is quarantined (`secret_refused`).
//!
//! A caller can choose the request id (`x-request-id`), so an event is named by a digest of more
//! than it: with one id for all its calls it would hide every use but the first.
//!
//! Assumes: the proxy writes claims of tokens alone whose signature it has verified.

use std::borrow::Cow;

use ledgerline_proof::vocabulary::{EventType, Outcome, TokenKind, Vantage};

use crate::pieces::{texts, word};
use crate::record::drafts::{Presenter, facts, jti, own, request, subject};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, json,
    listed, nothing_held, row, safe, sealed, shown,
};
use crate::token_id::line_digest;
use crate::{Choice, Problem};

/// The adapter of Envoy.
pub(crate) const ENVOY: Choice = Choice {
    name: "envoy",
    about: "Envoy: JSON access log of the form in the documents",
    evidence: Evidence::Documentation,
    detects: |line| line.contains("\"proxy\":\"envoy\""),
    rows: || shown(&ENVOY_TABLE),
    identifiers: ENVOY_TABLE.identifiers,
    open: |options| Box::new(Records::new(&ENVOY_TABLE, options)),
};

/// The adapter of NGINX.
pub(crate) const NGINX: Choice = Choice {
    name: "nginx",
    about: "NGINX: JSON access log of the form in the documents",
    evidence: Evidence::Documentation,
    detects: |line| line.contains("\"proxy\":\"nginx\""),
    rows: || shown(&NGINX_TABLE),
    identifiers: NGINX_TABLE.identifiers,
    open: |options| Box::new(Records::new(&NGINX_TABLE, options)),
};

static ENVOY_TABLE: Table<()> = table("envoy");
static NGINX_TABLE: Table<()> = table("nginx");

const fn table(name: &'static str) -> Table<()> {
    Table {
        name,
        version: "2",
        line_bytes_max: 1 << 20,
        read: json,
        unpack: |value| listed(value, &[]),
        kind: |record| record.has("/status").then_some(Cow::Borrowed("access")),
        identity: |record| {
            record.refuse_secrets()?;
            let at = record.time("/time").ok_or(Problem::Malformed("/time"))?;
            Ok(Identity { native_id: native_id(record)?, at })
        },
        identifiers: IDENTIFIERS,
        rows: ROWS,
        finish: nothing_held,
    }
}

const IDENTIFIERS: &[Identifier] = &[
    safe("/proxy"),
    safe("/time"),
    safe("/request_id"),
    safe("/trace_id"),
    safe("/service"),
    safe("/method"),
    safe("/route"),
    safe("/status"),
    safe("/bytes"),
    safe("/jti"),
    safe("/client_id"),
    safe("/scope"),
    safe("/aud"),
    sealed("/sub"),
    sealed("/path"),
    sealed("/client_ip"),
    sealed("/user_agent"),
    dropped("/authorization"),
    dropped("/cookie"),
];

const ROWS: &[Row<()>] = &[row(
    &["access"],
    "RESOURCE_ACCESSED of the token by its jti, else of the person or the client (DENY for 401 and \
     403, ERROR for another status from 400 on); skipped without claims",
    |record, (), out| access(record, out),
)];

/// Names a line by what its proxy says of the call, and nothing of a person.
fn native_id(record: &Record<'_>) -> Result<String, Problem> {
    record.needs("/request_id")?;
    let number = |at| record.number(at).map(|number| number.to_string());
    let (status, bytes) = (number("/status"), number("/bytes"));
    let texts = ["/request_id", "/time", "/method", "/route", "/jti", "/client_id"]
        .map(|at| record.safe(at));
    let parts = texts.into_iter().chain([status.as_deref(), bytes.as_deref()]);
    line_digest(parts.map(Option::unwrap_or_default)).ok_or(Problem::Malformed("/request_id"))
}

/// What NGINX writes for a variable that is not set.
fn said(text: Option<&str>) -> Option<&str> {
    text.filter(|text| *text != "-")
}

fn access(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let token = said(record.safe("/jti")).map(|id| jti(out.naming(), id, "/jti")).transpose()?;
    let (person, client) = (said(record.personal("/sub")), said(record.safe("/client_id")));
    let by = Presenter { token, person, client, session: None };
    let Some(target) = by.target(out.naming())? else { return Ok(Fate::Skipped) };
    let status = record.number("/status").ok_or(Problem::Malformed("/status"))?;
    out.seen_from(Vantage::Gateway);
    let event = out.event(EventType::ResourceAccessed, target);
    event.outcome = word(match status {
        401 | 403 => Outcome::Deny,
        400.. => Outcome::Error,
        _ => Outcome::Allow,
    });
    event.token_kind = by.token.as_ref().and_then(|_| word(TokenKind::Access));
    event.status = status.try_into().ok();
    event.bytes_out = record.number("/bytes");
    event.service = own(said(record.safe("/service")));
    event.endpoint = own(said(record.safe("/route")));
    event.resource = own(said(record.safe("/route")));
    event.action = own(said(record.safe("/method")));
    event.client_id = own(client);
    event.scopes = texts(record.list("/scope").into_iter().filter(|one| one != "-"));
    event.audience = texts(said(record.safe("/aud")).map(ToOwned::to_owned));
    event.trace_id = own(said(record.safe("/trace_id")));
    event.correlation_id = own(record.safe("/request_id"));
    facts(event, [("proxy", record.safe("/proxy"))]);
    let agent = said(record.personal("/user_agent"));
    let mut from = request(said(record.personal("/client_ip")), agent);
    if let Some(from) = &mut from {
        from.resource = own(said(record.personal("/path")));
    }
    event.personal.extend(subject(person).into_iter().chain(from));
    Ok(Fate::Mapped)
}
