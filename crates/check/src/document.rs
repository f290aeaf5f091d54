//! A check's report as JSON for programs. `docs/reference/bundle.md` describes its members.
//!
//! Promises: `format` and `version` say what it is; within a version members are only added. Times
//! are RFC 3339 in UTC, indexes and sizes are numbers, hashes hex.

use ledgerline_api::time_text::rfc3339;
use ledgerline_proof::check::{
    CheckReport, ClaimKind, EntryReport, PersonalReport, Status, Verdict,
};
use serde_json::{Value, json};

use super::expect::Expected;
use super::reading::signature_words;
use ledgerline_terminal::render::printable;

/// What stands in `format`.
pub const FORMAT: &str = "ledgerline-check";
/// What stands in `version`.
pub const VERSION: u32 = 1;

/// The document.
///
/// # Errors
/// Never in practice: everything in a report is a string, a number or a list of such.
pub fn document(report: &CheckReport, expected: &Expected) -> serde_json::Result<Value> {
    let fits = report.status(ClaimKind::Query).is_some_and(Status::is_proven);
    let mut verdict = serde_json::to_value(report.verdict)?;
    if expected.differs() {
        verdict = "NOT_AS_EXPECTED".into();
    }
    let question = report.question.as_ref().map(|question| {
        json!({
            "text": question.sentence,
            "fits": fits,
            "name": question.name,
            "tenant": question.tenant,
            "token": question.token,
            "untold": question.untold,
        })
    });
    let tree = report.tree.as_ref().map(|tree| {
        let witnesses = tree.cosigned_by.iter().map(|witness| {
            let seconds = i64::try_from(witness.time.0).unwrap_or(0);
            let at = rfc3339(seconds.saturating_mul(1_000_000_000));
            json!({ "name": witness.name, "time": at })
        });
        let continues = tree.continues.as_ref();
        let continues = continues.map(|one| json!({ "size": one.size.0, "held": one.held }));
        json!({
            "origin": tree.origin,
            "size": tree.size.0,
            "root": tree.root,
            "recorded_at": rfc3339(tree.recorded_at.0),
            "signed_by": tree.signed_by,
            "continues": continues,
            "cosigned_by": witnesses.collect::<Vec<_>>(),
        })
    });
    let last = report.entries.last();
    let last = last.map(
        |entry| json!({ "index": entry.index.0, "recorded_at": rfc3339(entry.recorded_at.0) }),
    );
    // What is contradicted has no state that any program should read.
    let failed = report.verdict == Verdict::Failed;
    let entries: Result<Vec<Value>, _> =
        report.entries.iter().map(|entry| entry_of(entry, failed)).collect();
    let shown = if failed { &[][..] } else { &report.lives[..] };
    let mut lives = serde_json::to_value(shown)?;
    lives.as_array_mut().into_iter().flatten().for_each(numbers_of_cover);
    let mut lifecycle = serde_json::to_value(report.lifecycle.as_ref().filter(|_| !failed))?;
    numbers_of_cover(&mut lifecycle);
    let document = json!({
        "incomplete": report.incomplete,
        "format": FORMAT,
        "version": VERSION,
        "verdict": verdict,
        "question": question,
        "expected": expected.value(),
        "tree": tree,
        "last_entry": last,
        "lifecycle": lifecycle,
        "lives": lives,
        "entries": entries?,
        "personal": report.personal.iter().map(personal_of).collect::<Vec<_>>(),
        "attachments": report.attachments.iter().map(|one| {
            let named_by: Vec<u64> = one.named_by.iter().map(|index| index.0).collect();
            with_status(json!({ "digest": one.digest, "named_by": named_by }), &one.status)
        }).collect::<Vec<_>>(),
        "claims": report.claims,
        "not_proven": report.not_proven,
        "maker_says": report.maker_says,
    });
    Ok(without_empty(document, "incomplete"))
}

/// Takes a list away that says nothing.
fn without_empty(mut document: Value, name: &str) -> Value {
    if let Some(members) = document.as_object_mut()
        && members.get(name).is_some_and(|list| *list == json!([]))
    {
        members.remove(name);
    }
    document
}

fn entry_of(entry: &EntryReport, failed: bool) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(entry)?;
    if failed {
        (value["known"], value["happened"]) = (Value::Null, Value::Null);
    }
    value["index"] = entry.index.0.into();
    value["sequence"] = entry.sequence.0.into();
    value["recorded_at"] = rfc3339(entry.recorded_at.0).into();
    value["authorship"] = signature_words(&entry.signature).into();
    if let Some(event) = &entry.event {
        value["event"]["occurred_at"] = rfc3339(event.occurred_at.0).into();
        let circumstances = &event.circumstances;
        for (name, at) in
            [("expires_at", circumstances.expires_at), ("effective_at", circumstances.effective_at)]
        {
            if let Some(at) = at {
                value["event"][name] = rfc3339(at.0).into();
            }
        }
    }
    if let Some(at) = value["signature"]["compromised_at"].as_str().and_then(|at| at.parse().ok()) {
        value["signature"]["compromised_at"] = Value::Number(u64::into(at));
    }
    Ok(value)
}

fn numbers_of_cover(states: &mut Value) {
    let list = states.get_mut("covered_by").and_then(Value::as_array_mut);
    for index in list.into_iter().flatten() {
        if let Some(number) = index.as_str().and_then(|text| text.parse::<u64>().ok()) {
            *index = number.into();
        }
    }
}

/// A record; its values only when it is the one committed to.
fn personal_of(one: &PersonalReport) -> Value {
    let values = one.fields.iter().zip(&one.values);
    let values: serde_json::Map<String, Value> =
        values.map(|(name, value)| (printable(name), value.clone().into())).collect();
    let record = json!({
        "index": one.index.0,
        "n": one.n,
        "role": one.role,
        "fields": one.fields,
        "values": one.status.is_proven().then_some(values),
    });
    with_status(record, &one.status)
}

fn with_status(mut value: Value, status: &Status) -> Value {
    let (word, why) = match status {
        Status::Proven => ("PROVEN", None),
        Status::NotProven(why) => ("NOT_PROVEN", Some(why)),
        Status::Failed(why) => ("FAILED", Some(why)),
    };
    value["status"] = word.into();
    if let Some(why) = why {
        value["why"] = why.as_str().into();
    }
    value
}
