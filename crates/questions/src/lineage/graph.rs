//! Walks over the edges: ancestors, descendants, family, and a path between two tokens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ledgerline_proof::vocabulary::{Relation, Strength};
use ledgerline_view::view::QueryError;

use super::edge::{Direction, Edge};
use super::groups::{self, Born, Group, Members, Reach};
use super::query_context::QueryContext;
use super::reader::Cut;
use super::token::Token;

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Edges from the token asked about.
    pub depth: u32,
    /// Tokens, the one asked about included.
    pub tokens: usize,
    /// Which edges are followed.
    pub reach: Reach,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: 256, tokens: 2000, reach: Reach::Stated }
    }
}

/// A token of an answer.
#[derive(Debug, Clone)]
pub struct Relative {
    /// The token.
    pub token: Arc<Token>,
    /// Edges from the token asked about, on the shortest way.
    pub depth: u32,
    /// The relation on that way; none for the token asked about itself.
    pub via: Option<Edge>,
}

/// The answer of a walk: the token asked about first, then by depth, then in ledger order.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// The tokens.
    pub relatives: Vec<Relative>,
    /// The edges between them, each pair of tokens once.
    pub edges: Vec<Edge>,
}

/// An edge of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The edge.
    pub edge: Edge,
    /// Whether the path goes from its parent to its child.
    pub forward: bool,
}

/// A walk under way.
struct Walk {
    bounds: Bounds,
    depths: BTreeMap<String, u32>,
    relatives: Vec<Relative>,
    edges: BTreeMap<(String, String), Edge>,
    /// Groups gone through, and by the birth of whom.
    joined: BTreeMap<(Direction, Group), Born>,
    /// The tokens of the groups that it came across.
    groups: BTreeMap<Group, Members>,
}

