//! Look-ups over the whole ledger: runs, frozen ranges and the active tail.
//!
//! Promises: an answer does not depend on how the ledger is divided among them. A reader sees a set
//! of whole batches: what was appended before its call, perhaps what is appended meanwhile. It
//! never waits for a run to be built, and reads no file under a lock.
//!
//! Refuses: to vouch for a hit. Terms are hashes; whoever asks confirms each hit at the entry.

use std::ops::Range;

use super::Index;
use super::run_reader::{LastBlock, Run};
use super::want::Want;
use crate::error::IndexError;
use crate::event_time::Window;
use crate::posting_index::{Ask, FIND_MAX, IdAsk, Order, Page, PostingIndex, ReadBudget};
use crate::term::{Term, TermHead, TermKind, is_planned_from};

/// Terms that are looked for together in the active range, whose lock is held meanwhile.
const AT_ONCE: usize = 256;

fn touches(range: &Range<u64>, other: &Range<u64>) -> bool {
    range.start < other.end && other.start < range.end
}

impl Index {
    /// The term's newest index and number of entries over the whole ledger; none when it has none.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn head(&self, term: &Term) -> Result<Option<TermHead>, IndexError> {
        let (active, sealed) = self.newest(term.kind, |tail| tail.head(term));
        let mut head: Option<TermHead> = None;
        let mut join = |part: TermHead| {
            let (last, count) = head.map_or((0, 0), |head| (head.last, head.count));
            head = Some(TermHead { last: last.max(part.last), count: count + part.count });
        };
        let mut last = LastBlock::default();
        for run in &sealed.runs {
            last.forget();
            run.head(term, &mut last)?.map(&mut join);
        }
        let frozen = sealed.frozen.iter().filter_map(|range| range.part(term.kind).head(term));
        frozen.for_each(&mut join);
        active.map(&mut join);
        Ok(head)
    }

    /// The entries that may carry a unique term, ascending, at most [`FIND_MAX`]: for an event id
    /// none, or one. `uuid_millis` is what the id's posting was given (see [`super::Posting`]);
    /// with it, only the runs whose ids are of that time are probed, without it all.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn find(&self, term: &Term, uuid_millis: Option<u64>) -> Result<Vec<u64>, IndexError> {
        let mut newest = Vec::new();
        let ((), sealed) = self.newest(term.kind, |tail| {
            tail.collect(term, &(0..u64::MAX), FIND_MAX, &mut newest);
        });
        let mut want = Want::new(&(0..u64::MAX), FIND_MAX - 1, 0);
        let mut budget = ReadBudget::new(u32::MAX);
        for run in &sealed.runs {
            let timed = term.kind == TermKind::EventId as u8;
            if !timed || run.footer.ids.may_hold(uuid_millis) {
                run.collect(term, &mut want, &mut budget, &mut LastBlock::default())?;
            }
        }
        for frozen in &sealed.frozen {
            frozen.part(term.kind).collect(term, want.range, want.room, &mut want.found);
        }
        want.push(newest.into_iter());
        Ok(want.found)
    }

    /// The term's first indexes in `range`, ascending, at most `limit`.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn postings(
        &self,
        term: &Term,
        range: Range<u64>,
        limit: usize,
        budget: &mut ReadBudget,
    ) -> Result<Page, IndexError> {
        self.one(&Ask::oldest(*term, range, limit), budget)
    }

    /// The term's last indexes in `range`, newest first, at most `limit`.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn postings_back(
        &self,
        term: &Term,
        range: Range<u64>,
        limit: usize,
        budget: &mut ReadBudget,
    ) -> Result<Page, IndexError> {
        self.one(&Ask::newest(*term, range, limit), budget)
    }

    fn one(&self, ask: &Ask, budget: &mut ReadBudget) -> Result<Page, IndexError> {
        let mut jobs = [Job::new(0, ask)];
        self.look(&mut jobs, budget)?;
        let [job] = jobs;
        Ok(job.page())
    }

    /// Does some jobs whose terms are kept together, run by run, so that a block that holds several
    /// of the terms is read once.
    fn look(&self, jobs: &mut [Job<'_>], budget: &mut ReadBudget) -> Result<(), IndexError> {
        let Some(first) = jobs.first() else { return Ok(()) };
        let ((), sealed) = self.newest(first.ask.term.kind, |tail| {
            for Job { ask, want, tail: newest, .. } in &mut *jobs {
                match ask.order {
                    Order::Oldest => tail.collect(&ask.term, &ask.range, want.room, newest),
                    Order::Newest => {
                        tail.collect_back(&ask.term, &ask.range, want.room, &mut want.found);
                    }
                }
            }
        });
        let of = |order: Order| move |job: &&mut Job<'_>| job.ask.order == order;
        for job in jobs.iter_mut().filter(of(Order::Newest)) {
            let (ask, want) = (job.ask, &mut job.want);
            for frozen in sealed.frozen.iter().rev() {
                let part = frozen.part(ask.term.kind);
                part.collect_back(&ask.term, &ask.range, want.room, &mut want.found);
            }
        }
        let (mut oldest, mut newest) = (false, false);
        for job in &*jobs {
            oldest |= job.ask.order == Order::Oldest;
            newest |= job.ask.order == Order::Newest;
        }
        let mut last = LastBlock::default();
        for run in sealed.runs.iter().filter(|_| oldest) {
            last.forget();
            for job in jobs.iter_mut().filter(of(Order::Oldest)) {
                job.look_in(run, budget, &mut last)?;
            }
        }
        for run in sealed.runs.iter().rev().filter(|_| newest) {
            last.forget();
            for job in jobs.iter_mut().filter(of(Order::Newest)) {
                job.look_in(run, budget, &mut last)?;
            }
        }
        for job in jobs.iter_mut().filter(of(Order::Oldest)) {
            let (ask, want) = (job.ask, &mut job.want);
            if !want.is_cut {
                for frozen in &sealed.frozen {
                    let part = frozen.part(ask.term.kind);
                    part.collect(&ask.term, &ask.range, want.room, &mut want.found);
                }
                want.push(std::mem::take(&mut job.tail).into_iter());
            }
        }
        Ok(())
    }
}

