//! Teleport: audit events, as its log file or its event handler has them.
//!
//! Promises: a certificate is named by the event that made it (`…:acc:cert:<uid>`), since the event
//! has no serial number. That a session was opened with the person's latest certificate is
//! INFERRED, and marked with why.
//!
//! Assumes: `user` and logins are persons; host names and addresses of a session are never read.

use std::borrow::Cow;

use ledgerline_proof::vocabulary::{
    EventType, Outcome, Relation, Strength, TargetKind, TokenKind, Vantage,
};

use crate::memory::Remembered;
use crate::pieces::{texts, word};
use crate::record::drafts::{
    Presenter, accessor, facts, link, of_policy, own, policy_changed, request, subject, wide,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, json,
    listed, nothing_held, row, safe, sealed, shown,
};
use crate::{Choice, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "teleport",
    about: "Teleport: audit events",
    evidence: Evidence::Recording,
    detects: |line| {
        ["\"event\"", "\"uid\"", "\"code\"", "\"ei\""].iter().all(|one| line.contains(one))
    },
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<Latest> = Table {
    name: "teleport",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &[]),
    kind: |record| Some(Cow::Borrowed(record.safe("/event").filter(|_| record.has("/uid"))?)),
    identity: |record| {
        let native_id = record.needs("/uid")?.to_owned();
        let at = record.time("/time").ok_or(Problem::Malformed("/time"))?;
        Ok(Identity { native_id, at })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

/// Most persons whose latest certificate is remembered.
const PERSONS_MAX: usize = 100_000;

/// The latest certificate of each person.
struct Latest(Remembered<String>);

impl Default for Latest {
    fn default() -> Self {
        Self(Remembered::new(PERSONS_MAX))
    }
}

const IDENTIFIERS: &[Identifier] = &[
    safe("/event"),
    safe("/uid"),
    safe("/code"),
    safe("/time"),
    safe("/sid"),
    safe("/cert_type"),
    safe("/cluster_name"),
    safe("/identity/expires"),
    safe("/identity/roles/*"),
    safe("/method"),
    safe("/proto"),
    safe("/success"),
    sealed("/user"),
    sealed("/identity/user"),
    sealed("/identity/impersonator"),
    sealed("/addr.remote"),
    sealed("/user_agent"),
    dropped("/identity/logins"),
    dropped("/identity/traits"),
    dropped("/login"),
    dropped("/name"),
];

const ROWS: &[Row<Latest>] = &[
    row(&["cert.create"], "ISSUED of the certificate, which the event's id names", certificate),
    row(
        &[
            "session.start",
            "session.end",
            "app.session.start",
            "app.session.end",
            "db.session.start",
            "db.session.end",
            "windows.desktop.session.start",
            "windows.desktop.session.end",
        ],
        "ISSUED of the session, CAUSED_BY the person's latest certificate (INFERRED); REVOKED \
         (logout) of it at its end; one that failed is USED of the session with DENY or ERROR",
        session,
    ),
    row(
        &[
            "role.*",
            "lock.*",
            "user.create",
            "user.update",
            "user.delete",
            "saml.*",
            "oidc.*",
            "github.*",
            "trusted_cluster.*",
            "join_token.*",
            "access_request.*",
            "access_list.*",
            "bot.*",
            "cert.generation_mismatch",
        ],
        "POLICY_CHANGED of what the event is about, when it was done",
        |record, _, out| {
            let kind = record.needs("/event")?;
            if record.has("/success") && !record.is_true("/success") {
                return used(record, out);
            }
            let what = kind.rsplit_once('.').map_or(kind, |one| one.0);
            let id = format!("teleport/{what}");
            let (at, version) = (out.at(), out.native_id().to_owned());
            let event = out.event(EventType::PolicyChanged, of_policy(&id));
            event.outcome = word(Outcome::None);
            policy_changed(event, &id, &version, at);
            Ok(close(record, out))
        },
    ),
    row(
        &["*"],
        "USED of the session, else of the person (DENY when `success` is false or the code ends \
         in W, ERROR when it ends in E); skipped when it names neither",
        |record, _, out| used(record, out),
    ),
];

/// How the event ended where it did not succeed. The last letter of a code is its severity: `I`,
/// `W` (a refusal) or `E`.
fn failure(record: &Record<'_>) -> Option<Outcome> {
    if record.has("/success") && !record.is_true("/success") {
        return Some(Outcome::Deny);
    }
    match record.safe("/code")?.as_bytes().last()? {
        b'W' => Some(Outcome::Deny),
        b'E' => Some(Outcome::Error),
        _ => None,
    }
}

/// The act on the session, else the person; it changes nothing of either's life.
fn used(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let (session, person) = (record.safe("/sid"), user(record));
    let by = Presenter { session, person, ..Default::default() };
    let Some(target) = by.target(out.naming())? else { return Ok(Fate::Skipped) };
    out.seen_from(Vantage::Gateway);
    let event = out.event(EventType::Used, target);
    event.outcome = word(failure(record).unwrap_or(Outcome::Allow));
    Ok(close(record, out))
}

fn user<'v>(record: &Record<'v>) -> Option<&'v str> {
    record.personal_at(&["/user", "/identity/user"])
}

