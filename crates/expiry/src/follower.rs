//! The expiry schedule as a follower.

use ledgerline_view::counted;
use ledgerline_view::view::View;

use ledgerline_followers::follower::{Follower, Interrupted, Next, Reach, Step, Unusable};
use ledgerline_followers::position::{Position, without_old_checksum};

use super::{Due, Place, Schedule};

/// States EXPIRED.
#[derive(Debug)]
pub struct ExpiryFollower {
    schedule: Schedule,
    tokens: usize,
    reads: usize,
}

impl ExpiryFollower {
    /// The name of its position file.
    pub const NAME: &'static str = "expiry";

    /// One whose schedule holds at most `tokens`, and that reads about `reads` entries a step.
    #[must_use]
    pub fn new(tokens: usize, reads: usize) -> Self {
        Self { schedule: Schedule::new(Place::begin(), tokens), tokens, reads }
    }

    /// Reads about so many entries a step from now on.
    pub const fn read(&mut self, reads: usize) {
        self.reads = reads;
    }
}

impl Follower for ExpiryFollower {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn begin(&mut self) {
        self.schedule = Schedule::new(Place::begin(), self.tokens);
    }

    fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable> {
        let seen = saved.seen(view)?;
        let through = saved.state.as_slice().try_into().map_err(|_| Unusable::State)?;
        let place = Place { seen, through: i64::from_be_bytes(through) };
        self.schedule = Schedule::new(place, self.tokens);
        Ok(())
    }

    fn take_over(&self, view: &View, older: &[u8]) -> Option<Position> {
        let rest = without_old_checksum(older)?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let (through, origin) = rest.split_first_chunk::<8>()?;
        // It counts the entries of all origins there were while this one was the newest.
        let of_another = origin != view.identity().origin.as_bytes();
        let position = u64::from_be_bytes(*position);
        let at = match of_another {
            true => Position::default().with(i64::MIN.to_be_bytes().to_vec()),
            false => Position::of(view, &counted::first(view, position)).with(through.to_vec()),
        };
        Some(at)
    }

    fn reach(&self, view: &View) -> Reach {
        Reach { position: self.schedule.seen().total(), of: view.as_of().total() }
    }

    fn step(&mut self, view: &View, now: i64) -> Result<Step, Interrupted> {
        let (due, more) = self.schedule.step(view, now, self.reads)?;
        let statements = due.iter().map(Due::statement).collect();
        let next = if more { Next::Behind } else { Next::Rest };
        Ok(Step { statements, next, is_done_outside: false })
    }

    fn position(&self, view: &View) -> Option<Position> {
        let Place { seen, through } = self.schedule.place()?;
        Some(Position::of(view, &seen).with(through.to_be_bytes().to_vec()))
    }
}