impl Walk {
    fn new(bounds: Bounds, root: &Arc<Token>) -> Self {
        let relative = Relative { token: Arc::clone(root), depth: 0, via: None };
        Self {
            bounds,
            depths: BTreeMap::from([(root.id.clone(), 0)]),
            relatives: vec![relative],
            edges: BTreeMap::new(),
            joined: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// The joins that lead from a token in a direction to those that no earlier one of its groups
    /// led to.
    fn joins(
        &mut self,
        context: &mut QueryContext<'_>,
        token: &Token,
        direction: Direction,
    ) -> Result<Vec<Edge>, QueryError> {
        let mut found: BTreeMap<String, Edge> = BTreeMap::new();
        if self.bounds.reach != Reach::Joined {
            return Ok(Vec::new());
        }
        for edge in groups::causes(context, token, direction)? {
            let other = if direction == Direction::Ancestors { &edge.parent } else { &edge.child };
            match found.get_mut(other) {
                Some(known) => known.join(edge),
                None => {
                    found.insert(other.clone(), edge);
                }
            }
        }
        let Some(own) = groups::born(token) else { return Ok(found.into_values().collect()) };
        for group in groups::groups(token) {
            let before = self.joined.get(&(direction, group.clone())).copied();
            let is_new = |born: Born| match direction {
                Direction::Descendants => born > own && before.is_none_or(|seen| born <= seen),
                Direction::Ancestors => born < own && before.is_none_or(|seen| born >= seen),
            };
            for (born, other) in self.members(context, &group)?.iter() {
                if is_new(*born) && !found.contains_key(&other.id) {
                    let edge = match direction {
                        Direction::Descendants => groups::edge(&group, token, other),
                        Direction::Ancestors => groups::edge(&group, other, token),
                    };
                    found.insert(other.id.clone(), edge);
                }
            }
            let seen = before.map_or(own, |seen| match direction {
                Direction::Descendants => seen.min(own),
                Direction::Ancestors => seen.max(own),
            });
            self.joined.insert((direction, group), seen);
        }
        Ok(found.into_values().collect())
    }

    /// The tokens of a group, in the order of their births.
    fn members(
        &mut self,
        context: &mut QueryContext<'_>,
        group: &Group,
    ) -> Result<Members, QueryError> {
        if let Some(known) = self.groups.get(group) {
            return Ok(Arc::clone(known));
        }
        let members = groups::members(context, group)?;
        self.groups.insert(group.clone(), Arc::clone(&members));
        Ok(members)
    }

    /// Goes from every token of `from` on.
    fn go(
        &mut self,
        context: &mut QueryContext<'_>,
        from: Vec<Arc<Token>>,
        direction: Direction,
    ) -> Result<(), QueryError> {
        let mut visited: BTreeSet<String> = from.iter().map(|token| token.id.clone()).collect();
        let mut queue: VecDeque<Arc<Token>> = from.into();
        let mut ahead = None;
        while let Some(token) = queue.pop_front() {
            let depth = self.depths[&token.id];
            // All that are queued now are of this depth or the next.
            if ahead.is_none_or(|ahead| depth > ahead) && depth < self.bounds.depth {
                ahead = Some(depth);
                let level: Vec<&Token> =
                    [&token].into_iter().chain(&queue).map(|one| &**one).collect();
                self.read_level(context, &level, &[direction])?;
            }
            let mut edges = neighbours(context, &token, direction, self.bounds.reach)?;
            edges.extend(self.joins(context, &token, direction)?);
            for edge in edges {
                let other =
                    if direction == Direction::Ancestors { &edge.parent } else { &edge.child };
                let known = self.depths.contains_key(other);
                if !known && depth >= self.bounds.depth {
                    context.cut(Cut::Depth);
                    continue;
                }
                if !known && self.relatives.len() >= self.bounds.tokens {
                    context.cut(Cut::Tokens);
                    continue;
                }
                let next = context.token(other)?;
                if !known {
                    self.depths.insert(other.clone(), depth + 1);
                    let (token, via) = (Arc::clone(&next), Some(edge.clone()));
                    self.relatives.push(Relative { token, depth: depth + 1, via });
                }
                // What a source states stands before what is joined.
                let ends = (edge.parent.clone(), edge.child.clone());
                self.edges.entry(ends).or_insert(edge);
                if visited.insert(next.id.clone()) {
                    queue.push_back(next);
                }
            }
        }
        Ok(())
    }

    /// Reads the tokens that these lead to, no more than the answer has room for.
    fn read_level(
        &self,
        context: &mut QueryContext<'_>,
        tokens: &[&Token],
        directions: &[Direction],
    ) -> Result<(), QueryError> {
        let room = self.bounds.tokens.saturating_sub(self.relatives.len());
        let mut others = BTreeSet::new();
        for token in tokens {
            let ends = token.edges.iter().flat_map(|edge| {
                let end = move |direction: &Direction| match direction {
                    Direction::Ancestors => (edge, &edge.parent),
                    Direction::Descendants => (edge, &edge.child),
                };
                directions.iter().map(end)
            });
            let others_of = ends.filter(|(_, other)| !token.ids.contains(*other));
            let followed = others_of
                .filter(|(edge, _)| directions.len() > 1 || is_followed(edge, self.bounds.reach));
            others.extend(followed.map(|(_, other)| other.clone()));
        }
        if self.bounds.reach == Reach::Joined {
            let is_new = |group: &Group| !self.groups.contains_key(group);
            others.extend(groups::read_level(context, tokens, directions, &is_new)?);
        }
        context.read_tokens(others.into_iter().take(room));
        Ok(())
    }

    fn end(mut self, context: &mut QueryContext<'_>) -> Lineage {
        // Tokens that others only speak of come last.
        let first = |one: &Relative| {
            let first = one.token.records.first().map(|one| one.at);
            (first.is_none(), first)
        };
        self.relatives.sort_by(|a, b| {
            (a.depth, first(a), &a.token.id).cmp(&(b.depth, first(b), &b.token.id))
        });
        let edges: Vec<Edge> = self.edges.into_values().collect();
        for relative in &self.relatives {
            context.show_token(&relative.token.summary);
        }
        edges.iter().flat_map(|edge| &edge.evidence).for_each(|at| context.cite(*at));
        Lineage { relatives: self.relatives, edges }
    }
}

/// The edges of descent that lead from a token in a direction, each other token once, both ends by
/// the ids that their tokens are known by.
fn neighbours(
    context: &mut QueryContext<'_>,
    token: &Token,
    direction: Direction,
    reach: Reach,
) -> Result<Vec<Edge>, QueryError> {
    let wanted = |edge: &&Edge| {
        is_followed(edge, reach)
            && match direction {
                Direction::Ancestors => token.ids.contains(&edge.child),
                Direction::Descendants => token.ids.contains(&edge.parent),
            }
    };
    let mut joined: BTreeMap<String, Edge> = BTreeMap::new();
    for edge in token.edges.iter().filter(wanted) {
        let edge = canonical(context, edge)?;
        if edge.parent == edge.child {
            continue;
        }
        let other = if direction == Direction::Ancestors { &edge.parent } else { &edge.child };
        match joined.get_mut(other) {
            Some(known) => known.join(edge),
            None => {
                joined.insert(other.clone(), edge);
            }
        }
    }
    Ok(joined.into_values().collect())
}

/// Whether an edge is one that a walk goes along.
fn is_followed(edge: &Edge, reach: Reach) -> bool {
    match reach {
        Reach::Asserted => edge.is_descent() && edge.strength == Strength::Asserted,
        Reach::Stated => edge.is_descent(),
        Reach::Joined => edge.is_descent() || edge.relation == Relation::CausedBy,
    }
}

/// The edge with the ids that its tokens are known by.
fn canonical(context: &mut QueryContext<'_>, edge: &Edge) -> Result<Edge, QueryError> {
    let parent = context.token(&edge.parent)?.id.clone();
    let child = context.token(&edge.child)?.id.clone();
    Ok(Edge { parent, child, ..edge.clone() })
}

/// The ancestors or descendants of a token, itself included; `None` when nothing is recorded about
/// it.
///
/// # Errors
/// [`QueryError`].
pub fn relatives(
    context: &mut QueryContext<'_>,
    id: &str,
    direction: Direction,
    bounds: Bounds,
) -> Result<Option<Lineage>, QueryError> {
    let Some((root, mut walk)) = begun(context, id, bounds)? else { return Ok(None) };
    walk.go(context, vec![root], direction)?;
    Ok(Some(walk.end(context)))
}

/// A walk that stands at a token; `None` when nothing is recorded about it.
fn begun(
    context: &mut QueryContext<'_>,
    id: &str,
    bounds: Bounds,
) -> Result<Option<(Arc<Token>, Walk)>, QueryError> {
    let root = context.token(id)?;
    let walk = root.is_known().then(|| Walk::new(bounds, &root));
    Ok(walk.map(|walk| (root, walk)))
}

/// Everything that descends from what the token descends from: its ancestors, and all of their
/// descendants. Depths count edges either way.
///
/// # Errors
/// [`QueryError`].
pub fn family(
    context: &mut QueryContext<'_>,
    id: &str,
    bounds: Bounds,
) -> Result<Option<Lineage>, QueryError> {
    let Some((root, mut walk)) = begun(context, id, bounds)? else { return Ok(None) };
    walk.go(context, vec![root], Direction::Ancestors)?;
    let ancestors = walk.relatives.iter().map(|relative| Arc::clone(&relative.token)).collect();
    walk.go(context, ancestors, Direction::Descendants)?;
    Ok(Some(walk.end(context)))
}

/// A shortest path between two tokens over edges of any kind, in any direction; empty when they are
/// the same, `None` when there is none within the bounds or one of them is unknown.
///
/// # Errors
/// [`QueryError`].
pub fn path(
    context: &mut QueryContext<'_>,
    from: &str,
    to: &str,
    bounds: Bounds,
) -> Result<Option<Vec<Step>>, QueryError> {
    let (from, to) = (context.token(from)?, context.token(to)?);
    if !from.is_known() || !to.is_known() {
        return Ok(None);
    }
    let mut came: BTreeMap<String, Option<(String, Step)>> =
        BTreeMap::from([(from.id.clone(), None)]);
    let mut queue = VecDeque::from([(Arc::clone(&from), 0)]);
    let mut walk = Walk::new(bounds, &from);
    let mut ahead = None;
    while let Some((token, depth)) = queue.pop_front() {
        if token.id == to.id {
            let steps = walk_back(&came, &to.id);
            let evidence = steps.iter().flat_map(|step| &step.edge.evidence);
            evidence.for_each(|at| context.cite(*at));
            context.show_token(&from.summary);
            context.show_token(&to.summary);
            return Ok(Some(steps));
        }
        if depth >= bounds.depth {
            context.cut(Cut::Depth);
            continue;
        }
        if ahead.is_none_or(|ahead| depth > ahead) {
            ahead = Some(depth);
            let queued = queue.iter().map(|(token, _)| &**token);
            let level: Vec<&Token> = [&*token].into_iter().chain(queued).collect();
            walk.read_level(context, &level, &[Direction::Ancestors, Direction::Descendants])?;
        }
        // Descent first: of two shortest paths the one over it is told.
        let known =
            |edge: &&Edge| bounds.reach != Reach::Asserted || edge.strength == Strength::Asserted;
        let mut edges: Vec<Edge> = token.edges.iter().filter(known).cloned().collect();
        edges.sort_by_key(|edge| (!edge.is_descent(), edge.evidence.first().copied()));
        for direction in [Direction::Ancestors, Direction::Descendants] {
            edges.extend(walk.joins(context, &token, direction)?);
        }
        for edge in edges {
            let edge = canonical(context, &edge)?;
            let forward = edge.parent == token.id;
            let other = if forward { edge.child.clone() } else { edge.parent.clone() };
            if came.contains_key(&other) {
                continue;
            }
            if came.len() >= bounds.tokens {
                context.cut(Cut::Tokens);
                continue;
            }
            let next = context.token(&other)?;
            came.insert(other, Some((token.id.clone(), Step { edge, forward })));
            queue.push_back((next, depth + 1));
        }
    }
    Ok(None)
}

fn walk_back(came: &BTreeMap<String, Option<(String, Step)>>, to: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = to;
    while let Some(Some((before, step))) = came.get(at) {
        steps.push(step.clone());
        at = before;
    }
    steps.reverse();
    steps
}
