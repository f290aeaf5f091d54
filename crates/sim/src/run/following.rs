//! The readers behind the head: the follower of findings, the wheel of expiries and the verifier.
//!
//! Promises: each is stepped, saved, lost and begun again as the node's threads do it. What a step
//! says is durable before its place is saved. On a disk that does not rot the verifier finds
//! nothing.

use std::sync::Arc;

use ledgerline_followers::expiry::{self, Due, Place, Wheel};
use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::findings::{self, Follower, Saved};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_verify::{Behind, Ground, Signatures, VerifyWorld};
use ledgerline_view::view::View;
use ledgerline_world::clock::Clock;

use super::{Outcome, Run};

/// Steps after which readers that still have something to do never come to rest.
const MAX_STEPS: u32 = 10_000;

/// The readers of an open node.
#[derive(Default)]
pub(super) struct Readers {
    follower: Option<Follower>,
    wheel: Option<Wheel>,
}

impl Run {
    pub(super) fn view(&self) -> Option<View> {
        let rest = &self.node.as_ref()?.rest;
        let (rooms, terms) = (Arc::clone(&rest.rooms), Arc::clone(&rest.terms));
        Some(View::new(rooms, terms, rest.identity.clone()))
    }

    /// A step of the follower, with what it noticed recorded.
    pub(super) fn follow(&mut self) -> Outcome {
        let most = *self.random.choose(&[1, 7, 60, findings::STEP_ENTRIES]);
        self.follow_on(most).map(|_| ())
    }

    /// Whether the follower has nothing to read any more.
    fn follow_on(&mut self, most: u64) -> Result<bool, String> {
        let Some(view) = self.view() else { return Ok(false) };
        let mut follower = match self.readers.follower.take() {
            Some(follower) => follower,
            None => Follower::new(self.saved(&view), Windows::default()),
        };
        let notes = match follower.step(&view, most) {
            Ok(notes) => notes,
            Err(_) if self.faulty => return Ok(false),
            Err(error) => return Err(format!("the follower failed: {error}")),
        };
        let rests = notes.is_empty() && follower.position() == view.size();
        self.count(&notes);
        let stated = notes.iter().map(Note::statement).collect();
        if !notes.is_empty() && !self.record(&AdminAct::State(stated))? {
            return Ok(false);
        }
        if self.random.chance(300) {
            let saved = findings::save(&self.disk, &self.config.origin, &follower.saved());
            self.excuse("the follower's position cannot be saved", saved)?;
        }
        self.readers.follower = Some(follower);
        Ok(rests)
    }

    fn saved(&mut self, view: &View) -> Saved {
        let saved = findings::load(&self.disk, &self.config.origin).unwrap_or_default();
        self.note(format!("the follower begins at {} of {}", saved.position, view.size()));
        let known = saved.position > 0 && saved.position <= view.size();
        self.tally.add("follower: begun at a saved position", u64::from(known));
        if known { saved } else { Saved::default() }
    }

    fn count(&mut self, notes: &[Note]) {
        for note in notes {
            let what = match note {
                Note::Raised(_) => "findings raised",
                Note::Moved(_) => "findings withdrawn",
                Note::Missing(_) | Note::Reported(_) => "other notes",
            };
            self.tally.add(what, 1);
        }
    }

    /// A step of the wheel, with what is due recorded.
    pub(super) fn turn(&mut self) -> Outcome {
        let reads = *self.random.choose(&[1, 3, 40, expiry::STEP_READS]);
        self.turn_on(reads).map(|_| ())
    }

    /// Whether the wheel has nothing to do any more.
    fn turn_on(&mut self, reads: usize) -> Result<bool, String> {
        let Some(view) = self.view() else { return Ok(false) };
        let mut wheel = match self.readers.wheel.take() {
            Some(wheel) => wheel,
            None => self.load_wheel(&view),
        };
        let wall = self.clock.wall_nanos();
        self.latest = self.latest.max(wall);
        let (due, more) = match wheel.step(&view, wall, reads) {
            Ok(step) => step,
            Err(_) if self.faulty => return Ok(false),
            Err(error) => return Err(format!("the wheel failed: {error}")),
        };
        let rests = due.is_empty() && !more;
        if !due.is_empty() && !self.record_due(&due)? {
            return Ok(false);
        }
        if let Some(place) = wheel.place().filter(|_| self.random.chance(300)) {
            let saved = expiry::save(&self.disk, &self.config.origin, place);
            self.excuse("the wheel's place cannot be saved", saved)?;
        }
        self.readers.wheel = Some(wheel);
        Ok(rests)
    }

