//! Whether what is shown belongs to the question, as far as the entries themselves tell.
//!
//! Promises: the token, client, resource, event, … that the question is about is found in what is
//! shown, and every token and event shown has its place in the answer to that question. A bundle
//! whose query was exchanged or changed so that it no longer fits its entries is FAILED.
//!
//! What it cannot see is what is not shown: a range or a bound that was widened. That the answer
//! is whole is proven by no bundle.
//!
//! Assumes: in a ledger that continues another origin, a part of the answer may stand there, and a
//! place that leads through it cannot be judged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::evidence::{Evidence, Recorded};
use super::history::Part;
use super::report::Status;
use crate::bundle::Query;
use crate::entry::Handle;
use crate::question::{About, Holder, Moment, Point, Question, SEVERITIES};
use crate::statement::Statement;
use crate::vocabulary::{
    ActorKind, EventType, HandleKind, Outcome, PersonalRole, Relation, Strength, TargetKind,
};

/// An entry that can be read, with its part.
struct Shown<'r> {
    index: u64,
    recorded_at: i64,
    part: Part,
    statement: &'r Statement<'r>,
    handles: &'r [Handle],
}

/// Judges a question; what is no question is proven as far as this module goes.
pub(super) fn judge(query: &Query, evidence: &Evidence<'_>, parts: &[Part]) -> Status {
    let mut status = Status::Proven;
    let question = match Question::read(query) {
        None => return status,
        Some(Ok(question)) => question,
        Some(Err(error)) => {
            status.fail(format!("it is no question that can be checked: {error}"));
            return status;
        }
    };
    let Query::Question { tokens, .. } = query else { return status };
    let shown = evidence.entries.iter().zip(parts).filter_map(|(recorded, part)| {
        let Recorded { index, entry, statement, .. } = recorded;
        let statement = statement.as_ref().ok()?;
        let recorded_at = entry.recorded_at.nanos;
        Some(Shown { index: *index, recorded_at, part: *part, statement, handles: &entry.handles })
    });
    let genesis = evidence.genesis.as_ref();
    let answer = Answer {
        question: &question,
        tokens,
        shown: shown.collect(),
        continued: genesis.is_none_or(|(_, genesis)| genesis.predecessor.is_some()),
    };
    answer.judge(&mut status);
    status
}

struct Answer<'a, 'r> {
    question: &'a Question<'a>,
    tokens: &'a [Vec<String>],
    shown: Vec<Shown<'r>>,
    /// An older origin may hold the rest.
    continued: bool,
}

