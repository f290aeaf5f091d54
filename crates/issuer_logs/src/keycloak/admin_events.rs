//! What admin events become: ends of sessions, people and clients, and changes of what is granted.
//!
//! An admin event tells what was changed and seldom to what: the representation of the change is
//! saved on demand only, and the log line never has it. Where an end follows from a representation
//! that is not there, the event says so (`representation` = `absent`) and nothing is revoked.

use ledgerline_api::event::{Policy, PolicyChange, Target};
use ledgerline_proof::vocabulary::{EventType, Outcome, PolicyRole, TargetKind};

use crate::keycloak::facts::{
    LINE_UNCERTAINTY_NS, deny, failed, is_word, issued_before, printable, revoke_wide,
};
use crate::keycloak::sessions::Sessions;
use ledgerline_adapter::pieces::{detail, word};
use ledgerline_adapter::record::drafts::{Drafts, acting, of_source, of_subject, request, subject};
use ledgerline_adapter::record::{Fate, Record};
use ledgerline_adapter::{ACT_PARTS_MAX, Millis, Problem};

type Done = Result<Fate, Problem>;

/// Acts upon a person: some end what the person has.
pub(super) fn user(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let path = record.safe("/derived/path").ok_or(Problem::Missing("/resourcePath"))?;
    let disabled = record.has("/derived/enabled") && !record.is_true("/derived/enabled");
    let reason = match (record.safe("/operationType"), path) {
        _ if failed(record) => None,
        (Some("ACTION"), "users/{id}/logout") => Some("admin"),
        (Some("DELETE"), "users/{id}") => Some("account_deleted"),
        (Some("UPDATE"), "users/{id}") if disabled => Some("account_disabled"),
        _ => None,
    };
    let Some(reason) = reason else { return act(record, drafts) };
    let selector = issued_before(drafts.at().plus(1));
    let event = drafts.event(EventType::Revoked, of_subject());
    (event.reason, event.selector) = (Some(reason.into()), Some(selector));
    complete(record, drafts)
}

/// The end of a session.
pub(super) fn session(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    if failed(record) || record.safe("/operationType") != Some("DELETE") {
        return act(record, drafts);
    }
    let session = record.safe("/derived/session").filter(|session| is_word(session));
    let session = session.ok_or(Problem::Malformed("/resourcePath"))?;
    revoke_wide(record.naming(), drafts, TargetKind::Session, session, "admin")?;
    state.end(session);
    complete(record, drafts)
}

/// Acts upon the realm. A time before which no token is valid, and the end of all sessions, are
/// told of each client that the log has shown: there is no wider target.
pub(super) fn realm(record: &Record<'_>, state: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    if failed(record) {
        return act(record, drafts);
    }
    let action = record.safe("/derived/path");
    let not_before = record.number("/derived/not_before").filter(|seconds| *seconds > 0);
    let before = match (record.safe("/operationType"), not_before) {
        (Some("ACTION"), _) if action == Some("logout-all") => Some(drafts.at().plus(1)),
        (Some("ACTION"), _) => return act(record, drafts),
        (_, seconds) => {
            policy(drafts, "realm");
            seconds.and_then(Millis::from_seconds)
        }
    };
    if let Some(before) = before {
        // Whoever reads it must see how far it reaches: the log may not have shown every client.
        let count = state.clients().count().to_string();
        if drafts.all().is_empty() {
            admin_act(record, drafts);
        }
        drafts.all().iter_mut().for_each(|event| {
            event.detail.push(detail("revoked_clients", count.clone()));
        });
        for client in state.clients() {
            if drafts.all().len() == ACT_PARTS_MAX {
                drafts.next_act();
            }
            let (naming, id) = (record.naming(), printable(client));
            let event = revoke_wide(naming, drafts, TargetKind::Client, &id, "admin")?;
            event.selector = Some(issued_before(before));
        }
    }
    complete(record, drafts)
}

