//! Open Policy Agent: decision logs, a list or single decisions.
//!
//! ```text
//! bundles.<name>.revision ──▶ the version of the policy <name> that decided
//! input.jti, input.claims.jti, input.token.payload.jti ──▶ the token
//! ```
//!
//! Promises: each decision is on the token that its input names, else on the person, the client or
//! the policy. A decision whose input still holds a token is quarantined (`secret_refused`): mask
//! `/input/token` and the like in OPA (`system.log.mask`). What OPA erased or masked is counted in
//! the event.
//!
//! The front door for OPA (`/v1/opa/logs`) is a mapping of its own, which refuses a decision that
//! names no token.

use std::borrow::Cow;

use ledgerline_api::event::Policy;
use ledgerline_proof::vocabulary::{EventType, Outcome, PolicyRole, TokenKind, Vantage};

use crate::pieces::word;
use crate::record::drafts::{Presenter, facts, jti, of_policy, own, policy, request, subject};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, json,
    listed, nothing_held, row, safe, sealed, shown,
};
use crate::{Choice, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "opa",
    about: "Open Policy Agent: decision logs",
    evidence: Evidence::Documentation,
    detects: |line| line.contains("\"decision_id\"") && line.contains("\"timestamp\""),
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "opa",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &[]),
    kind: |record| record.has("/decision_id").then_some(Cow::Borrowed("decision")),
    identity: |record| {
        record.refuse_secrets()?;
        let native_id = record.needs("/decision_id")?.to_owned();
        let at = record.time("/timestamp").ok_or(Problem::Malformed("/timestamp"))?;
        Ok(Identity { native_id, at })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const IDENTIFIERS: &[Identifier] = &[
    safe("/decision_id"),
    safe("/timestamp"),
    safe("/path"),
    safe("/trace_id"),
    safe("/span_id"),
    safe("/revision"),
    safe("/bundles/*/revision"),
    safe("/labels/app"),
    safe("/labels/id"),
    safe("/labels/version"),
    safe("/result"),
    safe("/result/allow"),
    safe("/result/allowed"),
    safe("/error/code"),
    safe("/input/jti"),
    safe("/input/claims/jti"),
    safe("/input/token/payload/jti"),
    safe("/input/client_id"),
    safe("/input/method"),
    sealed("/input/sub"),
    sealed("/input/user"),
    sealed("/input/claims/sub"),
    sealed("/input/path"),
    sealed("/requested_by"),
    dropped("/input/token"),
    dropped("/input/headers"),
];

const ROWS: &[Row<()>] = &[row(
    &["decision"],
    "RESOURCE_ACCESSED of the token that the input names, else of the person, the client or the \
     policy; ALLOW, DENY (false, or undefined) or ERROR, with the revision of each bundle",
    |record, (), out| decision(record, out),
)];

fn decision(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    let named = ["/input/jti", "/input/claims/jti", "/input/token/payload/jti"];
    let token = record.safe_at(&named).map(|id| jti(out.naming(), id, "/input/jti")).transpose()?;
    let person = record.personal_at(&["/input/sub", "/input/claims/sub", "/input/user"]);
    let path = record.safe("/path").unwrap_or("-");
    let by = Presenter { token, person, client: record.safe("/input/client_id"), session: None };
    let target = by.target(out.naming())?.unwrap_or_else(|| of_policy(path));
    let is_allowed =
        ["/result", "/result/allow", "/result/allowed"].iter().any(|at| record.is_true(at));
    // A result of another shape is no decision of ours to read.
    let is_told = !record.has("/result")
        || ["/result/allow", "/result/allowed"].iter().any(|at| record.has(at))
        || record.is_truth("/result");
    out.seen_from(Vantage::Gateway);
    let event = out.event(EventType::ResourceAccessed, target);
    event.outcome = word(match (record.has("/error"), is_told, is_allowed) {
        (true, ..) => Outcome::Error,
        (_, false, _) => Outcome::None,
        (.., true) => Outcome::Allow,
        (.., false) => Outcome::Deny,
    });
    event.reason = own(record.safe("/error/code"));
    event.token_kind = by.token.as_ref().and_then(|_| word(TokenKind::Access));
    event.client_id = own(by.client);
    event.service = own(record.safe("/labels/app").or(Some("opa")));
    event.endpoint = own(record.safe("/path"));
    event.action = own(record.safe("/input/method"));
    event.trace_id = own(record.safe("/trace_id"));
    let effect = event.outcome.clone().filter(|said| said == "ALLOW" || said == "DENY");
    let bundles = record.each("/bundles");
    let revision = |part| record.safe_of(part, "/revision", "/bundles/*/revision");
    event.policies = bundles
        .iter()
        .filter_map(|part| Some(policy(part.name, revision(part)?, PolicyRole::Access)))
        .chain(
            record.safe("/revision").map(|version| policy("bundle", version, PolicyRole::Access)),
        )
        .map(|one| Policy { effect: effect.clone(), ..one })
        .collect();
    let count = |at: &str| Some(record.each(at).len()).filter(|n| *n > 0).map(|n| n.to_string());
    let (erased, masked) = (count("/erased"), count("/masked"));
    facts(
        event,
        [
            ("erased", erased.as_deref()),
            ("masked", masked.as_deref()),
            ("opa_version", record.safe("/labels/version")),
        ],
    );
    // Host and port, or a name of the caller.
    let host = record.personal("/requested_by");
    let host = host.and_then(|by| by.rsplit_once(':').map_or(Some(by), |one| Some(one.0)));
    let mut from = request(host, None);
    if let Some(from) = &mut from {
        from.resource = own(record.personal("/input/path"));
    }
    event.personal.extend(subject(person).into_iter().chain(from));
    Ok(Fate::Mapped)
}
