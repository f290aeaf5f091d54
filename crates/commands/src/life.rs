//! The life of a token as people read it.

use ledgerline_api::event::Event;
use ledgerline_api::log::Recorded;
use ledgerline_api::token::{Birth, State, TokenEvents};
use ledgerline_terminal::render::{cell, detail_words, printable, table};

/// The life of a token as a timeline, oldest event first.
#[must_use]
pub fn timeline(TokenEvents { token: life, events, .. }: &TokenEvents<'_>) -> String {
    let mut out = format!("token     {}\n", cell(&life.token_id));
    for (which, state) in [("known", &life.known), ("happened", &life.happened)] {
        let line = match (which, life.nothing_had_happened) {
            (_, true) => "NOTHING of it by then".to_owned(),
            // Not a word that looks alive: it is not what was the case then.
            ("known", _) if life.note.is_some() => {
                format!("in the order of recording: {}", cell(&state.state))
            }
            _ => state_line(state),
        };
        out.push_str(&format!("{which:<8}  {line}\n"));
    }
    if let Some(note) = &life.note {
        out.push_str(&format!("at        {}: {}\n", cell(&life.at), printable(note)));
    }
    out.push_str(&format!("events    {} (ledger size {})\n\n", life.event_count, life.size));
    let mut rows: Vec<_> = events.iter().map(timeline_row).collect();
    let mut head =
        vec!["INDEX", "SEQ", "OCCURRED", "RECORDED", "EVENT", "OUTCOME", "PROOF", "WHAT"];
    // An index says little where it begins anew with every origin.
    if !life.older_origins.is_empty() {
        head.insert(0, "ORIGIN");
        for (row, event) in rows.iter_mut().zip(events) {
            row.insert(0, cell(&event.origin));
        }
    }
    out.push_str(&table(&head, &rows));
    out
}

/// One state with the times that matter.
fn state_line(state: &State<'_>) -> String {
    let mut line = cell(&state.state);
    line.push_str(if state.active { ", active" } else { ", not active" });
    if state.birth == Birth::Unknown {
        line.push_str(", never issued here");
    }
    for (time, label) in [
        (state.expires_at, "expires"),
        (state.revoked_at, "revoked"),
        (state.grace_until, "usable until"),
    ] {
        if time.is_some() {
            line.push_str(&format!(", {label} {}", cell(&time)));
        }
    }
    line
}

fn timeline_row(event: &Recorded<'_>) -> Vec<String> {
    vec![
        cell(&event.index),
        cell(&event.sequence),
        cell(&event.statement.occurred_at),
        cell(&event.recorded_at),
        cell(&event.statement.event_type),
        cell(&event.statement.outcome),
        format!("{}/{}", cell(&event.attested_by), cell(&event.proof_state)),
        marked(event),
    ]
}

/// What is off about an event, in front of its circumstances.
fn marked(event: &Recorded<'_>) -> String {
    let what = what(&event.statement);
    match &event.violation {
        Some(code) => format!("! {} {what}", printable(code)).trim_end().to_owned(),
        None => what,
    }
}

/// The circumstances of an event in a few words.
#[must_use]
pub fn what(event: &Event<'_>) -> String {
    let mut words = Vec::new();
    for (text, label) in [
        (&event.reason, ""),
        (&event.token_kind, ""),
        (&event.service, ""),
        (&event.action, ""),
        (&event.resource, ""),
        (&event.endpoint, ""),
        (&event.client_id, "client="),
    ] {
        words.extend(text.as_ref().map(|text| format!("{label}{}", printable(text))));
    }
    if !event.scopes.is_empty() {
        words.push(format!("scopes={}", cell(&event.scopes)));
    }
    if event.expires_at.is_some() {
        words.push(format!("expires={}", cell(&event.expires_at)));
    }
    for policy in &event.policies {
        words.push(format!("policy={}@{}", cell(&policy.id), cell(&policy.version)));
    }
    for link in &event.links {
        let other = match &link.token_id {
            Some(id) => cell(id),
            None => cell(&link.event.as_ref().map(|event| &event.event_id)),
        };
        words.push(format!("{} {other}", cell(&link.relation)));
    }
    if event.vantage.as_deref() == Some("INTROSPECTION") {
        words.push("seen at introspection".to_owned());
    }
    let detail: Vec<(String, String)> =
        event.detail.iter().map(|one| (cell(&one.key), cell(&one.value))).collect();
    let pairs: Vec<(&str, &str)> = detail.iter().map(|(key, value)| (&**key, &**value)).collect();
    let detail = detail_words(&pairs);
    words.extend((!detail.is_empty()).then_some(detail));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circumstances_fit_one_line() {
        let text = r#"{
            "reason": "logout",
            "scopes": ["a", "b"],
            "policies": [{ "id": "p", "version": "v2" }],
            "links": [{ "token_id": "eu:idp:jti:x", "relation": "REFRESHED_FROM" }]
        }"#;
        let event: Event<'_> = serde_json::from_str(text).expect("an event");
        assert_eq!(what(&event), "logout scopes=a,b policy=p@v2 REFRESHED_FROM eu:idp:jti:x");
    }
}
