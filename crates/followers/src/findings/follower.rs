//! The rules as a follower of the ledger.

use std::cell::RefCell;

use ledgerline_view::view::View;

use super::follower_state::FollowerState;
use super::record::Note;
use super::rules::Windows;
use super::{Judge, Place, STEP_ENTRIES, Saved};
use crate::follower::{Follower, Interrupted, Next, Reach, Step, Unusable};
use crate::position::{self, Position};

/// Records what the rules notice.
pub struct FindingsFollower {
    /// Keeps what it remembers when it says its position.
    judge: RefCell<Judge>,
    windows: Windows,
    place: Option<Place>,
    most: u64,
}

impl FindingsFollower {
    /// The name of its position file.
    pub const NAME: &'static str = "findings";

    /// One whose rules tolerate so much. What it has no memory for it reads again and again.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        let judge = RefCell::new(Judge::new(Saved::default(), windows.clone()));
        Self { judge, windows, place: None, most: STEP_ENTRIES }
    }

    /// As [`Self::new`], with a place for what it has no memory for.
    #[must_use]
    pub fn with_store(windows: Windows, place: Place) -> Self {
        Self { place: Some(place), ..Self::new(windows) }
    }

    /// Reads at most so many entries a step from now on.
    pub const fn read(&mut self, most: u64) {
        self.most = most;
    }

    fn go_on(&mut self, saved: Saved) {
        let windows = self.windows.clone();
        let judge = match self.place.clone() {
            Some(place) => Judge::with_store(saved, windows, place),
            None => Judge::new(saved, windows),
        };
        self.judge = RefCell::new(judge);
    }
}

impl Follower for FindingsFollower {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn begin(&mut self) {
        self.go_on(Saved::default());
    }

    fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable> {
        // What is remembered is of one origin: a new one is read from its beginning.
        let saved = match saved.in_newest(view)? {
            None => Saved::default(),
            Some(position) => {
                let memory = FollowerState::from_bytes(&saved.state).ok_or(Unusable::State)?;
                Saved { position, memory }
            }
        };
        self.go_on(saved);
        Ok(())
    }

    fn take_over(&self, _: &View, older: &[u8]) -> Option<Position> {
        position::older_of_one_log(older)
    }

    fn reach(&self, view: &View) -> Reach {
        Reach { position: self.judge.borrow().position(), of: view.size() }
    }

    fn step(&mut self, view: &View, _: i64) -> Result<Step, Interrupted> {
        let judge = self.judge.get_mut();
        let notes = judge.step(view, self.most)?;
        let statements = notes.iter().map(Note::statement).collect();
        let is_behind = judge.position() < view.size();
        let next = if is_behind { Next::Behind } else { Next::Rest };
        Ok(Step { statements, next, is_done_outside: false })
    }

    fn position(&self, view: &View) -> Option<Position> {
        let Saved { position, memory } = self.judge.borrow_mut().keep();
        Some(Position::of_log(&view.identity().origin, position).with(memory.to_bytes()))
    }

    fn news(&mut self) -> Option<String> {
        self.judge.get_mut().news()
    }
}
