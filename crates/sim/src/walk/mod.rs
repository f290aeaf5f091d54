//! A walk through all entries: the brute-force answers that questions are compared with.
//!
//! Promises: every answer comes of decoding all leaves of a scope, one by one; nothing here asks
//! the index or remembers anything. For the simulator and for tests.
//!
//! Assumes: every leaf decodes, as those of a ledger do, and tokens are of the form
//! `<region>:<alias>:…`. Of revocations of something wider it asks the kernel.
//!
//! Refuses: to be fast.

mod asked;
mod expiries;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::{Entry, Handle};
use ledgerline_proof::lifecycle::{self, Fact, Revocation, TokenFacts, TokenState};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::{Link, Statement};
use ledgerline_proof::vocabulary::{
    EventType, HandleKind, Outcome, PersonalRole, Relation, Strength, TargetKind,
};
use ledgerline_questions::lineage::{Direction, Reach, Scope};
use ledgerline_view::address::EntryRef;

pub use self::expiries::expiries;

/// All entries of a scope, read one by one.
pub struct Walk {
    leaves: Vec<(u64, Vec<u8>)>,
    /// Those that occurred later, too: which ids are one token's is so whenever it is said.
    ever: Vec<(u64, Vec<u8>)>,
    scope: Scope,
    /// All ids of every token that any event names.
    classes: BTreeMap<String, BTreeSet<String>>,
    /// The id that each is known by.
    canonical: BTreeMap<String, String>,
    /// `(parent, child, descent)` of all links, by canonical ids.
    edges: BTreeSet<(String, String, bool)>,
}

fn with<'l, T>(leaf: &'l [u8], read: impl FnOnce(&Entry<'l>, &Statement<'l>) -> T) -> T {
    read_event(leaf, read).expect("a recorded event")
}

/// `(from, to)` of edges that are followed in a direction.
fn directed<'e>(
    edges: impl Iterator<Item = (&'e String, &'e String)>,
    direction: Direction,
) -> Vec<(&'e String, &'e String)> {
    edges
        .map(|(parent, child)| match direction {
            Direction::Ancestors => (child, parent),
            Direction::Descendants => (parent, child),
        })
        .collect()
}

/// How many edges lie between any of `from` and all that can be reached, breadth first.
fn depths(from: &[String], edges: &[(&String, &String)]) -> BTreeMap<String, u32> {
    let mut depths: BTreeMap<String, u32> = from.iter().map(|id| (id.clone(), 0)).collect();
    let mut queue: VecDeque<String> = from.iter().cloned().collect();
    while let Some(id) = queue.pop_front() {
        for (at, next) in edges {
            if **at == id && !depths.contains_key(*next) {
                depths.insert((*next).clone(), depths[&id] + 1);
                queue.push_back((*next).clone());
            }
        }
    }
    depths
}

fn is_done(statement: &Statement<'_>) -> bool {
    !matches!(statement.outcome, Outcome::Deny | Outcome::Error)
}

fn is_birth(statement: &Statement<'_>) -> bool {
    statement.target.kind == TargetKind::Token
        && matches!(statement.event_type, EventType::Issued | EventType::Origin)
}

fn subject(handles: &[Handle]) -> Option<[u8; 16]> {
    let mut all = handles.iter();
    let one = all.find(|one| one.role == PersonalRole::Subject && one.kind == HandleKind::Person);
    one.map(|one| one.id)
}

/// Whether a name that is asked for means one that is written in an event about `target`.
fn names(asked: &str, written: &str, target: &str) -> bool {
    let parts: Vec<&str> = target.splitn(3, ':').collect();
    let [region, alias, _] = parts[..] else {
        // No issuer is known: a qualified question finds what is written bare.
        return asked == written || asked.splitn(3, ':').nth(2) == Some(written);
    };
    let own = |id: &str| id.strip_prefix(&format!("{region}:{alias}:")).unwrap_or(id).to_owned();
    own(asked) == own(written)
}

