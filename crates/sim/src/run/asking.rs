//! Questions in the midst of a life, compared with a walk through all entries.

use std::collections::BTreeMap;

use ledgerline_proof::lifecycle::State;
use ledgerline_questions::life::{Judgement, life_of};
use ledgerline_questions::lineage::{Bounds, Direction, QueryContext, Scope, Spending, relatives};
use ledgerline_questions::{
    Holder, Of, Point, Resource, With, accesses, after_revoke, ends_with, resource_access,
    tokens_of,
};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::{PageRequest, QueryError, View};
use ledgerline_world::clock::Clock;

use super::events::{RESOURCES, token_ids};
use super::{Outcome, Run};
use crate::Walk;

/// An answer and what it must be, as text.
type Compared = Result<(String, String), QueryError>;

fn pair<T: std::fmt::Debug>(found: T, expected: T) -> (String, String) {
    (format!("{found:?}"), format!("{expected:?}"))
}

impl Run {
    /// A few questions about one moment.
    pub(super) fn ask(&mut self) -> Outcome {
        let Some(view) = self.view() else { return Ok(()) };
        let scope = self.draw_scope(&view);
        let ids = token_ids();
        // What a revocation ends is asked of the newest state alone.
        let is_now = scope.as_of == view.as_of() && scope.at.is_none();
        let leaves = self.model.leaves.iter().enumerate();
        let leaves = leaves.map(|(index, leaf)| (index as u64, &**leaf));
        let walk = Walk::new(leaves, &scope, &ids);
        for _ in 0..3 + self.random.index(6) {
            let id = self.random.choose(&ids).clone();
            let what = self.random.index(7);
            let times = (self.draw_time(), self.draw_time());
            let range = (times.0.min(times.1), times.0.max(times.1));
            let resource = *self.random.choose(&RESOURCES);
            let compared = match what {
                0 => life(&view, &scope, &walk, &id),
                1 => descendants(&view, &scope, &walk, &id),
                2 => between(&view, &scope, &walk, &id, range.0),
                3 => self.held_by(&view, &scope, &walk),
                4 => visited(&view, &scope, &walk, resource, range),
                5 if is_now => ended(&view, &scope, &walk, &id),
                _ => revoked(&view, &scope, &walk, &id),
            };
            match compared {
                Ok((found, expected)) if found == expected => {
                    let filled = usize::from(expected != "None" && expected != "[]");
                    self.tally.add("questions", 1);
                    self.tally.add("questions with an answer", filled as u64);
                }
                Ok((found, expected)) => {
                    return Err(format!(
                        "question {what} about {id}, {resource} {range:?} in {scope:?} says \
                         {found}, must say {expected}"
                    ));
                }
                Err(_) if self.faulty => {}
                Err(error) => return Err(format!("question {what} has no answer: {error}")),
            }
        }
        Ok(())
    }

    fn draw_scope(&mut self, view: &View) -> Scope {
        let end = view.size();
        let size = if self.random.chance(500) { end } else { self.random.below(end + 1) };
        let at = self.random.chance(400).then(|| self.draw_time());
        let judged_at = at.unwrap_or_else(|| self.clock.wall_nanos());
        Scope { tenant: String::new(), as_of: view.up_to(size), at, judged_at }
    }

    /// A time of the last hours, or minutes, or of the next.
    fn draw_time(&mut self) -> i64 {
        const MINUTE: u64 = 60_000_000_000;
        let back = *self.random.choose(&[MINUTE, 10 * MINUTE, 180 * MINUTE]);
        let back = self.random.below(back);
        let ahead = self.random.below(2 * MINUTE);
        self.clock.wall_nanos().saturating_sub_unsigned(back).saturating_add_unsigned(ahead)
    }

    fn held_by(&mut self, view: &View, scope: &Scope, walk: &Walk) -> Compared {
        let users: Vec<[u8; 16]> = self.users.values().copied().collect();
        let user = if users.is_empty() { [0; 16] } else { *self.random.choose(&users) };
        let holder = Holder::Subject(user);
        let context = &mut context(view, scope)?;
        let found = tokens_of(context, &holder, EntryRef::FIRST, usize::MAX)?;
        let found: Vec<String> = found.tokens.iter().map(|token| token.id.clone()).collect();
        Ok(pair(found, walk.tokens_of(&holder)))
    }
}

