//! HashiCorp Vault: audit records, a request and its response with the same `request.id`.
//!
//! Vault names tokens by HMACs of their accessors (`hmac-sha256:…`), which open nothing and are the
//! id of the token (`…:acc:hmac-sha256:…`); the HMAC of the token itself is another id of it. An
//! accessor that was logged raw is kept as a digest; a token that was logged raw (`log_raw`)
//! refuses the record.
//!
//! Promises: a token that a response names under `response.auth` is linked to the one that asked
//! for it (ASSERTED: the record names both). A request whose response never came is an event with
//! ERROR: when the log's own time is [`WAIT_MILLIS`] past it, when it must make
//! room, or when the log ends. Paths are sealed: they can hold names and raw accessors.

use std::borrow::Cow;

use ledgerline_api::event::Adapter as AdapterName;
use ledgerline_proof::vocabulary::{EventType, Outcome, PolicyRole, Relation, TokenKind, Vantage};

use crate::memory::Remembered;
use crate::pieces::word;
use crate::record::drafts::{
    Presenter, accessor, asserted, facts, of_policy, own, policy, policy_changed, request, subject,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, hashed,
    json, listed, row, safe, sealed, shown,
};
use crate::{Act, Choice, Millis, Naming, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "vault",
    about: "HashiCorp Vault: audit records in JSON",
    evidence: Evidence::Documentation,
    detects: |line| {
        line.contains("\"request\"") && line.contains("\"mount_") && line.contains("hmac-sha256:")
    },
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<Held> = Table {
    name: "vault",
    version: "2",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &[]),
    kind: |record| Some(Cow::Borrowed(record.safe("/type").filter(|_| record.has("/request"))?)),
    identity: |record| {
        let native_id = format!("{}/{}", record.needs("/request/id")?, record.needs("/type")?);
        let at = record.time("/time").ok_or(Problem::Malformed("/time"))?;
        Ok(Identity { native_id, at })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: unanswered,
};

/// Most requests that wait for their response.
const HELD_MAX: usize = 10_000;

/// How long a request waits for its response, in milliseconds of the log's own time.
const WAIT_MILLIS: i64 = 5 * 60 * 1000;

/// What an adapter of Vault keeps.
struct Held {
    /// Requests without a response, by their id, with when they were made.
    open: Remembered<(Millis, Vec<Act>)>,
}

impl Held {
    /// Lets go what has waited too long at a time of the log.
    fn release(&mut self, now: Millis, out: &mut Drafts<'_>) {
        let is_over = |held: &(Millis, Vec<Act>)| held.0.plus(WAIT_MILLIS) < now;
        while self.open.oldest().is_some_and(is_over) {
            out.release(self.open.pop_oldest().into_iter().flat_map(|held| held.1));
        }
    }
}

impl Default for Held {
    fn default() -> Self {
        Self { open: Remembered::new(HELD_MAX) }
    }
}

const IDENTIFIERS: &[Identifier] = &[
    safe("/type"),
    safe("/time"),
    safe("/error"),
    safe("/request/id"),
    safe("/request/operation"),
    safe("/request/mount_point"),
    safe("/request/mount_type"),
    safe("/request/mount_class"),
    safe("/request/namespace/path"),
    safe("/auth/token_type"),
    safe("/auth/token_policies/*"),
    safe("/auth/policies/*"),
    safe("/auth/policy_results/granting_policies/*/name"),
    safe("/response/auth/token_type"),
    safe("/response/auth/policies/*"),
    safe("/response/auth/lease_duration"),
    safe("/response/auth/token_ttl"),
    safe("/response/auth/num_uses"),
    hashed("/auth/accessor"),
    hashed("/auth/client_token"),
    hashed("/request/client_token"),
    hashed("/request/client_token_accessor"),
    hashed("/request/data/accessor"),
    hashed("/request/data/token"),
    hashed("/response/auth/accessor"),
    hashed("/response/auth/client_token"),
    hashed("/response/wrap_info/token"),
    sealed("/auth/entity_id"),
    sealed("/auth/display_name"),
    sealed("/response/auth/entity_id"),
    sealed("/response/auth/display_name"),
    sealed("/request/path"),
    sealed("/request/remote_address"),
    dropped("/response/data"),
];

const ROWS: &[Row<Held>] = &[
    row(
        &["response"],
        "RESOURCE_ACCESSED of the token that asked, else of the person (DENY without permission); \
         ISSUED of the token under `response.auth`, MINTED_BY the one that asked (ASSERTED); \
         REVOKED of the token that `auth/token/revoke*` names; POLICY_CHANGED of `sys/policies`",
        response,
    ),
    row(
        &["request"],
        "part of its response; without one RESOURCE_ACCESSED with ERROR",
        |record, held, out| {
            held.release(out.at(), out);
            if !access(record, out, Outcome::Error)? {
                return Ok(Fate::Skipped);
            }
            out.all()[0].reason = own(Some("no_response"));
            let acts = out.take()?;
            let evicted = held.open.insert(record.needs("/request/id")?, (out.at(), acts));
            out.release(evicted.into_iter().flat_map(|held| held.1));
            Ok(Fate::Joined)
        },
    ),
];

fn unanswered(held: &mut Held, _: &Naming, _: AdapterName<'static>) -> Vec<Act> {
    let mut acts = Vec::new();
    while let Some((_, open)) = held.open.pop_oldest() {
        acts.extend(open);
    }
    acts
}

/// The id of the token that an accessor, or a token, stands for.
fn named(record: &Record<'_>, at: &'static str) -> Result<Option<String>, Problem> {
    let Some(text) = record.hashed_by_source(at) else { return Ok(None) };
    if text.starts_with("hmac-sha256:") {
        return accessor(record.naming(), text, at).map(Some);
    }
    if at.ends_with("token") {
        return Err(Problem::Secret(at));
    }
    Ok(Some(record.naming().jti_digest(text)))
}

fn person<'v>(record: &Record<'v>) -> Option<&'v str> {
    record.personal_at(&["/auth/entity_id", "/auth/display_name"])
}

