//! From the events of one request to acts: numbers the parts and fills in links between them.

use ledgerline_api::event::{self, Event, EventRef, Link};
use ledgerline_proof::vocabulary::{Relation, Strength};

use crate::oidc_provider::facts::Mark;
use ledgerline_adapter::pieces::word;
use ledgerline_adapter::token_id::event_id;
use ledgerline_adapter::{ACT_PARTS_MAX, Act};

/// The event that led to another one.
pub(super) enum Cause {
    /// The event at this place of the same list of drafts.
    Draft(usize),
    /// An event of an earlier act.
    Event(EventName),
}

/// What an event's id is made of.
#[derive(Clone)]
pub(super) struct EventName {
    pub native_id: String,
    /// Its part of its act.
    pub part: u16,
}

/// An event before it is known which part of which act it is.
pub(super) struct Draft {
    pub event: Event<'static>,
    pub cause: Option<Cause>,
}

impl Draft {
    pub(super) fn new(event: Event<'static>) -> Self {
        Self { event, cause: None }
    }

    /// Whether it is an event of a line.
    pub(super) fn is_of(&self, mark: &Mark) -> bool {
        let nth = self.event.native_id.as_deref().and_then(|id| {
            let nth = id.strip_prefix(mark.line_id().as_str())?.strip_prefix('.')?;
            nth.parse::<usize>().ok()
        });
        nth.is_some()
    }
}

/// Under which names the ledger will know the events; links to events need them.
#[derive(Clone)]
pub(super) struct Recorder {
    pub tenant: String,
    pub source: String,
}

/// Makes acts of at most [`ACT_PARTS_MAX`] events, in order. `act_id` names the first, `act_id/1`
/// the next and so on: a grant with very many tokens does not fit into one.
pub(super) fn seal(
    mut drafts: Vec<Draft>,
    act_id: &str,
    recorder: Option<&Recorder>,
    out: &mut Vec<Act>,
) {
    let total = drafts.len();
    if let Some(recorder) = recorder {
        for place in 0..total {
            if let Some(link) = cause_link(&drafts, place, recorder) {
                drafts[place].event.links.push(link);
            }
        }
    }
    let mut rest = drafts.into_iter();
    for (nth, first) in (0..total).step_by(ACT_PARTS_MAX).enumerate() {
        let parts = parts_of_act(first, total);
        let id = if nth == 0 { act_id.to_owned() } else { format!("{act_id}/{nth}") };
        let mut events = Vec::with_capacity(usize::from(parts));
        for (part, draft) in (0..parts).zip(&mut rest) {
            let mut event = draft.event;
            event.act = (parts > 1).then(|| event::Act {
                id: id.clone().into(),
                part: part.into(),
                parts: parts.into(),
            });
            events.push(event);
        }
        out.push(Act { events, lines: None });
    }
}

fn cause_link(drafts: &[Draft], place: usize, recorder: &Recorder) -> Option<Link<'static>> {
    let (native_id, part) = match drafts[place].cause.as_ref()? {
        Cause::Draft(cause) => {
            assert!(*cause < drafts.len() && *cause != place, "a cause is another draft");
            (drafts[*cause].event.native_id.as_deref()?, part_of(*cause))
        }
        Cause::Event(name) => (name.native_id.as_str(), name.part),
    };
    let event_id = event_id(&recorder.tenant, &recorder.source, native_id, part)?;
    Some(Link {
        token_id: None,
        event: Some(EventRef { source: recorder.source.clone().into(), event_id: event_id.into() }),
        relation: Relation::CausedBy.symbol().into(),
        strength: word(Strength::Joined),
        why: None,
    })
}

/// Number of parts of the act whose first event stands at `first` of `total`.
fn parts_of_act(first: usize, total: usize) -> u16 {
    u16::try_from((total - first).min(ACT_PARTS_MAX)).unwrap_or(u16::MAX)
}

/// The part of its act that the event at a place becomes.
pub(super) fn part_of(place: usize) -> u16 {
    u16::try_from(place % ACT_PARTS_MAX).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drafts(count: usize) -> Vec<Draft> {
        let native = |n: usize| Some(format!("n{n}").into());
        let event = |n| Event { native_id: native(n), ..Event::default() };
        (0..count).map(|n| Draft::new(event(n))).collect()
    }

    #[test]
    fn parts_are_numbered_and_acts_are_split() {
        for (count, expected) in
            [(0, vec![]), (1, vec![1]), (2, vec![2]), (64, vec![64]), (65, vec![64, 1])]
        {
            let mut out = Vec::new();
            seal(drafts(count), "a", None, &mut out);
            let sizes: Vec<usize> = out.iter().map(|act| act.events.len()).collect();
            assert_eq!(sizes, expected, "{count}");
            for act in out {
                for (n, event) in act.events.iter().enumerate() {
                    let part = event.act.as_ref().map(|act| (act.part, act.parts));
                    let n = i32::try_from(n).expect("few");
                    let parts = i32::try_from(act.events.len()).expect("few");
                    assert_eq!(part, (parts > 1).then_some((n, parts)));
                }
            }
        }
    }

    #[test]
    fn a_cause_is_linked_by_the_id_that_the_ledger_will_give_it() {
        let recorder = Recorder { tenant: String::new(), source: "idp-log".to_owned() };
        let mut list = drafts(66);
        list[0].cause = Some(Cause::Draft(65));
        list[65].cause = Some(Cause::Draft(3));
        let mut out = Vec::new();
        seal(list, "a", Some(&recorder), &mut out);
        let linked = |act: usize, place: usize| {
            out[act].events[place].links[0].event.as_ref().map(|event| event.event_id.to_string())
        };
        assert_eq!(linked(0, 0), event_id("", "idp-log", "n65", 1));
        assert_eq!(linked(1, 1), event_id("", "idp-log", "n3", 3));
    }
}
