//! Kubernetes: audit events of the API server (`audit.k8s.io/v1`), alone or in an `EventList`.
//!
//! ```text
//! user.extra["authentication.kubernetes.io/credential-id"]       JTI=<uuid> ──▶ …:jti:<uuid>
//!                                                    X509SHA256=<hex> ──▶ …:acc:x509-sha256:<hex>
//! annotations["authentication.kubernetes.io/issued-credential-id"]  the token of a TokenRequest
//! ```
//!
//! Promises: an issued token is linked to the credential that asked for it, which the same event
//! names (ASSERTED). The token in a TokenRequest's answer, which the level `RequestResponse` logs,
//! is never read. `RequestReceived` and `ResponseStarted` are skipped: `ResponseComplete` of the
//! same audit id says all of it, with the outcome.
//!
//! Assumes: user names that begin with `system:` or `eks:` are those of programs.

use std::borrow::Cow;

use ledgerline_proof::vocabulary::{EventType, Outcome, Relation, TokenKind, Vantage};

use crate::pieces::{texts, word};
use crate::record::drafts::{
    Presenter, accessor, asserted, facts, jti, of_policy, own, policy_changed, request, subject,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, json,
    listed, nothing_held, row, safe, sealed, shown, skipped,
};
use crate::{Choice, Naming, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "kubernetes",
    about: "Kubernetes: audit events of the API server",
    evidence: Evidence::Recording,
    detects: |line| line.contains("audit.k8s.io/"),
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "kubernetes",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &["/items"]),
    kind: |record| Some(Cow::Borrowed(record.safe("/stage").filter(|_| record.has("/auditID"))?)),
    identity: |record| {
        let native_id = format!("{}/{}", record.needs("/auditID")?, record.needs("/stage")?);
        let at =
            record.time("/stageTimestamp").or_else(|| record.time("/requestReceivedTimestamp"));
        Ok(Identity { native_id, at: at.ok_or(Problem::Malformed("/stageTimestamp"))? })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const PRESENTED: &str = "/user/extra/authentication.kubernetes.io~1credential-id/0";
const ISSUED: &str = "/annotations/authentication.kubernetes.io~1issued-credential-id";
const DECISION: &str = "/annotations/authorization.k8s.io~1decision";

const IDENTIFIERS: &[Identifier] = &[
    safe("/auditID"),
    safe("/stage"),
    safe("/stageTimestamp"),
    safe("/requestReceivedTimestamp"),
    safe("/verb"),
    safe("/objectRef/apiGroup"),
    safe("/objectRef/apiVersion"),
    safe("/objectRef/resource"),
    safe("/objectRef/subresource"),
    safe("/objectRef/namespace"),
    safe("/objectRef/name"),
    safe("/responseStatus/code"),
    safe("/responseStatus/reason"),
    safe("/responseObject/status/expirationTimestamp"),
    safe("/requestObject/spec/audiences/*"),
    safe(PRESENTED),
    safe(ISSUED),
    safe(DECISION),
    sealed("/user/username"),
    sealed("/impersonatedUser/username"),
    sealed("/requestURI"),
    sealed("/sourceIPs/0"),
    sealed("/userAgent"),
    dropped("/responseObject/status/token"),
    dropped("/requestObject/spec/token"),
    dropped("/annotations/authorization.k8s.io~1reason"),
];

const ROWS: &[Row<()>] = &[
    row(
        &["ResponseComplete", "Panic"],
        "RESOURCE_ACCESSED of the credential that was presented, else of the program or the \
         person (DENY when forbidden, ERROR of a panic); ISSUED of the token that a TokenRequest \
         gave, MINTED_BY that credential (ASSERTED); POLICY_CHANGED of a role or binding that was \
         changed",
        |record, (), out| complete(record, out),
    ),
    row(
        &["RequestReceived", "ResponseStarted"],
        "skipped: `ResponseComplete` of the same request says it with its outcome",
        skipped,
    ),
];

/// The id of a credential, and what sort it is.
fn credential(naming: &Naming, id: &str) -> Result<(String, TokenKind), Problem> {
    let field = "credential-id";
    if let Some(id) = id.strip_prefix("JTI=") {
        return Ok((jti(naming, id, field)?, TokenKind::Access));
    }
    if let Some(hex) = id.strip_prefix("X509SHA256=") {
        let id = accessor(naming, &format!("x509-sha256:{hex}"), field)?;
        return Ok((id, TokenKind::Certificate));
    }
    Err(Problem::Malformed(field))
}

/// Names of programs, which say nothing of a person.
fn is_program(name: &str) -> bool {
    ["system:", "eks:"].iter().any(|start| name.starts_with(start))
}

fn complete(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let presented = record.safe(PRESENTED).map(|id| credential(out.naming(), id)).transpose()?;
    let user = record.personal("/user/username");
    let (program, person) = match user {
        Some(name) if is_program(name) => (Some(name), None),
        other => (None, other),
    };
    let token = presented.as_ref().map(|one| one.0.clone());
    let by = Presenter { token, person, client: program, session: None };
    let Some(target) = by.target(out.naming())? else { return Ok(Fate::Skipped) };
    let code = record.number("/responseStatus/code");
    let said = match code {
        Some(401 | 403) => Outcome::Deny,
        _ if record.safe(DECISION) == Some("forbid") => Outcome::Deny,
        // The handler died: whatever the code, nothing says that it was done.
        _ if record.safe("/stage") == Some("Panic") => Outcome::Error,
        Some(..=399) | None => Outcome::Allow,
        Some(_) => Outcome::Error,
    };
    out.seen_from(Vantage::Resource);
    let event = out.event(EventType::ResourceAccessed, target);
    event.outcome = word(said);
    event.token_kind = presented.as_ref().and_then(|one| word(one.1));
    event.action = own(record.safe("/verb"));
    event.status = code.and_then(|code| code.try_into().ok());
    event.service = own(Some("kubernetes"));
    let resource = resource(record);
    event.endpoint = own(resource.as_deref());
    event.resource = own(resource.as_deref());
    facts(event, [("namespace", record.safe("/objectRef/namespace"))]);
    out.seen_from(Vantage::Issuer);
    if said == Outcome::Allow {
        issued(record, out, by.token.as_deref())?;
        policy(record, out);
    }
    for event in out.all() {
        event.correlation_id = own(record.safe("/auditID"));
        event.client_id = own(program).or(event.client_id.take());
    }
    let mut from = request(record.personal("/sourceIPs/0"), record.personal("/userAgent"));
    if let Some(from) = &mut from {
        from.resource = own(record.personal("/requestURI"));
    }
    let (as_whom, mut subject) = (record.personal("/impersonatedUser/username"), subject(person));
    if let (Some(subject), Some(name)) = (&mut subject, as_whom) {
        subject.attributes.insert("impersonates".into(), name.to_owned().into());
    }
    out.persons([subject, from]);
    Ok(Fate::Mapped)
}

/// `group/resource/subresource`.
fn resource(record: &Record<'_>) -> Option<String> {
    let resource = record.safe("/objectRef/resource")?;
    let parts = [record.safe("/objectRef/apiGroup"), Some(resource)];
    let parts = parts.into_iter().chain([record.safe("/objectRef/subresource")]).flatten();
    Some(parts.collect::<Vec<_>>().join("/"))
}

fn issued(record: &Record<'_>, out: &mut Drafts<'_>, by: Option<&str>) -> Result<(), Problem> {
    let Some(id) = record.safe(ISSUED) else { return Ok(()) };
    let (id, kind) = credential(out.naming(), id)?;
    let at = out.at().rfc3339();
    let event = out.token(EventType::Issued, id);
    event.token_kind = word(kind);
    event.issued_at = Some(at.into());
    let ends = record.time("/responseObject/status/expirationTimestamp");
    event.expires_at = ends.map(|at| at.rfc3339().into());
    event.audience = texts(record.list("/requestObject/spec/audiences"));
    let account = [record.safe("/objectRef/namespace"), record.safe("/objectRef/name")];
    if let [Some(namespace), Some(name)] = account {
        facts(event, [("service_account", Some(&*format!("{namespace}/{name}")))]);
    }
    event.links.extend(by.map(|by| asserted(by.to_owned(), Relation::MintedBy)));
    Ok(())
}

fn policy(record: &Record<'_>, out: &mut Drafts<'_>) {
    let kind = record.safe("/objectRef/resource").unwrap_or_default();
    let is_rule = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"].contains(&kind);
    let verb = record.safe("/verb").unwrap_or_default();
    if !is_rule || !["create", "update", "patch", "delete"].contains(&verb) {
        return;
    }
    let parts = [record.safe("/objectRef/namespace"), record.safe("/objectRef/name")];
    let place = parts.map(|part| part.unwrap_or("-")).join("/");
    let (id, at, version) = (format!("{kind}/{place}"), out.at(), out.native_id().to_owned());
    let event = out.event(EventType::PolicyChanged, of_policy(&id));
    event.outcome = word(Outcome::None);
    event.action = own(Some(verb));
    policy_changed(event, &id, &version, at);
}