/// The request as an event on the token that made it; whether it names anybody.
fn access(record: &Record<'_>, out: &mut Drafts<'_>, said: Outcome) -> Result<bool, Problem> {
    // Of a login, `auth` is the token that it gave.
    let is_login = record.has("/response/auth");
    let token = match named(record, "/request/client_token_accessor")? {
        None if !is_login => named(record, "/auth/accessor")?,
        asked => asked,
    };
    let other = match named(record, "/request/client_token")? {
        None if !is_login => named(record, "/auth/client_token")?,
        asked => asked,
    };
    let mount = record.safe("/request/mount_point");
    let by = Presenter { token, person: person(record), client: mount, session: None };
    let Some(target) = by.target(out.naming())? else { return Ok(false) };
    out.seen_from(Vantage::Resource);
    let event = out.event(EventType::ResourceAccessed, target);
    event.outcome = word(said);
    if by.token.is_some() {
        event.also_known_as =
            other.filter(|id| Some(id) != by.token.as_ref()).into_iter().map(Into::into).collect();
        event.token_kind = word(TokenKind::ApiKey);
    }
    event.service = own(Some("vault"));
    event.action = own(record.safe("/request/operation"));
    event.resource = mount.map(|mount| format!("{mount}{{path}}").into());
    event.endpoint = own(record.safe("/request/mount_type"));
    event.correlation_id = own(record.safe("/request/id"));
    let rules = record.each("/auth/policy_results/granting_policies");
    let rule = "/auth/policy_results/granting_policies/*/name";
    let rules = rules.iter().filter_map(|one| record.safe_of(one, "/name", rule));
    event.policies = rules.map(|name| policy(name, "-", PolicyRole::Access)).collect();
    facts(
        event,
        [
            ("namespace", record.safe("/request/namespace/path")),
            ("token_type", record.safe("/auth/token_type")),
        ],
    );
    event.personal.extend(subject(person(record)));
    let path = record.personal("/request/path");
    let mut from = request(record.personal("/request/remote_address"), None);
    if let Some(from) = &mut from {
        from.resource = own(path);
    }
    event.personal.extend(from);
    Ok(true)
}

