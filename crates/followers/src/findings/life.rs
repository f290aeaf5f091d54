//! One token's life as the rules see it, and the judging of its next act.
//!
//! Promises: what is said of an act follows from the acts taken before it, in the order taken, and
//! from what the caller knows of wider revocations and parents. Nothing is read here.

use std::rc::Rc;

use ledgerline_index::Term;
use ledgerline_index::terms::{issuer_about, names};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::{self, Fact, TokenState, Violation, is_permitted_birth};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, Relation, TokenKind};

use super::covers::Covering;
use super::groups::Groups;
use super::presented::differing;
use super::replay::{Likeness, Party, presents};
use super::rules::{Cited, Explanation, Finding, MAX_DRIFT_NANOS, Rule, Severity, Windows, behind};
use super::turns::{Judged, Turns};

/// Revocations of one token that are remembered.
const MAX_ENDS: usize = 16;
/// Births of one token that are.
pub(super) const MAX_BIRTHS: usize = 16;
/// Refreshes of one token that are, and what each produced.
const MAX_REFRESHES: usize = 4;

/// A moment that acts are measured against, and the event that set it.
#[derive(Debug, Clone)]
pub(super) struct Boundary {
    pub(super) at: i64,
    pub(super) uncertainty: i64,
    pub(super) event: Cited,
    /// Where it was recorded: what was recorded before is not judged by it.
    pub(super) place: u64,
}

impl Boundary {
    /// How uncertain its time is, as far as its source's clock is known.
    pub(super) fn uncertainty(&self, windows: &Windows) -> i64 {
        windows.believed(&self.event.source, Some(self.uncertainty))
    }

    pub(super) fn of(entry: &Entry<'_>, statement: &Statement<'_>, place: u64) -> Self {
        Self {
            // A clock that is ahead keeps nothing alive.
            at: statement.occurred_at.nanos.min(entry.recorded_at.nanos),
            uncertainty: super::rules::believed(statement.time_uncertainty_ns),
            event: cite(statement),
            place,
        }
    }
}

pub(super) fn cite(statement: &Statement<'_>) -> Cited {
    Cited { source: statement.source.to_owned(), event_id: statement.event_id }
}

/// A revocation of something wider that covers the token.
#[derive(Debug, Clone)]
pub(super) struct Wide {
    /// From when, and its event.
    pub(super) boundary: Boundary,
    /// Which of the token's births it covers, a bit each.
    pub(super) covered: u32,
}

/// What a token came of, as far as rules ask.
pub(super) struct Parent {
    pub(super) id: String,
    pub(super) relation: Relation,
    /// Its own revocations and those that cover it.
    pub(super) ends: Vec<Boundary>,
    pub(super) scopes: Vec<String>,
    pub(super) audience: Vec<String>,
    pub(super) actors: Vec<String>,
}

/// A token that another one came of, as the birth of that one names it.
#[derive(Debug)]
pub(super) struct Kin {
    pub(super) key: Term,
    pub(super) tenant: Box<str>,
    pub(super) id: Box<str>,
    pub(super) relation: Relation,
}

/// A token's life so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    state: TokenState,
    /// The leaves of its permitted ISSUED and ORIGIN: the first says what it is, each what it
    /// belongs to.
    pub(super) births: Vec<Rc<[u8]>>,
    /// Where each was recorded.
    birth_places: Vec<u64>,
    /// What its birth says of where it may be used; none when it says nothing.
    pub(super) audience: Box<[Box<str>]>,
    /// Whether one of its births calls it a code.
    pub(super) is_code: bool,
    /// What it came of, once that was asked for.
    pub(super) kin: Option<Rc<[Kin]>>,
    /// Revocations of something wider that cover it, once that was asked for.
    pub(super) covering: Option<Covering>,
    born: Option<Boundary>,
    revoked: Option<Boundary>,
    /// The first revocations of its own.
    pub(super) ends: Vec<Boundary>,
    rotated: Option<Boundary>,
    /// Its last permitted refreshes, each with the tokens that it says it produced.
    refreshed: Vec<(Boundary, Box<[Box<str>]>)>,
    /// The one of them that produced another refresh token, once that was asked for: it replaced
    /// this one, whether or not anybody says ROTATED.
    replaced: Option<Boundary>,
    spent: Option<Boundary>,
    /// Who presented it last, until it was replaced or spent: then whoever did that.
    holder: Option<Party>,
    /// The request that last used it after it was replaced.
    reused_by: Option<Box<str>>,
    /// The key it was issued under.
    kid: Option<Box<str>>,
    /// Acts taken, and the latest time among them.
    pub(super) count: u64,
    pub(super) latest: i64,
    /// Wider revocations recorded before this place count for all acts, also for those recorded
    /// before them: it was judged anew by then.
    pub(super) anew: u64,
    /// What turned its state.
    turns: Turns,
    /// The findings about it, each with what was counted to it.
    pub(super) raised: Groups,
}

