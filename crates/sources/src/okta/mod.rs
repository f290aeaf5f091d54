//! Okta: system log events, alone, in lists or in the envelope of an event hook.
//!
//! Some exports write the names of members in lower case, so names are compared without case.
//!
//! Promises: a token that an event names in `target` has its event on its own chain, by the id that
//! Okta gives it, which opens nothing; so has an API token that a call was made with
//! (`transaction.detail.requestApiTokenId`). Everything else is on the session, the person or the
//! client that acted. `externalSessionId` is kept as a digest; the URLs of `debugContext` (they
//! hold `state` and `stateToken`) are never read.
//!
//! Assumes: a `target` or `actor` is no person only where its type is one of [`THINGS`].

use std::borrow::Cow;

use ledgerline_api::event::Personal;
use ledgerline_proof::vocabulary::{
    EventType, Outcome, PersonalRole, TargetKind, TokenKind, Vantage,
};
use serde_json_borrow::Value;

use crate::pieces::word;
use crate::record::drafts::{
    accessor, acting, facts, of_policy, of_subject, own, policy_changed, request, subject, wide,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Part, Record, Records, Row, Rule, Table, json,
    listed, nothing_held, shown,
};
use crate::{Choice, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "okta",
    about: "Okta: system log events, also in the envelope of an event hook",
    evidence: Evidence::Recording,
    detects: |line| {
        let line = line.to_ascii_lowercase();
        line.contains("com.okta.event_hook")
            || ["\"eventtype\"", "\"published\"", "\"displaymessage\"", "\"severity\""]
                .iter()
                .filter(|name| line.contains(*name))
                .count()
                >= 3
    },
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "okta",
    version: "1",
    line_bytes_max: 16 << 20,
    read,
    unpack: |value| listed(value, &["/data/events", "/events"]),
    kind: |record| Some(Cow::Borrowed(record.safe("/eventtype")?)),
    identity: |record| {
        let native_id = record.needs("/uuid")?.to_owned();
        record.needs("/published")?;
        let at = record.time("/published").ok_or(Problem::Malformed("/published"))?;
        Ok(Identity { native_id, at })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const fn at(at: &'static str, rule: Rule) -> Identifier {
    Identifier { at, rule }
}

const IDENTIFIERS: &[Identifier] = &[
    at("/eventtype", Rule::Safe),
    at("/uuid", Rule::Safe),
    at("/published", Rule::Safe),
    at("/outcome/result", Rule::Safe),
    at("/outcome/reason", Rule::Drop),
    at("/transaction/id", Rule::Safe),
    at("/transaction/detail/requestapitokenid", Rule::Safe),
    at("/client/id", Rule::Safe),
    at("/actor/type", Rule::Safe),
    at("/actor/id", Rule::Safe),
    at("/target/*/type", Rule::Safe),
    at("/target/*/id", Rule::Safe),
    at("/target/*/detailentry/expires", Rule::Safe),
    at("/debugcontext/debugdata/grantedscopes", Rule::Safe),
    at("/debugcontext/debugdata/granttype", Rule::Safe),
    at("/authenticationcontext/externalsessionid", Rule::Hash),
    at("/actor/personid", Rule::Personal),
    at("/actor/alternateid", Rule::Personal),
    at("/target/*/personid", Rule::Personal),
    at("/client/ipaddress", Rule::Personal),
    at("/client/useragent/rawuseragent", Rule::Personal),
    at("/debugcontext/debugdata/state", Rule::Drop),
    at("/debugcontext/debugdata/url", Rule::Drop),
    at("/debugcontext/debugdata/requesturi", Rule::Drop),
];

/// Types of actors and targets whose ids say nothing of a person.
const THINGS: &[&str] = &[
    "accesstoken",
    "access_token",
    "refreshtoken",
    "refresh_token",
    "idtoken",
    "id_token",
    "code",
    "token",
    "publicclientapp",
    "client",
    "appinstance",
    "authorizationserver",
    "policy",
    "policyentity",
    "policyrule",
    "rule",
    "usergroup",
    "role",
    "resourceset",
    "scope",
    "web",
    "job",
    "authenticatorenrollment",
    "network zone",
    "policy rule",
];

const ROWS: &[Row<()>] = &[
    Row {
        kinds: &["app.oauth2.token.detect_reuse*", "app.oauth2.as.token.detect_reuse*"],
        becomes: "USED with DENY (reuse) of each token that it names; else of the client",
        act: |record, (), out| tokens(record, out, EventType::Used),
    },
    Row {
        kinds: &["app.oauth2.token.grant*", "app.oauth2.as.token.grant*"],
        becomes: "ISSUED of each token that it names (Okta does not say from which; those of one \
                  request share `correlation_id`); a refusal on the client",
        act: |record, (), out| tokens(record, out, EventType::Issued),
    },
    Row {
        kinds: &[
            "app.oauth2.token.revoke*",
            "app.oauth2.as.token.revoke*",
            "system.api_token.revoke",
        ],
        becomes: "REVOKED of each token that it names, with DENY unless it was done",
        act: |record, (), out| tokens(record, out, EventType::Revoked),
    },
    Row {
        kinds: &["system.api_token.create"],
        becomes: "ISSUED of the API token",
        act: |record, (), out| tokens(record, out, EventType::Issued),
    },
    Row {
        kinds: &["user.session.start"],
        becomes: "ISSUED of the session, with the outcome of the sign-in; without a session on \
                  the person",
        act: |record, (), out| session(record, out, EventType::Issued),
    },
    Row {
        kinds: &["user.session.end", "user.session.expire"],
        becomes: "REVOKED of the session (logout); without one of nothing, as an act of the person",
        act: |record, (), out| session(record, out, EventType::Revoked),
    },
    Row {
        kinds: &[
            "policy.lifecycle*",
            "policy.rule*",
            "application.lifecycle*",
            "application.policy*",
            "application.user_membership*",
            "app.oauth2.as.lifecycle*",
            "app.oauth2.client.lifecycle*",
            "app.oauth2.client.privilege*",
            "group.privilege*",
            "group.user_membership*",
            "iam.*",
            "user.account.privilege*",
            "system.api_token.update",
            "zone.*",
        ],
        becomes: "the act of the person, API token or client; POLICY_CHANGED of what it names, \
                  when it was done",
        act: policy,
    },
    Row {
        kinds: &["*"],
        becomes: "RESOURCE_ACCESSED of the API token that the call was made with, else of the \
                  session, the person or the client that acted; skipped when it names none",
        act: |record, (), out| Ok(if act(record, out)? { Fate::Mapped } else { Fate::Skipped }),
    },
];

/// Names that the rows read and that Okta writes with capitals.
const READ: &[&str] = &[
    "eventtype",
    "requestapitokenid",
    "detailentry",
    "debugcontext",
    "debugdata",
    "grantedscopes",
    "granttype",
    "authenticationcontext",
    "externalsessionid",
    "alternateid",
    "ipaddress",
    "useragent",
    "rawuseragent",
    "requesturi",
];

/// The shortest of them.
const READ_BYTES_MIN: usize = shortest(READ);

const fn shortest(names: &[&str]) -> usize {
    let (mut at, mut least) = (0, usize::MAX);
    while at < names.len() {
        if names[at].len() < least {
            least = names[at].len();
        }
        at += 1;
    }
    least
}

/// Members of which nothing is read: most of a record.
const UNREAD: &[&str] = &["request", "geographicalcontext", "securitycontext"];

/// JSON whose member names are in lower case where they are read, with `personid` for the `id` of
/// what may be a person.
fn read(line: &str) -> Result<Value<'_>, Problem> {
    json(line).map(lowered)
}

fn lowered(value: Value<'_>) -> Value<'_> {
    match value {
        Value::Array(each) => Value::Array(each.into_iter().map(lowered).collect()),
        Value::Object(members) => {
            let (mut is_typed, mut is_thing) = (false, false);
            for (_, value) in members.iter().filter(|(name, _)| name.eq_ignore_ascii_case("type")) {
                let is_one = |kind: &str| THINGS.iter().any(|one| kind.eq_ignore_ascii_case(one));
                (is_typed, is_thing) = (true, is_thing || value.as_str().is_some_and(is_one));
            }
            let pairs = members.into_vec().into_iter().map(|(name, value)| {
                let Cow::Borrowed(name) = name else { return ("(an escaped name)", value) };
                if is_typed && !is_thing && name == "id" {
                    return ("personid", value);
                }
                // Most names are too short to be one of those, and most values have no members.
                let known = (name.len() >= READ_BYTES_MIN)
                    .then(|| READ.iter().find(|known| name.eq_ignore_ascii_case(known)))
                    .flatten();
                let is_read = matches!(value, Value::Object(_) | Value::Array(_))
                    && !UNREAD.iter().any(|one| name.eq_ignore_ascii_case(one));
                (known.copied().unwrap_or(name), if is_read { lowered(value) } else { value })
            });
            Value::Object(pairs.collect())
        }
        other => other,
    }
}

/// The kind of token that a target is, by its type.
fn token_kind(kind: &str) -> Option<TokenKind> {
    Some(match &*kind.to_ascii_lowercase().replace('_', "") {
        "accesstoken" => TokenKind::Access,
        "refreshtoken" => TokenKind::Refresh,
        "idtoken" => TokenKind::Id,
        "code" => TokenKind::AuthCode,
        "token" => TokenKind::ApiKey,
        _ => return None,
    })
}

fn outcome(record: &Record<'_>) -> Outcome {
    match record.safe("/outcome/result").unwrap_or_default() {
        "SUCCESS" | "ALLOW" => Outcome::Allow,
        "FAILURE" | "DENY" | "RATE_LIMIT" => Outcome::Deny,
        "" | "CHALLENGE" | "SKIPPED" | "UNANSWERED" | "ABANDONED" | "UNKNOWN" => Outcome::None,
        _ => Outcome::Error,
    }
}

fn actor_is_person<'v>(record: &Record<'v>) -> Option<&'v str> {
    record.personal_at(&["/actor/personid"])
}