fn context<'v>(view: &'v View, scope: &Scope) -> Result<QueryContext<'v>, QueryError> {
    QueryContext::new(view, scope.clone(), Spending::default())
}

/// State and number of events; by the chain alone as far as no time is given.
fn life(view: &View, scope: &Scope, walk: &Walk, id: &str) -> Compared {
    let token = context(view, scope)?.token(id)?;
    let found = token.is_known().then(|| (token.known.clone(), token.happened.clone()));
    let expected = walk.is_known(id).then(|| walk.states(id));
    if scope.at.is_none() {
        let page = PageRequest { after: None, limit: 3 };
        let judgement = Judgement { at: scope.judged_at, by: i64::MAX };
        let life = life_of(view, "", id, &scope.as_of, judgement, page)?;
        if let (Some(life), Some(found)) = (&life, &found) {
            assert_eq!((&life.known, &life.happened), (&found.0, &found.1), "one truth of {id}");
        }
        let total = life.map_or(0, |life| life.total);
        return Ok(pair((found, total), (expected, walk.events(id))));
    }
    Ok(pair(found, expected))
}

fn descendants(view: &View, scope: &Scope, walk: &Walk, id: &str) -> Compared {
    let direction = Direction::Descendants;
    let found = relatives(&mut context(view, scope)?, id, direction, Bounds::default())?;
    let depths = found.map(|lineage| {
        let all = lineage.relatives.iter();
        all.map(|one| (one.token.id.clone(), one.depth)).collect()
    });
    Ok(pair(depths, walk.relatives(id, direction)))
}

/// What ends with a token, and which of it may still be used.
fn ended(view: &View, scope: &Scope, walk: &Walk, id: &str) -> Compared {
    let found = ends_with(view, "", id, With::Descendants, scope.judged_at)?;
    let found = found.set.iter().map(|one| (one.token.id.clone(), one.may_be_used));
    let may_be_used = |id: &str| {
        let state = walk.states(id).0;
        match state.state_at(scope.judged_at) {
            State::Spent | State::Expired | State::Revoked => false,
            State::Superseded => state.grace_until.is_some_and(|end| scope.judged_at < end),
            _ => true,
        }
    };
    let all = walk.relatives(id, Direction::Descendants).unwrap_or_default();
    let expected = all.into_keys().map(|id| (may_be_used(&id), id));
    let expected = expected.map(|(may_be_used, id)| (id, may_be_used));
    Ok(pair(found.collect::<BTreeMap<_, _>>(), expected.collect()))
}

fn between(view: &View, scope: &Scope, walk: &Walk, id: &str, from: i64) -> Compared {
    let context = &mut context(view, scope)?;
    let found = accesses(context, id, Of::Token, Point::At(from), Point::Revocation)?;
    let found = found.map(|one| one.list.iter().map(|one| one.at.rank()).collect());
    Ok(pair(found, walk.accesses(id, from)))
}

fn visited(view: &View, scope: &Scope, walk: &Walk, resource: &str, range: (i64, i64)) -> Compared {
    let resource = Resource::Named(resource.to_owned());
    let found = resource_access(&mut context(view, scope)?, &resource, range, None, usize::MAX)?;
    let found = found.list.iter().map(|one| (one.token.id.clone(), one.accesses.len()));
    let mut found: Vec<(String, usize)> = found.collect();
    found.sort();
    Ok(pair(found, walk.resource_access(&resource, range)))
}

fn revoked(view: &View, scope: &Scope, walk: &Walk, id: &str) -> Compared {
    let found = after_revoke(&mut context(view, scope)?, id)?;
    let found = found.map(|one| (one.places.iter().map(|place| place.allowed).sum(), one.gaps));
    Ok(pair(found, walk.after_revoke(id)))
}
