//! The finding that a difference between ledger and issuer is.
//!
//! Promises: it cites the newest event of the token, so that the same difference is raised once,
//! and again after something happened.

use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_questions::{Difference, Differs};

use super::rules::{Cited, Finding, Rule, Subject};

/// The finding, noticed at a time.
#[must_use]
pub fn finding_of(difference: &Difference, now_nanos: i64) -> Finding {
    let rule = match difference.how {
        Differs::UnknownHere => Rule::ReconcileUnknownToken,
        Differs::EndedHere => Rule::ReconcileEndedHere,
        Differs::MissingThere => Rule::ReconcileMissingAtIssuer,
    };
    let newest = difference.newest.clone().into_iter();
    let events = newest.map(|(source, event_id)| Cited { source, event_id }).collect();
    let Difference { tenant, token_id: target, .. } = difference;
    let subject = Subject { tenant, kind: TargetKind::Token, target };
    let about = Some(difference.here.symbol().to_owned());
    Finding { about, ..Finding::about(rule, subject, events, now_nanos) }
}
