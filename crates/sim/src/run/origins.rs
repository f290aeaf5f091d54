//! An older copy goes on as a new origin, on forks of the disks.
//!
//! Promises: what the copy held is recognised for ever at its old place, what it lost can be sent
//! again, and the new origin is a ledger that a model of its own takes leaf by leaf, at whatever
//! call the power goes while it begins. In the end both verify.

use std::sync::Arc;

use ledgerline_journal::recovery::RecoverError;
use ledgerline_ledger::intake::{BodyForm, EventAnswer, EventStatus};
use ledgerline_ledger::opening::{LedgerConfig, OpenError, World};
use ledgerline_proof::hash::sha256;
use ledgerline_proof::schema::Leaf;
use ledgerline_verify::{Severity, VerifyFinding, VerifyOptions, VerifyWorld, verify};

use super::check::{Check, Trouble};
use super::events::{Fate, Form};
use super::model::{Model, Place, place};
use super::node::{CREDENTIALS, InFlight, Node};
use super::{DEPLOYMENT, Outcome, Run};
use crate::{Faults, SimDisk};

const NEXT: &str = "ledgerline.test/next";

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Run {
    /// An older copy, with the newer head elsewhere, under a new name. The node is down.
    pub(super) fn probe_new_origin(&mut self) -> Outcome {
        if self.copies.is_empty() || self.shares_disk {
            return Ok(());
        }
        let (size, snapshot) = self.random.choose(&self.copies).clone();
        let (disk, head, world) = self.fork();
        if self.head_size(&head) <= size {
            return Ok(());
        }
        disk.restore(&snapshot);
        self.note(format!("on a copy: {size} leaves go on as a new origin"));
        let mut node = self.begin_origin(&disk, &head, &world)?;
        self.tally.add("probe: new origin", 1);
        self.judge_old(&node, size)?;
        for credential in &CREDENTIALS {
            node.register(credential).map_err(text)?;
        }
        publish(&mut node)?;
        self.send_everything(&mut node, size)?;
        node.planner.seal_if_due(true).map_err(text)?;
        publish(&mut node)?;
        self.judge_new(&node)?;
        let rooms = &node.rest.rooms;
        let published = rooms.published();
        node.rest.head.write(published.checkpoint.as_bytes()).map_err(text)?;
        rooms.vault.snapshot(rooms.position(published.size)).map_err(text)?;
        drop(node);
        disk.kill();
        head.kill();
        let keys = Some(Arc::clone(&world.keys));
        let all = VerifyWorld {
            disk: Arc::clone(&world.disk),
            keys,
            head: Some(Arc::clone(&world.head_disk)),
        };
        let report = verify(&all, &VerifyOptions { threads: 1, ..VerifyOptions::default() });
        // The quarantine may be lost, and a power cut tears it.
        let counts = |one: &&VerifyFinding| one.severity < Severity::Notice;
        let mut counting = report.findings.iter().filter(counts);
        if counting.any(|one| one.code != "quarantine") || report.predecessors.len() != 1 {
            return Err(format!("a new origin does not verify: {report:#?}"));
        }
        let again = Node::open(&world, &self.config, self.pace).map_err(text)?;
        self.judge_old(&again, size)
    }

    /// Opens under the new name, after attempts that the power cuts off.
    fn begin_origin(
        &mut self,
        disk: &SimDisk,
        head: &SimDisk,
        world: &World,
    ) -> Result<Node, String> {
        let next = LedgerConfig { new_origin: Some(NEXT.to_owned()), ..self.config.clone() };
        for _ in 0..self.random.below(3) {
            let after = self.random.below(300);
            disk.set_faults(Faults { power_off_after: Some(after), ..Faults::default() });
            let cut = Node::open(world, &next, self.pace).is_err();
            self.tally.add("probe: new origin cut off", u64::from(cut));
            self.note(format!("the power goes after {after} calls: {cut}"));
            disk.set_faults(Faults::default());
            disk.crash(&mut self.random);
            head.kill();
        }
        match Node::open(world, &self.config, self.pace) {
            Err(OpenError::Recover(RecoverError::BehindHead { .. })) => {
                Node::open(world, &next, self.pace).map_err(text)
            }
            begun => begun.map_err(|error| format!("a move was not finished: {error}")),
        }
    }

    /// The old origin is what the copy was.
    fn judge_old(&self, node: &Node, size: u64) -> Outcome {
        let [old] = &node.rest.rooms.predecessors[..] else {
            return Err("there is no predecessor".to_owned());
        };
        if old.size() != size {
            return Err(format!("a copy of {size} leaves became an origin of {}", old.size()));
        }
        let mut model = self.empty_model();
        for index in 0..size {
            let stored = old.rooms.reader.leaf_with_records(index).map_err(text)?;
            if stored.bytes != self.model.leaves[place(index)] {
                return Err(format!("leaf {index} of the old origin has changed"));
            }
            model.adopt(&stored.bytes)?;
        }
        for index in 0..size {
            let stored = old.rooms.reader.leaf_with_records(index).map_err(text)?;
            let Ok(Leaf::Entry(entry)) = Leaf::decode(&stored.bytes) else { continue };
            let hash = sha256(entry.statement);
            for sealed in &stored.sealed {
                let vault = &node.rest.rooms.vault;
                let opened = vault.open_sealed(&sealed.slot, sealed.n, &hash, &sealed.sealed);
                if opened.is_ok() == model.erased.contains(&sealed.slot) {
                    return Err(format!("a record of old entry {index} opens wrongly: {opened:?}"));
                }
            }
        }
        Ok(())
    }

    fn empty_model(&self) -> Model {
        let mut model = Model::new(DEPLOYMENT);
        model.secrets.clone_from(&self.model.secrets);
        model
    }

    /// The new origin is a ledger of its own.
    fn judge_new(&self, node: &Node) -> Outcome {
        let mut model = self.empty_model();
        for index in 0..node.rest.rooms.published().size {
            model.adopt(&node.rest.rooms.reader.leaf(index).map_err(text)?)?;
        }
        Check { node, model: &model, vault_is_older: false }.whole().map_err(Trouble::text)
    }

    /// Every good event of the book comes again.
    fn send_everything(&mut self, node: &mut Node, size: u64) -> Outcome {
        for number in 0..self.book.len() {
            let sent = &self.book[number];
            let whole = if sent.act.is_empty() { vec![number] } else { sent.act.clone() };
            if sent.fate != Fate::Good || whole[0] != number || sent.event_id.is_none() {
                continue;
            }
            let caller = node.caller(sent.caller, self.clock.as_ref());
            let caller = caller.ok_or("a credential did not carry on")?;
            let is_json = matches!(sent.form, Form::Json(_));
            let form = if is_json { BodyForm::Ndjson } else { BodyForm::AvroBatch };
            let body = self.body_of(&whole);
            node.accept(&caller, form, &body, whole, Vec::new()).map_err(text)?;
            node.offer_all().map_err(text)?;
            publish(node)?;
            for (asked, answer) in node.answers() {
                let super::node::Asked::Events { events, .. } = asked else { continue };
                for (number, answer) in events.into_iter().zip(&answer.events) {
                    self.judge_answer(node, size, number, answer)?;
                }
            }
        }
        Ok(())
    }

    fn judge_answer(
        &mut self,
        node: &Node,
        size: u64,
        number: usize,
        answer: &EventAnswer,
    ) -> Outcome {
        let sent = &self.book[number];
        let wrong = |what: &str| Err(format!("in a new origin event {number} {what}: {answer:?}"));
        if answer.status == EventStatus::Refused {
            let registry = &node.rest.rooms.registry;
            let key = sent.key_id.as_ref().map(|key_id| registry.key(key_id));
            let ended = key.is_some_and(|key| key.is_none_or(|key| key.valid_until.is_some()));
            return if ended { Ok(()) } else { wrong("was refused") };
        }
        let id = sent.event_id.unwrap_or_default();
        let identity = (sent.tenant.to_owned(), sent.source.to_owned(), id);
        let old = self.model.events.get(&identity).filter(|place| place.index < size);
        let found = (answer.index, answer.sequence, answer.event_hash);
        match old {
            Some(Place { index, sequence, event_hash }) => {
                let same = found == (Some(*index), Some(*sequence), Some(*event_hash));
                let known = answer.origin.as_deref() == Some(&*self.config.origin);
                if !same || !known || answer.status != EventStatus::Duplicate {
                    return wrong("lost its old place");
                }
                self.tally.add("duplicates across origins", 1);
            }
            None if answer.origin.is_some() => return wrong("is said to be old"),
            None => self.tally.add("sent again to a new origin", 1),
        }
        Ok(())
    }
}

/// Commits what was planned.
fn publish(node: &mut Node) -> Outcome {
    node.take();
    while let Some(InFlight { mut batch, .. }) = node.in_flight.pop_front() {
        node.rest.publisher.publish(&mut batch).map_err(text)?;
        node.planner.published();
    }
    Ok(())
}