fn response(record: &Record<'_>, held: &mut Held, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let error = record.safe("/error");
    let said = match error {
        None => Outcome::Allow,
        Some(text) if text.contains("permission denied") => Outcome::Deny,
        Some(_) => Outcome::Error,
    };
    // The request waits no longer, whatever is wrong with its response.
    held.open.remove(record.needs("/request/id")?);
    held.release(out.at(), out);
    access(record, out, said)?;
    if said == Outcome::Deny {
        out.all().iter_mut().for_each(|event| event.reason = own(Some("permission_denied")));
    }
    out.seen_from(Vantage::Issuer);
    if said == Outcome::Allow {
        let asked = named(record, "/request/client_token_accessor")?;
        issued(record, out, asked.as_deref())?;
        ended(record, out, asked)?;
        changed(record, out);
    }
    Ok(if out.all().is_empty() { Fate::Skipped } else { Fate::Mapped })
}

fn issued(record: &Record<'_>, out: &mut Drafts<'_>, by: Option<&str>) -> Result<(), Problem> {
    let Some(id) = named(record, "/response/auth/accessor")? else { return Ok(()) };
    let at = out.at();
    let is_renewal = by == Some(&*id);
    let kind = if is_renewal { EventType::Refreshed } else { EventType::Issued };
    let other = named(record, "/response/auth/client_token")?;
    let places = ["/response/auth/token_ttl", "/response/auth/lease_duration"];
    let seconds = places.iter().find_map(|at| record.number(at)).filter(|ttl| *ttl > 0);
    let event = out.token(kind, id);
    event.also_known_as = other.into_iter().map(Into::into).collect();
    event.token_kind = word(TokenKind::ApiKey);
    event.expires_at = seconds.map(|ttl| at.plus(ttl.saturating_mul(1000)).rfc3339().into());
    if !is_renewal {
        event.issued_at = Some(at.rfc3339().into());
        event.links.extend(by.map(|by| asserted(by.to_owned(), Relation::MintedBy)));
    }
    let rules = record.list("/response/auth/policies");
    event.policies = rules.iter().map(|name| policy(name, "-", PolicyRole::Grant)).collect();
    event.correlation_id = own(record.safe("/request/id"));
    facts(event, [("token_type", record.safe("/response/auth/token_type"))]);
    let places = ["/response/auth/entity_id", "/response/auth/display_name"];
    event.personal.extend(subject(record.personal_at(&places)));
    Ok(())
}

fn ended(record: &Record<'_>, out: &mut Drafts<'_>, by: Option<String>) -> Result<(), Problem> {
    let id = match record.personal("/request/path") {
        Some("auth/token/revoke-self") => by.clone(),
        Some("auth/token/revoke-accessor") => named(record, "/request/data/accessor")?,
        Some("auth/token/revoke" | "auth/token/revoke-orphan") => {
            named(record, "/request/data/token")?
        }
        _ => return Ok(()),
    };
    let event = out.token(EventType::Revoked, id.ok_or(Problem::Missing("/request/data"))?);
    event.reason = own(Some("api"));
    event.correlation_id = own(record.safe("/request/id"));
    let target = event.target.as_ref().map(|target| target.id.clone());
    let by = by.filter(|by| target.as_deref() != Some(by));
    event.links.extend(by.map(|by| asserted(by, Relation::CausedBy)));
    Ok(())
}

fn changed(record: &Record<'_>, out: &mut Drafts<'_>) {
    let action = record.safe("/request/operation").unwrap_or_default();
    let path = record.personal("/request/path").unwrap_or_default();
    let rules = ["sys/policies/acl/", "sys/policies/rgp/", "sys/policies/egp/", "sys/policy/"];
    let name = rules.iter().find_map(|start| path.strip_prefix(start));
    let Some(name) = name.filter(|_| ["create", "update", "delete"].contains(&action)) else {
        return;
    };
    let (at, version) = (out.at(), out.native_id().to_owned());
    let event = out.event(EventType::PolicyChanged, of_policy(name));
    event.outcome = word(Outcome::None);
    event.action = own(Some(action));
    policy_changed(event, name, &version, at);
}
