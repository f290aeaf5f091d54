//! What a step does.

use ledgerline_index::Progress;
use ledgerline_journal::erasure;
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::schema::Leaf;
use ledgerline_proof::vocabulary::HandleKind;

use super::check::{Check, Checked, Trouble};
use super::events::Producer;
use super::model::place;
use super::node::producer_key;
use super::{Outcome, Run};
use crate::{Faults, Shortage};

/// How often each step happens by default, by its number in [`Run::step`].
pub(super) const WEIGHTS: [u64; 22] =
    [30, 15, 12, 8, 14, 6, 10, 4, 3, 5, 8, 10, 4, 3, 6, 12, 4, 3, 8, 1, 2, 4];

/// The follower, the schedule, the verifier behind the head, and questions.
pub(super) const DEAR: std::ops::Range<usize> = 17..21;

/// Storms over what is written behind the head, all of which is written anew as a whole.
const BEHIND: [Shortage; 4] =
    [Shortage::Descriptors, Shortage::Space, Shortage::Time, Shortage::Answers];

impl Run {
    pub(super) fn step(&mut self) -> Outcome {
        if self.node.is_none() {
            return self.reopen(false);
        }
        if self.random.chance(self.temper.stop) {
            return self.stop();
        }
        if self.random.chance(self.temper.fault) {
            self.begin_faults();
        }
        match self.draw_step() {
            0 => self.send_one()?,
            1 => self.send_lines()?,
            2 => self.send_signed()?,
            3 => self.send_act()?,
            4 => self.send_again()?,
            5 => self.send_conflict()?,
            6 => self.send_bad()?,
            7 => self.add_producer()?,
            8 => self.end_producer()?,
            9 => self.erase()?,
            10 => self.seal(false)?,
            11 => self.in_storm(&BEHIND, Self::index_step)?,
            12 => self.in_storm(&BEHIND, Self::vault_step)?,
            13 => self.zero_frames(),
            14 => self.in_storm(&BEHIND, Self::write_head)?,
            15 => self.move_clock(),
            16 => self.seal(true)?,
            17 => self.follow()?,
            18 => self.turn()?,
            19 => self.watch()?,
            20 => self.ask()?,
            _ => self.copy(),
        }
        if self.node.is_some() && !self.random.chance(self.temper.lazy) {
            self.commit_all()?;
        }
        self.check_step()
    }

    fn draw_step(&mut self) -> usize {
        let total: u64 = self.temper.weights.iter().sum();
        if total == 0 {
            return 0;
        }
        let mut left = self.random.below(total);
        for (number, weight) in self.temper.weights.iter().enumerate() {
            if left < *weight {
                return number;
            }
            left -= weight;
        }
        0
    }

    fn check_step(&mut self) -> Outcome {
        let Some(node) = &self.node else { return Ok(()) };
        let check = Check { node, model: &self.model, vault_is_older: false };
        let verify = self.random.chance(200);
        let checked = check.published(verify).and_then(|()| check.sample(&mut self.random));
        self.judge(checked)
    }

    /// Under faults a check may not get an answer; it never gets a wrong one.
    pub(super) fn judge(&self, checked: Checked) -> Outcome {
        match checked {
            Err(Trouble::Error(_)) if self.faulty => Ok(()),
            Err(trouble) => Err(trouble.text()),
            Ok(()) => Ok(()),
        }
    }

    pub(super) fn add_producer(&mut self) -> Outcome {
        // Never used before, not even by a registration that was lost.
        let number = self.trace.len();
        let alg = if self.random.chance(700) { 1 } else { 2 };
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        let producer = Producer { key_id: format!("key-{number}"), alg, seed };
        self.note(format!("add {} alg {alg}", producer.key_id));
        let Some(node) = &mut self.node else { return Ok(()) };
        if alg == 1 {
            if let Err(error) = node.rest.rooms.vault.put_secret(&producer.key_id, &seed) {
                return if self.faulty { Ok(()) } else { Err(error.to_string()) };
            }
            self.model.secrets.insert(producer.key_id.clone(), seed.to_vec());
        }
        let key = producer_key(&producer.key_id, alg, &seed);
        self.producers.push(producer);
        let planned = node.admin(&AdminAct::AddKey(Box::new(key)));
        self.planned(planned)
    }

    fn end_producer(&mut self) -> Outcome {
        if self.producers.is_empty() {
            return Ok(());
        }
        let at = self.random.index(self.producers.len());
        let key_id = self.producers[at].key_id.clone();
        let compromised = self.random.chance(300);
        self.note(format!("end {key_id}"));
        let Some(node) = &mut self.node else { return Ok(()) };
        let planned = node.admin(&AdminAct::EndKey { key_id, compromised, reason: None });
        self.planned(planned)
    }

