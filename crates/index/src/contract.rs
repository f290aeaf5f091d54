//! The contract suite of [`PostingIndex`], and the plainest index that keeps it.
//!
//! Promises: [`posting_index_contract`] asks an implementation everything that [`PostingIndex`]
//! promises, and panics at the first answer that is another one.
//!
//! Refuses: to judge speed, and what an implementation does when its disk fails.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::IndexError;
use crate::event_time::{EventTime, Window};
use crate::posting_index::{Ask, Bound, FIND_MAX, IdAsk, Order, Page, PostingIndex, ReadBudget};
use crate::term::{Posting, Term, TermHead, TermKind};

/// Entries that the suite has an index of.
const ENTRIES: u64 = 700;
/// Terms of the suite: in every entry, in some, in one, in none.
const DENSE: Term = Term { kind: TermKind::Leaf as u8, hash: 1 };
const SOME: Term = Term { kind: TermKind::Chain as u8, hash: 2 };
const ONE: Term = Term { kind: TermKind::Chain as u8, hash: 3 };
const NONE: Term = Term { kind: TermKind::Chain as u8, hash: 4 };
const LIST: [Term; 4] = [DENSE, SOME, ONE, NONE];

/// All postings in memory. Every page takes one block, so that budgets can run out.
#[derive(Debug, Default)]
pub struct NaiveIndex {
    postings: BTreeMap<Term, BTreeSet<u64>>,
}

impl NaiveIndex {
    /// Of these postings.
    #[must_use]
    pub fn new(postings: &[Posting]) -> Self {
        let mut index = Self::default();
        for one in postings {
            index.postings.entry(one.term).or_default().insert(one.index);
        }
        index
    }

    fn page(&self, ask: &Ask, budget: &mut ReadBudget) -> Page {
        let range = ask.range.start..ask.range.end.max(ask.range.start);
        if !budget.take() {
            let next = match ask.order {
                Order::Oldest => range.start,
                Order::Newest => range.end,
            };
            let cut_by = Some(Bound::Reads);
            return Page { indexes: Vec::new(), next: Some(next), cut_by, reads: 0 };
        }
        let list = self.postings.get(&ask.term);
        let mut indexes: Vec<u64> =
            list.into_iter().flat_map(|list| list.range(range.clone())).copied().collect();
        if ask.order == Order::Newest {
            indexes.reverse();
        }
        let next = indexes.get(ask.limit).map(|index| match ask.order {
            Order::Oldest => *index,
            Order::Newest => index + 1,
        });
        indexes.truncate(ask.limit);
        Page { indexes, next, cut_by: next.map(|_| Bound::Limit), reads: 1 }
    }
}

impl PostingIndex for NaiveIndex {
    fn postings(&self, asks: &[Ask], budget: &mut ReadBudget) -> Result<Vec<Page>, IndexError> {
        Ok(asks.iter().map(|ask| self.page(ask, budget)).collect())
    }

    fn heads(&self, terms: &[Term]) -> Result<Vec<Option<TermHead>>, IndexError> {
        let head = |term: &Term| {
            let list = self.postings.get(term)?;
            Some(TermHead { last: *list.last()?, count: list.len() as u64 })
        };
        Ok(terms.iter().map(head).collect())
    }

    fn find(&self, ids: &[IdAsk]) -> Result<Vec<Vec<u64>>, IndexError> {
        let found = |id: &IdAsk| {
            let list = self.postings.get(&id.term).into_iter().flatten();
            list.copied().take(FIND_MAX).collect()
        };
        Ok(ids.iter().map(found).collect())
    }
}

/// The id of an entry of the suite, and its time; every third has none.
fn id_of(index: u64) -> IdAsk {
    let term = Term { kind: TermKind::EventId as u8, hash: 1000 + u128::from(index) };
    IdAsk { term, uuid_millis: (!index.is_multiple_of(3)).then_some(50_000 + index) }
}

fn has(term: &Term, index: u64) -> bool {
    match *term {
        DENSE => true,
        SOME => index % 7 == 3 || (200..260).contains(&index),
        ONE => index == 411,
        _ => false,
    }
}