/// One act to be judged.
pub(super) struct Act<'r, 'a> {
    pub(super) entry: &'r Entry<'a>,
    pub(super) statement: &'r Statement<'a>,
    pub(super) leaf: &'r [u8],
    /// Its position among the entries of all origins.
    pub(super) place: u64,
    /// When it is judged: when it occurred, or of uses told as one the last.
    pub(super) at: i64,
}

/// Until when an act went on: of uses that are told as one, the last.
pub(super) fn until(statement: &Statement<'_>) -> i64 {
    let first = statement.occurred_at.nanos;
    let last = statement.last_at.filter(|_| is_use(statement.event_type));
    last.map_or(first, |last| last.max(first))
}

impl Life {
    /// Takes the next act and says what is off about it. All of it: see [`Life::count_in`].
    /// `is_covered` says whether wider revocations concern such an act.
    pub(super) fn take(
        &mut self,
        act: &Act<'_, '_>,
        is_covered: bool,
        parents: &[Parent],
        windows: &Windows,
    ) -> Vec<Finding> {
        let statement = act.statement;
        let mut found = Vec::new();
        let covering = self.covering.take();
        let wide = covering.as_ref().filter(|_| is_covered);
        self.cover(wide, act);
        let fact = Fact::of(statement, self.count, act.entry.recorded_at);
        let allowed = statement.outcome == Outcome::Allow;
        let violation = self.state.apply(&fact).violation;
        let violation = self.at_its_time(act, &fact, wide).or(violation);
        self.turns.note(statement, &fact, act.place);
        if let Some(violation) = violation
            && !self.is_told(statement, violation)
        {
            found.push(self.lifecycle(act, violation, windows));
        }
        found.extend(self.refused_replay(act, windows));
        if allowed {
            self.learn(act);
        }
        if is_permitted_birth(statement) {
            let late = self.cover(wide, act).filter(|_| found.is_empty());
            found.extend(late.map(|violation| self.lifecycle(act, violation, windows)));
        }
        if allowed {
            found.extend(outlives(act, self, parents, windows));
            found.extend(self.key_mismatch(act));
            if statement.event_type == EventType::Issued {
                found.extend(parents.iter().filter_map(|parent| widened(act, parent)));
                found.extend(parents.iter().filter_map(|parent| actor_lost(act, parent)));
            }
        }
        found.extend(clock_ahead(act, windows));
        self.covering = covering;
        self.count += 1;
        self.latest = self.latest.max(until(statement));
        found
    }

    /// Judges the last of uses that are told as one, after all that came before it.
    pub(super) fn take_last(
        &mut self,
        act: &Act<'_, '_>,
        parents: &[Parent],
        windows: &Windows,
    ) -> Vec<Finding> {
        let mut found = Vec::new();
        let covering = self.covering.take();
        self.cover(covering.as_ref(), act);
        let mut fact = Fact::of(act.statement, self.count, act.entry.recorded_at);
        fact.occurred_at.nanos = act.at;
        // It is one act: what it does to the token it did already.
        let violation = self.state.clone().apply(&fact).violation;
        let violation = self.at_its_time(act, &fact, covering.as_ref()).or(violation);
        self.covering = covering;
        let ends = violation.filter(|one| {
            matches!(
                one,
                Violation::UseAfterRevoke
                    | Violation::UseAfterExpiry
                    | Violation::UseAfterRotation
                    | Violation::UseWhileSuspended
                    | Violation::RefreshReuse
            )
        });
        found.extend(ends.map(|violation| self.lifecycle(act, violation, windows)));
        found.extend(self.refused_replay(act, windows));
        if act.statement.outcome == Outcome::Allow {
            found.extend(outlives(act, self, parents, windows));
        }
        found
    }

    /// The leaf of its first permitted birth.
    pub(super) fn birth(&self) -> Option<&Rc<[u8]>> {
        self.births.first()
    }

