//! Auth0: tenant logs, as log streams send them (`{"log_id":…,"data":{…}}`) or as the API gives
//! them.
//!
//! ```text
//! access token    …:jti:<access_token_jti>            the jti of a JWT opens nothing
//! refresh token   …:acc:<familyId>.<tokenCounter>     of a rotating family
//! ```
//!
//! Promises: an exchange names both ends of its edge (ASSERTED). That a member of a family was
//! replaced is INFERRED of the next counter that is presented, and marked with why; a token that is
//! presented again (`ferrt`) is named exactly. Codes, queries and bodies of requests are never
//! read.

use std::borrow::Cow;

use ledgerline_api::event::Target;
use ledgerline_proof::vocabulary::{
    Delegation, EventType, Outcome, Relation, Strength, TargetKind, TokenKind, Vantage,
};
use serde_json_borrow::Value;

use crate::pieces::{texts, word};
use crate::record::drafts::{
    accessor, asserted, facts, jti, link, of_policy, of_subject, own, policy_changed, request,
    subject, wide,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Rule, Table, find, json,
    listed, nothing_held, shown,
};
use crate::{Choice, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "auth0",
    about: "Auth0: tenant logs of log streams or of the API",
    evidence: Evidence::Recording,
    detects: |line| {
        line.contains("\"client_id\"")
            && line.contains("\"type\"")
            && line.contains("\"date\"")
            && (line.contains("\"log_id\"") || line.contains("\"description\""))
    },
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "auth0",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack,
    kind: |record| Some(Cow::Borrowed(record.safe("/type")?)),
    identity: |record| {
        let id = record.safe_at(&["/log_id", "/_id"]).ok_or(Problem::Missing("/log_id"))?;
        record.needs("/date")?;
        let at = record.time("/date").ok_or(Problem::Malformed("/date"))?;
        Ok(Identity { native_id: id.to_owned(), at })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const fn at(at: &'static str, rule: Rule) -> Identifier {
    Identifier { at, rule }
}

const JTI: &str = "/details/access_token_jti";
const API_JTI: &str = "/details/request/auth/credentials/jti";
const FAMILY: &str = "/details/familyId";
const SESSION: &str = "/details/session_id";

const IDENTIFIERS: &[Identifier] = &[
    at("/type", Rule::Safe),
    at("/log_id", Rule::Safe),
    at("/_id", Rule::Safe),
    at("/date", Rule::Safe),
    at("/client_id", Rule::Safe),
    at("/audience", Rule::Safe),
    at("/scope", Rule::Safe),
    at("/scope/*", Rule::Safe),
    at(JTI, Rule::Safe),
    at(API_JTI, Rule::Safe),
    at(FAMILY, Rule::Safe),
    at("/details/tokenCounter", Rule::Safe),
    at("/details/latestCounter", Rule::Safe),
    at("/details/grant_id", Rule::Safe),
    at("/details/actor/act/sub", Rule::Drop),
    at("/details/request/method", Rule::Safe),
    at("/details/response/statusCode", Rule::Safe),
    at(SESSION, Rule::Hash),
    at("/details/refresh_token/session_id", Rule::Hash),
    at("/user_id", Rule::Personal),
    at("/user_name", Rule::Personal),
    at("/ip", Rule::Personal),
    at("/user_agent", Rule::Personal),
    at("/details/request/path", Rule::Personal),
    at("/details/request/auth/user/user_id", Rule::Personal),
    at("/details/code", Rule::Drop),
    at("/details/qs", Rule::Drop),
    at("/details/body", Rule::Drop),
    at("/details/request/body", Rule::Drop),
    at("/details/response/body", Rule::Drop),
];

const ROWS: &[Row<()>] = &[
    Row {
        kinds: &[
            "seacft",
            "seccft",
            "sepft",
            "sede",
            "secte",
            "seotpft",
            "seoobft",
            "sepotpft",
            "sercft",
            "ciba_exchange_succeeded",
            "jwt_bearer_exchange_succeeded",
            "idjag_exchange_succeeded",
            "success_on_behalf_of_token_exchange",
        ],
        becomes: "ISSUED of the access token by its jti; of older records, which name none, on \
                  the session, the person or the client",
        act: |record, (), out| issued(record, out),
    },
    Row {
        kinds: &["sertft"],
        becomes: "REFRESHED of the family's refresh token with this counter and ISSUED of the \
                  access token, REFRESHED_FROM it (ASSERTED); ROTATED of the counter before, \
                  ROTATED_TO this one (INFERRED)",
        act: |record, (), out| refreshed(record, out),
    },
    Row {
        kinds: &["ferrt"],
        becomes: "USED with DENY (reuse) of the refresh token with this counter; REVOKED of the \
                  latest of its family, CAUSED_BY the first (INFERRED)",
        act: |record, (), out| reused(record, out),
    },
    Row {
        kinds: &["srrt"],
        becomes: "REVOKED of the refresh token or the grant that it names; else an act of the \
                  person",
        act: |record, (), out| revoked(record, out),
    },
    Row {
        kinds: &["slo", "oidc_backchannel_logout_succeeded"],
        becomes: "REVOKED of the session (logout); without one an act of the person",
        act: |record, (), out| session(record, out, EventType::Revoked),
    },
    Row {
        kinds: &["s"],
        becomes: "ISSUED of the session; without one an act of the person",
        act: |record, (), out| session(record, out, EventType::Issued),
    },
    Row {
        kinds: &["sapi", "mgmt_api_read", "fapi"],
        becomes: "RESOURCE_ACCESSED of the management token by its jti (else of the person); \
                  POLICY_CHANGED beside it where rights or rules were changed",
        act: |record, (), out| management(record, out),
    },
    Row {
        kinds: &[
            "fe*",
            "ciba_exchange_failed",
            "jwt_bearer_exchange_failed",
            "idjag_exchange_failed",
            "failed_on_behalf_of_token_exchange",
        ],
        becomes: "ISSUED with DENY on the session, the person or the client",
        act: |record, (), out| {
            let is_there = on_whom(record, out, EventType::Issued, Outcome::Deny)?;
            close(record, out, is_there)
        },
    },
    Row {
        kinds: &[
            "f*",
            "limit_*",
            "pwd_leak",
            "signup_pwd_leak",
            "gd_auth_failed",
            "gd_auth_rejected",
        ],
        becomes: "RESOURCE_ACCESSED with DENY on the session, the person or the client",
        act: |record, (), out| act(record, out, Outcome::Deny),
    },
    Row {
        kinds: &["*"],
        becomes: "RESOURCE_ACCESSED of the management token, the session, the person or the \
                  client (ALLOW where its type says success, DENY where it says failure, else \
                  NONE); skipped when it names none",
        act: |record, (), out| act(record, out, said_by(record.needs("/type")?)),
    },
];

/// How an act of this type ended, by the words that Auth0 makes its types of. A type that says
/// neither is taken for neither.
fn said_by(kind: &str) -> Outcome {
    let failed = ["_fail", "_limit", "_leak", "_reject", "_exceed", "_denied", "_error"];
    let done = ["_succe", "success_", "_complete"];
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    if has(&failed) || kind.starts_with('f') {
        Outcome::Deny
    } else if has(&done) || kind.starts_with('s') && !kind.contains('_') {
        // Short types of success begin with an `s`, such as `scp` and `ssa`.
        Outcome::Allow
    } else {
        Outcome::None
    }
}

fn unpack<'v>(value: &'v Value<'v>) -> Vec<&'v Value<'v>> {
    let records = listed(value, &["/logs"]);
    records
        .into_iter()
        .map(|one| find(one, "/data").filter(|d| d.is_object()).unwrap_or(one))
        .collect()
}

fn user<'v>(record: &Record<'v>) -> Option<&'v str> {
    record.personal_at(&["/user_id", "/details/request/auth/user/user_id"])
}