/// An ask under way.
struct Job<'a> {
    /// Where among the asks its page stands.
    at: usize,
    ask: &'a Ask,
    want: Want<'a>,
    /// What the active range has of the oldest.
    tail: Vec<u64>,
}

impl<'a> Job<'a> {
    fn new(at: usize, ask: &'a Ask) -> Self {
        let resume = match ask.order {
            Order::Oldest => ask.range.start,
            Order::Newest => ask.range.end,
        };
        Self { at, ask, want: Want::new(&ask.range, ask.limit, resume), tail: Vec::new() }
    }

    fn look_in(
        &mut self,
        run: &Run,
        budget: &mut ReadBudget,
        last: &mut LastBlock,
    ) -> Result<(), IndexError> {
        let (ask, want) = (self.ask, &mut self.want);
        if want.is_done() || !touches(&ask.range, &run.range()) {
            return Ok(());
        }
        let spent = budget.spent();
        let went_on = match ask.order {
            Order::Oldest => {
                want.resume = want.resume.max(run.header.start);
                run.collect(&ask.term, want, budget, last)?
            }
            Order::Newest => {
                want.resume = want.resume.min(run.header.end);
                run.collect_back(&ask.term, want, budget, last)?
            }
        };
        want.reads += budget.spent() - spent;
        want.is_cut = !went_on;
        Ok(())
    }

    fn page(self) -> Page {
        match self.ask.order {
            Order::Oldest => self.want.page(|surplus| surplus),
            Order::Newest => self.want.page(|surplus| surplus + 1),
        }
    }
}

impl PostingIndex for Index {
    fn postings(&self, asks: &[Ask], budget: &mut ReadBudget) -> Result<Vec<Page>, IndexError> {
        if let [ask] = asks {
            return Ok(vec![self.one(ask, budget)?]);
        }
        let mut jobs: Vec<Job<'_>> =
            asks.iter().enumerate().map(|(at, ask)| Job::new(at, ask)).collect();
        jobs.sort_by_key(|job| job.ask.term);
        let planned = |job: &Job<'_>| is_planned_from(job.ask.term.kind);
        for kept in jobs.chunk_by_mut(|one, other| planned(one) == planned(other)) {
            for part in kept.chunks_mut(AT_ONCE) {
                self.look(part, budget)?;
            }
        }
        jobs.sort_unstable_by_key(|job| job.at);
        Ok(jobs.into_iter().map(Job::page).collect())
    }

    fn heads(&self, terms: &[Term]) -> Result<Vec<Option<TermHead>>, IndexError> {
        terms.iter().map(|term| self.head(term)).collect()
    }

    fn find(&self, ids: &[IdAsk]) -> Result<Vec<Vec<u64>>, IndexError> {
        ids.iter().map(|id| Self::find(self, &id.term, id.uuid_millis)).collect()
    }

    fn first_in(&self, window: Window, range: &Range<u64>) -> Range<u64> {
        Self::first_in(self, window, range)
    }

    fn may_have(&self, window: Window, indexes: &[u64]) -> Vec<u64> {
        Self::may_have(self, window, indexes)
    }
}