/// The client that acts, where the actor is one, or the one of the request.
fn client<'v>(record: &Record<'v>) -> Option<&'v str> {
    record.safe_at(&["/actor/id", "/client/id"])
}

/// The person that a target is.
fn person_of<'v>(record: &Record<'v>, targets: &[Part<'v>]) -> Option<&'v str> {
    targets.iter().find_map(|one| record.personal_of(one, "/personid", "/target/*/personid"))
}

/// What all events of a record say.
fn common(record: &Record<'_>, out: &mut Drafts<'_>, owner: Option<&str>) {
    let session = record.digested("/authenticationcontext/externalsessionid");
    let client = client(record);
    for event in out.all() {
        event.session_id = session.clone().map(Into::into);
        event.client_id = own(client);
        event.correlation_id = own(record.safe("/transaction/id"));
        if event.action.is_none() {
            event.action = own(record.safe("/eventtype"));
        }
    }
    let actor = actor_is_person(record);
    let mut subject = subject(owner.or(actor));
    if let (Some(one), Some(name), None) =
        (&mut subject, record.personal("/actor/alternateid"), owner)
    {
        one.attributes.insert("login".into(), name.to_owned().into());
    }
    let by = acting(actor.filter(|actor| owner.is_some_and(|owner| owner != *actor)));
    let from = request(
        record.personal("/client/ipaddress"),
        record.personal("/client/useragent/rawuseragent"),
    );
    out.persons([subject, by, from]);
}

/// The act itself, on what it names best.
fn act(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<bool, Problem> {
    Ok(act_on(record, out)? && {
        common(record, out, None);
        true
    })
}

fn act_on(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<bool, Problem> {
    let naming = out.naming();
    let place = "/transaction/detail/requestapitokenid";
    let session = record.digested("/authenticationcontext/externalsessionid");
    out.seen_from(Vantage::Resource);
    let event = if let Some(id) = record.safe(place) {
        let id = accessor(naming, id, place)?;
        let event = out.token(EventType::ResourceAccessed, id);
        event.token_kind = word(TokenKind::ApiKey);
        event
    } else if let Some(id) = session {
        let target = wide(naming, TargetKind::Session, &id, "externalSessionId")?;
        out.event(EventType::ResourceAccessed, target)
    } else if actor_is_person(record).is_some() {
        out.event(EventType::ResourceAccessed, of_subject())
    } else if let Some(id) = client(record) {
        let target = wide(naming, TargetKind::Client, id, "/actor/id")?;
        out.event(EventType::ResourceAccessed, target)
    } else {
        return Ok(false);
    };
    event.outcome = word(outcome(record));
    event.service = own(Some("okta"));
    event.endpoint = own(record.safe("/eventtype"));
    out.seen_from(Vantage::Issuer);
    Ok(true)
}

/// The outcome of what begins or ends a life: it happened or it did not, so whatever is no success
/// (UNKNOWN, SKIPPED, ABANDONED, nothing) is a refusal.
fn decided(record: &Record<'_>) -> Outcome {
    match outcome(record) {
        Outcome::None => Outcome::Deny,
        said => said,
    }
}

/// The same act upon each token of the record.
fn tokens(record: &Record<'_>, out: &mut Drafts<'_>, kind: EventType) -> Result<Fate, Problem> {
    let targets = record.each("/target");
    let owner = person_of(record, &targets);
    let said = if kind == EventType::Used { Outcome::Deny } else { decided(record) };
    let scopes = record.safe("/debugcontext/debugdata/grantedscopes");
    for part in &targets {
        let named = record
            .safe_of(part, "/type", "/target/*/type")
            .and_then(token_kind)
            .zip(record.safe_of(part, "/id", "/target/*/id"));
        let Some((sort, id)) = named else { continue };
        let ends = record.safe_of(part, "/detailentry/expires", "/target/*/detailentry/expires");
        let id = accessor(out.naming(), id, "/target/id")?;
        let event = out.token(kind, id);
        event.token_kind = word(sort);
        event.outcome = word(said);
        event.expires_at = ends.and_then(crate::record::time).map(|at| at.rfc3339().into());
        event.reason = own(match kind {
            EventType::Used => Some("reuse"),
            EventType::Revoked => Some("issuer"),
            _ => None,
        });
        if kind == EventType::Issued {
            let each = scopes.unwrap_or_default().split([',', ' ']).filter(|one| !one.is_empty());
            event.scopes = each.map(|one| one.to_owned().into()).collect();
            facts(event, [("grant_type", record.safe("/debugcontext/debugdata/granttype"))]);
        }
    }
    if out.all().is_empty() {
        if said == Outcome::Allow || client(record).is_none() {
            return Err(Problem::Missing("/target"));
        }
        let id = client(record).unwrap_or_default();
        let target = wide(out.naming(), TargetKind::Client, id, "/actor/id")?;
        out.event(kind, target).outcome = word(said);
    }
    common(record, out, owner);
    Ok(Fate::Mapped)
}

fn session(record: &Record<'_>, out: &mut Drafts<'_>, kind: EventType) -> Result<Fate, Problem> {
    let Some(id) = record.digested("/authenticationcontext/externalsessionid") else {
        return Ok(if act(record, out)? { Fate::Mapped } else { Fate::Skipped });
    };
    let said = decided(record);
    let target = wide(out.naming(), TargetKind::Session, &id, "externalSessionId")?;
    let event = out.event(kind, target);
    event.token_kind = word(TokenKind::Session);
    event.outcome = word(said);
    event.reason = own((kind == EventType::Revoked).then_some("logout"));
    common(record, out, None);
    Ok(Fate::Mapped)
}

fn policy(record: &Record<'_>, (): &mut (), out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let is_known = act_on(record, out)?;
    let targets = record.each("/target");
    let owner = person_of(record, &targets);
    if outcome(record) == Outcome::Allow {
        let named = targets.iter().find_map(|one| {
            let kind = record.safe_of(one, "/type", "/target/*/type")?;
            let id = record.safe_of(one, "/id", "/target/*/id")?;
            Some(format!("{}/{id}", kind.to_ascii_lowercase()))
        });
        let kind = record.needs("/eventtype")?;
        let id =
            named.unwrap_or_else(|| kind.rsplit_once('.').map_or(kind, |one| one.0).to_owned());
        let (at, version) = (out.at(), out.native_id().to_owned());
        let event = out.event(EventType::PolicyChanged, of_policy(&id));
        event.outcome = word(Outcome::None);
        policy_changed(event, &id, &version, at);
    } else if !is_known {
        return Ok(Fate::Skipped);
    }
    common(record, out, None);
    let whose = owner.filter(|owner| Some(*owner) != actor_is_person(record));
    let whose =
        whose.map(|one| Personal { user_id: own(Some(one)), ..Personal::of(PersonalRole::Owner) });
    out.persons([whose]);
    Ok(Fate::Mapped)
}