fn session_of(record: &Record<'_>) -> Option<String> {
    record.digested(SESSION).or_else(|| record.digested("/details/refresh_token/session_id"))
}

/// What all events of a record say; whether there are any.
fn close(record: &Record<'_>, out: &mut Drafts<'_>, is_there: bool) -> Result<Fate, Problem> {
    if !is_there {
        return Ok(Fate::Skipped);
    }
    let session = session_of(record);
    for event in out.all() {
        event.session_id = session.clone().map(Into::into);
        event.client_id = own(record.safe("/client_id"));
        event.grant_id = own(record.safe("/details/grant_id"));
        event.family_id = own(record.safe(FAMILY));
        facts(event, [("log_type", record.safe("/type"))]);
    }
    let from = request(record.personal("/ip"), record.personal("/user_agent"));
    let mut who = subject(user(record));
    if let (Some(who), Some(name)) = (&mut who, record.personal("/user_name")) {
        who.attributes.insert("login".into(), name.to_owned().into());
    }
    out.persons([who, from]);
    Ok(Fate::Mapped)
}

/// An event on the session, the person or the client.
fn on_whom(
    record: &Record<'_>,
    out: &mut Drafts<'_>,
    kind: EventType,
    said: Outcome,
) -> Result<bool, Problem> {
    let target: Target<'static> = if let Some(id) = session_of(record) {
        wide(out.naming(), TargetKind::Session, &id, SESSION)?
    } else if user(record).is_some() {
        of_subject()
    } else if let Some(id) = record.safe("/client_id") {
        wide(out.naming(), TargetKind::Client, id, "/client_id")?
    } else {
        return Ok(false);
    };
    let event = out.event(kind, target);
    event.outcome = word(said);
    event.action = own(record.safe("/type"));
    Ok(true)
}