    fn erase(&mut self) -> Outcome {
        let mut handles = Vec::new();
        for index in 0..self.model.size() {
            let Ok(Leaf::Entry(entry)) = Leaf::decode(&self.model.leaves[place(index)]) else {
                continue;
            };
            let persons = entry.handles.iter().filter(|one| one.kind == HandleKind::Person);
            handles.extend(persons.map(|person| person.id));
        }
        handles.sort_unstable();
        handles.dedup();
        if handles.is_empty() {
            return Ok(());
        }
        let handle = *self.random.choose(&handles);
        self.note(format!("erase {:02x}{:02x}", handle[0], handle[1]));
        self.to_zero.push(handle);
        self.tally.add("erasures planned", 1);
        let act = AdminAct::Erase {
            handle,
            tenant: String::new(),
            by: "all".into(),
            purpose: "asked".into(),
        };
        let Some(node) = &mut self.node else { return Ok(()) };
        let planned = node.admin(&act);
        self.planned(planned)
    }

    fn zero_frames(&mut self) {
        let Some(at) = self.to_zero.iter().position(|one| self.model.erased.contains(one)) else {
            return;
        };
        let Some(node) = &self.node else { return };
        let handle = self.to_zero[at];
        let ledger_id = node.rest.identity.ledger_id;
        let size = node.rest.rooms.published().size;
        let slots = std::collections::BTreeSet::from([handle]);
        let zeroed = erasure::zero_frames(&self.disk, &ledger_id, &slots, size);
        self.note(format!("zero the frames of {:02x}{:02x}: {zeroed:?}", handle[0], handle[1]));
        if let Ok(count) = zeroed {
            self.to_zero.remove(at);
            self.tally.add("frames zeroed", count);
        }
    }

    fn seal(&mut self, force: bool) -> Outcome {
        let Some(node) = &mut self.node else { return Ok(()) };
        match node.planner.seal_if_due(force) {
            Ok(due) => {
                if due {
                    node.take();
                }
                Ok(())
            }
            Err(error) => self.planned(Err(error)),
        }
    }

    fn index_step(&mut self) -> Outcome {
        for _ in 0..1 + self.random.index(6) {
            let Some(node) = &self.node else { return Ok(()) };
            let rooms = &node.rest.rooms;
            let size = rooms.published().size;
            match rooms.patience.with("the index", || rooms.index.step(size)) {
                Ok(Progress::Idle) => break,
                Ok(Progress::Built { .. }) => self.tally.add("index runs built", 1),
                Ok(Progress::Merged { .. }) => self.tally.add("index runs merged", 1),
                Ok(Progress::Merging { .. }) => {}
                Err(_) if self.faulty => break,
                Err(error) => return Err(format!("an index step failed: {error}")),
            }
        }
        Ok(())
    }

    fn vault_step(&mut self) -> Outcome {
        let want = self.random.index(10);
        let snapshot = self.random.chance(500);
        let Some(node) = &self.node else { return Ok(()) };
        let vault = &node.rest.rooms.vault;
        let position = node.rest.rooms.position(node.rest.rooms.published().size);
        let step = || if snapshot { vault.snapshot(position) } else { vault.refill(want) };
        let done = node.rest.rooms.patience.with("the vault", step);
        match done {
            Err(error) if !self.faulty => Err(format!("the vault failed: {error}")),
            _ => Ok(()),
        }
    }

    /// Writes the head store: late, seldom or never.
    fn write_head(&mut self) -> Outcome {
        if !self.random.chance(self.temper.head) {
            return Ok(());
        }
        let Some(node) = &self.node else { return Ok(()) };
        let note = node.rest.rooms.published().checkpoint.clone();
        let breaks = !self.shares_disk && self.random.chance(100);
        if breaks {
            let faults = Faults { write_error_per_mille: 300, ..Faults::default() };
            self.head.set_faults(faults);
        }
        let rest = &node.rest;
        let patience = &rest.rooms.patience;
        let written = patience.with("the head store", || rest.head.write(note.as_bytes()));
        if breaks {
            self.head.set_faults(Faults::default());
        }
        self.note(format!("head written: {}", written.is_ok()));
        self.tally.add("heads written", u64::from(written.is_ok()));
        match written {
            Err(error) if !self.faulty => Err(format!("the head store failed: {error}")),
            _ => Ok(()),
        }
    }

    fn move_clock(&mut self) {
        const SECOND: u64 = 1_000_000_000;
        if self.random.chance(150) {
            let by = i64::try_from(self.random.below(7_200 * SECOND)).unwrap_or(0);
            let by = if self.random.chance(500) { by } else { -by };
            self.note(format!("the wall clock jumps by {by} ns"));
            self.clock.jump_wall(by);
            self.tally.add("clock jumps", 1);
        } else {
            let most = *self.random.choose(&[SECOND / 1_000, SECOND, 90 * SECOND]);
            self.clock.advance(self.random.below(most));
        }
    }

    /// Keeps an older state of the data disk.
    fn copy(&mut self) {
        if self.in_doubt.is_empty() && self.copies.len() < 4 {
            self.copies.push((self.model.size(), self.disk.snapshot()));
        }
    }
}
