//! A last look at the events of a record before they leave the adapter.
//!
//! Promises: what passes has the form that the ledger takes and holds nothing that is recognisably
//! a secret, neither in clear nor in a personal record. It is judged by the function that the
//! ledger's own door has; a secret that stops here was never sent.

use ledgerline_api::event::Event;
use ledgerline_api::statement::{record, role};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::statement::Personal;
use ledgerline_proof::vocabulary::{PersonalRole, TargetKind};
use ledgerline_statements::check_form;

use crate::Problem;

/// A source's name, which is of no weight here.
const SOURCE: &str = "adapter";

/// What each event must keep.
pub(super) fn check(events: &[Event<'_>]) -> Result<(), Problem> {
    events.iter().try_for_each(|event| {
        form(event).map_err(|code| match code {
            "secret_refused" => Problem::Secret("a text of the event"),
            _ => Problem::NotRecordable,
        })
    })
}

/// The code with which the ledger would refuse an event.
fn form(event: &Event<'_>) -> Result<(), &'static str> {
    let mut statement = event.statement("", SOURCE).map_err(|error| error.code)?;
    let mut records = Vec::with_capacity(event.personal.len());
    let mut persons = 0;
    for personal in &event.personal {
        let role = role(personal).map_err(|error| error.code)?;
        let record = record(personal, [0; 32]);
        record.validate().map_err(|error| error.code())?;
        persons += u32::from(role == PersonalRole::Subject && record.user_id.is_some());
        let bytes = encode_object(Kind::Personal, &record);
        // What is judged is the form, not the commitment: the ledger computes its own.
        statement.personal.push(Personal { role, commitment: Hash::ZERO });
        records.push(bytes);
    }
    if persons > 1 || statement.target.kind == TargetKind::Subject && persons != 1 {
        return Err("missing_target");
    }
    let bytes = encode_object(Kind::Statement, &statement);
    check_form(&statement, &bytes, &records).map_err(|error| error.code)
}