/// When an entry of the suite occurred; some entries are no events. Most lie in their order, as
/// history that was imported, and some went on for long.
fn time_of(index: u64) -> Option<EventTime> {
    let day = i64::try_from(index / 7).expect("small") * 86_400_000_000_000;
    let first = if index % 97 == 5 { day / 2 } else { day };
    let last = if index % 31 == 4 { first + 40 * 86_400_000_000_000 } else { first };
    (!index.is_multiple_of(11)).then_some(EventTime { index, first, last })
}

/// What an index is made of.
pub struct Content<'c> {
    /// What its entries are found by, ascending.
    pub postings: &'c [Posting],
    /// When they occurred, ascending.
    pub times: &'c [EventTime],
    /// How many there are.
    pub entries: u64,
}

/// Makes an index of a content.
pub type Make<'m> = dyn Fn(&Content<'_>) -> Box<dyn PostingIndex> + 'm;

/// Runs the suite on what `make` builds.
///
/// # Panics
/// When the index breaks the contract.
pub fn posting_index_contract(make: &Make<'_>) {
    let mut postings = Vec::new();
    for index in 0..ENTRIES {
        let own = LIST.iter().filter(|term| has(term, index));
        postings.extend(own.map(|term| Posting { term: *term, index, uuid_millis: None }));
        let IdAsk { term, uuid_millis } = id_of(index);
        postings.push(Posting { term, index, uuid_millis });
    }
    let times: Vec<EventTime> = (0..ENTRIES).filter_map(time_of).collect();
    let index = make(&Content { postings: &postings, times: &times, entries: ENTRIES });
    let index = &*index;
    assert_eq!(index.postings(&[], &mut ReadBudget::new(0)).expect("nothing"), [], "no asks");
    pages_are_those_of_the_entries(index);
    a_batch_is_its_asks_one_by_one(index);
    pages_add_up_to_the_whole(index);
    what_a_budget_cuts_is_said(index);
    heads_and_ids_are_found(index);
    windows_leave_out_nothing(index);
}

fn asks() -> Vec<Ask> {
    let ranges = [(0, ENTRIES), (0, 0), (5, 6), (199, 261), (411, 412), (412, ENTRIES)];
    let mut asks = Vec::new();
    for (start, end) in ranges {
        for term in LIST {
            for limit in [0, 1, 13, 5000] {
                asks.push(Ask::oldest(term, start..end, limit));
                asks.push(Ask::newest(term, start..end, limit));
            }
        }
    }
    asks
}

/// What an ask should find, and where its next page begins.
fn expected(ask: &Ask) -> (Vec<u64>, Option<u64>) {
    let mut all: Vec<u64> = ask.range.clone().filter(|index| has(&ask.term, *index)).collect();
    if ask.order == Order::Newest {
        all.reverse();
    }
    let next = all.get(ask.limit).map(|index| match ask.order {
        Order::Oldest => *index,
        Order::Newest => index + 1,
    });
    all.truncate(ask.limit);
    (all, next)
}

fn pages_are_those_of_the_entries(index: &dyn PostingIndex) {
    let asks = asks();
    let pages = index.postings(&asks, &mut ReadBudget::new(u32::MAX)).expect("pages");
    assert_eq!(pages.len(), asks.len(), "a page for each ask");
    for (ask, page) in asks.iter().zip(pages) {
        let (indexes, next) = expected(ask);
        assert_eq!((&page.indexes, page.next), (&indexes, next), "{ask:?}");
        assert_eq!(page.cut_by, next.map(|_| Bound::Limit), "{ask:?}");
    }
}

fn a_batch_is_its_asks_one_by_one(index: &dyn PostingIndex) {
    let asks = asks();
    let (mut together, mut apart) = (ReadBudget::new(100_000), ReadBudget::new(100_000));
    let pages = index.postings(&asks, &mut together).expect("pages");
    for (ask, page) in asks.iter().zip(pages) {
        let alone = index.postings(std::slice::from_ref(ask), &mut apart).expect("a page");
        assert_eq!(alone, [page], "{ask:?}");
    }
    assert_eq!(together, apart, "what is asked together costs as much");
}

