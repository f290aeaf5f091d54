//! What is found of acts that were judged before: raised, withdrawn, reopened.
//!
//! Promises: behind every late entry the findings that stand open are those that hold. What did not
//! hold before and holds now is raised; what was raised and no longer holds is withdrawn; what was
//! withdrawn and holds again is reopened, whatever somebody did with it meanwhile: whoever closed
//! it had read that it was explained. Each is recorded under the id of the entry upon which it
//! happens, so that reading everything again records nothing twice.
//!
//! Assumes: what was noted upon earlier entries is recorded, or stands among the notes of the step.

use std::collections::BTreeSet;

use ledgerline_index::terms::By;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Moved};
use ledgerline_view::chains;
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::{QueryError, View};

use super::Judge;
use super::groups::{Counted, Groups};
use super::record::{Named, Note, Upon, moved_upon, raised_event_id};
use super::rules::{Cited, Finding};
use super::token_state::{Act, cite};

/// Entries about one finding that are looked through, the newest.
const MOVES: usize = 1024;

impl Judge {
    /// Tells what a late act changes. What was found before is of one token each, as they were.
    pub(super) fn revise(
        &self,
        view: &View,
        before: &[Vec<Finding>],
        after: Vec<Finding>,
        act: &Act<'_, '_>,
        notes: &mut Vec<Note>,
    ) -> Result<(), QueryError> {
        let at = act.entry.recorded_at.nanos;
        let upon = || Upon { event: cite(act.statement), count: None };
        let hold: BTreeSet<Hash> = after.iter().map(Finding::id).collect();
        for one in before.iter().flatten().filter(|one| !hold.contains(&one.id())) {
            let named = name_of(view, one, notes)?;
            notes.extend(named.map(|finding| {
                let note = "an entry that arrived late explains it";
                moved_upon(
                    Named { tenant: &one.tenant, finding },
                    Moved::Withdrawn,
                    note,
                    upon(),
                    at,
                )
            }));
        }
        // Those that a life of its own would raise, no more. One that was too many before, or was
        // counted to another, is not any more where others no longer hold.
        let mut counted = Groups::default();
        let (closings, mut known) = (self.closings(view), BTreeSet::new());
        for before in before {
            let mut earlier = Groups::default();
            for one in before {
                if earlier.count(one, &closings)? == Counted::Raised {
                    known.insert(one.id());
                }
            }
        }
        for one in after {
            let counted = counted.count(&one, &closings)?;
            if known.contains(&one.id()) {
                continue;
            }
            let name = match counted {
                Counted::Raised => name_of(view, &one, notes)?,
                Counted::Again(..) | Counted::Passed => None,
            };
            // One that was raised before and was counted to another meanwhile stands as it is.
            let Some(name) = name else {
                tell(view, Finding { noticed_at: at, ..one }, counted, notes)?;
                continue;
            };
            let of = Named { tenant: &one.tenant, finding: name };
            let turns = [Moved::Withdrawn, Moved::Reopened];
            if last_turn(view, of, act.place, &turns, notes)? == Some(Moved::Withdrawn) {
                let note = "an entry that arrived late makes it hold again";
                notes.push(moved_upon(of, Moved::Reopened, note, upon(), at));
            }
        }
        Ok(())
    }
}

/// Notes what was found as what it counts for, unless an earlier version of its rule raised it:
/// that one stands, acknowledged or not, and says by which version.
pub(super) fn tell(
    view: &View,
    found: Finding,
    counted: Counted,
    notes: &mut Vec<Note>,
) -> Result<(), QueryError> {
    match counted {
        Counted::Passed => {}
        _ if formerly_raised(view, &found)?.is_some() => {}
        Counted::Raised => notes.push(Note::Raised(found)),
        Counted::Again(finding, count) => {
            let event = found.events.first().cloned();
            let upon = event.map(|event| Upon { event, count: Some(count) });
            let (of, at) = (Named { tenant: &found.tenant, finding }, found.noticed_at);
            notes.extend(upon.map(|one| moved_upon(of, Moved::Again, "the same again", one, at)));
        }
    }
    Ok(())
}

