//! The state of one token as the rules see it: its life so far, and the judging of its next act.
//!
//! Promises: what is said of an act follows from the acts taken before it, in the order taken, and
//! from what the caller knows of wider revocations and parents. Nothing is read here: a life that
//! was kept knows only where its births lie ([`Birth`]), and whoever asks for what they say reads
//! them first ([`Life::read_births`]). Before a birth is taken they are read.

mod noticed;

use std::rc::Rc;

use ledgerline_index::Term;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::{self, Fact, TokenState, Violation, is_permitted_birth};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, Relation, TokenKind};
use ledgerline_summaries::{Kept, Reader, kept};
use ledgerline_view::counted;
use ledgerline_view::view::{QueryError, View};

use self::noticed::{actor_lost, outlives, widened};
pub(super) use self::noticed::{actor_name, clock_ahead, finding};
use super::groups::Groups;
use super::indirect_revocations::{Covering, Quiet};
use super::replay::Party;
use super::rules::{Cited, Finding, Windows};
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

/// A birth of a token.
#[derive(Debug, Clone)]
pub(super) struct Birth {
    /// Where it was recorded.
    pub(super) place: u64,
    /// Its leaf; `None` until it is asked for.
    pub(super) leaf: Option<Rc<[u8]>>,
}

impl Birth {
    /// Its leaf, read if it must be.
    pub(super) fn read(&mut self, view: &View) -> Result<Rc<[u8]>, QueryError> {
        if let Some(leaf) = &self.leaf {
            return Ok(Rc::clone(leaf));
        }
        let at = counted::entry(view, self.place);
        let leaf = view.of_log(at.log).leaf(at.index)?;
        Ok(Rc::clone(self.leaf.insert(leaf.into())))
    }
}

/// A token's life so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    state: TokenState,
    /// Its permitted ISSUED and ORIGIN: the first says what it is, each what it belongs to.
    pub(super) births: Vec<Birth>,
    /// What its birth says of where it may be used; none when it says nothing.
    pub(super) audience: Box<[Box<str>]>,
    /// Whether one of its births calls it a code.
    pub(super) is_code: bool,
    /// What it came of, once that was asked for.
    pub(super) kin: Option<Rc<[Kin]>>,
    /// That none of what it came of had ended, once that was asked for.
    pub(super) quiet: Option<Quiet>,
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
    /// Of the chain of a token that has one id, so many entries are behind it.
    pub(super) next: i64,
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
        self.next = self.next.max(act.entry.sequence + 1);
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

    /// Whether it is the life before an entry, of a token that has one id.
    pub(super) fn is_up_to(&self, entry: &Entry<'_>) -> bool {
        self.next == entry.sequence
    }

    /// Reads the leaves of its births, as far as they were not.
    pub(super) fn read_births(&mut self, view: &View) -> Result<Vec<Rc<[u8]>>, QueryError> {
        self.births.iter_mut().map(|birth| birth.read(view)).collect()
    }

    /// The leaf of its first permitted birth, where it was read.
    pub(super) fn birth(&self) -> Option<&Rc<[u8]>> {
        self.births.first()?.leaf.as_ref()
    }

    /// The event of its first permitted birth.
    pub(super) fn born(&self) -> Option<&Cited> {
        self.born.as_ref().map(|born| &born.event)
    }

    /// The revocations of something wider that cover it, each from when that could be known: from
    /// the first birth that it covers on.
    pub(super) fn covered_by(&self) -> impl Iterator<Item = Boundary> {
        let wide = self.covering.iter().flat_map(Covering::wide);
        wide.filter_map(|one| {
            let births = self.births.iter().zip(0..u32::BITS);
            let covered = births.filter(|(_, n)| one.covered & (1 << n) != 0);
            let known = covered.map(|(birth, _)| birth.place).min()?;
            let place = one.boundary.place.max(known);
            Some(Boundary { place, ..one.boundary.clone() })
        })
    }

    /// The first birth under one of its ids, and where it was recorded. Once they were read.
    pub(super) fn birth_of(&self, id: &str) -> Option<(&Rc<[u8]>, u64)> {
        let births = self.births.iter().filter_map(|one| Some((one.leaf.as_ref()?, one.place)));
        births
            .into_iter()
            .find(|(leaf, _)| read_event(leaf, |_, one| one.target.id == id) == Some(true))
    }

    /// The birth that was recorded first.
    pub(super) fn first_recorded(&self) -> Option<&Birth> {
        self.births.iter().min_by_key(|one| one.place)
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
        let birth = || Birth { place: act.place, leaf: Some(act.leaf.into()) };
        let code = statement.token_kind.is_some_and(TokenKind::is_code);
        self.is_code |= code && is_permitted_birth(statement);
        match statement.event_type {
            EventType::Issued | EventType::Origin if self.births.is_empty() => {
                self.births.reserve_exact(1);
                self.births.push(birth());
                self.audience = statement.audience.iter().map(|name| Box::from(*name)).collect();
                self.kid = statement.issuer_kid.map(Into::into);
                self.born = Some(boundary());
            }
            EventType::Issued | EventType::Origin if self.births.len() < MAX_BIRTHS => {
                self.births.push(birth());
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
}

fn is_use(event_type: EventType) -> bool {
    matches!(event_type, EventType::Used | EventType::ResourceAccessed | EventType::Refreshed)
}

/// Whether anything is said of an act by what its token came of: of a permitted use, or of a birth.
pub(super) fn asks_for_parents(statement: &Statement<'_>) -> bool {
    let asks = is_use(statement.event_type) || statement.event_type == EventType::Issued;
    asks && statement.outcome == Outcome::Allow
}

kept!(Boundary { at, uncertainty, event, place });
kept!(Wide { boundary, covered });
kept!(Kin { key, tenant, id, relation });

/// Where it lies; what it says is read from there.
impl Kept for Birth {
    fn write(&self, out: &mut Vec<u8>) {
        self.place.write(out);
    }
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self { place: u64::read(from)?, leaf: None })
    }
}

kept!(Life {
    state,
    births,
    audience,
    is_code,
    kin,
    quiet,
    covering,
    born,
    revoked,
    ends,
    rotated,
    refreshed,
    replaced,
    spent,
    holder,
    reused_by,
    kid,
    count,
    latest,
    next,
    anew,
    turns,
    raised,
});
