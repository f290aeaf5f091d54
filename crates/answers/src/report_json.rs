//! The verifier's reports as the form of answers.
//!
//! Promises: a report names no token, person or tenant.

use ledgerline_api::log::{Verifier, VerifyCounts, VerifyReport};
use ledgerline_api::uuid_text;
use ledgerline_api::values::Time;
use ledgerline_node::Verification;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_view::view::{EventView, View};

use crate::question_json::proof_state;

/// Where the verifier is that follows the log.
#[must_use]
pub fn behind(view: &View, state: &Verification) -> Verifier {
    Verifier {
        on: state.on,
        size: state.size,
        lag_entries: view.size().saturating_sub(state.size),
        block_sealed_at: state.block_sealed_at.map(Time),
        flaws: state.flaws,
        holds_all_chains: state.holds_all_chains,
    }
}

/// A report; `None` for an entry that is none.
#[must_use]
pub fn report<'a>(view: &View, event: &'a EventView) -> Option<VerifyReport<'a>> {
    let entry: Entry<'_> = decode_object(Kind::Entry, &event.leaf).ok()?;
    let one: Statement<'_> = decode_object(Kind::Statement, entry.statement).ok()?;
    let text = |key| one.detail(key).map(|text| text.to_owned().into());
    let number = |key| one.detail(key).and_then(|text| text.parse::<u64>().ok());
    Some(VerifyReport {
        index: event.index,
        event_id: uuid_text::text(&one.event_id).into(),
        finished_at: Time(one.occurred_at.nanos),
        recorded_at: Time(entry.recorded_at.nanos),
        verdict: text("verdict"),
        from: number("from"),
        to: number("to"),
        root: text("root"),
        findings: number("findings"),
        first_bad_index: number("first_bad_index"),
        counts: VerifyCounts {
            events: number("events"),
            chains: number("chains"),
            tokens: number("tokens"),
            blocks: number("blocks"),
            signatures: number("signatures"),
            unverifiable: number("unverifiable"),
            sealed: number("sealed"),
            attachments: number("attachments"),
            seen: number("seen"),
        },
        not_checked: text("not_checked"),
        proof_state: proof_state(view, event.at),
    })
}
