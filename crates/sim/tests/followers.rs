//! Every follower keeps the contract of followers; one that does not is found out.

#[allow(dead_code, reason = "the model is for the questions")]
mod lineage_world;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use lineage_world::World;

use ledgerline_expiry::ExpiryFollower;
use ledgerline_followers::findings::FindingsFollower;
use ledgerline_followers::findings::follower_state::FollowerState;
use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::follower::{
    Began, Follower, Interrupted, Next, NotRecorded, Reach, Start, Step, Unusable,
};
use ledgerline_followers::position::{self, Found, Position};
use ledgerline_followers::verification::VerificationFollower;
use ledgerline_followers::{Recorder, Runner};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_proof::vocabulary::EventType;
use ledgerline_sim::Random;
use ledgerline_sim::follower_contract::{self as contract, Ledger};
use ledgerline_verify::{Ground, Signatures, VerifyWorld};
use ledgerline_view::view::View;
use ledgerline_world::clock::Clock;
use ledgerline_world::disk::{Disk, replace_durably};

/// Entries of a step.
const FEW: u64 = 7;

struct Growing {
    world: RefCell<World>,
    random: RefCell<Random>,
}

fn growing(seed: u64) -> Growing {
    Growing { world: RefCell::new(World::new(seed)), random: RefCell::new(Random::new(seed)) }
}

impl Ledger for Growing {
    fn view(&self) -> View {
        self.world.borrow().view()
    }
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.world.borrow().disk().clone())
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.world.borrow().clock()
    }
    fn grow(&self) {
        let mut world = self.world.borrow_mut();
        world.record_some(20, &mut self.random.borrow_mut());
        world.wait(3600 * 1_000_000_000);
    }
    fn record(&self, statements: Vec<OwnStatement>) {
        self.world.borrow_mut().administer(&AdminAct::State(statements));
    }
}

#[test]
fn findings_keep_the_contract() {
    let said: usize = (0..3)
        .map(|seed| {
            contract::check(&|| growing(seed), &|_| {
                let mut follower = FindingsFollower::new(Windows::default());
                follower.read(FEW);
                follower
            })
        })
        .sum();
    assert!(said > 5, "only {said} statements");
}

#[test]
fn expiries_keep_the_contract() {
    let said: usize = (0..3)
        .map(|seed| contract::check(&|| growing(seed), &|_| ExpiryFollower::new(64, 7)))
        .sum();
    assert!(said > 5, "only {said} statements");
}

#[test]
fn the_verifier_keeps_the_contract() {
    let erasing: &'static Mutex<()> = Box::leak(Box::default());
    let said = contract::check(&|| growing(1), &|ledger: &Growing| {
        let world = ledger.world.borrow();
        let files = VerifyWorld { disk: ledger.disk(), keys: None, head: None };
        let ground =
            Ground::new(&files, Some(&world.vault()), &[], Signatures::Every).expect("a genesis");
        let ground: &'static Ground = Box::leak(Box::new(ground));
        VerificationFollower::new(ground, 1 << 20, FEW, erasing, &|_, _| ())
    });
    assert_eq!(said, 0, "nothing is wrong with the ledger");
}

/// A file as it was written before there was one form of all: a checksum, and what it is of.
fn older(world: &World, name: &str, body: &[&[u8]]) {
    let body = body.concat();
    let bytes = [&crc32c::crc32c(&body).to_be_bytes()[..], &body].concat();
    world.disk().create_dir("followers").unwrap();
    replace_durably(world.disk(), &format!("followers/{name}"), &bytes).unwrap();
}

/// How one begins, and what its file is behind that.
fn begins(ledger: &Growing, follower: impl Follower) -> (Start, Found) {
    struct Takes<'l>(&'l Growing);
    impl Recorder for Takes<'_> {
        fn record(&mut self, statements: Vec<OwnStatement>) -> Result<(), NotRecorded> {
            self.0.record(statements);
            Ok(())
        }
    }
    let mut runner = Runner::new(follower, ledger.disk(), ledger.clock());
    let ran = runner.step(&ledger.view(), &mut Takes(ledger)).unwrap();
    let name = runner.follower().name();
    // The schedule has no place to save while something is due.
    for _ in 0..1000 {
        runner.save(&ledger.view()).unwrap();
        let found = position::load(ledger.disk().as_ref(), name).unwrap();
        if !matches!(found, Found::Older(_)) {
            return (ran.start.unwrap(), found);
        }
        runner.step(&ledger.view(), &mut Takes(ledger)).unwrap();
    }
    panic!("{name} never saves a position");
}

