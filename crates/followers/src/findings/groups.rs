//! Which acts are one finding: the first of a kind is raised, the next are counted to it.
//!
//! Promises: acts of one rule and severity that stand against the same event, by the same party as
//! far as anything says who it was, are one finding for [`GROUP_NANOS`]. What goes on longer is
//! told again, and so is what another party does. Each act is counted one by one up to
//! [`MAX_PER_TOKEN`], then every doubling. Beyond [`MAX_PER_TOKEN`] open findings of a kind the
//! newest of them counts. Of some rules one finding is open at a time, and nothing is counted.
//!
//! A finding that somebody closed takes no act that was recorded after the closing: that one is
//! raised anew, whatever the bounds. An act that was recorded before is counted to it still, and
//! opens it again when it is counted after the closing ([`super::list`]): whoever closed it did not
//! know of it.

use ledgerline_proof::hash::Hash;
use ledgerline_proof::lifecycle::Violation;
use ledgerline_summaries::{Kept, Reader, kept};
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::{QueryError, View};

use super::record::closed_event_id;
use super::replay::{Likeness, Party};
use super::rules::{Finding, GROUP_NANOS, MAX_PER_TOKEN, Rule, Severity};

/// The findings about one token.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups(Vec<Group>);

/// A finding, and how many acts there are of its kind.
#[derive(Debug, Clone)]
pub(super) struct Group {
    rule: Rule,
    severity: Severity,
    /// What the acts stand against.
    against: Option<[u8; 16]>,
    /// Who does it, as far as its acts say.
    who: Party,
    begun: i64,
    /// Its name, and those that earlier versions of its rule would have given it.
    finding: Hash,
    former: Box<[Hash]>,
    count: u64,
    closing: Closing,
}

/// What is known of a finding's first closing.
#[derive(Debug, Clone, Copy, Default)]
enum Closing {
    #[default]
    NotAsked,
    /// There was none when so many closings had been read.
    NoneAmong(u64),
    /// Its place.
    At(u64),
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

/// Who knows which findings were closed before which acts.
pub(super) trait Closings {
    /// Whether a group's finding was closed before the act of another finding was recorded.
    fn has_closed(&self, group: &mut Group, by_then: &Finding) -> Result<bool, QueryError>;
}

/// The ledger knows.
pub(super) struct Recorded<'v> {
    pub(super) view: &'v View,
    /// Closings that were read so far: with as many as before, nothing was closed since.
    pub(super) read: u64,
}

impl Recorded<'_> {
    fn place(&self, tenant: &str, source: &str, id: &[u8; 16]) -> Result<Option<u64>, QueryError> {
        let found = self.view.locate_event(tenant, source, id)?;
        Ok(found.map(|(view, index)| view.place_of(index)))
    }

    /// Looks the closing up, of the finding by the name that it bears in the ledger.
    fn ask(&self, group: &mut Group, tenant: &str) -> Result<Closing, QueryError> {
        for name in std::iter::once(group.finding).chain(group.former.iter().copied()) {
            let raised = super::raised_event_id(tenant, &name);
            if self.place(tenant, LEDGER_SOURCE, &raised)?.is_some() {
                group.finding = name;
                break;
            }
        }
        let closed = closed_event_id(tenant, &group.finding);
        let closed = self.place(tenant, LEDGER_SOURCE, &closed)?;
        Ok(closed.map_or(Closing::NoneAmong(self.read), Closing::At))
    }
}

impl Closings for Recorded<'_> {
    fn has_closed(&self, group: &mut Group, by_then: &Finding) -> Result<bool, QueryError> {
        let is_known = match group.closing {
            Closing::NotAsked => false,
            Closing::NoneAmong(read) => read == self.read,
            Closing::At(_) => true,
        };
        if !is_known {
            group.closing = self.ask(group, &by_then.tenant)?;
        }
        let Closing::At(closed) = group.closing else { return Ok(false) };
        let Some(act) = by_then.events.first() else { return Ok(true) };
        let place = self.place(&by_then.tenant, &act.source, &act.event_id)?;
        Ok(place.is_none_or(|place| closed < place))
    }
}

impl Group {
    fn again(&mut self, who: &Party) -> Counted {
        self.who = std::mem::take(&mut self.who).or(who.clone());
        self.count += 1;
        let is_told = self.count <= MAX_PER_TOKEN || self.count.is_power_of_two();
        if is_told { Counted::Again(self.finding, self.count) } else { Counted::Passed }
    }
}

