//! The readers behind the head: the followers of findings and expiries, and the verifier.
//!
//! Promises: followers are run by the runner of the node's threads, and are stepped, saved, lost
//! and begun again as there. No position is lost or beyond the ledger without a fault. On a disk
//! that does not rot the verifier finds nothing.

use std::sync::Arc;

use ledgerline_expiry::{ExpiryFollower, SCHEDULE_TOKENS, STEP_READS};
use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::findings::{FindingsFollower, Limits, Place, STEP_ENTRIES};
use ledgerline_followers::follower::{Began, Failed, Next, NotRecorded, Ran};
use ledgerline_followers::{Follower, Recorder, Runner};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_proof::vocabulary::EventType;
use ledgerline_verify::{Behind, Ground, Signatures, VerifyWorld};
use ledgerline_view::view::View;
use ledgerline_world::clock::Clock;

use super::{Outcome, Run};

/// Steps after which readers that still have something to do never come to rest.
const MAX_STEPS: u32 = 10_000;

/// The readers of an open node.
#[derive(Default)]
pub(super) struct Readers {
    findings: Option<Runner<FindingsFollower>>,
    expiry: Option<Runner<ExpiryFollower>>,
}

/// The way of statements back into the ledger.
struct Back<'r> {
    run: &'r mut Run,
    /// What the model says against it.
    wrong: Option<String>,
}

impl Recorder for Back<'_> {
    fn record(&mut self, statements: Vec<OwnStatement>) -> Result<(), NotRecorded> {
        self.run.count(&statements);
        match self.run.record(&AdminAct::State(statements)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(NotRecorded),
            Err(wrong) => {
                self.wrong = Some(wrong);
                Err(NotRecorded)
            }
        }
    }
}

impl Run {
    pub(super) fn view(&self) -> Option<View> {
        let rest = &self.node.as_ref()?.rest;
        let (rooms, terms) = (Arc::clone(&rest.rooms), Arc::clone(&rest.terms));
        Some(View::new(rooms, terms, rest.identity.clone()))
    }

    fn runner<F: Follower>(&self, follower: F) -> Runner<F> {
        Runner::new(follower, Arc::clone(&self.world.disk), Arc::clone(&self.world.clock))
    }

    /// A step of a follower, with what it stated recorded; `None` when it came to nothing.
    fn run<F: Follower>(&mut self, runner: &mut Runner<F>) -> Result<Option<Ran>, String> {
        let Some(view) = self.view() else { return Ok(None) };
        let mut back = Back { run: self, wrong: None };
        let ran = runner.step(&view, &mut back);
        if let Some(wrong) = back.wrong {
            return Err(wrong);
        }
        let name = runner.follower().name();
        let ran = match ran {
            Ok(ran) => ran,
            Err(Failed::NotRecorded) => return Ok(None),
            Err(Failed::Interrupted(_)) if self.faulty => return Ok(None),
            Err(Failed::Interrupted(error)) => return Err(format!("{name} failed: {error}")),
        };
        if let Some(start) = &ran.start {
            self.note(start.to_string());
            let resumed = start.began == Began::Resumed && start.reach.position > 0;
            self.tally.add("followers begun at a saved position", u64::from(resumed));
            if start.is_loss() && !self.faulty {
                return Err(start.to_string());
            }
        }
        if ran.reach.position > ran.reach.of {
            return Err(format!("{name} is at {:?}", ran.reach));
        }
        if self.random.chance(300) {
            let saved = runner.save(&view);
            self.excuse("a position cannot be saved", saved)?;
        }
        Ok(Some(ran))
    }

    /// A step of the rules, with what they noticed recorded.
    pub(super) fn follow(&mut self) -> Outcome {
        let most = *self.random.choose(&[1, 7, 60, STEP_ENTRIES]);
        self.follow_on(most).map(|_| ())
    }

    /// Whether the rules have nothing to read any more.
    fn follow_on(&mut self, most: u64) -> Result<bool, String> {
        let known = self.readers.findings.take();
        let mut runner = match known {
            Some(runner) => runner,
            None => {
                // Room for next to nothing: what it remembers is on the disk.
                let limits = Limits { bytes: 64 << 10, summaries: 100, worn_bytes: 4 << 10 };
                let disk = Arc::clone(&self.world.disk);
                let place = Place { disk, limits, remembered: *self.random.choose(&[1, 3, 4096]) };
                self.runner(FindingsFollower::with_store(Windows::default(), place))
            }
        };
        runner.follower().read(most);
        let ran = self.run(&mut runner)?;
        // Whoever fell over meanwhile begins anew.
        self.readers.findings = self.node.is_some().then_some(runner);
        Ok(ran.is_some_and(|ran| ran.recorded == 0 && ran.next == Next::Rest))
    }

    fn count(&mut self, stated: &[OwnStatement]) {
        for one in stated {
            let what = match one.event_type {
                EventType::FindingRaised => "findings raised",
                EventType::FindingClosed => "findings withdrawn",
                EventType::Expired => "expiries found",
                _ => "other statements",
            };
            self.tally.add(what, 1);
        }
    }

    /// A step of the schedule, with what is due recorded.
    pub(super) fn turn(&mut self) -> Outcome {
        let reads = *self.random.choose(&[1, 3, 40, STEP_READS]);
        self.turn_on(reads).map(|_| ())
    }

    /// Whether the schedule has nothing to do any more.
    fn turn_on(&mut self, reads: usize) -> Result<bool, String> {
        let mut runner = match self.readers.expiry.take() {
            Some(runner) => runner,
            None => {
                let tokens = *self.random.choose(&[2, 5, SCHEDULE_TOKENS]);
                self.runner(ExpiryFollower::new(tokens, reads))
            }
        };
        runner.follower().read(reads);
        self.latest = self.latest.max(self.clock.wall_nanos());
        let ran = self.run(&mut runner)?;
        self.readers.expiry = self.node.is_some().then_some(runner);
        Ok(ran.is_some_and(|ran| ran.recorded == 0 && ran.next == Next::Rest))
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
            let followed = !follows || self.follow_on(STEP_ENTRIES)?;
            let turned = !turns || self.turn_on(STEP_READS)?;
            if followed && turned {
                self.tally.add("readers at rest", 1);
                let expired = if turns { self.check_expiries() } else { Ok(()) };
                return expired.and_then(|()| if follows { self.check_findings() } else { Ok(()) });
            }
        }
        Err("the readers never come to rest".into())
    }
}