#[test]
fn files_of_before_are_taken_over() {
    let ledger = growing(2);
    ledger.grow();
    let (at, through) = (9_u64, ledger.clock().wall_nanos() - 1);
    {
        let world = ledger.world.borrow();
        let origin = world.view().identity().origin.to_string();
        let length = u16::try_from(origin.len()).unwrap().to_be_bytes();
        let memory = FollowerState::default().to_bytes();
        let (position, origin) = (at.to_be_bytes(), origin.as_bytes());
        older(&world, "findings", &[&position, &length, origin, &memory]);
        older(&world, "expiry", &[&position, &through.to_be_bytes(), origin]);
    }
    let findings = FindingsFollower::new(Windows::default());
    for (start, found) in [begins(&ledger, findings), begins(&ledger, ExpiryFollower::new(64, 1))] {
        assert_eq!((&start.began, start.reach.position), (&Began::TakenOver, at), "{start}");
        assert!(matches!(found, Found::Position(_)), "{found:?}");
    }
    // Nor is one of a longer copy of this ledger: it says what nobody else knows any more.
    let beyond = 1_000_000_u64.to_be_bytes();
    {
        let world = ledger.world.borrow();
        let origin = world.view().identity().origin.to_string();
        let length = u16::try_from(origin.len()).unwrap().to_be_bytes();
        let memory = FollowerState::default().to_bytes();
        let origin = origin.as_bytes();
        older(&world, "findings", &[&beyond, &length, origin, &memory]);
        older(&world, "expiry", &[&beyond, &through.to_be_bytes(), origin]);
    }
    let findings = FindingsFollower::new(Windows::default());
    for (start, _) in [begins(&ledger, findings), begins(&ledger, ExpiryFollower::new(64, 1))] {
        assert!(matches!(start.began, Began::Ahead(_)), "{start}");
        assert!(start.is_loss() && start.reach.position == 0, "{start}");
    }
    // Those of another ledger, or damaged, are not.
    older(&ledger.world.borrow(), "findings", &[b"short"]);
    let (start, _) = begins(&ledger, FindingsFollower::new(Windows::default()));
    assert!(start.is_loss() && start.reach.position == 0, "{start}");
}

/// What can be wrong with a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Nothing,
    /// It says that it can go on behind what it has not read.
    SavesTooFar,
    /// It names what it states by chance.
    NamesByTime,
    /// It begins where it likes.
    IgnoresThePosition,
    /// It believes a position beyond the ledger.
    BelievesEverything,
}

/// One by somebody outside: it states of every REVOKED that somebody was told.
struct Outsider {
    looked: u64,
    flaw: Flaw,
}

impl Follower for Outsider {
    fn name(&self) -> &'static str {
        "outsider"
    }

    fn begin(&mut self) {
        self.looked = 0;
    }

    fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable> {
        let position = match saved.in_newest(view) {
            Err(_) if self.flaw == Flaw::BelievesEverything => Some(view.size()),
            position => position?,
        };
        self.looked = position.unwrap_or(0);
        if self.flaw == Flaw::IgnoresThePosition {
            self.looked = view.size();
        }
        Ok(())
    }

    fn reach(&self, view: &View) -> Reach {
        Reach { position: self.looked, of: view.size() }
    }

    fn step(&mut self, view: &View, now: i64) -> Result<Step, Interrupted> {
        let mut statements = Vec::new();
        let end = view.size().min(self.looked + FEW);
        view.each_leaf(self.looked..end, |index, leaf| {
            let told = read_event(leaf, |_, one| {
                let is_it = one.event_type == EventType::Revoked;
                is_it.then(|| (one.tenant.to_owned(), one.target.kind, one.target.id.to_owned()))
            });
            if let Some((tenant, kind, id)) = told.flatten() {
                let by = if self.flaw == Flaw::NamesByTime { now } else { 0 };
                let name = format!("told/{index}/{by}");
                let own = OwnStatement::new(&tenant, name, EventType::AdminAct);
                let detail = vec![("act", "told".to_owned())];
                statements.push(OwnStatement { target: Some((kind, id)), detail, ..own });
            }
            Ok(true)
        })?;
        self.looked = end;
        let next = if end < view.size() { Next::Behind } else { Next::Rest };
        Ok(Step { statements, next, is_done_outside: false })
    }

    fn position(&self, view: &View) -> Option<Position> {
        let far = if self.flaw == Flaw::SavesTooFar { FEW } else { 0 };
        let entries = view.size().min(self.looked + far);
        Some(Position::of_log(&view.identity().origin, entries))
    }
}

fn check(flaw: Flaw) -> usize {
    contract::check(&|| growing(3), &|_| Outsider { looked: 0, flaw })
}

#[test]
fn one_by_an_outsider_keeps_the_contract() {
    assert!(check(Flaw::Nothing) > 3, "too few revocations");
}

#[test]
fn a_follower_that_does_not_keep_it_is_found_out() {
    for flaw in
        [Flaw::SavesTooFar, Flaw::NamesByTime, Flaw::IgnoresThePosition, Flaw::BelievesEverything]
    {
        let found = std::panic::catch_unwind(|| check(flaw));
        assert!(found.is_err(), "{flaw:?} passes");
    }
}
