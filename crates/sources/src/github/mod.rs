//! GitHub: the audit log of an organisation or enterprise, as it is streamed or exported.
//!
//! ```text
//! hashed_token  base64 of SHA-256 of the token ──▶ …:acc:sha256:<that in base64url, no padding>
//! token_id      GitHub's number of the token   ──▶ …:acc:token:<number>, another id of the same
//! ```
//!
//! So whoever holds a leaked token finds its id with `printf %s TOKEN | openssl dgst -sha256
//! -binary | base64`, as GitHub says. It is no `t1`: that has a prefix of its own in the digest.
//!
//! Promises: each act by a token is on the token's chain. Names of people and of repositories are
//! personal.
//!
//! Assumes: the token of a record is the one that was presented, also where it acts upon another.

use std::borrow::Cow;

use ledgerline_api::event::Personal;
use ledgerline_proof::vocabulary::{EventType, Outcome, PersonalRole, TokenKind, Vantage};

use crate::pieces::word;
use crate::record::drafts::{
    Presenter, accessor, facts, of_policy, own, policy_changed, request, subject,
};
use crate::record::{
    Drafts, Evidence, Fate, Identifier, Identity, Record, Records, Row, Table, dropped, json,
    listed, nothing_held, row, safe, sealed, shown,
};
use crate::{Choice, Millis, Problem};

/// The adapter as it is chosen.
pub(crate) const CHOICE: Choice = Choice {
    name: "github",
    about: "GitHub: audit log of an organisation or enterprise",
    evidence: Evidence::Documentation,
    detects: |line| line.contains("\"action\"") && line.contains("\"_document_id\""),
    rows: || shown(&TABLE),
    identifiers: TABLE.identifiers,
    open: |options| Box::new(Records::new(&TABLE, options)),
};

static TABLE: Table<()> = Table {
    name: "github",
    version: "1",
    line_bytes_max: 16 << 20,
    read: json,
    unpack: |value| listed(value, &[]),
    kind: |record| Some(Cow::Borrowed(record.safe("/action")?)),
    identity: |record| {
        let native_id = record.needs("/_document_id")?.to_owned();
        let numbers = ["/@timestamp", "/created_at"].iter().find_map(|at| record.number(at));
        let at = numbers.and_then(Millis::from_millis).or_else(|| record.time("/created_at"));
        Ok(Identity { native_id, at: at.ok_or(Problem::Malformed("/@timestamp"))? })
    },
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const IDENTIFIERS: &[Identifier] = &[
    safe("/_document_id"),
    safe("/@timestamp"),
    safe("/created_at"),
    safe("/action"),
    safe("/org"),
    safe("/hashed_token"),
    safe("/token_id"),
    safe("/token_scopes"),
    safe("/programmatic_access_type"),
    safe("/operation_type"),
    safe("/request_id"),
    safe("/oauth_application_id"),
    sealed("/actor"),
    sealed("/user"),
    sealed("/actor_ip"),
    sealed("/user_agent"),
    sealed("/repo"),
    dropped("/external_identity_nameid"),
    dropped("/external_identity_username"),
];

const ROWS: &[Row<()>] = &[
    row(
        &[
            "org.add_member",
            "org.remove_member",
            "org.update_member*",
            "org.enable_*",
            "org.disable_*",
            "team.*",
            "repo.access",
            "repo.add_member",
            "repo.remove_member",
            "repo.update_member*",
            "protected_branch.*",
            "role.*",
            "repository_ruleset.*",
            "personal_access_token.*",
            "org_credential_authorization.*",
            "oauth_application.*",
            "oauth_access.*",
            "oauth_authorization.*",
            "integration_installation.*",
            "ip_allow_list*",
            "business.*",
            "public_key.*",
        ],
        "RESOURCE_ACCESSED of the token (else of the person); POLICY_CHANGED of what the action \
         names in the organisation",
        |record, (), out| policy(record, out),
    ),
    row(
        &["*"],
        "RESOURCE_ACCESSED of the token that was presented, else of the person; skipped when the \
         record names neither",
        |record, (), out| Ok(if act(record, out)? { Fate::Mapped } else { Fate::Skipped }),
    ),
];

/// The ids of the token: by its digest, and by its number.
fn tokens(record: &Record<'_>, out: &Drafts<'_>) -> Result<Vec<String>, Problem> {
    let mut ids = Vec::new();
    if let Some(digest) = record.safe("/hashed_token") {
        let digest = digest.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let is_digest = digest.len() == 43
            && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_digest {
            return Err(Problem::Malformed("/hashed_token"));
        }
        ids.push(accessor(out.naming(), &format!("sha256:{digest}"), "/hashed_token")?);
    }
    if let Some(number) = record.number("/token_id") {
        ids.push(accessor(out.naming(), &format!("token:{number}"), "/token_id")?);
    }
    Ok(ids)
}

fn act(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<bool, Problem> {
    let mut ids = tokens(record, out)?.into_iter();
    let (token, client) = (ids.next(), record.number("/oauth_application_id"));
    let client = client.map(|number| number.to_string());
    let actor = record.personal_at(&["/actor", "/user"]);
    let by = Presenter { token, person: actor, client: client.as_deref(), session: None };
    let Some(target) = by.target(out.naming())? else { return Ok(false) };
    out.seen_from(Vantage::Resource);
    let event = out.event(EventType::ResourceAccessed, target);
    event.also_known_as = ids.map(Into::into).collect();
    let is_token = by.token.is_some();
    event.token_kind = if is_token { word(kind_of_token(record)) } else { None };
    event.client_id = client.map(Into::into);
    event.scopes = record
        .safe("/token_scopes")
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|scope| !scope.is_empty())
        .map(|scope| scope.to_owned().into())
        .collect();
    event.service = own(Some("github"));
    event.action = own(record.safe("/action"));
    event.endpoint = own(record.safe("/action"));
    event.correlation_id = own(record.safe("/request_id"));
    facts(
        event,
        [
            ("org", record.safe("/org")),
            ("programmatic_access_type", record.safe("/programmatic_access_type")),
        ],
    );
    let resource = own(record.personal("/repo"));
    let from = request(record.personal("/actor_ip"), record.personal("/user_agent"));
    let from = match (from, resource) {
        (Some(from), resource) => Some(Personal { resource, ..from }),
        (None, Some(resource)) => {
            Some(Personal { resource: Some(resource), ..Personal::of(PersonalRole::Request) })
        }
        (None, None) => None,
    };
    event.personal.extend(subject(actor).into_iter().chain(from));
    Ok(true)
}

fn kind_of_token(record: &Record<'_>) -> TokenKind {
    let said = record.safe("/programmatic_access_type").unwrap_or_default();
    if said.contains("OAuth") || said.contains("GitHub App") {
        TokenKind::Access
    } else {
        TokenKind::ApiKey
    }
}

fn policy(record: &Record<'_>, out: &mut Drafts<'_>) -> Result<Fate, Problem> {
    act(record, out)?;
    let action = record.needs("/action")?;
    let what = action.split_once('.').map_or(action, |one| one.0);
    let id = format!("github/{}/{what}", record.safe("/org").unwrap_or("-"));
    let (at, version) = (out.at(), out.native_id().to_owned());
    let persons = out.all().first().map(|event| event.personal.clone()).unwrap_or_default();
    let event = out.event(EventType::PolicyChanged, of_policy(&id));
    event.outcome = word(Outcome::None);
    event.action = own(Some(action));
    policy_changed(event, &id, &version, at);
    event.personal = persons;
    Ok(Fate::Mapped)
}