impl Groups {
    /// Counts what was found, and says what becomes of it.
    pub(super) fn count(
        &mut self,
        finding: &Finding,
        closings: &impl Closings,
    ) -> Result<Counted, QueryError> {
        let once = matches!(
            finding.rule,
            Rule::Lifecycle(Violation::UnknownToken)
                | Rule::ChildOutlivesRevokedParent
                | Rule::ForgedSuspect
                | Rule::AliasConflict
        );
        // Of one act there is one about each of two tokens, and no other.
        if finding.rule == Rule::ClaimedBySeveral {
            return Ok(Counted::Raised);
        }
        let against = finding.events.get(1).map(|one| one.event_id);
        let who = finding.who.as_deref().cloned().unwrap_or_default();
        let (rule, severity) = (finding.rule, finding.severity);
        let (mut open, mut newest) = (0, None);
        for one in self.0.iter_mut().filter(|one| (one.rule, one.severity) == (rule, severity)) {
            if closings.has_closed(one, finding)? {
                continue;
            }
            if once {
                return Ok(Counted::Passed);
            }
            let since = finding.noticed_at.saturating_sub(one.begun).saturating_abs();
            let is_other = one.who.likeness(&who) == Likeness::Other;
            if one.against == against && since < GROUP_NANOS && !is_other {
                return Ok(one.again(&who));
            }
            open += 1;
            newest = Some(one);
        }
        if let Some(newest) = newest.filter(|_| open >= MAX_PER_TOKEN) {
            return Ok(newest.again(&who));
        }
        self.0.push(Group {
            rule,
            severity,
            against,
            who,
            begun: finding.noticed_at,
            finding: finding.id(),
            former: finding.former_ids().collect(),
            count: 1,
            closing: Closing::NotAsked,
        });
        Ok(Counted::Raised)
    }
}

kept!(Group { rule, severity, against, who, begun, finding, former, count, closing });

impl Kept for Groups {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Kept::read(from).map(Self)
    }
}

/// A first closing stays; that there was none holds for the judge that asked, and is asked anew.
impl Kept for Closing {
    fn write(&self, out: &mut Vec<u8>) {
        let place = match self {
            Self::NotAsked | Self::NoneAmong(_) => None,
            Self::At(place) => Some(*place),
        };
        place.write(out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Option::<u64>::read(from)?.map_or(Self::NotAsked, Self::At))
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
            who: None,
        }
    }

    /// Findings that were closed before anything else happened.
    struct Closed(Vec<Hash>);

    impl Closings for Closed {
        fn has_closed(&self, group: &mut Group, _: &Finding) -> Result<bool, QueryError> {
            Ok(self.0.contains(&group.finding))
        }
    }

    fn count(groups: &mut Groups, finding: &Finding) -> Counted {
        groups.count(finding, &Closed(Vec::new())).expect("nothing is read")
    }

    fn by(act: u8, at: i64, client: &str) -> Finding {
        let who = Party { client: Some(client.into()), ..Party::default() };
        Finding { who: Some(Box::new(who)), ..found(act, at) }
    }

    #[test]
    fn a_closed_finding_takes_no_later_act_whatever_the_bounds() {
        let (mut groups, mut closed) = (Groups::default(), Closed(Vec::new()));
        for act in 1..=40 {
            let one = found(act, i64::from(act));
            assert_eq!(groups.count(&one, &closed).expect("read"), Counted::Raised, "{act}");
            closed.0.push(one.id());
        }
        let rule = Rule::Lifecycle(Violation::UnknownToken);
        let once = |act| Finding { rule, severity: rule.severity(), ..found(act, 9) };
        assert_eq!(groups.count(&once(1), &closed).expect("read"), Counted::Raised);
        assert_eq!(groups.count(&once(2), &closed).expect("read"), Counted::Passed, "it is open");
        closed.0.push(once(1).id());
        assert_eq!(groups.count(&once(3), &closed).expect("read"), Counted::Raised);
    }

    #[test]
    fn another_party_is_another_finding_until_the_newest_counts_all() {
        let mut groups = Groups::default();
        let most = u8::try_from(MAX_PER_TOKEN).expect("few");
        for n in 1..=most {
            assert_eq!(count(&mut groups, &by(n, 1, &format!("c{n}"))), Counted::Raised, "{n}");
        }
        let newest = by(most, 1, "c16").id();
        assert_eq!(count(&mut groups, &by(99, 2, "c99")), Counted::Again(newest, 2));
        let first = by(1, 1, "c1").id();
        assert_eq!(count(&mut groups, &by(98, 2, "c1")), Counted::Again(first, 2));
        assert_eq!(count(&mut groups, &found(97, 2)), Counted::Again(first, 3), "nobody knows who");
    }

    #[test]
    fn what_goes_on_is_one_finding_an_hour_and_never_silent_within_it() {
        let mut groups = Groups::default();
        let first = found(1, 0);
        assert_eq!(count(&mut groups, &first), Counted::Raised);
        let mut told = Vec::new();
        for n in 2..=200 {
            match count(&mut groups, &found(2, n)) {
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
        assert_eq!(
            count(&mut groups, &low),
            Counted::Raised,
            "another severity is another finding"
        );
        for hour in 1..MAX_PER_TOKEN {
            let at = GROUP_NANOS * i64::try_from(hour).unwrap();
            assert_eq!(count(&mut groups, &found(4, at)), Counted::Raised, "hour {hour}");
        }
        let last = count(&mut groups, &found(5, GROUP_NANOS * 99));
        assert_eq!(last, Counted::Again(found(4, 0).id(), 2), "bounded: the newest one counts");
    }
}
