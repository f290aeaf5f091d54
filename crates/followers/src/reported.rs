//! Reports of full verifications as statements of the ledger, and back.
//!
//! ```text
//! VERIFY_REPORT  target LEDGER, tenant ""; occurred_at = when it was finished
//!   native_id    "verify/<origin>/<to>/<verdict>/<findings>/<first bad index, or ->"
//!   detail       attachments blocks chains events findings first_bad_index? from not_checked?
//!                root sealed seen signatures to tokens unverifiable verdict
//! ```
//!
//! Promises: what a report says follows from the ledger up to its size and from what was found, so
//! that two verifications of the same entries that find the same are one entry. It names no token,
//! person or tenant: every tenant's auditor may read it. What was found stands in findings.

use ledgerline_index::terms::By;
use ledgerline_index::{Ask, ReadBudget};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::statement::{MAX_STRING_BYTES, Statement};
use ledgerline_proof::vocabulary::EventType;
use ledgerline_verify::{Severity, Verdict, VerifyReport};
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::{EventView, QueryError, View};

/// Look-ups that a list of reports may take.
const READS: u32 = 4096;

/// A report in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Its name among the ledger's own statements.
    pub native_id: String,
    /// The detail, ascending by key.
    pub detail: Vec<(&'static str, String)>,
    /// When it was finished, Unix nanoseconds.
    pub at: i64,
}

impl Reported {
    /// Of a verification that was finished at a time.
    #[must_use]
    pub fn of(report: &VerifyReport, at: i64) -> Self {
        let bad = report.findings.iter().filter(|one| one.severity < Severity::Notice).count();
        let bad = bad as u64 + report.findings_dropped;
        let first = report.first_bad_index.map(|index| index.to_string());
        let (verdict, to) = (report.verdict.word(), report.size);
        let first_or = first.as_deref().unwrap_or("-");
        let native_id = format!("verify/{}/{to}/{verdict}/{bad}/{first_or}", report.origin);
        let counts = &report.counts;
        let unverifiable: u64 = report.unverifiable.values().sum();
        let mut detail = vec![
            ("attachments", counts.attachments.to_string()),
            ("blocks", counts.blocks.to_string()),
            ("chains", counts.chains.to_string()),
            ("events", counts.events.to_string()),
            ("findings", bad.to_string()),
        ];
        detail.extend(first.map(|index| ("first_bad_index", index)));
        detail.push(("from", "0".to_owned()));
        detail.extend(not_checked(report).map(|text| ("not_checked", text)));
        detail.extend([
            ("root", report.root.to_hex()),
            ("sealed", counts.sealed.to_string()),
            ("seen", counts.seen.to_string()),
            ("signatures", counts.signatures.to_string()),
            ("to", to.to_string()),
            ("tokens", counts.tokens.to_string()),
            ("unverifiable", unverifiable.to_string()),
            ("verdict", verdict.to_owned()),
        ]);
        Self { native_id, detail, at }
    }
}

/// What could not be checked, in one line.
fn not_checked(report: &VerifyReport) -> Option<String> {
    let open = report.checks.iter().filter(|check| !check.done);
    let open: Vec<&str> = open.map(|check| check.what).collect();
    let mut text = open.join("; ");
    text.truncate(MAX_STRING_BYTES);
    (!text.is_empty()).then_some(text)
}

/// The newest reports of this origin below an index, newest first, at most `limit`, and below which
/// index the next page goes on.
///
/// # Errors
/// [`QueryError`].
pub fn newest(
    view: &View,
    below: u64,
    limit: usize,
) -> Result<(Vec<EventView>, Option<u64>), QueryError> {
    let term = By::Report.term(view.terms(), "");
    let mut budget = ReadBudget::new(READS);
    let range = 0..below.min(view.size());
    let page = view.page(Ask::newest(term, range, limit), &mut budget)?;
    let mut reports = Vec::with_capacity(page.indexes.len());
    for index in page.indexes {
        let event = view.event(index)?;
        reports.extend(event.filter(|event| is_report(&event.leaf)));
    }
    Ok((reports, page.next))
}

fn is_report(leaf: &[u8]) -> bool {
    let own = |one: &Statement<'_>| {
        one.event_type == EventType::VerifyReport
            && one.source == LEDGER_SOURCE
            && one.tenant.is_empty()
    };
    ledgerline_proof::decode::read_event(leaf, |_, statement| own(statement)) == Some(true)
}

/// Size, root and verdict of a report's statement; `None` when it is none.
#[must_use]
pub fn outcome(statement: &Statement<'_>) -> Option<(u64, Hash, Verdict)> {
    let value = |key| statement.detail(key);
    let word = value("verdict")?;
    let verdict = [Verdict::Verified, Verdict::NotVerified, Verdict::Incomplete]
        .into_iter()
        .find(|one| one.word() == word)?;
    Some((value("to")?.parse().ok()?, Hash::from_hex(value("root")?).ok()?, verdict))
}