impl Walk {
    /// Takes the leaves of a ledger that lie in a scope, each with its rank: in a ledger of one
    /// origin its index. `ids` are all token ids that any of them names.
    pub fn new<'l>(
        leaves: impl Iterator<Item = (u64, &'l [u8])>,
        scope: &Scope,
        ids: &[String],
    ) -> Self {
        let (mut seen, mut ever) = (Vec::new(), Vec::new());
        for (index, leaf) in leaves.filter(|(rank, _)| scope.as_of.covers(EntryRef::of_rank(*rank)))
        {
            let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, leaf) else { continue };
            let statement: Statement<'_> =
                decode_object(Kind::Statement, entry.statement).expect("a recorded statement");
            let in_time = scope.at.is_none_or(|at| statement.occurred_at.nanos <= at);
            if statement.tenant == scope.tenant {
                seen.extend(in_time.then(|| (index, leaf.to_vec())));
                ever.push((index, leaf.to_vec()));
            }
        }
        let (classes, canonical, edges) = Default::default();
        let mut walk = Self { leaves: seen, ever, scope: scope.clone(), classes, canonical, edges };
        for id in ids {
            let class = walk.find_class(id);
            walk.classes.insert(id.clone(), class);
        }
        for id in ids {
            let canonical = walk.find_canonical(id);
            walk.canonical.insert(id.clone(), canonical);
        }
        walk.edges = walk.find_edges();
        walk
    }

    fn class(&self, id: &str) -> &BTreeSet<String> {
        &self.classes[id]
    }

    /// The id that a token is known by.
    pub fn canonical(&self, id: &str) -> String {
        self.canonical[id].clone()
    }

    fn each(&self, mut each: impl FnMut(u64, &Entry<'_>, &Statement<'_>)) {
        self.leaves.iter().for_each(|(index, leaf)| with(leaf, |e, s| each(*index, e, s)));
    }

    fn find_class(&self, id: &str) -> BTreeSet<String> {
        let mut class = BTreeSet::from([id.to_owned()]);
        loop {
            let before = class.len();
            self.ever.iter().for_each(|(_, leaf)| {
                let s = with(leaf, |_, s| s.clone());
                // A token has one issuer: `<region>:<alias>:` in front of each of its ids.
                let front = |id: &str| id.splitn(3, ':').take(2).collect::<Vec<_>>().join(":");
                let own = front(s.target.id);
                let ids = s.also_known_as.iter().copied().filter(|id| front(id) == own);
                let ids: Vec<&str> = ids.chain([s.target.id]).collect();
                let about = s.target.kind == TargetKind::Token && !s.also_known_as.is_empty();
                if about && is_done(&s) && ids.iter().any(|id| class.contains(*id)) {
                    class.extend(ids.iter().map(|id| (*id).to_owned()));
                }
            });
            if class.len() == before {
                return class;
            }
        }
    }

    fn chain(&self, id: &str) -> Vec<&(u64, Vec<u8>)> {
        let class = self.class(id);
        let about =
            |s: &Statement<'_>| s.target.kind == TargetKind::Token && class.contains(s.target.id);
        self.leaves.iter().filter(|(_, leaf)| with(leaf, |_, s| about(s))).collect()
    }

    fn find_canonical(&self, id: &str) -> String {
        let chain = self.chain(id);
        let first = chain.first().map(|(_, leaf)| with(leaf, |_, s| s.target.id.to_owned()));
        first.or_else(|| self.class(id).first().cloned()).unwrap_or_else(|| id.to_owned())
    }

    /// Every link of an act that was done to another token: the link, the act's token, the other.
    fn each_link(&self, mut each: impl FnMut(&Link<'_>, String, String)) {
        self.each(|_, _, s| {
            if s.target.kind != TargetKind::Token || !is_done(s) {
                return;
            }
            for link in &s.links {
                if let Some(token) = link.token.filter(|token| *token != s.target.id) {
                    each(link, self.canonical(s.target.id), self.canonical(token));
                }
            }
        });
    }

    fn find_edges(&self) -> BTreeSet<(String, String, bool)> {
        let mut edges = BTreeSet::new();
        self.each_link(|link, own, other| {
            edges.insert(match link.relation {
                Relation::Produced | Relation::RotatedTo => (own, other, true),
                Relation::CausedBy | Relation::ActedBy | Relation::Other => (other, own, false),
                _ => (other, own, true),
            });
        });
        edges
    }

    /// Whether anything is recorded about a token.
    pub fn is_known(&self, id: &str) -> bool {
        let own = self.canonical(id);
        let linked = self.edges.iter().any(|(a, b, _)| *a == own || *b == own);
        linked || !self.chain(id).is_empty()
    }

    /// Ancestors or descendants with their depths, along what sources state.
    pub fn relatives(&self, id: &str, direction: Direction) -> Option<BTreeMap<String, u32>> {
        self.is_known(id).then(|| self.walk(&[self.canonical(id)], direction))
    }

    fn walk(&self, from: &[String], direction: Direction) -> BTreeMap<String, u32> {
        let descents = self.edges.iter().filter(|(.., descent)| *descent);
        depths(from, &directed(descents.map(|(parent, child, _)| (parent, child)), direction))
    }

    /// As [`Self::relatives`], along other edges.
    pub fn reached(
        &self,
        id: &str,
        direction: Direction,
        reach: Reach,
    ) -> Option<BTreeMap<String, u32>> {
        if !self.is_known(id) {
            return None;
        }
        let mut edges = self.stated(reach);
        if reach == Reach::Joined {
            edges.extend(self.joins());
        }
        let along = directed(edges.iter().map(|(parent, child)| (parent, child)), direction);
        Some(depths(&[self.canonical(id)], &along))
    }

    /// `(parent, child)` of the links that are followed.
    fn stated(&self, reach: Reach) -> BTreeSet<(String, String)> {
        let mut edges = BTreeSet::new();
        self.each_link(|link, own, other| {
            let descent =
                !matches!(link.relation, Relation::CausedBy | Relation::ActedBy | Relation::Other);
            let followed = match reach {
                Reach::Asserted => descent && link.strength == Strength::Asserted,
                Reach::Stated => descent,
                Reach::Joined => descent || link.relation == Relation::CausedBy,
            };
            let forward = matches!(link.relation, Relation::Produced | Relation::RotatedTo);
            if followed {
                edges.insert(if forward { (own, other) } else { (other, own) });
            }
        });
        edges
    }

    /// `(earlier, later)` of all tokens with a family, grant or session in common.
    fn joins(&self) -> BTreeSet<(String, String)> {
        let mut born: BTreeMap<String, (i64, u64)> = BTreeMap::new();
        let mut groups: BTreeSet<(String, String)> = BTreeSet::new();
        self.each(|index, _, s| {
            if !is_birth(s) || s.outcome != Outcome::Allow {
                return;
            }
            let id = self.canonical(s.target.id);
            let at = (s.occurred_at.nanos, index);
            let first = born.entry(id.clone()).or_insert(at);
            *first = at.min(*first);
            for (kind, name) in [('s', s.session_id), ('g', s.grant_id), ('f', s.family_id)] {
                let Some(name) = name else { continue };
                let full =
                    if name.contains(':') { name.to_owned() } else { format!("eu:idp:{name}") };
                groups.insert((format!("{kind}{full}"), id.clone()));
            }
        });
        let mut joins = BTreeSet::new();
        let mut events: BTreeMap<(String, [u8; 16]), String> = BTreeMap::new();
        self.each(|_, _, s| {
            if s.target.kind == TargetKind::Token {
                let token = self.canonical(s.target.id);
                events.insert((s.source.to_owned(), s.event_id), token);
            }
        });
        self.each(|_, _, s| {
            if s.target.kind != TargetKind::Token || !is_done(s) {
                return;
            }
            for link in s.links.iter().filter(|link| link.relation == Relation::CausedBy) {
                let event = link.event.as_ref();
                let named =
                    event.and_then(|one| events.get(&(one.source.to_owned(), one.event_id)));
                if let Some(cause) = named {
                    joins.insert((cause.clone(), self.canonical(s.target.id)));
                }
            }
        });
        for (group, early) in &groups {
            for (_, late) in groups.iter().filter(|(other, _)| other == group) {
                if born[early] < born[late] {
                    joins.insert((early.clone(), late.clone()));
                }
            }
        }
        joins
    }

    /// All descendants of all ancestors.
    pub fn family(&self, id: &str) -> Option<BTreeSet<String>> {
        let ancestors: Vec<String> =
            self.relatives(id, Direction::Ancestors)?.into_keys().collect();
        Some(self.walk(&ancestors, Direction::Descendants).into_keys().collect())
    }

    /// How many edges lie between two tokens, in any direction.
    pub fn path(&self, from: &str, to: &str) -> Option<usize> {
        if !self.is_known(from) || !self.is_known(to) {
            return None;
        }
        let (from, to) = (self.canonical(from), self.canonical(to));
        let edges = || self.edges.iter().map(|(parent, child, _)| (parent, child));
        let mut both = directed(edges(), Direction::Descendants);
        both.extend(directed(edges(), Direction::Ancestors));
        depths(&[from], &both).get(&to).map(|depth| *depth as usize)
    }

    /// State in ledger order and in event time.
    pub fn states(&self, id: &str) -> (TokenState, TokenState) {
        let chain = self.chain(id);
        let facts: Vec<Fact<'_>> = chain
            .iter()
            .map(|(index, leaf)| with(leaf, |e, s| Fact::of(s, *index, e.recorded_at)))
            .collect();
        let (mut known, mut happened) = (lifecycle::known(&facts), lifecycle::happened(&facts));
        let is_born = |leaf: &[u8]| with(leaf, |_, s| is_birth(s) && s.outcome == Outcome::Allow);
        self.each(|index, entry, statement| {
            let Some(revocation) =
                Revocation::of(statement, &entry.handles, index, entry.recorded_at)
            else {
                return;
            };
            // Any birth: to be known under another name saves no token.
            let covers = chain.iter().any(|(_, leaf)| {
                let covers = |entry: &Entry<'_>, birth: &Statement<'_>| {
                    let facts = TokenFacts::of(birth, &entry.handles);
                    revocation.covers(&facts.expect("a birth"))
                };
                is_born(leaf) && with(leaf, covers)
            });
            if covers && revocation.is_in_force(self.scope.judged_at) {
                let whole = Revocation { selector: None, ..revocation };
                known.cover(&whole);
                happened.cover(&whole);
            }
        });
        (known, happened)
    }
}
