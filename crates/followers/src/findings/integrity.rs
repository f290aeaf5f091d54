//! What the verifier found, as findings.
//!
//! Promises: the same damage is the same finding, whoever finds it first and however often: its id
//! says what is wrong and where, not when it was seen. A tenant is told of its own tokens and
//! chains only; what cannot be told to be one tenant's is told to the default tenant, without
//! names.
//!
//! Refuses: to raise more than [`MAX_FINDINGS`] at once; the report says how many there are.

use ledgerline_proof::statement::MAX_STRING_BYTES;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_verify::{Severity, VerifyFinding};

use super::rules::{Finding, Rule, Subject};

/// Findings raised of one verification.
pub const MAX_FINDINGS: usize = 64;

/// The findings that follow from a verification of `origin`, worst first.
#[must_use]
pub fn findings(found: &[VerifyFinding], origin: &str, noticed_at: i64) -> Vec<Finding> {
    let counting = found.iter().filter(|one| one.severity < Severity::Incomplete);
    let all = counting.flat_map(|one| {
        let of_nobody = [(String::new(), None)];
        let concerned = if one.concerned.is_empty() { &of_nobody[..] } else { &one.concerned[..] };
        let each = concerned
            .iter()
            .map(|(tenant, token)| finding(one, origin, tenant, token.clone(), noticed_at));
        each.collect::<Vec<Finding>>()
    });
    all.take(MAX_FINDINGS).collect()
}

fn rule(one: &VerifyFinding) -> Rule {
    match (one.severity, one.code) {
        (Severity::Error, "signature" | "signature_key") => Rule::BadSignature,
        (Severity::Error, "event_id") => Rule::EventIdConflict,
        (Severity::Error, _) => Rule::ChainBreak,
        _ => Rule::DerivedFileDamaged,
    }
}

fn finding(
    one: &VerifyFinding,
    origin: &str,
    tenant: &str,
    token: Option<String>,
    noticed_at: i64,
) -> Finding {
    let rule = rule(one);
    let origin = one.origin.as_deref().unwrap_or(origin);
    let place = match (one.first_bad_index, one.offset) {
        (Some(index), _) => format!("{} entry {index}", one.code),
        (None, Some(offset)) => format!("{} {} at {offset}", one.code, one.file),
        (None, None) => format!("{} {}", one.code, one.file),
    };
    let (kind, target) = match token {
        Some(token) => (TargetKind::Token, token),
        None => (TargetKind::Ledger, origin.to_owned()),
    };
    // The only text of the verifier that repeats a producer's words.
    let about = if one.code == "act_torn" { one.code } else { &one.what };
    let mut about = about.to_owned();
    about.truncate(MAX_STRING_BYTES);
    let subject = Subject { tenant, kind, target: &target };
    Finding::about(rule, subject, Vec::new(), noticed_at).saying(place, about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_is_told_of_its_own() {
        let error = |code| {
            VerifyFinding::new(Severity::Error, code, "journal/00000000.seg", "broken".into())
        };
        let mut of_two = error("root").entry(7);
        of_two.concerned = vec![("a".into(), Some("eu:idp:jti:1".into())), ("b".into(), None)];
        let told = findings(&[of_two, error("signature").entry(9), error("padding").at(4)], "o", 5);
        let told: Vec<_> = told
            .iter()
            .map(|one| (&*one.tenant, one.rule.code(), &*one.target, one.place.as_deref().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("a", "chain_break", "eu:idp:jti:1", "root entry 7"),
                ("b", "chain_break", "o", "root entry 7"),
                ("", "bad_signature", "o", "signature entry 9"),
                ("", "chain_break", "o", "padding journal/00000000.seg at 4"),
            ]
        );
        let notice = VerifyFinding::new(Severity::Notice, "leftover", "x", "y".into());
        assert_eq!(findings(&[notice], "o", 5), []);
    }
}