fn pages_add_up_to_the_whole(index: &dyn PostingIndex) {
    for order in [Order::Oldest, Order::Newest] {
        let (mut range, mut found) = (0..ENTRIES, Vec::new());
        loop {
            let ask = Ask { term: SOME, range: range.clone(), limit: 9, order };
            let page = index.postings(&[ask], &mut ReadBudget::new(u32::MAX)).expect("a page");
            found.extend(page[0].indexes.clone());
            match (page[0].next, order) {
                (Some(next), Order::Oldest) => range.start = next,
                (Some(next), Order::Newest) => range.end = next,
                (None, _) => break,
            }
        }
        let (whole, _) = expected(&Ask { term: SOME, range: 0..ENTRIES, limit: 5000, order });
        assert_eq!(found, whole, "{order:?}");
    }
}

fn what_a_budget_cuts_is_said(index: &dyn PostingIndex) {
    let asks = asks();
    for reads in 0..40 {
        let mut budget = ReadBudget::new(reads);
        let pages = index.postings(&asks, &mut budget).expect("pages");
        assert!(budget.spent() <= reads, "{} of {reads}", budget.spent());
        for (ask, page) in asks.iter().zip(pages) {
            let (indexes, next) = expected(ask);
            if page.cut_by != Some(Bound::Reads) {
                assert_eq!((&page.indexes, page.next), (&indexes, next), "{ask:?} within {reads}");
                continue;
            }
            let begun = &indexes[..page.indexes.len().min(indexes.len())];
            assert_eq!(page.indexes, begun, "{ask:?} within {reads}");
            let at = page.next.expect("where to go on");
            let is_before = |index: &&u64| match ask.order {
                Order::Oldest => **index < at,
                Order::Newest => **index >= at,
            };
            let passed = indexes.iter().filter(is_before).count();
            assert!(passed <= page.indexes.len(), "{ask:?} within {reads} passes some over");
        }
    }
}

fn heads_and_ids_are_found(index: &dyn PostingIndex) {
    let heads = index.heads(&LIST).expect("heads");
    for (term, head) in LIST.iter().zip(heads) {
        let all: Vec<u64> = (0..ENTRIES).filter(|index| has(term, *index)).collect();
        let last = all.last().map(|last| TermHead { last: *last, count: all.len() as u64 });
        assert_eq!(head, last, "{term:?}");
    }
    let ids: Vec<IdAsk> = [699, 0, 1, 2, 350, ENTRIES].map(id_of).into();
    let found = index.find(&ids).expect("ids");
    assert_eq!(found, [vec![699], vec![0], vec![1], vec![2], vec![350], vec![]]);
}

