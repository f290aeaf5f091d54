//! What is off about one act, by the life of its token before it: the findings themselves.

use ledgerline_index::terms::{issuer_about, names};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::lifecycle::Violation;
use ledgerline_proof::statement::{Actor, Statement};
use ledgerline_proof::vocabulary::{Outcome, Relation};

use super::{Act, Boundary, Life, Parent, asks_for_parents, cite, is_use};
use crate::findings::replay::{Likeness, Party, presents};
use crate::findings::rules::{
    Explanation, Finding, MAX_DRIFT_NANOS, Rule, Severity, Windows, behind,
};
use crate::findings::rules_presentation::differing;

impl Life {
    /// Whether a second birth says what the first one said, and says enough to tell: two logs of
    /// one act. An issuer that names two tokens alike gives them other facts.
    fn is_said_again(&self, statement: &Statement<'_>) -> bool {
        let same = self.birth().and_then(|birth| {
            read_event(birth, |_, one| {
                let both = |one: &[&str], two: &[&str]| {
                    let [mut one, mut two] = [one, two].map(<[&str]>::to_vec);
                    one.sort_unstable();
                    two.sort_unstable();
                    one == two
                };
                let tells = one.expires_at.is_some() && one.expires_at == statement.expires_at;
                tells
                    && differing(one, statement).is_empty()
                    && both(&one.scopes, &statement.scopes)
                    && both(&one.audience, &statement.audience)
            })
        });
        same == Some(true)
    }

    /// Whether whoever acts now is the one who had the token replaced or spent.
    fn likeness(&self, act: &Act<'_, '_>) -> Likeness {
        let now = Party::of(act.entry, act.statement);
        self.holder.as_ref().map_or(Likeness::Unknown, |holder| holder.likeness(&now))
    }

    /// A presentation of a replaced or spent token that the issuer refused: see
    /// [`super::replay`]. Nothing else that was refused is a finding.
    pub(super) fn refused_replay(&self, act: &Act<'_, '_>, windows: &Windows) -> Option<Finding> {
        let statement = act.statement;
        let violation = presents(statement, self.state.token_kind)
            .filter(|_| statement.outcome == Outcome::Deny)?;
        let at = act.at;
        // Where the issuer itself calls it a reuse, its clock does not matter, nor whether it told
        // what had replaced the token.
        let is_sure = matches!(statement.reason, Some("reuse" | "replay"));
        let boundary = match violation {
            Violation::CodeReuse => self.spent.as_ref(),
            _ if self.state.grace_until.is_some_and(|end| at < end) => return None,
            _ => self.rotated.as_ref().or(self.replaced.as_ref()),
        };
        let told = || self.refreshed.last().map(|one| &one.0).or(self.born.as_ref());
        let boundary = boundary.or_else(|| told().filter(|_| is_sure))?;
        let gap = at.saturating_sub(boundary.at);
        if gap < 0 && !is_sure {
            return None;
        }
        let gap = gap.max(0);
        let own = windows.believed(statement.source, statement.time_uncertainty_ns);
        let uncertain = if is_sure { 0 } else { own.saturating_add(boundary.uncertainty(windows)) };
        let explained = match self.likeness(act) {
            Likeness::Other => None,
            Likeness::Same => {
                behind(gap, uncertain, windows.refresh_race_nanos, Explanation::BenignRace)
            }
            Likeness::Unknown => behind(gap, uncertain, 0, Explanation::BenignRace),
        };
        let mut finding = finding(act, Rule::Lifecycle(violation), explained);
        finding.severity = finding.severity.min(Severity::High);
        finding.gap_ms = Some(gap.div_euclid(1_000_000));
        finding.events.push(boundary.event.clone());
        // What came upon it may be recorded already.
        let upon = |one: &&Boundary| (0..60_000_000_000).contains(&one.at.saturating_sub(at));
        let upon = self.revoked.as_ref().filter(upon);
        finding.events.extend(upon.map(|one| one.event.clone()));
        finding.events.dedup();
        finding.about = Some("refused".to_owned());
        Some(finding)
    }

