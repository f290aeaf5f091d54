//! What travels beside the leaves: disclosed personal records, attachments, counts by source.
//!
//! Promises: a record or document is proven only by an entry that commits to it.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Recorded};
use super::report::{AttachmentReport, PersonalReport, Status};
use crate::bundle::{Bundle, Decimal, Disclosed};
use crate::hash::{Hash, sha256};
use crate::personal::{PersonalRecord, commitment};
use crate::schema::{Kind, SchemaSet};
use crate::statement::Statement;
use crate::wire;

/// Judges every disclosed record. `schemas` holds the proven ones.
pub(super) fn judge_personal(
    bundle: &Bundle,
    evidence: &Evidence<'_>,
    schemas: &SchemaSet,
) -> Vec<PersonalReport> {
    let mut last = None;
    let judge = |disclosed: &Disclosed| {
        let mut report = judge_record(disclosed, &evidence.entries, schemas);
        let place = (disclosed.index, disclosed.n);
        if last.is_some_and(|last| last >= place) {
            report.status.fail("it does not stand in ascending order");
        }
        last = Some(place);
        report
    };
    bundle.personal.iter().map(judge).collect()
}

fn judge_record(
    disclosed: &Disclosed,
    entries: &[Recorded<'_>],
    schemas: &SchemaSet,
) -> PersonalReport {
    let Disclosed { index, n, record } = disclosed;
    let mut report = PersonalReport {
        index: *index,
        n: *n,
        role: None,
        fields: Vec::new(),
        values: Vec::new(),
        status: Status::Proven,
    };
    let at = entries.binary_search_by_key(&index.0, |recorded| recorded.index).ok();
    let statement = at.and_then(|at| entries[at].statement.as_ref().ok());
    let personal = statement.and_then(|statement| statement.personal.get(usize::from(*n)));
    let Some(personal) = personal else {
        report.status.fail("no proven entry commits to it");
        return report;
    };
    report.role = Some(personal.role.symbol());
    if commitment(&record.0) != personal.commitment {
        report.status.fail("it is not the record that the entry commits to");
        return report;
    }
    let Ok(body) = schemas.body(Kind::Personal, &record.0) else {
        report.status.doubt("it is under a schema that is not proven");
        return report;
    };
    match wire::decode::<PersonalRecord<'_>>(&body) {
        Ok(record) => {
            let pairs = fields(&record).map(|(name, value)| (name.to_owned(), value.to_owned()));
            (report.fields, report.values) = pairs.unzip();
            if let Err(error) = record.validate() {
                report.status.fail(format!("it breaks a rule: {error}"));
            }
        }
        Err(error) => report.status.fail(format!("it is not canonical: {error}")),
    }
    report
}

fn fields<'r>(record: &'r PersonalRecord<'r>) -> impl Iterator<Item = (&'r str, &'r str)> {
    let named = [
        ("user_id", record.user_id),
        ("ip", record.ip),
        ("user_agent", record.user_agent),
        ("device", record.device),
        ("resource", record.resource),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    named.chain(record.attributes.iter().map(|one| (one.key, one.value)))
}

/// Whether a statement names a document by this digest.
fn names(statement: &Statement<'_>, digest: Hash) -> bool {
    let by_policy = statement.policies.iter().any(|policy| policy.digest == Some(digest));
    let by_change =
        statement.policy_change.as_ref().is_some_and(|change| change.snapshot == Some(digest));
    by_policy || by_change
}

/// Judges every attachment.
pub(super) fn judge_attachments(bundle: &Bundle, evidence: &Evidence<'_>) -> Vec<AttachmentReport> {
    let judge = |document: &crate::bundle::Document| {
        let digest = document.digest;
        let named = |recorded: &&Recorded<'_>| {
            recorded.statement.as_ref().is_ok_and(|statement| names(statement, digest))
        };
        let named_by: Vec<Decimal> =
            evidence.entries.iter().filter(named).map(|recorded| Decimal(recorded.index)).collect();
        let mut status = Status::Proven;
        if sha256(&document.data.0) != digest {
            status.fail("it does not have the digest it claims");
        }
        if named_by.is_empty() {
            status.fail("no proven entry names it");
        }
        AttachmentReport { digest, named_by, status }
    };
    bundle.attachments.iter().map(judge).collect()
}

/// Whether the counts by source are those of the entries shown.
pub(super) fn judge_coverage(bundle: &Bundle, evidence: &Evidence<'_>) -> Status {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for statement in evidence.entries.iter().filter_map(|one| one.statement.as_ref().ok()) {
        *counts.entry(statement.source).or_default() += 1;
    }
    let stated = bundle.coverage.sources.iter();
    let stated = stated.map(|count| (count.source.as_str(), count.events.0));
    if counts.into_iter().eq(stated) {
        Status::Proven
    } else {
        Status::Failed("the counts by source are not those of the entries shown".to_owned())
    }
}
