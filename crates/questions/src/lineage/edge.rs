//! Edges: what the links of statements say, in one direction.

use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{Outcome, Relation, Strength, TargetKind};
use ledgerline_view::address::EntryRef;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To what it was made from.
    Ancestors,
    /// To what was made from it.
    Descendants,
}

/// Whether and how a relation means descent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descent {
    /// The link's token is a parent of the event's.
    LinkIsParent,
    /// The link's token is a child of the event's.
    LinkIsChild,
    /// Not descent: a cause, or somebody acting for the token.
    Beside,
}

impl Descent {
    /// Of a relation.
    #[must_use]
    pub const fn of(relation: Relation) -> Self {
        match relation {
            Relation::RefreshedFrom
            | Relation::RotatedFrom
            | Relation::ExchangedFrom
            | Relation::MintedBy
            | Relation::FromCode => Self::LinkIsParent,
            Relation::Produced | Relation::RotatedTo => Self::LinkIsChild,
            Relation::CausedBy | Relation::ActedBy | Relation::Other => Self::Beside,
        }
    }
}

/// A typed edge between two tokens, as one or more entries state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The parent; for an edge beside descent, the cause or the one that acted.
    pub parent: String,
    /// The child; for an edge beside descent, whom it befell.
    pub child: String,
    /// What it means. PRODUCED only where nothing more precise is known.
    pub relation: Relation,
    /// How well it is known; the best that any entry says.
    pub strength: Strength,
    /// From what it was concluded, when INFERRED.
    pub why: Option<String>,
    /// The `act` chain of the entry that states it, outermost first, `kind:id`.
    pub actors: Vec<String>,
    /// The entries that state it, ascending.
    pub evidence: Vec<EntryRef>,
    /// When it came about, by the first of them.
    pub occurred_at: i64,
}

impl Edge {
    /// Whether it is one of descent.
    #[must_use]
    pub fn is_descent(&self) -> bool {
        Descent::of(self.relation) != Descent::Beside
    }

    /// Takes what another entry says about the same two tokens.
    pub(super) fn join(&mut self, other: Self) {
        if precision(other.relation) > precision(self.relation) {
            self.relation = other.relation;
        }
        if rank(other.strength) < rank(self.strength) {
            self.strength = other.strength;
            self.why.clone_from(&other.why);
        }
        if self.actors.is_empty() {
            self.actors = other.actors;
        }
        for entry in other.evidence {
            if let Err(place) = self.evidence.binary_search(&entry) {
                self.evidence.insert(place, entry);
                if place == 0 {
                    self.occurred_at = other.occurred_at;
                }
            }
        }
    }
}

/// PRODUCED says least; among the others the first that is stated stands.
fn precision(relation: Relation) -> u8 {
    match relation {
        Relation::Produced => 0,
        Relation::RotatedTo => 1,
        _ => 2,
    }
}

/// The best strength first.
fn rank(strength: Strength) -> u8 {
    match strength {
        Strength::Asserted => 0,
        Strength::Joined => 1,
        Strength::Inferred => 2,
        Strength::Other => 3,
    }
}

/// The edges that an event states.
pub(super) fn edges_of(statement: &Statement<'_>, at: EntryRef) -> Vec<Edge> {
    let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
    if statement.target.kind != TargetKind::Token || !done {
        return Vec::new();
    }
    let own = statement.target.id;
    let actors: Vec<String> = statement
        .actors
        .iter()
        .map(|actor| format!("{}:{}", actor.kind.symbol(), actor.id))
        .collect();
    let links = statement.links.iter().filter_map(|link| Some((link, link.token?)));
    links
        .filter(|(_, token)| *token != own)
        .map(|(link, token)| {
            let (parent, child) = match Descent::of(link.relation) {
                Descent::LinkIsChild => (own, token),
                Descent::LinkIsParent | Descent::Beside => (token, own),
            };
            Edge {
                parent: parent.to_owned(),
                child: child.to_owned(),
                relation: link.relation,
                strength: link.strength,
                why: link.why.map(str::to_owned),
                actors: actors.clone(),
                evidence: vec![at],
                occurred_at: statement.occurred_at.nanos,
            }
        })
        .collect()
}
