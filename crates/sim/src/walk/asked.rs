//! The questions that are not about lineage, answered by walking through all entries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ledgerline_proof::lifecycle::State;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind, Vantage};
use ledgerline_questions::lineage::Direction;
use ledgerline_questions::{Holder, Pivot, Resource};

use super::{Walk, is_birth, is_done, names, subject, with};

impl Walk {
    /// How many events a token has.
    pub fn events(&self, id: &str) -> u64 {
        self.chain(id).len() as u64
    }

    /// Accesses of the token's own from a time until its revocation, in event time.
    pub fn accesses(&self, id: &str, from: i64) -> Option<Vec<u64>> {
        if !self.is_known(id) {
            return None;
        }
        let end = self.states(id).1.revoked_at.unwrap_or(i64::MAX);
        let mut found = Vec::new();
        for (index, leaf) in self.chain(id) {
            with(leaf, |_, s| {
                if is_access(s) && (from..end).contains(&s.occurred_at.nanos) {
                    found.push((s.occurred_at, *index));
                }
            });
        }
        found.sort_unstable();
        Some(found.into_iter().map(|(_, index)| index).collect())
    }

    /// Descendants that are alive, and accesses of all of them: let in, refused.
    pub fn blast_radius(&self, id: &str) -> Option<(Vec<String>, u64, u64)> {
        let relatives = self.relatives(id, Direction::Descendants)?;
        let (mut alive, mut allowed, mut denied) = (Vec::new(), 0, 0);
        let mut order: Vec<_> = relatives.into_iter().collect();
        let first = |id: &str| self.chain(id).first().map_or(u64::MAX, |(index, _)| *index);
        order.sort_by_key(|(id, depth)| (*depth, first(id), id.clone()));
        for (id, _) in order {
            let (known, _) = self.states(&id);
            if known.is_active(self.scope.judged_at, false) {
                assert_ne!(known.state_at(self.scope.judged_at), State::Revoked);
                alive.push(id.clone());
            }
            for (_, leaf) in self.chain(&id) {
                with(leaf, |_, s| {
                    if is_access(s) {
                        let let_in = s.outcome == Outcome::Allow;
                        *if let_in { &mut allowed } else { &mut denied } += 1;
                    }
                });
            }
        }
        Some((alive, allowed, denied))
    }

    /// Only clients differ in these histories: the first event with another client.
    pub fn divergence(&self, id: &str) -> Option<Option<(&'static str, u64)>> {
        if !self.is_known(id) {
            return None;
        }
        let mut events = Vec::new();
        for (index, leaf) in self.chain(id) {
            with(leaf, |_, s| {
                let act = matches!(
                    s.event_type,
                    EventType::Issued
                        | EventType::Activated
                        | EventType::Used
                        | EventType::ResourceAccessed
                        | EventType::Refreshed
                );
                let client = s.client_id.filter(|_| act && s.vantage != Vantage::Introspection);
                events.extend(client.map(|one| (s.occurred_at, *index, one.to_owned())));
            });
        }
        events.sort();
        let other = events.iter().find(|(.., client)| *client != events[0].2);
        Some(other.map(|(_, index, _)| ("client", *index)))
    }

    /// How often a token was let in after its revocation, and by place how long.
    pub fn after_revoke(&self, id: &str) -> Option<(u64, Vec<i64>)> {
        if !self.is_known(id) {
            return None;
        }
        let Some(revoked_at) = self.states(id).1.revoked_at else { return Some((0, Vec::new())) };
        let mut allowed = 0;
        let mut gaps: BTreeMap<String, i64> = BTreeMap::new();
        for (_, leaf) in self.chain(id) {
            with(leaf, |_, s| {
                let presented = matches!(
                    s.event_type,
                    EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
                );
                let late = s.occurred_at.nanos - revoked_at;
                if presented && late > 0 {
                    let place = format!("{:?} {:?} {}", s.service, s.vantage, s.source);
                    let gap = gaps.entry(place).or_default();
                    if s.outcome == Outcome::Allow {
                        allowed += 1;
                        *gap = late.max(*gap);
                    }
                }
            });
        }
        let mut gaps: Vec<i64> = gaps.into_values().collect();
        gaps.sort_unstable();
        Some((allowed, gaps))
    }

    /// The tokens revoked in a range of event time, each with when, and all their gaps.
    pub fn after_revokes(&self, range: (i64, i64)) -> (Vec<(String, i64)>, Vec<i64>) {
        let ids: BTreeSet<&String> = self.canonical.values().collect();
        let (mut tokens, mut gaps) = (Vec::new(), Vec::new());
        for id in ids {
            let revoked_at = self.is_known(id).then(|| self.states(id).1.revoked_at).flatten();
            let Some(at) = revoked_at.filter(|at| (range.0..range.1).contains(at)) else {
                continue;
            };
            tokens.push((id.clone(), at));
            gaps.extend(self.after_revoke(id).expect("it is known").1);
        }
        gaps.sort_unstable();
        (tokens, gaps)
    }

