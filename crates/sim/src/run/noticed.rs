//! What the readers must have said, when they are at rest: worked out from all leaves.

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::{Fact, Revocation, TokenFacts, TokenState, Violation};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_world::clock::Clock;

use super::model::{place, statement_of};
use super::{Outcome, Run};
use crate::walk::expiries;

/// The rules whose findings are worked out here.
const RULES: &[Violation] = Violation::ALL;
/// With fewer uses of a token, no finding about it is one too many to be raised.
const FEW: usize = 16;

/// Source and event id.
type Event = (String, [u8; 16]);
/// Tenant and id of a token.
type Token = (String, String);

/// A finding: the rule, and the act it is about.
type One = (Violation, Event);
type Found = BTreeSet<One>;

/// What the ledger raised.
#[derive(Default)]
struct Raised {
    standing: BTreeMap<Token, Found>,
    withdrawn: BTreeMap<Token, Found>,
    /// Acts that were counted to a finding about another one.
    counted: BTreeMap<Token, Found>,
}

impl Run {
    /// Every expiry that has passed is stated once.
    pub(super) fn check_expiries(&mut self) -> Outcome {
        let now = self.clock.wall_nanos();
        let leaves = self.model.leaves.iter().enumerate();
        let leaves = leaves.map(|(index, leaf)| (index as u64, &**leaf));
        let stated = expiries(leaves, now, self.latest.max(now))?;
        self.tally.add("expiries that had to be stated", stated as u64);
        Ok(())
    }

    /// What the lifecycle says of all tokens that no wider revocation covers.
    pub(super) fn check_findings(&mut self) -> Outcome {
        let raised = self.raised()?;
        let mut count = 0;
        for ((kind, tenant, id), row) in &self.model.chains {
            if *kind != TargetKind::Token.position() {
                continue;
            }
            let leaves: Vec<&[u8]> =
                row.iter().map(|index| &*self.model.leaves[place(*index)]).collect();
            if self.is_covered(&leaves) {
                continue;
            }
            let key = (tenant.clone(), String::from_utf8_lossy(id).into_owned());
            let (in_time, as_they_came) = (in_event_time(&leaves), as_they_came(&leaves));
            let none = Found::new();
            let standing = raised.standing.get(&key).unwrap_or(&none);
            let withdrawn = raised.withdrawn.get(&key).unwrap_or(&none);
            let counted = raised.counted.get(&key).unwrap_or(&none);
            // What is judged anew is judged in event time, the rest as it came.
            let holds = |one: &&One| in_time.contains(one) || as_they_came.contains(one);
            if let Some((rule, event)) = standing.iter().find(|one| !holds(one)) {
                let lived = lived(&leaves);
                return Err(format!(
                    "{rule} about {key:?} stands, and does not hold: {event:?}\n{lived}"
                ));
            }
            let mut rules = BTreeSet::new();
            // A use from before a birth that was told before it is out of order, not unknown.
            let is_known =
                |one: &One| one.0 == Violation::UnknownToken && !as_they_came.contains(one);
            for one in in_time.iter().filter(|one| !is_known(one)) {
                // Of some rules the first is enough.
                let is_first = rules.insert(one.0);
                let once = one.0 == Violation::UnknownToken;
                let is_due = if once { is_first } else { leaves.len() <= FEW };
                // Which act was the first depends on which was told first.
                let is_it = |told: &One| if once { told.0 == one.0 } else { told == one };
                let told = [standing, withdrawn, counted].iter().any(|list| list.iter().any(is_it));
                if is_due && !told {
                    let (rule, event, lived) = (one.0, &one.1, lived(&leaves));
                    return Err(format!(
                        "{rule} about {key:?} was never raised: {event:?}\n{lived}"
                    ));
                }
            }
            count += in_time.len() as u64;
        }
        self.tally.add("findings worked out", count);
        Ok(())
    }

    /// Whether a revocation of something wider covers any birth among the leaves.
    fn is_covered(&self, leaves: &[&[u8]]) -> bool {
        self.model.leaves.iter().any(|wide| {
            let covers = read(wide, |entry, statement| {
                let Some(wide) = Revocation::of(statement, &entry.handles, 0, entry.recorded_at)
                else {
                    return false;
                };
                leaves.iter().any(|leaf| {
                    read(leaf, |entry, statement| {
                        let facts = TokenFacts::of(statement, &entry.handles);
                        facts.is_some_and(|facts| wide.covers(&facts))
                    })
                    .unwrap_or(false)
                })
            });
            covers.unwrap_or(false)
        })
    }

