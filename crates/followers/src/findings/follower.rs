//! The rules as a follower.

use ledgerline_view::view::View;

use super::memory::Memory;
use super::record::Note;
use super::rules::Windows;
use super::{Judge, STEP_ENTRIES, Saved};
use crate::follower::{Follower, Interrupted, Next, Reach, Step, Unusable};
use crate::position::{self, Position};

/// Records what the rules notice.
pub struct FindingsFollower {
    judge: Judge,
    windows: Windows,
    most: u64,
}

impl FindingsFollower {
    /// The name of its position file.
    pub const NAME: &'static str = "findings";

    /// One whose rules tolerate so much.
    #[must_use]
    pub fn new(windows: Windows) -> Self {
        let judge = Judge::new(Saved::default(), windows.clone());
        Self { judge, windows, most: STEP_ENTRIES }
    }

    /// Reads at most so many entries a step from now on.
    pub const fn read(&mut self, most: u64) {
        self.most = most;
    }

    fn go_on(&mut self, saved: Saved) {
        self.judge = Judge::new(saved, self.windows.clone());
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
                let memory = Memory::from_bytes(&saved.state).ok_or(Unusable::State)?;
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
        Reach { position: self.judge.position(), of: view.size() }
    }

    fn step(&mut self, view: &View, _: i64) -> Result<Step, Interrupted> {
        let notes = self.judge.step(view, self.most)?;
        let statements = notes.iter().map(Note::statement).collect();
        let is_behind = self.judge.position() < view.size();
        let next = if is_behind { Next::Behind } else { Next::Rest };
        Ok(Step { statements, next, is_done_outside: false })
    }

    fn position(&self, view: &View) -> Option<Position> {
        let Saved { position, memory } = self.judge.saved();
        Some(Position::of_log(&view.identity().origin, position).with(memory.to_bytes()))
    }
}