    pub(super) fn lifecycle(
        &self,
        act: &Act<'_, '_>,
        violation: Violation,
        windows: &Windows,
    ) -> Finding {
        let at = act.at;
        let own = windows.believed(act.statement.source, act.statement.time_uncertainty_ns);
        let (born, rotated, spent) = (&self.born, &self.rotated, &self.spent);
        let state = &self.state;
        // A boundary, by how much the act lies beyond it, and which window may explain that.
        let after = |boundary: i64| Some(at.saturating_sub(boundary));
        let spread = windows.propagation_nanos;
        let propagation = Explanation::Propagation;
        let (boundary, gap, window, windowed) = match violation {
            Violation::UseAfterRevoke | Violation::IssuedAfterRevoke => {
                let gap = state.revoked_at.and_then(after);
                (self.revoked.as_ref(), gap, spread, propagation)
            }
            Violation::UseAfterExpiry => {
                (born.as_ref(), state.expires_at.and_then(after), spread, propagation)
            }
            Violation::RefreshReuse => {
                let gap = rotated.as_ref().and_then(|one| after(one.at));
                let race = match self.likeness(act) {
                    Likeness::Unknown => Explanation::UnknownParty,
                    _ => Explanation::BenignRace,
                };
                (rotated.as_ref(), gap, windows.refresh_race_nanos, race)
            }
            Violation::UseAfterRotation => {
                let gap = rotated.as_ref().and_then(|one| after(one.at));
                (rotated.as_ref(), gap, spread, propagation)
            }
            Violation::UseBeforeActivation => {
                let gap = state.not_before.map(|begin| begin.saturating_sub(at));
                (born.as_ref(), gap.filter(|gap| *gap > 0), 0, propagation)
            }
            Violation::CodeReuse => {
                (spent.as_ref(), spent.as_ref().and_then(|one| after(one.at)), 0, propagation)
            }
            Violation::ActivationLate => {
                let gap = state.activation_deadline.and_then(after);
                (born.as_ref(), gap, 0, propagation)
            }
            _ => (born.as_ref(), None, 0, propagation),
        };
        let uncertain = own.saturating_add(boundary.map_or(0, |one| one.uncertainty(windows)));
        // A code is used once, and a refresh token by one party, whatever the clocks say.
        let by_another =
            violation == Violation::RefreshReuse && self.likeness(act) == Likeness::Other;
        let timed = gap.filter(|_| violation != Violation::CodeReuse && !by_another);
        let explained = timed.and_then(|gap| behind(gap, uncertain, window, windowed));
        let twice = violation == Violation::DuplicateIssue && self.is_said_again(act.statement);
        let explained = explained.or_else(|| twice.then_some(Explanation::SameFacts));
        let mut finding = finding(act, Rule::Lifecycle(violation), explained);
        finding.gap_ms = gap.map(|nanos| nanos.div_euclid(1_000_000));
        finding.events.extend(boundary.map(|one| one.event.clone()));
        finding.events.dedup();
        finding
    }

    pub(super) fn key_mismatch(&self, act: &Act<'_, '_>) -> Option<Finding> {
        let (issued, shown) = (self.kid.as_deref()?, act.statement.issuer_kid?);
        let used = is_use(act.statement.event_type);
        let issuer = issuer_about(act.statement);
        (used && !names(issued, shown, issuer)).then(|| {
            let mut finding = finding(act, Rule::KeyMismatch, None);
            finding.events.extend(self.born.as_ref().map(|one| one.event.clone()));
            finding
        })
    }
}

pub(in crate::findings) fn finding(
    act: &Act<'_, '_>,
    rule: Rule,
    explained: Option<Explanation>,
) -> Finding {
    let severity = explained.map_or(rule.severity(), |one| rule.softened(one));
    Finding {
        rule,
        severity,
        tenant: act.statement.tenant.to_owned(),
        kind: act.statement.target.kind,
        target: act.statement.target.id.to_owned(),
        events: vec![cite(act.statement)],
        place: None,
        parent: None,
        gap_ms: None,
        explained,
        about: None,
        noticed_at: act.entry.recorded_at.nanos,
        who: Some(Box::new(Party::of(act.entry, act.statement))),
    }
}