    fn load_wheel(&mut self, view: &View) -> Wheel {
        let place = expiry::load(&self.disk, &self.config.origin).unwrap_or(Place::BEGIN);
        let known = place.position > 0 && place.position <= view.size();
        let place = if known { place } else { Place::BEGIN };
        self.note(format!("the wheel begins at {} of {}", place.position, view.size()));
        self.tally.add("wheel: begun at a saved place", u64::from(known));
        Wheel::new(place, *self.random.choose(&[2, 5, expiry::WHEEL_TOKENS]))
    }

    fn record_due(&mut self, due: &[Due]) -> Result<bool, String> {
        self.tally.add("expiries found", due.len() as u64);
        self.record(&AdminAct::State(due.iter().map(Due::statement).collect()))
    }

    /// Has an act of the ledger's own durable; false when the node fell over.
    fn record(&mut self, act: &AdminAct) -> Result<bool, String> {
        let Some(node) = &mut self.node else { return Ok(false) };
        let planned = node.own(act);
        self.planned(planned)?;
        self.commit_all()?;
        Ok(self.node.is_some())
    }

    fn excuse<T, E: std::fmt::Display>(&self, what: &str, done: Result<T, E>) -> Outcome {
        match done {
            Err(error) if !self.faulty => Err(format!("{what}: {error}")),
            _ => Ok(()),
        }
    }

    /// The verifier behind the head, while other things happen.
    pub(super) fn watch(&mut self) -> Outcome {
        if self.watching {
            return Ok(());
        }
        self.watching = true;
        let watched = self.watch_on();
        self.watching = false;
        watched
    }

    fn watch_on(&mut self) -> Outcome {
        let Some(node) = &self.node else { return Ok(()) };
        let vault = Arc::clone(&node.rest.rooms.vault);
        let world = VerifyWorld {
            disk: Arc::clone(&self.world.disk),
            keys: Some(Arc::clone(&self.world.keys)),
            head: Some(Arc::clone(&self.world.head_disk)),
        };
        let Some(ground) = Ground::new(&world, Some(&vault), &[], Signatures::Every) else {
            let unread: Result<(), _> = Err("the genesis entry cannot be read");
            return self.excuse("the verifier", unread);
        };
        let mut behind = Behind::new(&ground, 1 << 20);
        let openings = self.openings;
        for _ in 0..1 + self.random.index(6) {
            let most = *self.random.choose(&[1, 20, 4096]);
            self.verify_on(&mut behind, most)?;
            self.step()?;
            if self.node.is_none() || self.openings != openings || self.faulty {
                return Ok(());
            }
        }
        self.verify_on(&mut behind, u64::MAX)?;
        let (size, root) = behind.last();
        let known = usize::try_from(size).ok().and_then(|size| self.model.roots.get(size));
        if size == self.model.size() && known == Some(&root) {
            Ok(())
        } else {
            Err(format!("the verifier came to {size} of {}", self.model.size()))
        }
    }

    fn verify_on(&mut self, behind: &mut Behind<'_>, most: u64) -> Outcome {
        let before = behind.size();
        let found = behind.step(self.model.size(), most);
        self.tally.add("entries verified behind the head", behind.size() - before);
        match found.first() {
            Some(flaw) if !self.faulty => Err(format!("the verifier found {flaw:?}")),
            _ => Ok(()),
        }
    }

    /// Lets the readers come to rest, and holds what they said against the model.
    pub(super) fn settle(&mut self) -> Outcome {
        // Findings are as many as entries: they are looked for in few seeds.
        let (follows, turns) = (self.random.chance(40), self.random.chance(200));
        if !follows && !turns {
            return Ok(());
        }
        if self.faulty {
            self.fall_over()?;
            self.reopen(false)?;
        }
        self.commit_all()?;
        self.note("the readers come to rest".to_owned());
        for _ in 0..MAX_STEPS {
            let followed = !follows || self.follow_on(findings::STEP_ENTRIES)?;
            let turned = !turns || self.turn_on(expiry::STEP_READS)?;
            if followed && turned {
                self.tally.add("readers at rest", 1);
                let expired = if turns { self.check_expiries() } else { Ok(()) };
                return expired.and_then(|()| if follows { self.check_findings() } else { Ok(()) });
            }
        }
        Err("the readers never come to rest".into())
    }
}
