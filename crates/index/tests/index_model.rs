//! The index against a map: whatever is appended, built, merged, lost, damaged or torn, and however
//! the ledger is divided among tail and runs, every answer is the model's.

mod index_disk;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledgerline_index::{
    Bound, Index, IndexConfig, IndexError, Page, Posting, Progress, ReadBudget, Term, TermHead,
    TermKind, remove_run,
};
use ledgerline_world::disk::Disk;

use index_disk::{MemDisk, Random, mix};

const DIR: &str = "index";

struct Batch {
    first: u64,
    end: u64,
    postings: Vec<Posting>,
}

/// The index, what it must answer, and what it is fed from when it has lost something.
struct World {
    seed: u64,
    random: Random,
    disk: Arc<MemDisk>,
    config: IndexConfig,
    index: Index,
    batches: Vec<Batch>,
    lists: BTreeMap<Term, Vec<u64>>,
    ids: Vec<(Term, Option<u64>)>,
    end: u64,
    healed: u32,
}

fn event_id(index: u64) -> Posting {
    let hash = u128::from(mix(index)) << 32 | u128::from(mix(!index) >> 32);
    let millis = (!mix(index ^ 7).is_multiple_of(4)).then_some(1_000_000 + index % (1 << 40) * 3);
    Posting { term: Term { kind: TermKind::EventId as u8, hash }, index, uuid_millis: millis }
}