fn act(record: &Record<'_>, out: &mut Drafts<'_>, said: Outcome) -> Result<Fate, Problem> {
    out.seen_from(Vantage::Resource);
    let is_there = match record.safe(API_JTI) {
        Some(id) => {
            let id = jti(out.naming(), id, API_JTI)?;
            let event = out.token(EventType::ResourceAccessed, id);
            event.token_kind = word(TokenKind::Access);
            event.outcome = word(said);
            event.action = own(record.safe("/type"));
            true
        }
        None => on_whom(record, out, EventType::ResourceAccessed, said)?,
    };
    for event in out.all() {
        event.service = own(Some("auth0"));
    }
    close(record, out, is_there)
}

fn issued(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let Some(id) = record.safe(JTI) else {
        let is_there = on_whom(record, out, EventType::Issued, Outcome::Allow)?;
        return close(record, out, is_there);
    };
    let id = jti(out.naming(), id, JTI)?;
    access_token(record, out, id);
    close(record, out, true)
}

fn access_token(record: &Record<'_>, out: &mut Drafts<'_>, id: String) {
    let at = out.at().rfc3339();
    let is_delegated = record.has("/details/actor");
    let event = out.token(EventType::Issued, id);
    event.token_kind = word(TokenKind::Access);
    event.issued_at = Some(at.into());
    event.scopes = texts(record.list("/scope"));
    event.audience = texts(record.safe("/audience").map(ToOwned::to_owned));
    if is_delegated {
        event.delegation = word(Delegation::Delegation);
    }
}

/// The refresh token of the record's family with a counter.
fn member(record: &Record<'_>, out: &Drafts<'_>, counter: i64) -> Result<String, Problem> {
    accessor(out.naming(), &format!("{}.{counter}", record.needs(FAMILY)?), FAMILY)
}

fn refresh_token(
    record: &Record<'_>,
    out: &mut Drafts<'_>,
    kind: EventType,
    counter: i64,
) -> Result<(), Problem> {
    let id = member(record, out, counter)?;
    let event = out.token(kind, id);
    event.token_kind = word(TokenKind::Refresh);
    event.generation = Some(counter);
    Ok(())
}

fn refreshed(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let Some(counter) = record.number("/details/tokenCounter").filter(|_| record.has(FAMILY))
    else {
        // A refresh token that does not rotate has no name.
        return issued(record, out);
    };
    let this = member(record, out, counter)?;
    if counter > 0 {
        refresh_token(record, out, EventType::Rotated, counter - 1)?;
        let why = "the next counter of its family was presented";
        let to = link(this.clone(), Relation::RotatedTo, Strength::Inferred, Some(why));
        out.all()[0].links.push(to);
    }
    refresh_token(record, out, EventType::Refreshed, counter)?;
    if let Some(id) = record.safe(JTI) {
        let id = jti(out.naming(), id, JTI)?;
        let last = out.all().len() - 1;
        out.all()[last].links.push(asserted(id.clone(), Relation::Produced));
        access_token(record, out, id);
        out.all()[last + 1].links.push(asserted(this, Relation::RefreshedFrom));
    }
    close(record, out, true)
}