fn certificate(
    record: &Record<'_>,
    latest: &mut Latest,
    out: &mut Drafts<'_>,
) -> Result<Fate, Problem> {
    if failure(record).is_some() {
        return used(record, out);
    }
    let id = accessor(out.naming(), &format!("cert:{}", out.native_id()), "/uid")?;
    let at = out.at().rfc3339();
    let ends = record.time("/identity/expires");
    let event = out.token(EventType::Issued, id.clone());
    event.token_kind = word(TokenKind::Certificate);
    event.issued_at = Some(at.into());
    event.expires_at = ends.map(|at| at.rfc3339().into());
    event.scopes = texts(record.list("/identity/roles"));
    facts(event, [("cert_type", record.safe("/cert_type"))]);
    if let Some(user) = user(record) {
        latest.0.insert(user, id);
    }
    Ok(close(record, out))
}

fn session(
    record: &Record<'_>,
    latest: &mut Latest,
    out: &mut Drafts<'_>,
) -> Result<Fate, Problem> {
    if failure(record).is_some() {
        return used(record, out);
    }
    let target = wide(out.naming(), TargetKind::Session, record.needs("/sid")?, "/sid")?;
    let is_end = record.needs("/event")?.ends_with(".end");
    out.seen_from(Vantage::Gateway);
    let event = out.event(if is_end { EventType::Revoked } else { EventType::Issued }, target);
    event.token_kind = word(TokenKind::Session);
    event.reason = own(is_end.then_some("logout"));
    let certificate = user(record).and_then(|user| latest.0.get(user)).filter(|_| !is_end);
    let why = Some("the latest certificate of the person");
    let cause = |id: &String| link(id.clone(), Relation::CausedBy, Strength::Inferred, why);
    event.links.extend(certificate.map(cause));
    Ok(close(record, out))
}

fn close(record: &Record<'_>, out: &mut Drafts<'_>) -> Fate {
    for event in out.all() {
        event.session_id = own(record.safe("/sid"));
        event.service = own(record.safe("/cluster_name"));
        event.action = own(record.safe("/event"));
        facts(
            event,
            [
                ("event_code", record.safe("/code")),
                ("login_method", record.safe("/method")),
                ("protocol", record.safe("/proto")),
            ],
        );
    }
    let mut who = subject(user(record));
    if let (Some(who), Some(by)) = (&mut who, record.personal("/identity/impersonator")) {
        who.attributes.insert("impersonated_by".into(), by.to_owned().into());
    }
    out.persons([who, request(record.personal("/addr.remote"), record.personal("/user_agent"))]);
    Fate::Mapped
}