    /// The revocations of something wider that cover it, each from when that could be known: from
    /// the first birth that it covers on.
    pub(super) fn covered_by(&self) -> impl Iterator<Item = Boundary> {
        let wide = self.covering.iter().flat_map(Covering::wide);
        wide.filter_map(|one| {
            let births = self.birth_places.iter().zip(0..u32::BITS);
            let covered = births.filter(|(_, n)| one.covered & (1 << n) != 0);
            let known = covered.map(|(place, _)| *place).min()?;
            let place = one.boundary.place.max(known);
            Some(Boundary { place, ..one.boundary.clone() })
        })
    }

    /// The first birth under one of its ids, and where it was recorded.
    pub(super) fn birth_of(&self, id: &str) -> Option<(&Rc<[u8]>, u64)> {
        let mut births = self.births.iter().zip(self.birth_places.iter().copied());
        births.find(|(leaf, _)| read_event(leaf, |_, one| one.target.id == id) == Some(true))
    }

    /// The birth that was recorded first, and where.
    pub(super) fn first_recorded(&self) -> Option<(Rc<[u8]>, u64)> {
        let births = self.births.iter().cloned().zip(self.birth_places.iter().copied());
        births.min_by_key(|(_, place)| *place)
    }

    /// What a permitted use was that occurred before what turned the state since, by what had
    /// happened before it alone. What came after it, a revocation or an expiry that was said
    /// earlier, is no reproach.
    fn at_its_time(&self, act: &Act<'_, '_>, fact: &Fact<'_>, wide: Option<&Covering>) -> Judged {
        let judged = is_use(act.statement.event_type) || fact.event_type == EventType::Refreshed;
        if !judged || fact.outcome != Outcome::Allow || !self.turns.are_behind(act.at) {
            return Judged::Unknown;
        }
        let (wide, known) = (wide.into_iter().flat_map(Covering::wide), act.place.max(self.anew));
        let counts = |one: &&Wide| one.boundary.place < known && one.boundary.at <= act.at;
        match self.turns.judge(fact, wide.filter(counts).map(|one| one.boundary.at)) {
            // Its uses are no turns, yet the second one is a reuse.
            Judged::By(None) if self.is_code => Judged::Unknown,
            judged => judged,
        }
    }

    /// Applies wider revocations that were recorded before an act and were in force by then. One
    /// that takes effect later hides nothing of what happens before.
    fn cover(&mut self, wide: Option<&Covering>, act: &Act<'_, '_>) -> Option<Violation> {
        let mut violation = None;
        let (wide, known) = (wide.into_iter().flat_map(Covering::wide), act.place.max(self.anew));
        let counts = |one: &&Wide| one.boundary.place < known && one.boundary.at <= act.at;
        for one in wide.filter(counts) {
            let before = self.state.revoked_at;
            violation = violation.or(lifecycle::end_by(&mut self.state, one.boundary.at));
            if self.state.revoked_at != before {
                self.revoked = Some(one.boundary.clone());
            }
        }
        violation
    }

    fn learn(&mut self, act: &Act<'_, '_>) {
        let statement = act.statement;
        let boundary = || Boundary::of(act.entry, statement, act.place);
        let code = statement.token_kind.is_some_and(TokenKind::is_code);
        self.is_code |= code && is_permitted_birth(statement);
        match statement.event_type {
            EventType::Issued | EventType::Origin if self.births.is_empty() => {
                self.births.push(act.leaf.into());
                self.birth_places.push(act.place);
                self.audience = statement.audience.iter().map(|name| Box::from(*name)).collect();
                self.kid = statement.issuer_kid.map(Into::into);
                self.born = Some(boundary());
            }
            EventType::Issued | EventType::Origin if self.births.len() < MAX_BIRTHS => {
                self.births.push(act.leaf.into());
                self.birth_places.push(act.place);
            }
            EventType::Revoked => {
                if self.ends.len() < MAX_ENDS {
                    self.ends.push(boundary());
                }
                let at = boundary().at;
                if self.revoked.as_ref().is_none_or(|earlier| at < earlier.at) {
                    self.revoked = Some(boundary());
                }
            }
            EventType::Rotated if self.rotated.is_none() => {
                self.rotated = Some(boundary());
                let own = Party::of(act.entry, statement);
                self.holder = Some(own.or(self.holder.take().unwrap_or_default()));
            }
            EventType::Used | EventType::ResourceAccessed if self.spent.is_none() => {
                self.spent = Some(boundary());
                let kind = self.state.token_kind.or(statement.token_kind);
                if kind.is_some_and(TokenKind::is_code) {
                    self.holder = Some(Party::of(act.entry, statement));
                }
            }
            EventType::Refreshed if self.rotated.is_none() => {
                self.holder = Some(Party::of(act.entry, statement));
                let links = statement.links.iter().filter(|link| {
                    matches!(link.relation, Relation::Produced | Relation::RotatedTo)
                });
                let new = links.filter_map(|link| link.token.map(Box::from));
                if self.refreshed.len() == MAX_REFRESHES {
                    self.refreshed.remove(0);
                }
                self.refreshed.push((boundary(), new.take(MAX_REFRESHES).collect()));
            }
            _ => {}
        }
    }

