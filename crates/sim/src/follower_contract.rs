//! What every follower must keep, checked over a ledger that is made anew for each case.
//!
//! ```text
//! straight      in one life, from rest to rest while the ledger grows: what is said is the measure
//! cut off       after every number of steps: the process dies before what was stated is recorded,
//!               or behind it and before the position is saved, or after it was saved
//! lost          the position lies beyond the ledger, or the file is damaged
//! ```
//!
//! Promises: panics, and says which case, when something is lost or said twice, when a position
//! passes the ledger or goes back, or when a lost position is not named.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_followers::follower::{Began, Failed, Next, NotRecorded, Ran, Start};
use ledgerline_followers::position::{self, FOLDER, Found};
use ledgerline_followers::{Follower, Recorder, Runner};
use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_view::view::View;
use ledgerline_world::clock::Clock;
use ledgerline_world::disk::{Disk, OpenMode};

/// A ledger with one follower.
pub trait Ledger {
    /// The newest committed state.
    fn view(&self) -> View;
    /// The disk of the position.
    fn disk(&self) -> Arc<dyn Disk>;
    /// The world's clock.
    fn clock(&self) -> Arc<dyn Clock>;
    /// Grows, in the same way each time that a ledger is made.
    fn grow(&self);
    /// Has statements durable, each once for ever.
    fn record(&self, statements: Vec<OwnStatement>);
}

/// Ways to be cut off.
#[derive(Debug, Clone, Copy)]
enum Cut {
    BeforeRecorded,
    BeforeSaved,
    Saved,
}

/// How often a ledger grows.
const PARTS: u32 = 3;
/// Cuts are tried after so many steps, from 0 on.
const CUTS: usize = 8;
/// Steps after which a follower that still has something to do never comes to rest.
const MAX_STEPS: usize = 10_000;

/// What was handed over for recording, by name: how often the ledger had not seen it before.
type Said = BTreeMap<(String, String), OwnStatement>;

struct Book<'l, L> {
    ledger: &'l L,
    said: Said,
    is_cut: bool,
}

impl<L: Ledger> Recorder for Book<'_, L> {
    fn record(&mut self, statements: Vec<OwnStatement>) -> Result<(), NotRecorded> {
        if self.is_cut {
            return Err(NotRecorded);
        }
        for one in &statements {
            let name = (one.tenant.clone(), one.native_id.clone());
            let before = self.said.entry(name).or_insert_with(|| one.clone());
            assert_eq!(before.event_type, one.event_type, "one name for two statements: {one:?}");
            assert_eq!(before.target, one.target, "one name for two statements: {one:?}");
        }
        self.ledger.record(statements);
        Ok(())
    }
}

/// Checks a follower: `ledger` makes one, `follower` one over it, which reads little in a step so
/// that there is something to cut. Gives how many statements one life says.
///
/// # Panics
/// When something does not hold.
pub fn check<L: Ledger, F: Follower>(ledger: &dyn Fn() -> L, follower: &dyn Fn(&L) -> F) -> usize {
    let straight = straight(ledger, follower);
    for cut in [Cut::BeforeRecorded, Cut::BeforeSaved, Cut::Saved] {
        for after in 0..CUTS {
            let said = cut_off(ledger, follower, cut, after);
            same(&straight, &said, &format!("{cut:?} after {after} steps"));
        }
    }
    lost(ledger, follower, &straight);
    straight.len()
}

fn same(straight: &Said, said: &Said, case: &str) {
    for name in straight.keys() {
        assert!(said.contains_key(name), "{case}: lost {name:?}");
    }
    for name in said.keys() {
        assert!(straight.contains_key(name), "{case}: said besides {name:?}");
    }
}

fn run<L: Ledger, F: Follower>(ledger: &L, follower: F) -> Runner<F> {
    Runner::new(follower, ledger.disk(), ledger.clock())
}

fn straight<L: Ledger, F: Follower>(ledger: &dyn Fn() -> L, follower: &dyn Fn(&L) -> F) -> Said {
    let ledger = ledger();
    let mut runner = run(&ledger, follower(&ledger));
    let mut book = Book { ledger: &ledger, said: Said::new(), is_cut: false };
    for _ in 0..PARTS {
        ledger.grow();
        settle(&mut runner, &mut book, "in one life");
    }
    book.said
}