    /// The lifecycle's findings about tokens, as they stand.
    fn raised(&self) -> Result<Raised, String> {
        let mut raised = Raised::default();
        let mut known: BTreeMap<String, (Token, Violation, Event)> = BTreeMap::new();
        for leaf in &self.model.leaves {
            let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, leaf) else { continue };
            let statement = statement_of(&entry)?;
            let detail = |key: &str| {
                let one = statement.detail.iter().find(|one| one.key == key);
                one.map(|one| one.value.to_owned())
            };
            let Some(finding) = detail("finding").filter(|_| statement.source == "ledger") else {
                continue;
            };
            match statement.event_type {
                EventType::FindingRaised => {
                    let rule = detail("rule").unwrap_or_default();
                    let rule = RULES.iter().copied().find(|one| one.code() == rule);
                    let act = statement.links.iter().find_map(|link| link.event.clone());
                    let (Some(rule), Some(token), Some(act)) = (rule, detail("token"), act) else {
                        continue;
                    };
                    let token = (statement.tenant.to_owned(), token);
                    let event = (act.source.to_owned(), act.event_id);
                    raised.standing.entry(token.clone()).or_default().insert((rule, event.clone()));
                    known.insert(finding, (token, rule, event));
                }
                EventType::FindingClosed if detail("state").as_deref() == Some("caused") => {}
                EventType::FindingClosed if detail("state").as_deref() == Some("again") => {
                    let mut events = statement.links.iter().filter_map(|link| link.event.clone());
                    let act = events.find(|event| event.source != "ledger");
                    let (Some((token, rule, _)), Some(act)) = (known.get(&finding), act) else {
                        continue;
                    };
                    let one = (*rule, (act.source.to_owned(), act.event_id));
                    raised.counted.entry(token.clone()).or_default().insert(one);
                }
                EventType::FindingClosed if detail("state").as_deref() == Some("reopened") => {
                    let Some((token, rule, event)) = known.get(&finding).cloned() else { continue };
                    let one = (rule, event);
                    raised.withdrawn.entry(token.clone()).or_default().remove(&one);
                    raised.standing.entry(token).or_default().insert(one);
                }
                EventType::FindingClosed => {
                    let Some((token, rule, event)) = known.get(&finding).cloned() else { continue };
                    let one = (rule, event);
                    raised.standing.entry(token.clone()).or_default().remove(&one);
                    raised.withdrawn.entry(token).or_default().insert(one);
                }
                _ => {}
            }
        }
        Ok(raised)
    }
}

/// A token's acts as they came, for whoever reads a failure.
fn lived(leaves: &[&[u8]]) -> String {
    let lines = leaves.iter().filter_map(|leaf| {
        read(leaf, |entry, one| {
            let (kind, outcome) = (one.event_type.symbol(), one.outcome.symbol());
            let id = &one.event_id[..6];
            let (at, recorded) = (one.occurred_at, entry.recorded_at);
            format!("  {kind} {outcome} {id:?} at {at:?} recorded {recorded:?}")
        })
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The findings about one token by its leaves, in event time.
fn in_event_time(leaves: &[&[u8]]) -> Vec<One> {
    let mut order = leaves.to_vec();
    order.sort_by_cached_key(|leaf| read(leaf, |_, one| one.occurred_at));
    as_they_came(&order)
}

/// The findings about one token by its leaves, in the order given.
fn as_they_came(leaves: &[&[u8]]) -> Vec<One> {
    let (mut state, mut found) = (TokenState::default(), Vec::new());
    for (at, leaf) in leaves.iter().enumerate() {
        let violation = read(leaf, |entry, one| {
            let fact = Fact::of(one, at as u64, entry.recorded_at);
            let event = (one.source.to_owned(), one.event_id);
            state.apply(&fact).violation.map(|violation| (violation, event))
        });
        found.extend(violation.flatten());
    }
    found
}

fn read<T>(leaf: &[u8], read: impl for<'s> FnOnce(&Entry<'s>, &Statement<'s>) -> T) -> Option<T> {
    let entry: Entry<'_> = decode_object(Kind::Entry, leaf).ok()?;
    let statement = statement_of(&entry).ok()?;
    Some(read(&entry, &statement))
}
