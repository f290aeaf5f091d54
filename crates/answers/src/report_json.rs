//! The verifier's reports as JSON.
//!
//! Promises: a report names no token, person or tenant.

use ledgerline_api::time_text::rfc3339;
use ledgerline_api::uuid_text;
use ledgerline_node::Verification;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_view::view::{EventView, View};
use serde_json::{Map, Value, json};

use crate::question_json::proof_state;

/// Facts of a report that are numbers.
const COUNTS: [&str; 9] = [
    "events",
    "chains",
    "tokens",
    "blocks",
    "signatures",
    "unverifiable",
    "sealed",
    "attachments",
    "seen",
];

/// Where the verifier behind the head is.
#[must_use]
pub fn behind(view: &View, state: &Verification) -> Value {
    json!({
        "on": state.on,
        "size": state.size,
        "lag_entries": view.size().saturating_sub(state.size),
        "block_sealed_at": state.block_sealed_at.map(rfc3339),
        "flaws": state.flaws,
        "holds_all_chains": state.holds_all_chains,
    })
}

/// A report; null for an entry that is none.
#[must_use]
pub fn report(view: &View, event: &EventView) -> Value {
    let read = || {
        let entry: Entry<'_> = decode_object(Kind::Entry, &event.leaf).ok()?;
        let one: Statement<'_> = decode_object(Kind::Statement, entry.statement).ok()?;
        let text = |key| one.detail(key);
        let number = |key| text(key).and_then(|text| text.parse::<u64>().ok());
        let counts = COUNTS.iter().map(|key| ((*key).to_owned(), json!(number(key))));
        Some(json!({
            "index": event.index,
            "event_id": uuid_text::text(&one.event_id),
            "finished_at": rfc3339(one.occurred_at.nanos),
            "recorded_at": rfc3339(entry.recorded_at.nanos),
            "verdict": text("verdict"),
            "from": number("from"),
            "to": number("to"),
            "root": text("root"),
            "findings": number("findings"),
            "first_bad_index": number("first_bad_index"),
            "counts": counts.collect::<Map<String, Value>>(),
            "not_checked": text("not_checked"),
            "proof_state": proof_state(view, event.at),
        }))
    };
    read().unwrap_or(Value::Null)
}