impl<'r> Answer<'_, 'r> {
    fn judge(&self, status: &mut Status) {
        self.judge_moment(status);
        match &self.question.about {
            About::Token(id) => self.judge_token(id, status),
            About::Nothing if self.question.name == "findings" => self.judge_findings(status),
            About::Nothing if self.question.name == "after-revoke" => self.judge_revoked(status),
            About::Nothing => {}
            About::Event(..) => self.judge_causes(status),
            about => self.judge_each(about, status),
        }
    }

    /// An entry that is shown because the answer names it lies within what the question looks at.
    /// Chains are shown whole.
    fn judge_moment(&self, status: &mut Status) {
        for one in self.shown.iter().filter(|one| one.part == Part::Named) {
            if !self.is_within(one) {
                let index = one.index;
                status.fail(format!("entry {index} is later than what the question looks at"));
            }
        }
    }

    fn is_within(&self, one: &Shown<'_>) -> bool {
        let known = match self.question.as_of {
            Some(Moment::Size(size)) => one.index < size,
            Some(Moment::At(at)) => one.recorded_at <= at,
            None => true,
        };
        known && self.question.at.is_none_or(|at| one.statement.occurred_at.nanos <= at)
    }

    fn judge_token(&self, about: &str, status: &mut Status) {
        let place = self.tokens.iter().position(|ids| ids.iter().any(|id| id == about));
        let Some(root) = place else {
            let named = self.shown.iter().any(|one| one.mentions(about));
            if self.tokens.is_empty() || self.continued || (self.question.to.is_some() && named) {
                if !named {
                    status.doubt("the token that the question is about is not shown");
                }
            } else {
                status.fail("the token that the question is about is not among those shown");
            }
            return;
        };
        let looked_at = |one: &Shown<'_>| one.part == Part::Answer(root) && self.is_within(one);
        if !self.continued && !self.shown.iter().any(looked_at) {
            status.fail("the token was not known at what the question looks at");
        }
        if let Some(to) = self.question.to
            && !self.shown.iter().any(|one| one.mentions(to))
        {
            status.doubt("the other end of the path is not shown");
        }
        if self.continued {
            return;
        }
        let related = self.related(root);
        let stray = self.tokens.iter().enumerate().find(|(at, _)| !related.contains(at));
        if let Some((_, ids)) = stray {
            let id = ids.first().map_or("", String::as_str);
            status.fail(format!("token {id} has no place in the answer to the question"));
        }
        let has_place = |one: &&Shown<'r>| {
            let ids = self.tokens.iter().flatten();
            one.part != Part::Named
                || one.statement.target.kind != TargetKind::Token
                || ids.into_iter().any(|id| one.mentions(id))
        };
        if let Some(one) = self.shown.iter().find(|one| !has_place(one)) {
            status.fail(format!("entry {} has no place in the answer to the question", one.index));
        }
    }

    /// The tokens that may stand in an answer about the token at `root`.
    fn related(&self, root: usize) -> BTreeSet<usize> {
        let question = self.question;
        let all = || (0..self.tokens.len()).collect();
        let alone = BTreeSet::from([root]);
        let joined = question.strength == Some("joined");
        match (question.name, question.direction, question.of) {
            ("lineage", Some("path") | None, _)
            | ("resources" | "divergence" | "exposure", _, None) => all(),
            ("lineage" | "blast-radius", ..) if joined => all(),
            ("lineage", Some("ancestors"), _) => self.walk(&alone, false),
            ("lineage", Some("family"), _) => {
                let ancestors = self.walk(&alone, false);
                self.walk(&ancestors, true)
            }
            ("lineage" | "blast-radius", ..) | (_, _, Some("descendants")) => {
                self.walk(&alone, true)
            }
            (_, _, Some("grant")) => {
                let grants = self.grants_of(root);
                let of_grant = |at: &usize| {
                    *at == root
                        || self
                            .grants_of(*at)
                            .iter()
                            .any(|one| grants.iter().any(|other| same_name(one, other)))
                };
                (0..self.tokens.len()).filter(of_grant).collect()
            }
            _ => alone,
        }
    }

    fn grants_of(&self, at: usize) -> BTreeSet<&'r str> {
        let own = self.shown.iter().filter(|one| one.part == Part::Answer(at));
        own.filter_map(|one| one.statement.grant_id).collect()
    }

    /// The tokens that links of descent lead to, down to the children or up to the parents.
    fn walk(&self, from: &BTreeSet<usize>, down: bool) -> BTreeSet<usize> {
        let edges = self.edges(down);
        let most = self.question.depth.unwrap_or(u64::MAX);
        let mut seen: BTreeSet<Node<'_>> = from.iter().map(|at| Node::Shown(*at)).collect();
        let mut queue: VecDeque<(Node<'_>, u64)> = seen.iter().map(|node| (*node, 0)).collect();
        while let Some((node, depth)) = queue.pop_front() {
            if depth >= most {
                continue;
            }
            for next in edges.get(&node).into_iter().flatten() {
                if seen.insert(*next) {
                    queue.push_back((*next, depth + 1));
                }
            }
        }
        let shown = seen.into_iter().filter_map(|node| match node {
            Node::Shown(at) => Some(at),
            Node::Named(_) => None,
        });
        shown.collect()
    }

    fn edges(&self, down: bool) -> BTreeMap<Node<'_>, Vec<Node<'_>>> {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for (at, ids) in self.tokens.iter().enumerate() {
            places.extend(ids.iter().map(|id| (id.as_str(), at)));
        }
        let node = |id| places.get(id).map_or(Node::Named(id), |at| Node::Shown(*at));
        let asserted = self.question.strength == Some("asserted");
        let mut edges: BTreeMap<Node<'_>, Vec<Node<'_>>> = BTreeMap::new();
        for one in &self.shown {
            let statement = one.statement;
            let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
            if statement.target.kind != TargetKind::Token || !done {
                continue;
            }
            for link in &statement.links {
                let Some(token) = link.token else { continue };
                if asserted && link.strength != Strength::Asserted {
                    continue;
                }
                let (own, other) = (node(statement.target.id), node(token));
                let (parent, child) = match link.relation {
                    Relation::RefreshedFrom
                    | Relation::RotatedFrom
                    | Relation::ExchangedFrom
                    | Relation::MintedBy
                    | Relation::FromCode => (other, own),
                    Relation::Produced | Relation::RotatedTo => (own, other),
                    Relation::CausedBy | Relation::ActedBy | Relation::Other => continue,
                };
                let (from, to) = if down { (parent, child) } else { (child, parent) };
                edges.entry(from).or_default().push(to);
            }
        }
        edges
    }

    /// The event asked about is shown, and every other one is named as a cause, or is what the
    /// ledger noted of one that is shown.
    fn judge_causes(&self, status: &mut Status) {
        let About::Event(source, id) = &self.question.about else { return };
        let own =
            |one: &Shown<'_>| one.statement.source == *source && one.statement.event_id == id.0;
        if !self.shown.iter().any(own) {
            if self.shown.is_empty() || self.continued {
                status.doubt("the event that the question is about is not shown");
            } else {
                status.fail("the event that the question is about is not among those shown");
            }
        }
        let links = self.shown.iter().flat_map(|one| &one.statement.links);
        let named: BTreeSet<(&str, [u8; 16])> = links
            .filter_map(|link| link.event.as_ref().map(|event| (event.source, event.event_id)))
            .collect();
        let shown: BTreeSet<(&str, [u8; 16])> =
            self.shown.iter().map(|one| (one.statement.source, one.statement.event_id)).collect();
        let is_note = |one: &Shown<'_>| {
            let kinds = [EventType::FindingRaised, EventType::FindingClosed];
            let mut events = one.statement.links.iter().filter_map(|link| link.event.as_ref());
            one.statement.source == "ledger"
                && kinds.contains(&one.statement.event_type)
                && events.any(|event| shown.contains(&(event.source, event.event_id)))
        };
        let has_place = |one: &&Shown<'_>| {
            own(one)
                || named.contains(&(one.statement.source, one.statement.event_id))
                || is_note(one)
        };
        if let Some(one) = self.shown.iter().find(|one| !self.continued && !has_place(one)) {
            status.fail(format!("entry {} has no place in the answer to the question", one.index));
        }
    }

    /// Every token was revoked, by itself or by something wider that is shown.
    fn judge_revoked(&self, status: &mut Status) {
        let wide = self.shown.iter().any(|one| one.part == Part::Covering);
        let own = self.shown.iter().filter_map(|one| match one.part {
            Part::Answer(at) if one.statement.event_type == EventType::Revoked => Some(at),
            _ => None,
        });
        let revoked: BTreeSet<usize> = own.collect();
        let stray = (0..self.tokens.len()).find(|at| !wide && !revoked.contains(at));
        if let Some(at) = stray.filter(|_| !self.continued) {
            let id = self.tokens[at].first().map_or("", String::as_str);
            status.fail(format!("token {id} has nothing to do with the question"));
        }
    }

    /// Every finding raised is of the rule, the token and the severity asked for.
    fn judge_findings(&self, status: &mut Status) {
        let place = |word: &str| SEVERITIES.iter().position(|known| *known == word);
        for one in &self.shown {
            if one.statement.event_type != EventType::FindingRaised {
                continue;
            }
            let told = |key: &str| {
                let found = one.statement.detail.iter().find(|detail| detail.key == key);
                found.map(|detail| detail.value)
            };
            let of_rule = self.question.rule.is_none_or(|rule| told("rule") == Some(rule));
            let least = self.question.severity.and_then(place);
            let grave = told("severity").and_then(place);
            let is_grave = least.is_none_or(|least| grave.is_some_and(|grave| grave >= least));
            let of_token = self.question.token.is_none_or(|token| {
                let mut details = one.statement.detail.iter();
                one.mentions(token) || details.any(|detail| detail.value == token)
            });
            if !(of_rule && is_grave && of_token) {
                let index = one.index;
                status.fail(format!("finding {index} has nothing to do with the question"));
            }
        }
    }

    /// Every token, or where no token is shown every event, has to do with what is asked about.
    fn judge_each(&self, about: &About<'_>, status: &mut Status) {
        let mut met = vec![false; self.tokens.len()];
        for one in &self.shown {
            match one.part {
                Part::Answer(at) => met[at] |= self.is_of(about, one),
                Part::Named if self.tokens.is_empty() && !self.is_of(about, one) => {
                    let index = one.index;
                    status.fail(format!("entry {index} has nothing to do with the question"));
                }
                _ => {}
            }
        }
        let stray = met.iter().position(|met| !met).filter(|_| !self.continued);
        if let Some(at) = stray {
            let id = self.tokens[at].first().map_or("", String::as_str);
            status.fail(format!("token {id} has nothing to do with the question"));
        }
    }

    fn is_of(&self, about: &About<'_>, one: &Shown<'_>) -> bool {
        let Shown { statement, handles, .. } = one;
        let named = |id: &str, kind: TargetKind, written: Option<&str>| {
            let target = (statement.target.kind == kind).then_some(statement.target.id);
            written.into_iter().chain(target).any(|written| same_name(id, written))
        };
        match about {
            About::Person(id) => {
                handles.iter().any(|handle| {
                    handle.id == *id
                        && handle.kind == HandleKind::Person
                        && handle.role == PersonalRole::Subject
                }) || statement.event_type == EventType::PolicyChanged
            }
            About::Handle(id) => {
                handles.iter().any(|handle| handle.id == *id) && self.is_in_range(statement)
            }
            About::Resource(name) => {
                [statement.resource, statement.endpoint].contains(&Some(*name))
                    && self.is_in_range(statement)
            }
            About::Holder(Holder::Client, id) => {
                let mut actors = statement.actors.iter();
                named(id, TargetKind::Client, statement.client_id)
                    || actors.any(|one| one.kind == ActorKind::Client && same_name(id, one.id))
            }
            About::Holder(Holder::Session, id) => {
                named(id, TargetKind::Session, statement.session_id)
            }
            About::Holder(Holder::Grant, id) => named(id, TargetKind::Grant, statement.grant_id),
            About::Holder(Holder::Key, id) => named(id, TargetKind::Key, statement.issuer_kid),
            About::Holder(Holder::Issuer, id) => {
                statement.target.id.strip_prefix(id).is_some_and(|rest| rest.starts_with(':'))
            }
            About::Policy(id) => {
                statement.target.id == *id || statement.policies.iter().any(|one| one.id == *id)
            }
            About::Digest(digest) => {
                let mut policies = statement.policies.iter();
                let change = statement.policy_change.as_ref();
                policies.any(|policy| policy.digest == Some(*digest))
                    || change.is_some_and(|change| change.snapshot == Some(*digest))
            }
            About::Token(_) | About::Event(..) | About::Nothing => true,
        }
    }

    /// Whether an event, or the uses that it stands for, reach into the range of times.
    fn is_in_range(&self, statement: &Statement<'_>) -> bool {
        let begun = statement.occurred_at.nanos;
        let ended = statement.last_at.unwrap_or(begun).max(begun);
        let after = |point: Option<Point>| match point {
            Some(Point::At(from)) => ended >= from,
            _ => true,
        };
        let before = |point: Option<Point>| match point {
            Some(Point::At(until)) => begun < until,
            _ => true,
        };
        after(self.question.from) && before(self.question.until)
    }
}

/// A token of the answer, or one that is only named in a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node<'a> {
    Shown(usize),
    Named(&'a str),
}

impl Shown<'_> {
    /// Whether it is about a token, or names it.
    fn mentions(&self, id: &str) -> bool {
        let statement = self.statement;
        let mut links = statement.links.iter();
        statement.target.id == id
            || statement.also_known_as.contains(&id)
            || links.any(|link| link.token == Some(id))
    }
}

/// Whether two ids may be one, where one of them stands without its `<region>:<alias>:`.
fn same_name(one: &str, other: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|front| front.ends_with(':'))
    };
    one == other || ends(one, other) || ends(other, one)
}
