//! Catching up of the rules: what they have judged when an answer depends on them, and what was
//! recorded after the state that it is of.

use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json::{self, Reached};
use ledgerline_api::progress::{AllProgress, Catching};
use ledgerline_followers::findings::list::{self, Wanted};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_view::address::{AsOf, Begin};
use ledgerline_view::view::View;

/// Findings that a pinned answer looks at, of those recorded after it.
const LATER_MAX: usize = 100;
/// Seconds that a proof gives the rules before it waits for a block.
pub(crate) const RULES_BEFORE_BLOCK: u64 = 2;

/// How far an answer is that is as of a state; `later` findings about what it covers came after it.
pub(crate) fn so_far(
    mut reached: Reached,
    view: &View,
    as_of: &AsOf,
    later: u64,
) -> AllProgress<'static> {
    let own = as_of.size(view.log());
    reached.iter_mut().for_each(|(_, one)| progress_json::limit(one, own));
    let mut shown = progress_json::shown(&reached);
    if let Some(findings) = shown.get_mut("findings") {
        findings.recorded_later = Some(later);
        if later > 0 {
            let more = if later == LATER_MAX as u64 { " or more" } else { "" };
            findings.words = format!(
                "{}; {later}{more} findings about entries before {own} were recorded after it \
                 and are not shown: ask without a size",
                findings.words
            )
            .into();
            findings.state = Catching::Behind;
        }
    }
    shown
}

/// How many findings recorded behind what a pinned answer covers are about entries that it covers,
/// or about none; of the first [`LATER_MAX`].
pub(crate) fn recorded_later(view: &View, pinned: &Scope, wanted: &Wanted) -> Result<u64, Problem> {
    if view.as_of().is_within(&pinned.as_of) {
        return Ok(0);
    }
    let scope = Scope { as_of: view.as_of(), ..pinned.clone() };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    let begin = Begin::behind(pinned.as_of.clone());
    let (found, _) = list::findings(&mut context, wanted, begin, LATER_MAX)?;
    let mut later = 0;
    for one in &found {
        let events = one.raised.read(|_, statement| {
            let events = statement.links.iter().filter_map(|link| link.event.as_ref());
            events.map(|event| (event.source.to_owned(), event.event_id)).collect::<Vec<_>>()
        });
        let mut is_before = events.is_empty();
        for (source, event_id) in &events {
            let found = context.find_event(source, event_id)?;
            is_before |= found.is_some_and(|at| pinned.as_of.covers(at));
        }
        later += u64::from(is_before);
    }
    Ok(later)
}