    /// In how many events a token was shown to somebody.
    pub fn shown(&self, id: &str) -> Option<u64> {
        let shown = |(_, leaf): &&&(u64, Vec<u8>)| {
            with(leaf, |_, s| {
                matches!(
                    s.event_type,
                    EventType::Used | EventType::ResourceAccessed | EventType::Refreshed
                )
            })
        };
        self.is_known(id).then(|| self.chain(id).iter().filter(shown).count() as u64)
    }

    /// The tokens whose births name a holder.
    pub fn tokens_of(&self, holder: &Holder) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        self.each(|_, entry, s| {
            let named = |asked: &str, written: Option<&str>| {
                written.is_some_and(|written| names(asked, written, s.target.id))
            };
            let holds = match holder {
                Holder::Subject(handle) => subject(&entry.handles) == Some(*handle),
                Holder::Client(id) => named(id, s.client_id),
                Holder::Session(id) => named(id, s.session_id),
                Holder::Grant(id) => named(id, s.grant_id),
                Holder::Family(id) => named(id, s.family_id),
                Holder::Issuer(id) => s.target.id.starts_with(&format!("{id}:")),
            };
            if holds && is_birth(s) {
                let id = self.canonical(s.target.id);
                if !found.contains(&id) {
                    found.push(id);
                }
            }
        });
        found
    }

    /// The events that name something.
    pub fn pivot(&self, what: &Pivot) -> Vec<u64> {
        let mut found = Vec::new();
        self.each(|index, entry, s| {
            let named = |asked: &str, written: Option<&str>, kind: TargetKind| {
                let target = (s.target.kind == kind).then_some(s.target.id);
                let mut all = written.into_iter().chain(target);
                let issuer = if s.target.id.starts_with("eu:") { s.target.id } else { "" };
                all.any(|written| names(asked, written, issuer))
            };
            let is_in = match what {
                Pivot::Handle(id) => entry.handles.iter().any(|handle| handle.id == *id),
                Pivot::Client(id) => named(id, s.client_id, TargetKind::Client),
                Pivot::Session(id) => named(id, s.session_id, TargetKind::Session),
                Pivot::Grant(id) => named(id, s.grant_id, TargetKind::Grant),
                Pivot::Key(id) => named(id, s.issuer_kid, TargetKind::Key),
            };
            if is_in {
                found.push(index);
            }
        });
        found
    }

    /// `(token, accesses)` of a resource in a range of event time.
    pub fn resource_access(&self, resource: &Resource, range: (i64, i64)) -> Vec<(String, usize)> {
        let Resource::Named(name) = resource else { unreachable!("asked by name") };
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        self.each(|_, _, s| {
            let in_range = (range.0..range.1).contains(&s.occurred_at.nanos);
            let is_token = s.target.kind == TargetKind::Token;
            if is_access(s) && is_token && in_range && s.resource == Some(name) {
                *found.entry(self.canonical(s.target.id)).or_default() += 1;
            }
        });
        found.into_iter().collect()
    }

    /// The version of each policy in force at a time.
    pub fn in_force(&self, nanos: i64) -> Vec<(String, String)> {
        let mut newest: BTreeMap<String, ((i64, u64), String)> = BTreeMap::new();
        self.each(|index, _, s| {
            let change = s.policy_change.as_ref().and_then(|change| change.effective_from);
            let Some(from) = change.filter(|from| *from <= nanos && is_done(s)) else { return };
            let one = ((from, index), s.policies[0].version.to_owned());
            let known = newest.entry(s.target.id.to_owned()).or_insert_with(|| one.clone());
            if known.0 < one.0 {
                *known = one;
            }
        });
        newest.into_iter().map(|(id, (_, version))| (id, version)).collect()
    }

    /// The identities of the first and last few events.
    pub fn event_ids(&self) -> Vec<(String, [u8; 16])> {
        let id = |(_, leaf): &(u64, Vec<u8>)| with(leaf, |_, s| (s.source.to_owned(), s.event_id));
        self.leaves.iter().rev().filter(|one| id(one).0 == "idp").take(5).map(id).collect()
    }

    /// The events that an event came of, however far back.
    pub fn causes(&self, source: &str, event_id: &[u8; 16]) -> Vec<u64> {
        let mut found = BTreeSet::new();
        let mut queue = VecDeque::from([(source.to_owned(), *event_id)]);
        let mut seen = BTreeSet::new();
        while let Some((source, event_id)) = queue.pop_front() {
            if !seen.insert((source.clone(), event_id)) {
                continue;
            }
            self.each(|index, _, s| {
                if s.source != source || s.event_id != event_id {
                    return;
                }
                if seen.len() > 1 {
                    found.insert(index);
                }
                let events = s.links.iter().filter_map(|link| link.event.as_ref());
                queue.extend(events.map(|one| (one.source.to_owned(), one.event_id)));
            });
        }
        found.into_iter().collect()
    }
}

fn is_access(s: &Statement<'_>) -> bool {
    s.event_type == EventType::ResourceAccessed
        || (s.event_type == EventType::Used && s.resource.is_some())
}