/// Acts upon a client: its removal ends its tokens.
pub(super) fn client(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    let is_removal = record.safe("/operationType") == Some("DELETE")
        && record.safe("/derived/path").is_some_and(|path| path.split('/').count() == 2);
    if is_removal
        && !failed(record)
        && let Some(client) = record.safe("/derived/client")
    {
        let id = printable(client);
        revoke_wide(record.naming(), drafts, TargetKind::Client, &id, "client_deleted")?;
    }
    change(record, drafts)
}

/// A change of what may be granted, and to whom.
pub(super) fn grants(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    change(record, drafts)
}

/// An act that changes nothing of tokens.
pub(super) fn other(record: &Record<'_>, _: &mut Sessions, drafts: &mut Drafts<'_>) -> Done {
    act(record, drafts)
}

fn change(record: &Record<'_>, drafts: &mut Drafts<'_>) -> Done {
    if failed(record) {
        return act(record, drafts);
    }
    let path = record.safe("/derived/path").ok_or(Problem::Missing("/resourcePath"))?;
    policy(drafts, &printable(path));
    complete(record, drafts)
}

/// POLICY_CHANGED: the version is the record that tells of it.
pub(super) fn policy(drafts: &mut Drafts<'_>, path: &str) {
    let (at, version) = (drafts.at().rfc3339(), drafts.native_id().to_owned());
    // Some paths are long; a target has at most 256 bytes.
    let path = path.get(..200).unwrap_or(path);
    let id = format!("keycloak/{path}");
    let target = Target { kind: TargetKind::Policy.symbol().into(), id: id.clone().into() };
    let event = drafts.event(EventType::PolicyChanged, target);
    event.outcome = word(Outcome::None);
    event.policies = vec![Policy {
        id: id.into(),
        version: version.into(),
        digest: None,
        role: word(PolicyRole::Grant),
        effect: None,
    }];
    event.policy_change = Some(PolicyChange {
        effective_from: Some(at.into()),
        effective_until: None,
        previous_version: None,
        change_ref: None,
        snapshot: None,
    });
}

fn act(record: &Record<'_>, drafts: &mut Drafts<'_>) -> Done {
    admin_act(record, drafts);
    complete(record, drafts)
}

fn admin_act(record: &Record<'_>, drafts: &mut Drafts<'_>) {
    let is_person = record.has("/derived/user");
    let target = if is_person { of_subject() } else { of_source(record.naming()) };
    let event = drafts.event(EventType::AdminAct, target);
    event.action = record.safe("/operationType").map(|action| action.to_owned().into());
    if failed(record) {
        deny(event, record);
    }
}

/// Gives all events of a record what they share, and ends the row.
fn complete(record: &Record<'_>, drafts: &mut Drafts<'_>) -> Done {
    let is_line = record.has("/derived/line");
    let is_represented = record.is_true("/derived/represented");
    let admin = record.personal("/authDetails/userId");
    // The listener's line has the members of `authDetails` beside the others.
    let admin = admin.or_else(|| record.personal("/userId"));
    let ip = record.personal("/authDetails/ipAddress").or_else(|| record.personal("/ipAddress"));
    let person = record.personal("/derived/user");
    let facts = [
        ("keycloak_type", record.safe("/type")),
        ("path", record.safe("/derived/path")),
        // A line has the realm of the administrator, and not that of what was changed.
        ("realm_id", record.safe("/realmId").filter(|_| !is_line)),
        ("representation", (!is_represented).then_some("absent")),
    ];
    for event in drafts.each() {
        if is_line {
            event.time_uncertainty_ns = Some(LINE_UNCERTAINTY_NS);
        }
        event.personal.extend(subject(person));
        event.personal.extend(acting(admin));
        event.personal.extend(request(ip, None));
        let facts = facts.into_iter().filter_map(|(key, value)| Some((key, value?)));
        event.detail.extend(facts.map(|(key, value)| detail(key, value.to_owned())));
        event.detail.sort_by(|one, other| one.key.cmp(&other.key));
    }
    Ok(Fate::Mapped)
}
