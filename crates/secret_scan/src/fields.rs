//! Every text that a caller can have recorded, one after the other.
//!
//! Promises: no field is forgotten. Each record is taken apart by a pattern that names all its
//! fields, so that a new one does not compile before somebody has said here what it is: a text, the
//! id of a token, or something that holds no text.
//!
//! Assumes: symbols, numbers, digests and UUIDs carry nothing of a caller's choosing.

use ledgerline_proof::personal::PersonalRecord;
use ledgerline_proof::statement::{
    Act, Activation, Actor, Adapter, Detail, EventRef, Link, Mfa, Personal, PolicyChange,
    PolicyRef, Seen, Selector, Statement, Target,
};
use ledgerline_proof::vocabulary::TargetKind;

/// What a text of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text<'t> {
    /// The id of a token, which must be one. With the name of its field.
    TokenId(&'static str, &'t str),
    /// Anything else that a caller may choose.
    Free(&'t str),
    /// A name and its value.
    Pair(&'t str, &'t str),
}

/// Looks at texts until one makes an end.
pub(crate) type Look<'l, 't, E> = &'l mut dyn FnMut(Text<'t>) -> Result<(), E>;

fn each<'t, E>(look: Look<'_, 't, E>, texts: &[&'t str]) -> Result<(), E> {
    texts.iter().try_for_each(|text| look(Text::Free(text)))
}

fn some<'t, E>(look: Look<'_, 't, E>, texts: &[Option<&'t str>]) -> Result<(), E> {
    texts.iter().flatten().try_for_each(|text| look(Text::Free(text)))
}

/// Every text of a statement.
///
/// # Errors
/// What `look` says.
pub(crate) fn of_statement<'t, E>(
    statement: &Statement<'t>,
    look: Look<'_, 't, E>,
) -> Result<(), E> {
    #[rustfmt::skip]
    let Statement {
        event_id: _, native_id, act, tenant, source, source_instance: _, source_seq: _, seen,
        target: Target { kind, id }, event_type: _, outcome: _, reason, occurred_at: _,
        time_uncertainty_ns: _, effective_at: _, count: _, last_at: _, vantage: _, issuer,
        issuer_kid, client_id, grant_id, session_id, family_id, generation: _, also_known_as,
        token_kind: _, scopes, audience, issued_at: _, not_before: _, expires_at: _,
        grace_until: _, rotate_by: _, activation, mfa, status_index: _, service, endpoint,
        resource, action, status: _, bytes_out: _, policies, policy_change, links, actors,
        delegation: _, trace_id, correlation_id, adapter, selector, detail, raw_digest: _,
        personal,
    } = statement;
    let target = match kind {
        TargetKind::Token => Text::TokenId("target.id", id),
        _ => Text::Free(id),
    };
    look(target)?;
    also_known_as.iter().try_for_each(|id| look(Text::TokenId("also_known_as", id)))?;
    each(look, &[tenant, source])?;
    some(look, &[*native_id, *reason, *issuer, *issuer_kid, *client_id, *grant_id, *session_id])?;
    some(look, &[*family_id, *service, *endpoint, *resource, *action, *trace_id])?;
    some(look, &[*correlation_id])?;
    each(look, scopes)?;
    each(look, audience)?;
    for Personal { role: _, commitment: _ } in personal {}
    if let Some(Act { id, part: _, parts: _ }) = act {
        look(Text::Free(id))?;
    }
    if let Some(Seen { origin, size: _, root: _ }) = seen {
        look(Text::Free(origin))?;
    }
    if let Some(Activation { requires, deadline: _ }) = activation {
        each(look, requires)?;
    }
    if let Some(Mfa { methods, acr, completed_at: _ }) = mfa {
        each(look, methods)?;
        some(look, &[*acr])?;
    }
    if let Some(Adapter { name, version }) = adapter {
        each(look, &[name, version])?;
    }
    if let Some(Selector { issued_before: _, client, audience }) = selector {
        some(look, &[*client, *audience])?;
    }
    of_policies(policies, policy_change.as_ref(), look)?;
    of_links(links, look)?;
    for Actor { kind: _, issuer, id } in actors {
        some(look, &[*issuer, Some(id)])?;
    }
    of_details(detail, look)
}

fn of_policies<'t, E>(
    policies: &[PolicyRef<'t>],
    change: Option<&PolicyChange<'t>>,
    look: Look<'_, 't, E>,
) -> Result<(), E> {
    for PolicyRef { id, version, digest: _, role: _, effect } in policies {
        some(look, &[Some(id), Some(version), *effect])?;
    }
    let Some(change) = change else { return Ok(()) };
    let PolicyChange {
        effective_from: _,
        effective_until: _,
        previous_version,
        change_ref,
        snapshot: _,
    } = change;
    some(look, &[*previous_version, *change_ref])
}

fn of_links<'t, E>(links: &[Link<'t>], look: Look<'_, 't, E>) -> Result<(), E> {
    for Link { token, event, relation: _, strength: _, why } in links {
        if let Some(id) = token {
            look(Text::TokenId("links.token_id", id))?;
        }
        if let Some(EventRef { source, event_id: _ }) = event {
            look(Text::Free(source))?;
        }
        some(look, &[*why])?;
    }
    Ok(())
}

fn of_details<'t, E>(details: &[Detail<'t>], look: Look<'_, 't, E>) -> Result<(), E> {
    details.iter().try_for_each(|Detail { key, value }| look(Text::Pair(key, value)))
}

/// Every text of a personal record.
///
/// # Errors
/// What `look` says.
pub(crate) fn of_record<'t, E>(
    record: &PersonalRecord<'t>,
    look: Look<'_, 't, E>,
) -> Result<(), E> {
    let PersonalRecord { salt: _, user_id, ip, user_agent, device, resource, attributes } = record;
    some(look, &[*user_id, *ip, *user_agent, *device, *resource])?;
    of_details(attributes, look)
}