/// Goes through the parts of a range, as whoever asks does.
fn windows_leave_out_nothing(index: &dyn PostingIndex) {
    let day = 86_400_000_000_000_i64;
    let windows = [(i64::MIN, i64::MAX), (0, 1), (7 * day, 9 * day), (50 * day + 5, 50 * day + 6)];
    let ranges = [0..ENTRIES, 5..6, 63..65, 300..300, 411..ENTRIES];
    for (from, until) in windows {
        let window = Window { from, until };
        for range in &ranges {
            let (mut rest, mut offered) = (range.clone(), Vec::new());
            while !rest.is_empty() {
                let part = index.first_in(window, &rest);
                if part.is_empty() {
                    break;
                }
                assert!(rest.start <= part.start && part.end <= rest.end, "{part:?} of {rest:?}");
                rest.start = part.end;
                let part: Vec<u64> = part.collect();
                let kept = index.may_have(window, &part);
                assert!(kept.iter().all(|one| part.contains(one)), "others than were given");
                offered.extend(kept);
            }
            let occurred = range.clone().filter(|index| {
                let time = time_of(*index);
                time.is_some_and(|time| time.first < until && from <= time.last)
            });
            for index in occurred {
                assert!(offered.contains(&index), "{index} is left out of {window:?}, {range:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use ledgerline_world::disk::Disk;
    use ledgerline_world::fake::SimDisk;

    use super::*;
    use crate::{Index, IndexConfig, Progress};

    #[test]
    fn the_plainest_index_keeps_the_contract() {
        posting_index_contract(&|content| Box::new(NaiveIndex::new(content.postings)));
    }

    #[test]
    fn runs_keep_the_contract_however_they_are_divided() {
        let divisions = [(20, 2, 0), (5, 2, 0), (5, 2, 9), (4, 3, 1000), (7, 8, 1000)];
        for (range_log2, fan_in, steps) in divisions {
            posting_index_contract(&|content| {
                let end = content.entries;
                let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
                let config = IndexConfig { range_log2, fan_in, ..IndexConfig::default() };
                let (index, _) = Index::open(disk, "index", config).expect("open");
                index.note_times(0, end, content.times);
                index.append(0, end, content.postings);
                for _ in 0..steps {
                    if index.step(end).expect("step") == Progress::Idle {
                        break;
                    }
                }
                Box::new(index)
            });
        }
    }

    /// A way to break the contract.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Flaw {
        HidesTheCut,
        ForgetsTheOrder,
        LosesTheLast,
        PassesOver,
        CountsOneTooFew,
        ChargesNothing,
        EndsAWindowEarly,
        LeavesOutTheLong,
    }

    struct Flawed(NaiveIndex, Flaw);

    impl PostingIndex for Flawed {
        fn postings(&self, asks: &[Ask], budget: &mut ReadBudget) -> Result<Vec<Page>, IndexError> {
            let mut free = ReadBudget::new(u32::MAX);
            let is_free = self.1 == Flaw::ChargesNothing && asks.len() > 1;
            let mut pages = self.0.postings(asks, if is_free { &mut free } else { budget })?;
            for page in &mut pages {
                match self.1 {
                    Flaw::HidesTheCut if page.cut_by == Some(Bound::Reads) => {
                        (page.cut_by, page.next) = (None, None);
                    }
                    Flaw::ForgetsTheOrder => page.indexes.sort_unstable(),
                    Flaw::LosesTheLast if page.next.is_none() => {
                        page.indexes.pop();
                    }
                    Flaw::PassesOver => page.next = page.next.map(|next| next + 1),
                    _ => {}
                }
            }
            Ok(pages)
        }

        fn heads(&self, terms: &[Term]) -> Result<Vec<Option<TermHead>>, IndexError> {
            let mut heads = self.0.heads(terms)?;
            if self.1 == Flaw::CountsOneTooFew {
                heads.iter_mut().flatten().for_each(|head| head.count -= 1);
            }
            Ok(heads)
        }

        fn find(&self, ids: &[IdAsk]) -> Result<Vec<Vec<u64>>, IndexError> {
            self.0.find(ids)
        }

        fn first_in(&self, window: Window, range: &Range<u64>) -> Range<u64> {
            match self.1 {
                Flaw::EndsAWindowEarly if range.end == ENTRIES => range.start..ENTRIES - 1,
                _ => self.0.first_in(window, range),
            }
        }

        fn may_have(&self, window: Window, indexes: &[u64]) -> Vec<u64> {
            let is_begun =
                |index: &u64| time_of(*index).is_some_and(|time| window.contains(time.first));
            match self.1 {
                Flaw::LeavesOutTheLong => indexes.iter().copied().filter(is_begun).collect(),
                _ => indexes.to_vec(),
            }
        }
    }

    #[test]
    fn a_broken_index_is_found_out() {
        let flaws = [
            Flaw::HidesTheCut,
            Flaw::ForgetsTheOrder,
            Flaw::LosesTheLast,
            Flaw::PassesOver,
            Flaw::CountsOneTooFew,
            Flaw::ChargesNothing,
            Flaw::EndsAWindowEarly,
            Flaw::LeavesOutTheLong,
        ];
        for flaw in flaws {
            let judged = std::panic::catch_unwind(|| {
                posting_index_contract(&|content| {
                    Box::new(Flawed(NaiveIndex::new(content.postings), flaw))
                });
            });
            assert!(judged.is_err(), "{flaw:?} went unnoticed");
        }
    }
}
