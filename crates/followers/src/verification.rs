//! The verifier as a follower, catching up behind the head: what does not hold becomes a finding.
//!
//! Promises: what it verified before a start it verifies again: a position on the disk that is
//! verified would be a reason to believe it. So it saves none.

use std::sync::{Mutex, PoisonError};

use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_verify::{Behind, Ground, VerifyFinding};
use ledgerline_view::view::View;

use crate::findings::record::Note;
use crate::findings::rules::Finding;
use crate::findings::{integrity, list};
use crate::follower::{Follower, Interrupted, Next, Reach, Step, Unusable};
use crate::position::Position;

/// Hears what every step found.
pub type Heard<'g> = &'g dyn Fn(&Behind<'g>, &[VerifyFinding]);

/// Verifies what was committed since the last step.
pub struct VerificationFollower<'g> {
    ground: &'g Ground,
    memory: usize,
    behind: Behind<'g>,
    most: u64,
    erasing: &'g Mutex<()>,
    heard: Heard<'g>,
}

impl<'g> VerificationFollower<'g> {
    /// Over a ledger's files: chains take about `memory` bytes, a step reads at most about `most`
    /// entries. No record is zeroed while `erasing` is held.
    #[must_use]
    pub fn new(
        ground: &'g Ground,
        memory: usize,
        most: u64,
        erasing: &'g Mutex<()>,
        heard: Heard<'g>,
    ) -> Self {
        Self { ground, memory, behind: Behind::new(ground, memory), most, erasing, heard }
    }
}

impl Follower for VerificationFollower<'_> {
    fn name(&self) -> &'static str {
        "verification"
    }

    fn begin(&mut self) {
        self.behind = Behind::new(self.ground, self.memory);
    }

    fn resume(&mut self, _: &View, _: &Position) -> Result<(), Unusable> {
        Err(Unusable::State)
    }

    fn reach(&self, view: &View) -> Reach {
        Reach { position: self.behind.size(), of: view.size() }
    }

    fn step(&mut self, view: &View, now: i64) -> Result<Step, Interrupted> {
        let found = {
            let _quiet = self.erasing.lock().unwrap_or_else(PoisonError::into_inner);
            self.behind.step(view.size(), self.most)
        };
        (self.heard)(&self.behind, &found);
        let statements = stated(view, &found, &view.identity().origin, now);
        let is_behind = self.behind.size() < view.size();
        let next = if is_behind { Next::Behind } else { Next::Rest };
        Ok(Step { statements, next, is_done_outside: false })
    }

    fn position(&self, _: &View) -> Option<Position> {
        None
    }
}

/// What is to be recorded of what a verification of `origin` found.
#[must_use]
pub fn stated(view: &View, found: &[VerifyFinding], origin: &str, now: i64) -> Vec<OwnStatement> {
    let note = |one: Finding| {
        // What cannot be looked up, in a ledger that may be damaged, is raised all the same.
        list::noticed(view, one.clone()).unwrap_or(Note::Raised(one))
    };
    let findings = integrity::findings(found, origin, now);
    findings.into_iter().map(|one| note(one).statement()).collect()
}
