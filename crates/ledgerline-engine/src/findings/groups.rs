//! Which acts are one finding: the first of a kind is raised, the next are counted to it.
//!
//! Promises: acts of one rule and severity that stand against the same event are one finding for
//! [`GROUP_NANOS`]. What goes on longer is told again. Each act is counted one by one up to
//! [`MAX_PER_TOKEN`], then every doubling. Of some rules there is one finding for ever, and nothing
//! is counted.

use ledgerline_proof::hash::Hash;
use ledgerline_proof::lifecycle::Violation;

use super::rules::{Finding, GROUP_NANOS, MAX_PER_TOKEN, Rule, Severity};

/// The findings about one token.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups(Vec<Group>);

/// A finding, and how many acts there are of its kind.
#[derive(Debug, Clone)]
struct Group {
    rule: Rule,
    severity: Severity,
    /// What the acts stand against.
    against: Option<[u8; 16]>,
    begun: i64,
    finding: Hash,
    count: u64,
}

/// What becomes of something that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// A finding of its own.
    Raised,
    /// One more of a finding's acts: which finding, and how many with this one.
    Again(Hash, u64),
    /// One too many.
    Passed,
}

impl Groups {
    /// Counts what was found, and says what becomes of it.
    pub(super) fn count(&mut self, finding: &Finding) -> Counted {
        let once = matches!(
            finding.rule,
            Rule::Lifecycle(Violation::UnknownToken)
                | Rule::ChildOutlivesRevokedParent
                | Rule::ForgedSuspect
                | Rule::AliasConflict
        );
        let against = finding.events.get(1).map(|one| one.event_id);
        let (rule, severity) = (finding.rule, finding.severity);
        let mut alike = 0;
        for one in self.0.iter_mut().filter(|one| (one.rule, one.severity) == (rule, severity)) {
            if once {
                return Counted::Passed;
            }
            alike += 1;
            let since = finding.noticed_at.saturating_sub(one.begun).saturating_abs();
            if one.against == against && since < GROUP_NANOS {
                one.count += 1;
                let is_told = one.count <= MAX_PER_TOKEN || one.count.is_power_of_two();
                let again = Counted::Again(one.finding, one.count);
                return if is_told { again } else { Counted::Passed };
            }
        }
        if alike >= MAX_PER_TOKEN {
            return Counted::Passed;
        }
        let (begun, finding) = (finding.noticed_at, finding.id());
        self.0.push(Group { rule, severity, against, begun, finding, count: 1 });
        Counted::Raised
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::vocabulary::TargetKind;

    use super::super::rules::Cited;
    use super::*;

    fn found(act: u8, at: i64) -> Finding {
        let cited = |id| Cited { source: "gw".into(), event_id: [id; 16] };
        let rule = Rule::Lifecycle(Violation::UseAfterRevoke);
        Finding {
            rule,
            severity: rule.severity(),
            tenant: String::new(),
            kind: TargetKind::Token,
            target: "eu:idp:jti:a".into(),
            events: vec![cited(act), cited(0)],
            place: None,
            parent: None,
            gap_ms: None,
            explained: None,
            about: None,
            noticed_at: at,
        }
    }

    #[test]
    fn what_goes_on_is_one_finding_an_hour_and_never_silent_within_it() {
        let mut groups = Groups::default();
        let first = found(1, 0);
        assert_eq!(groups.count(&first), Counted::Raised);
        let mut told = Vec::new();
        for n in 2..=200 {
            match groups.count(&found(2, n)) {
                Counted::Again(of, count) => {
                    assert_eq!((of, count), (first.id(), u64::try_from(n).unwrap()));
                    told.push(count);
                }
                Counted::Passed => {}
                Counted::Raised => panic!("{n} is of the same hour"),
            }
        }
        let due: Vec<u64> = (2..=16).chain([32, 64, 128]).collect();
        assert_eq!(told, due);
        let mut low = found(3, 9);
        low.severity = Severity::Low;
        assert_eq!(groups.count(&low), Counted::Raised, "another severity is another finding");
        for hour in 1..MAX_PER_TOKEN {
            let at = GROUP_NANOS * i64::try_from(hour).unwrap();
            assert_eq!(groups.count(&found(4, at)), Counted::Raised, "hour {hour}");
        }
        assert_eq!(groups.count(&found(5, GROUP_NANOS * 99)), Counted::Passed, "bounded");
    }
}
