//! The seeded simulation of the whole engine. `LEDGERLINE_SIM_SEEDS` says how many seeds; more at
//! leisure with `cargo xtask sim --seeds N --start S`.

use ledgerline_sim::{Tally, run};

fn seeds() -> u64 {
    let wanted = std::env::var("LEDGERLINE_SIM_SEEDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

/// What must have happened somewhere in a thousand lives, or they have tested nothing.
const MUST_HAPPEN: [&str; 38] = [
    "recorded",
    "duplicates",
    "refused",
    "blocks",
    "clock jumps",
    "erasures planned",
    "frames zeroed",
    "index runs built",
    "index runs merged",
    "heads written",
    "clean shutdowns",
    "derived files lost",
    "opens that failed under faults",
    "stopped while publishing",
    "batches in doubt that were kept",
    "batches in doubt that were not",
    "crash: power cuts",
    "crash: kills",
    "crash: writes torn",
    "fault: sync error",
    "fault: disk full",
    "fault: power off in a call",
    "storms outlasted",
    "storms outlasted by a commit",
    "probe: older copy refused",
    "probe: older vault",
    "probe: new origin",
    "probe: new origin cut off",
    "duplicates across origins",
    "sent again to a new origin",
    "questions with an answer",
    "findings raised",
    "findings withdrawn",
    "findings worked out",
    "expiries that had to be stated",
    "followers begun at a saved position",
    "entries verified behind the head",
    "commits that moved streams",
];

#[test]
fn a_ledger_keeps_its_promises_over_its_whole_life() {
    let seeds = seeds();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let one = |worker: usize| {
        let mut tally = Tally::default();
        for seed in (0..seeds).skip(worker).step_by(workers) {
            match run(seed) {
                Ok(held) => tally.join(&held.tally),
                Err(failure) => panic!("{failure}"),
            }
        }
        tally
    };
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|worker| scope.spawn(move || one(worker))).collect();
        for handle in handles {
            tally.join(&handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    if seeds >= 1_000 {
        for what in MUST_HAPPEN {
            assert!(tally.of(what) > 0, "never in {seeds} seeds: {what}\n{tally}");
        }
    }
}

/// The meta test: what a seed does depends on the seed alone.
#[test]
fn one_seed_gives_the_same_bytes() {
    for seed in [0, 3, 17, 101, 202, 303] {
        let (first, second) = (run(seed).unwrap(), run(seed).unwrap());
        assert_eq!(first.trace, second.trace, "the steps of seed {seed}");
        assert!(first.images == second.images, "the disks of seed {seed}");
        assert_eq!(first.tally, second.tally, "the tally of seed {seed}");
    }
    assert!(run(1).unwrap().images != run(2).unwrap().images, "seeds differ");
}