/// The name under which a finding was raised, or is about to be; `None` when it was not.
fn name_of(view: &View, finding: &Finding, notes: &[Note]) -> Result<Option<Hash>, QueryError> {
    let id = finding.id();
    let is_planned = |note: &Note| matches!(note, Note::Raised(planned) if planned.id() == id);
    let is_raised = notes.iter().any(is_planned) || is_recorded(view, &finding.tenant, &id)?;
    if is_raised { Ok(Some(id)) } else { formerly_raised(view, finding) }
}

fn is_recorded(view: &View, tenant: &str, finding: &Hash) -> Result<bool, QueryError> {
    let event_id = raised_event_id(tenant, finding);
    Ok(view.locate_event(tenant, LEDGER_SOURCE, &event_id)?.is_some())
}

/// The name under which an earlier version of its rule raised a finding, if one did.
fn formerly_raised(view: &View, finding: &Finding) -> Result<Option<Hash>, QueryError> {
    for id in finding.former_ids() {
        if is_recorded(view, &finding.tenant, &id)? {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Raises what an act shows each time that it happens. Once it is recorded it is told again only if
/// somebody closed it: whoever did thought that it was over.
pub(super) fn raise_again(
    view: &View,
    finding: Finding,
    act: &Act<'_, '_>,
    notes: &mut Vec<Note>,
) -> Result<(), QueryError> {
    let Some(name) = name_of(view, &finding, notes)? else {
        notes.push(Note::Raised(finding));
        return Ok(());
    };
    let of = Named { tenant: &finding.tenant, finding: name };
    let turns = [Moved::Closed, Moved::Withdrawn, Moved::Reopened];
    let last = last_turn(view, of, act.place, &turns, notes)?;
    if matches!(last, Some(Moved::Closed | Moved::Withdrawn)) {
        let upon = Upon { event: cite(act.statement), count: None };
        let note = "it is so still";
        notes.push(moved_upon(of, Moved::Reopened, note, upon, finding.noticed_at));
    }
    Ok(())
}

/// The last move of these by what was noted upon the entries before a place, or done by somebody
/// before it. What stands behind that place is not asked: it may be what this act led to when it
/// was judged the first time.
fn last_turn(
    view: &View,
    Named { tenant, finding }: Named<'_>,
    place: u64,
    of: &[Moved],
    notes: &[Note],
) -> Result<Option<Moved>, QueryError> {
    let planned = notes.iter().rev().find_map(|note| match note {
        Note::Moved(moved) if moved.finding == finding && of.contains(&moved.to) => Some(moved.to),
        _ => None,
    });
    if planned.is_some() {
        return Ok(planned);
    }
    let event_id = raised_event_id(tenant, &finding);
    let term = By::ParentEvent(LEDGER_SOURCE, &event_id).term(view.terms(), tenant);
    let mut last: Option<(u64, Moved)> = None;
    for origin in &view.origins() {
        let mut indexes = chains::newest(origin.postings(), &term, origin.size(), MOVES)?;
        indexes.reverse();
        let mut moves = Vec::new();
        origin.each_at(&indexes, &mut |index, leaf| {
            let moved = read_event(&leaf, |_, one| move_of(one)).flatten();
            moves.extend(moved.map(|(to, upon)| (origin.place_of(index), to, upon)));
        })?;
        for (recorded, to, upon) in moves.into_iter().rev().filter(|(_, to, _)| of.contains(to)) {
            // What somebody does, and what earlier versions withdrew, names no event.
            let upon = match upon {
                None => Some(recorded),
                Some(one) => view
                    .locate_event(tenant, &one.source, &one.event_id)?
                    .map(|(view, index)| view.place_of(index)),
            };
            if let Some(upon) = upon.filter(|upon| *upon < place)
                && last.is_none_or(|(latest, _)| latest <= upon)
            {
                last = Some((upon, to));
            }
        }
    }
    Ok(last.map(|(_, to)| to))
}

/// Where an entry moves its finding, and upon which event.
fn move_of(one: &Statement<'_>) -> Option<(Moved, Option<Cited>)> {
    if one.event_type != EventType::FindingClosed || one.source != LEDGER_SOURCE {
        return None;
    }
    let word = one.detail("state")?;
    let moved = Moved::ALL.into_iter().find(|moved| moved.word() == word)?;
    let upon = one.links.iter().find(|link| link.why == Some(word));
    let upon = upon
        .and_then(|link| link.event.as_ref())
        .map(|event| Cited { source: event.source.to_owned(), event_id: event.event_id });
    Some((moved, upon))
}