fn cut_off<L: Ledger, F: Follower>(
    ledger: &dyn Fn() -> L,
    follower: &dyn Fn(&L) -> F,
    cut: Cut,
    after: usize,
) -> Said {
    let ledger = ledger();
    let mut book = Book { ledger: &ledger, said: Said::new(), is_cut: false };
    for _ in 0..PARTS {
        ledger.grow();
        let mut runner = run(&ledger, follower(&ledger));
        for step in 0..=after {
            book.is_cut = matches!(cut, Cut::BeforeRecorded) && step == after;
            let ran = runner.step(&ledger.view(), &mut book);
            assert!(!matches!(ran, Err(Failed::Interrupted(_))), "it failed: {ran:?}");
        }
        book.is_cut = false;
        match cut {
            // Nothing may be saved behind what was not recorded.
            Cut::BeforeRecorded | Cut::Saved => runner.save(&ledger.view()).expect("a disk"),
            Cut::BeforeSaved => {}
        }
        drop(runner);
        let mut runner = run(&ledger, follower(&ledger));
        settle(&mut runner, &mut book, "after it was cut off");
    }
    book.said
}

/// Steps until there is nothing to do; how it began.
fn settle<L: Ledger, F: Follower>(
    runner: &mut Runner<F>,
    book: &mut Book<'_, L>,
    case: &str,
) -> Option<Start> {
    let mut start = None;
    let mut reached = None;
    for _ in 0..MAX_STEPS {
        let ran = runner.step(&book.ledger.view(), book);
        let Ran { start: began, recorded, next, reach, unsaved, news: _ } =
            ran.expect("a sound ledger");
        assert!(unsaved.is_none(), "{case}: {unsaved:?}");
        start = start.or(began);
        assert!(reach.position <= reach.of, "{case}: it is beyond the ledger: {reach:?}");
        assert!(reached.is_none_or(|before| before <= reach.position), "{case}: it went back");
        reached = Some(reach.position);
        if next == Next::Rest && recorded == 0 && reach.behind() == 0 {
            return start;
        }
        assert!(next != Next::Rest || recorded > 0, "{case}: it rests at {reach:?}");
    }
    panic!("{case}: it never comes to rest");
}

fn lost<L: Ledger, F: Follower>(
    ledger: &dyn Fn() -> L,
    follower: &dyn Fn(&L) -> F,
    straight: &Said,
) {
    let ledger = ledger();
    let mut book = Book { ledger: &ledger, said: Said::new(), is_cut: false };
    let mut runner = run(&ledger, follower(&ledger));
    let name = runner.follower().name();
    for _ in 0..PARTS {
        ledger.grow();
        settle(&mut runner, &mut book, "in one life");
    }
    runner.save(&ledger.view()).expect("a disk");
    let disk = ledger.disk();
    let saved = match position::load(disk.as_ref(), name).expect("a disk") {
        // It begins anew at every start, and says so by saving nothing.
        Found::Nothing => return,
        Found::Position(saved) => saved,
        found => panic!("it saved {found:?}"),
    };
    let begin = |book: &mut Book<'_, L>, case: &str| {
        let mut runner = run(&ledger, follower(&ledger));
        settle(&mut runner, book, case).expect("a beginning")
    };
    let resumed = begin(&mut book, "resumed");
    assert_eq!(resumed.began, Began::Resumed);

    let mut ahead = saved.clone();
    for (_, entries) in &mut ahead.logs {
        *entries += 1_000_000;
    }
    position::save(disk.as_ref(), name, &ahead).expect("a disk");
    let start = begin(&mut book, "ahead");
    let Began::Ahead(found) = start.began else { panic!("a position ahead: {start}") };
    assert!(found.position > found.of && start.is_loss(), "{start}");
    assert!(start.reach.behind() > 0, "it does not say how far behind it is: {start}");

    position::save(disk.as_ref(), name, &saved).expect("a disk");
    let file = disk.open(&format!("{FOLDER}/{name}"), OpenMode::Write).expect("a file");
    file.write_all_at(&[0xff], 12).expect("a disk");
    let start = begin(&mut book, "damaged");
    assert!(matches!(start.began, Began::Damaged(_)), "a damaged position: {start}");
    assert!(start.reach.behind() > 0, "it does not say how far behind it is: {start}");
    same(straight, &book.said, "after its position was lost");
}