fn plain(kind: TermKind, which: u64, index: u64) -> Posting {
    // Few distinct values, among them the ends of the number range.
    let hash = match which {
        0 => 0,
        1 => u128::MAX,
        _ => u128::from(mix(which)) << 64 | u128::from(mix(which + 99)),
    };
    Posting { term: Term { kind: kind as u8, hash }, index, uuid_millis: None }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let config = IndexConfig {
            range_log2: 2 + u32::try_from(random.below(3)).expect("small"),
            fan_in: 2 + u32::try_from(random.below(7)).expect("small"),
            max_level: 3,
            step_bytes: 1 + random.below(3_000),
            ..IndexConfig::default()
        };
        let disk = MemDisk::new();
        let shared: Arc<dyn Disk> = disk.clone();
        let (index, covered) = Index::open(shared, DIR, config).expect("open");
        assert_eq!(covered, 0);
        let (batches, lists, ids) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { seed, random, disk, config, index, batches, lists, ids, end: 0, healed: 0 }
    }

    fn append(&mut self) {
        let first = self.end;
        let end = first + 1 + self.random.below(40);
        let mut postings = Vec::new();
        for index in first..end {
            let id = event_id(index);
            self.ids.push((id.term, id.uuid_millis));
            postings.push(id);
            postings.push(plain(TermKind::Source, 0, index));
            postings.push(plain(TermKind::Chain, self.random.below(30), index));
            if self.random.below(3) == 0 {
                let rare = self.random.below(4) * self.random.below(200);
                postings.push(plain(TermKind::Resource, rare, index));
                postings.push(plain(TermKind::Resource, rare, index));
            }
        }
        // Any order between the terms is fine.
        if self.random.below(2) == 0 {
            postings.sort_by_key(|posting| posting.term);
        }
        for posting in &postings {
            let list = self.lists.entry(posting.term).or_default();
            if list.last() != Some(&posting.index) {
                list.push(posting.index);
            }
        }
        self.index.note_times(first, end, &[]);
        self.index.append(first, end, &postings);
        self.batches.push(Batch { first, end, postings });
        self.end = end;
    }

    fn step(&mut self) {
        match self.index.step(self.end) {
            Ok(_) => {}
            Err(IndexError::Damaged { file, .. }) => self.heal(&file),
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
    }

    /// A step that fails somewhere, perhaps with the power.
    fn fail(&mut self) {
        let changes = i64::try_from(self.random.below(12)).expect("small");
        self.disk.fail_after(changes);
        for _ in 0..4 {
            if let Err(IndexError::Damaged { file, .. }) = self.index.step(self.end) {
                self.disk.heal();
                return self.heal(&file);
            }
        }
        self.disk.heal();
        if self.random.below(2) == 0 {
            self.disk.cut_power();
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        let shared: Arc<dyn Disk> = self.disk.clone();
        let (index, covered) = Index::open(shared, DIR, self.config).expect("open");
        assert!(covered <= index.covered() && index.covered() <= self.end);
        let mut from = self.batches.partition_point(|batch| batch.end <= covered);
        from -= self.random.at(from + 1).min(3);
        for batch in &self.batches[from..] {
            index.note_times(batch.first, batch.end, &[]);
            index.append(batch.first, batch.end, &batch.postings);
        }
        assert_eq!(index.end(), self.end.max(covered));
        self.index = index;
    }

    fn heal(&mut self, file: &str) {
        remove_run(&*self.disk, file).expect("remove");
        self.healed += 1;
        self.reopen();
    }

    /// Loses or damages one file, then opens again.
    fn damage(&mut self) {
        let files = self.disk.files();
        if files.is_empty() {
            return;
        }
        let file = files[self.random.at(files.len())].as_str();
        let length = self.disk.read(file).len().max(1);
        let covered = self.index.covered();
        match self.random.below(4) {
            0 => self.disk.delete(file),
            1 => {
                let kept = self.random.at(length);
                self.disk.change(file, |bytes| bytes.truncate(kept));
            }
            2 => self.disk.change(file, |bytes| bytes.push(0)),
            _ => {
                let at = self.random.at(length);
                let bit = self.random.below(8);
                self.disk.change(file, |bytes| {
                    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit);
                });
            }
        }
        self.reopen();
        // Losing a file that a failed step left behind loses nothing.
        let named = !self.index.stats().damaged.is_empty();
        let kept = self.index.covered() >= covered;
        assert!(named || kept, "seed {}: damage of {file} went unseen", self.seed);
    }

    /// Asks until no damage is in the way.
    fn ask<T>(&mut self, question: impl Fn(&Index) -> Result<T, IndexError>) -> T {
        loop {
            match question(&self.index) {
                Ok(answer) => return answer,
                Err(IndexError::Damaged { file, .. }) => self.heal(&file),
                Err(error) => panic!("seed {}: {error}", self.seed),
            }
        }
    }

    fn check(&mut self, terms: usize) {
        let known: Vec<Term> = self.lists.keys().copied().collect();
        for _ in 0..terms.min(known.len()) {
            let term = known[self.random.at(known.len())];
            self.check_term(&term);
        }
        let absent = Term { kind: 2, hash: u128::from(self.random.next()) };
        self.check_term(&absent);
        self.check_find();
    }

    fn check_term(&mut self, term: &Term) {
        let list = self.lists.get(term).cloned().unwrap_or_default();
        let head = list.last().map(|&last| TermHead { last, count: list.len() as u64 });
        assert_eq!(self.ask(|index| index.head(term)), head, "seed {} {term:?}", self.seed);
        let mut ends = [self.random.below(self.end + 5), self.random.below(self.end + 5)];
        ends.sort_unstable();
        let range = if self.random.below(3) == 0 { 0..u64::MAX } else { ends[0]..ends[1] };
        let limit = self.random.at(20) * self.random.at(100);
        self.check_page(term, &list, &range, limit);
        self.check_walk(term, &list, &range, 1 + limit);
    }

    /// One page without a budget is exactly the model's.
    fn check_page(&mut self, term: &Term, list: &[u64], range: &Range<u64>, limit: usize) {
        let all: Vec<u64> = list.iter().copied().filter(|index| range.contains(index)).collect();
        let page = |indexes: Vec<u64>, rest: Option<u64>, reads: u32| Page {
            indexes: indexes.iter().copied().take(limit).collect(),
            next: rest,
            cut_by: rest.map(|_| Bound::Limit),
            reads,
        };
        let unlimited = || ReadBudget::new(u32::MAX);
        let found = self.ask(|index| index.postings(term, range.clone(), limit, &mut unlimited()));
        let rest = all.get(limit).copied();
        assert_eq!(
            found,
            page(all.clone(), rest, found.reads),
            "seed {} {term:?} {range:?}",
            self.seed
        );
        let found =
            self.ask(|index| index.postings_back(term, range.clone(), limit, &mut unlimited()));
        let back: Vec<u64> = all.into_iter().rev().collect();
        let rest = back.get(limit).map(|index| index + 1);
        assert_eq!(
            found,
            page(back, rest, found.reads),
            "seed {} {term:?} {range:?} back",
            self.seed
        );
    }

    /// Pages within a tiny budget add up to the whole.
    fn check_walk(&mut self, term: &Term, list: &[u64], range: &Range<u64>, limit: usize) {
        let reads = 2 + u32::try_from(self.random.below(4)).expect("small");
        let mut all: Vec<u64> =
            list.iter().copied().filter(|index| range.contains(index)).collect();
        for back in [false, true] {
            let (mut left, mut found) = (range.clone(), Vec::new());
            loop {
                let page = self.ask(|index| {
                    let budget = &mut ReadBudget::new(reads);
                    let page = match back {
                        false => index.postings(term, left.clone(), limit, budget),
                        true => index.postings_back(term, left.clone(), limit, budget),
                    };
                    assert!(budget.spent() <= reads);
                    page
                });
                assert_eq!(page.next.is_some(), page.cut_by.is_some());
                found.extend(page.indexes);
                let Some(next) = page.next else { break };
                let before = left.clone();
                left = if back { left.start..next } else { next..left.end };
                assert_ne!(left, before, "seed {}: no progress", self.seed);
            }
            assert_eq!(found, all, "seed {} {term:?} {range:?} back {back}", self.seed);
            all.reverse();
        }
    }

    fn check_find(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let (term, millis) = self.ids[self.random.at(self.ids.len())];
        let place = self.lists[&term].clone();
        assert_eq!(self.ask(|index| index.find(&term, millis)), place, "seed {}", self.seed);
        let Posting { term, uuid_millis, .. } = event_id(u64::MAX - self.random.below(1_000));
        let found = self.ask(|index| index.find(&term, uuid_millis));
        assert_eq!(found, Vec::<u64>::new(), "seed {}", self.seed);
    }
}