/// A use or birth of a token after its parent was revoked. A token revoked itself has a finding of
/// its own.
pub(super) fn outlives(
    act: &Act<'_, '_>,
    life: &Life,
    parents: &[Parent],
    windows: &Windows,
) -> Option<Finding> {
    let statement = act.statement;
    if !asks_for_parents(statement) {
        return None;
    }
    let at = act.at;
    if life.revoked.as_ref().is_some_and(|own| own.at <= at) {
        return None;
    }
    let revoked = |parent: &Parent| {
        let known = act.place.max(life.anew);
        let in_time = |one: &&Boundary| one.at <= at && one.place < known;
        parent.ends.iter().filter(in_time).min_by_key(|one| (one.at, one.place)).cloned()
    };
    let (parent, revoked) = parents.iter().find_map(|parent| Some((parent, revoked(parent)?)))?;
    let gap = at.saturating_sub(revoked.at);
    let own = windows.believed(statement.source, statement.time_uncertainty_ns);
    let uncertain = own.saturating_add(revoked.uncertainty(windows));
    let explained = behind(gap, uncertain, windows.propagation_nanos, Explanation::Propagation);
    let mut finding = finding(act, Rule::ChildOutlivesRevokedParent, explained);
    finding.events.push(revoked.event);
    finding.parent = Some(parent.id.clone());
    finding.gap_ms = Some(gap.div_euclid(1_000_000));
    Some(finding)
}

/// Scopes that a token has and the one it was minted from had not (RFC 6749 section 6). A parent
/// whose scopes nobody recorded says nothing. An exchange for another audience (RFC 8693 section
/// 2.1) has scopes of that audience: the words cannot be compared, and exchanges are for that.
pub(super) fn widened(act: &Act<'_, '_>, parent: &Parent) -> Option<Finding> {
    let narrowing = matches!(
        parent.relation,
        Relation::RefreshedFrom | Relation::RotatedFrom | Relation::ExchangedFrom
    );
    if !narrowing || parent.scopes.is_empty() {
        return None;
    }
    let scopes = act.statement.scopes.iter();
    let new = scopes.filter(|scope| !parent.scopes.iter().any(|had| had == *scope));
    let new: Vec<&str> = new.copied().collect();
    (!new.is_empty()).then(|| {
        let mut finding = about(act, Rule::ScopeWidened, parent, &new);
        if parent.relation == Relation::ExchangedFrom && is_elsewhere(act.statement, parent) {
            finding.explained = Some(Explanation::OtherAudience);
            finding.severity = finding.rule.softened(Explanation::OtherAudience);
        }
        finding
    })
}

/// Whether both tokens name audiences, and no common one.
fn is_elsewhere(statement: &Statement<'_>, parent: &Parent) -> bool {
    let named = !statement.audience.is_empty() && !parent.audience.is_empty();
    named && !statement.audience.iter().any(|name| parent.audience.iter().any(|had| had == name))
}

/// Actors of the exchanged token that the new one does not name any more (RFC 8693 section 4.1:
/// the prior actors stand within the newest one's `act`).
pub(super) fn actor_lost(act: &Act<'_, '_>, parent: &Parent) -> Option<Finding> {
    if parent.relation != Relation::ExchangedFrom {
        return None;
    }
    let named: Vec<String> = act.statement.actors.iter().map(actor_name).collect();
    let lost = parent.actors.iter().filter(|actor| !named.contains(actor));
    let lost: Vec<&str> = lost.map(String::as_str).collect();
    (!lost.is_empty()).then(|| about(act, Rule::ActorLostInExchange, parent, &lost))
}

pub(in crate::findings) fn actor_name(actor: &Actor<'_>) -> String {
    format!("{}:{}", actor.kind.symbol(), actor.id)
}

fn about(act: &Act<'_, '_>, rule: Rule, parent: &Parent, list: &[&str]) -> Finding {
    let mut finding = finding(act, rule, None);
    finding.parent = Some(parent.id.clone());
    // Room for the longest string of a statement.
    let mut text = String::new();
    for item in list.iter().take_while({
        let mut length = 0;
        move |item: &&&str| {
            length += item.len() + 1;
            length < 1000
        }
    }) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(item);
    }
    finding.about = (!text.is_empty()).then_some(text);
    finding
}

pub(in crate::findings) fn clock_ahead(act: &Act<'_, '_>, windows: &Windows) -> Option<Finding> {
    let statement = act.statement;
    let ahead = statement.occurred_at.nanos.saturating_sub(act.entry.recorded_at.nanos);
    let own = windows.believed(statement.source, statement.time_uncertainty_ns);
    // What the ledger derives is timed by what it follows from.
    let foreign = statement.source != ledgerline_view::registry::LEDGER_SOURCE;
    (foreign && ahead > MAX_DRIFT_NANOS.saturating_add(own)).then(|| {
        let mut finding = finding(act, Rule::ClockAhead, None);
        finding.gap_ms = Some(ahead.div_euclid(1_000_000));
        finding
    })
}