fn reused(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let place = "/details/tokenCounter";
    let counter = record.number(place).ok_or(Problem::Missing(place))?;
    let this = member(record, out, counter)?;
    refresh_token(record, out, EventType::Used, counter)?;
    out.all()[0].outcome = word(Outcome::Deny);
    out.all()[0].reason = own(Some("reuse"));
    if let Some(latest) = record.number("/details/latestCounter") {
        refresh_token(record, out, EventType::Revoked, latest)?;
        let why = "Auth0 ends a family of which a token is presented again";
        let event = &mut out.all()[1];
        event.reason = own(Some("reuse"));
        if latest != counter {
            event.links.push(link(this, Relation::CausedBy, Strength::Inferred, Some(why)));
        }
    }
    close(record, out, true)
}

fn revoked(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let counter = record.number("/details/tokenCounter");
    if let (Some(counter), true) = (counter, record.has(FAMILY)) {
        refresh_token(record, out, EventType::Revoked, counter)?;
    } else if let Some(grant) = record.safe("/details/grant_id") {
        let target = wide(out.naming(), TargetKind::Grant, grant, "/details/grant_id")?;
        out.event(EventType::Revoked, target);
    } else {
        return act(record, out, Outcome::Allow);
    }
    out.all()[0].reason = own(Some("api"));
    close(record, out, true)
}

fn session(record: &Record<'_>, out: &mut Drafts<'_>, kind: EventType) -> Result<Fate, Problem> {
    if session_of(record).is_none() {
        return act(record, out, Outcome::Allow);
    }
    on_whom(record, out, kind, Outcome::Allow)?;
    for event in out.all() {
        event.token_kind = word(TokenKind::Session);
        event.reason = own((kind == EventType::Revoked).then_some("logout"));
    }
    close(record, out, true)
}

/// Collections of the management API, and whether a change in them is one of rights or rules.
const COLLECTIONS: &[(&str, bool)] = &[
    ("actions", true),
    ("attack-protection", true),
    ("client-grants", true),
    ("clients", true),
    ("connections", true),
    ("grants", true),
    ("guardian", true),
    ("hooks", true),
    ("organizations", true),
    ("resource-servers", true),
    ("risk-assessment", true),
    ("roles", true),
    ("rules", true),
    ("tenants", true),
    ("custom-domains", true),
    ("device-credentials", false),
    ("integrations", false),
    ("jobs", false),
    ("keys", true),
    ("log-streams", true),
    ("logs", false),
    ("sessions", false),
    ("refresh-tokens", false),
    ("stats", false),
    ("tickets", false),
    ("user-blocks", false),
    ("users", false),
    ("users-by-email", false),
];

fn management(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let status = record.number("/details/response/statusCode");
    let is_failed = record.safe("/type") == Some("fapi");
    let said = match status {
        Some(401 | 403 | 429) => Outcome::Deny,
        Some(400..) => Outcome::Error,
        _ if is_failed => Outcome::Error,
        _ => Outcome::Allow,
    };
    let path = record.personal("/details/request/path").unwrap_or_default();
    let under = path.trim_start_matches("/api").trim_start_matches("/v2").trim_start_matches('/');
    let name = under.split('/').next().unwrap_or_default();
    let collection = COLLECTIONS.iter().find(|one| one.0 == name);
    let method = record.safe("/details/request/method");
    if !matches!(act(record, out, said)?, Fate::Mapped) {
        return Ok(Fate::Skipped);
    }
    let event = &mut out.all()[0];
    event.action = own(method);
    event.status = status.and_then(|code| code.try_into().ok());
    event.endpoint = collection.map(|one| format!("/api/v2/{}", one.0).into());
    if let Some(from) = event.personal.iter_mut().find(|one| one.role == "REQUEST") {
        from.resource = own((!path.is_empty()).then_some(path));
    }
    let is_change = method.is_some_and(|method| !method.eq_ignore_ascii_case("get"));
    let Some((name, true)) = collection.filter(|_| is_change && said == Outcome::Allow) else {
        return Ok(Fate::Mapped);
    };
    let persons = out.all()[0].personal.clone();
    let (at, version, id) = (out.at(), out.native_id().to_owned(), format!("auth0/{name}"));
    let event = out.event(EventType::PolicyChanged, of_policy(&id));
    event.outcome = word(Outcome::None);
    event.action = own(method);
    policy_changed(event, &id, &version, at);
    event.personal = persons;
    Ok(Fate::Mapped)
}