/// `INDEX_SEEDS=n` runs more rounds.
#[test]
fn answers_do_not_depend_on_the_division() {
    let (mut healed, mut levels) = (0, 0);
    let seeds = std::env::var("INDEX_SEEDS").map_or(100, |n| n.parse().expect("a number"));
    for seed in 0..seeds {
        let mut world = World::new(seed);
        for _ in 0..80 {
            match world.random.below(20) {
                0..=6 => world.append(),
                7..=15 => (0..world.random.below(6)).for_each(|_| world.step()),
                16 => world.reopen(),
                17 => world.damage(),
                18 => world.fail(),
                _ => world.check(6),
            }
        }
        world.check(40);
        healed += world.healed;
        levels = world.index.run_files().iter().map(|run| run.level).fold(levels, u32::max);
    }
    assert!(healed > 0 && levels == 3, "the rounds reached neither damage nor depth");
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let mut world = World::new(3);
    (0..20).for_each(|_| world.append());
    while world.index.step(world.end).expect("step") != Progress::Idle {}
    let mut kept: Vec<String> = world.index.run_files().into_iter().map(|run| run.path).collect();
    kept.sort();
    let mut files = world.disk.files();
    assert_eq!(files.drain(..2).collect::<Vec<_>>(), ["index/event-times", "index/manifest"]);
    assert_eq!(files, kept, "merged runs are gone");
    world.disk.open("index/r09-00.run", ledgerline_world::disk::OpenMode::Create).expect("file");
    world.reopen();
    assert_eq!(world.disk.files().len(), 2 + kept.len());
    assert_eq!(world.index.stats().damaged, Vec::<String>::new());
}

#[test]
fn runs_beyond_the_ledger_and_of_other_keys_are_dropped() {
    let mut world = World::new(5);
    (0..30).for_each(|_| world.append());
    while world.index.step(world.end).expect("step") != Progress::Idle {}
    let covered = world.index.covered();
    let keep_below = covered - 1;
    let open =
        |config| Index::open(world.disk.clone() as Arc<dyn Disk>, DIR, config).expect("open").1;
    assert_eq!(open(world.config), covered);
    assert!(open(IndexConfig { keep_below, ..world.config }) < covered);
    assert_eq!(open(IndexConfig { identity: [1; 16], ..world.config }), 0);
    assert_eq!(open(world.config), 0, "the runs of another key are gone for good");
}

#[test]
fn long_lists_are_bisected() {
    let config = IndexConfig { range_log2: 17, ..IndexConfig::default() };
    let disk: Arc<dyn Disk> = MemDisk::new();
    let (index, _) = Index::open(disk, DIR, config).expect("open");
    let end = 1 << 17;
    let postings: Vec<Posting> =
        (0..end).flat_map(|at| [event_id(at), plain(TermKind::Source, 5, at)]).collect();
    index.note_times(0, end, &[]);
    index.append(0, end, &postings);
    assert!(matches!(index.step(end), Ok(Progress::Built { .. })));
    let term = plain(TermKind::Source, 5, 0).term;
    for start in (0..end - 200).step_by(7_001) {
        let mut budget = ReadBudget::new(3);
        let page = index.postings(&term, start..end, 100, &mut budget).expect("page");
        assert_eq!(page.indexes, (start..start + 100).collect::<Vec<_>>());
        let mut budget = ReadBudget::new(3);
        let page = index.postings_back(&term, 0..start + 150, 100, &mut budget).expect("page");
        assert_eq!(page.indexes, (start + 50..start + 150).rev().collect::<Vec<_>>());
    }
    let head = index.head(&term).expect("head");
    assert_eq!(head, Some(TermHead { last: end - 1, count: end }));
}

#[test]
fn readers_see_whole_batches_while_runs_are_built() {
    let config = IndexConfig { range_log2: 4, step_bytes: 500, ..IndexConfig::default() };
    let (index, _) = Index::open(MemDisk::new(), DIR, config).expect("open");
    let (term, over) = (plain(TermKind::Source, 5, 0).term, AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !over.load(Ordering::SeqCst) {
                    let count = index.head(&term).expect("head").map_or(0, |head| {
                        assert_eq!(head.count, head.last + 1);
                        head.count
                    });
                    assert!(count >= seen && count.is_multiple_of(10));
                    seen = count;
                    let budget = &mut ReadBudget::new(u32::MAX);
                    let page = index.postings(&term, 0..seen, usize::MAX, budget).expect("page");
                    assert_eq!(page.indexes, (0..seen).collect::<Vec<_>>());
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                index.step(index.end()).expect("step");
            }
        });
        for first in (0..4_000).step_by(10) {
            let postings: Vec<Posting> =
                (first..first + 10).map(|at| plain(TermKind::Source, 5, at)).collect();
            index.note_times(first, first + 10, &[]);
            index.append(first, first + 10, &postings);
        }
        over.store(true, Ordering::SeqCst);
    });
}
