//! The finding that a difference between ledger and issuer is.
//!
//! Promises: it cites the newest event of the token, so that the same difference is raised once,
//! and again after something happened.

use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_questions::{Difference, Differs};

use super::rules::{Cited, Finding, Rule};

/// The finding, noticed at a time.
#[must_use]
pub fn finding_of(difference: &Difference, now_nanos: i64) -> Finding {
    let rule = match difference.how {
        Differs::UnknownHere => Rule::ReconcileUnknownToken,
        Differs::EndedHere => Rule::ReconcileEndedHere,
        Differs::MissingThere => Rule::ReconcileMissingAtIssuer,
    };
    let newest = difference.newest.clone();
    Finding {
        rule,
        severity: rule.severity(),
        tenant: difference.tenant.clone(),
        kind: TargetKind::Token,
        target: difference.token_id.clone(),
        events: newest.map(|(source, event_id)| Cited { source, event_id }).into_iter().collect(),
        place: None,
        parent: None,
        gap_ms: None,
        explained: None,
        about: Some(difference.here.symbol().to_owned()),
        noticed_at: now_nanos,
        who: None,
    }
}