    /// Whether a violation is the other half of one that was found: a request that uses a replaced
    /// token successfully also replaces it once more.
    fn is_told(&mut self, statement: &Statement<'_>, violation: Violation) -> bool {
        let request = statement.correlation_id;
        match violation {
            Violation::RefreshReuse => {
                self.reused_by = request.map(Into::into);
                false
            }
            // Its first birth under another id: two logs of one token. Where they differ, that is
            // an `alias_conflict`.
            Violation::DuplicateIssue => {
                !self.births.is_empty() && self.birth_of(statement.target.id).is_none()
            }
            Violation::OutOfOrder if statement.event_type == EventType::Rotated => {
                request.is_some() && self.reused_by.as_deref() == request
            }
            _ => false,
        }
    }

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

    /// What its refreshes produced, while an act that was refused may be a replay by nothing but
    /// that: each with the place in the list.
    pub(super) fn may_be_replaced_by(&self, statement: &Statement<'_>) -> Vec<(usize, Box<str>)> {
        let asks = statement.event_type == EventType::Refreshed
            && statement.outcome == Outcome::Deny
            && self.rotated.is_none()
            && self.replaced.is_none();
        let all = self.refreshed.iter().enumerate().filter(|_| asks);
        all.flat_map(|(at, (_, new))| new.iter().map(move |id| (at, id.clone()))).collect()
    }

    /// One of its refreshes produced a refresh token.
    pub(super) fn is_replaced_at(&mut self, at: usize) {
        self.replaced = self.refreshed.get(at).map(|one| one.0.clone());
    }

    /// Whether whoever acts now is the one who had the token replaced or spent.
    fn likeness(&self, act: &Act<'_, '_>) -> Likeness {
        let now = Party::of(act.entry, act.statement);
        self.holder.as_ref().map_or(Likeness::Unknown, |holder| holder.likeness(&now))
    }

    /// A presentation of a replaced or spent token that the issuer refused: see
    /// [`super::replay`]. Nothing else that was refused is a finding.
    fn refused_replay(&self, act: &Act<'_, '_>, windows: &Windows) -> Option<Finding> {
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

    fn lifecycle(&self, act: &Act<'_, '_>, violation: Violation, windows: &Windows) -> Finding {
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

    fn key_mismatch(&self, act: &Act<'_, '_>) -> Option<Finding> {
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

fn is_use(event_type: EventType) -> bool {
    matches!(event_type, EventType::Used | EventType::ResourceAccessed | EventType::Refreshed)
}

/// Whether anything is said of an act by what its token came of: of a permitted use, or of a birth.
pub(super) fn asks_for_parents(statement: &Statement<'_>) -> bool {
    let asks = is_use(statement.event_type) || statement.event_type == EventType::Issued;
    asks && statement.outcome == Outcome::Allow
}

pub(super) fn finding(act: &Act<'_, '_>, rule: Rule, explained: Option<Explanation>) -> Finding {
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
fn outlives(
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
fn widened(act: &Act<'_, '_>, parent: &Parent) -> Option<Finding> {
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
fn actor_lost(act: &Act<'_, '_>, parent: &Parent) -> Option<Finding> {
    if parent.relation != Relation::ExchangedFrom {
        return None;
    }
    let named: Vec<String> = act.statement.actors.iter().map(actor_name).collect();
    let lost = parent.actors.iter().filter(|actor| !named.contains(actor));
    let lost: Vec<&str> = lost.map(String::as_str).collect();
    (!lost.is_empty()).then(|| about(act, Rule::ActorLostInExchange, parent, &lost))
}

pub(super) fn actor_name(actor: &ledgerline_proof::statement::Actor<'_>) -> String {
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

pub(super) fn clock_ahead(act: &Act<'_, '_>, windows: &Windows) -> Option<Finding> {
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
