//! Planning and publishing: what the ledger then has, and what it answered.

use ledgerline_ledger::intake::{EventAnswer, EventStatus, SubmitAnswer};
use ledgerline_ledger::sequencer::PlanError;
use ledgerline_proof::checkpoint::Checkpoint;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::note::Note;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::submission::Submission;
use ledgerline_proof::vocabulary::{HandleKind, PersonalRole};

use super::events::{Fate, Form, Sent};
use super::model::{place, statement_of};
use super::node::{Asked, InFlight};
use super::{Outcome, Run};
use crate::Shortage;

impl Run {
    pub(super) fn plan_all(&mut self) -> Outcome {
        let Some(node) = &mut self.node else { return Ok(()) };
        let planned = node.offer_all();
        self.planned(planned)
    }

    pub(super) fn planned(&mut self, planned: Result<(), PlanError>) -> Outcome {
        match planned {
            Ok(()) => Ok(()),
            Err(error) if self.faulty => {
                self.tally.add("stopped while planning", 1);
                self.note(format!("planning stopped: {error}"));
                self.fall_over()
            }
            Err(error) => Err(format!("planning stopped without a fault: {error}")),
        }
    }

    pub(super) fn commit_all(&mut self) -> Outcome {
        // The head store may lie on the same disk: its storms are those of `write_head`.
        let kinds = [Shortage::Descriptors, Shortage::Space, Shortage::Time];
        self.in_storm(&kinds, Self::plan_and_publish)
    }

    fn plan_and_publish(&mut self) -> Outcome {
        self.plan_all()?;
        if let Some(node) = &mut self.node {
            node.take();
        }
        while self.node.as_ref().is_some_and(|node| !node.in_flight.is_empty()) {
            self.publish()?;
        }
        Ok(())
    }

    /// Writes the oldest batch in flight.
    fn publish(&mut self) -> Outcome {
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(InFlight { mut batch, streams }) = node.in_flight.pop_front() else {
            return Ok(());
        };
        let leaves: Vec<Vec<u8>> = batch.leaves.iter().map(|leaf| leaf.bytes.clone()).collect();
        let first = self.model.size();
        match node.rest.publisher.publish(&mut batch) {
            Ok(()) => {
                node.planner.published();
                self.tally.add("batches", u64::from(!leaves.is_empty()));
                if let Some(streams) = streams.filter(|streams| *streams != self.streams) {
                    self.tally.add("commits that moved streams", 1);
                    self.streams = streams;
                }
                self.adopt_all(&leaves)?;
                self.note_checkpoints()?;
                self.take_answers(first)
            }
            Err(error) => {
                self.note(format!("publishing {} leaves stopped: {error}", leaves.len()));
                if !self.faulty {
                    return Err(format!("publishing stopped without a fault: {error}"));
                }
                self.in_doubt = leaves;
                self.streams_in_doubt = streams;
                self.tally.add("stopped while publishing", 1);
                self.stays_stopped()?;
                self.fall_over()
            }
        }
    }

    /// After a failure nothing is published any more, and nobody is told that something was.
    fn stays_stopped(&mut self) -> Outcome {
        let Some(node) = &mut self.node else { return Ok(()) };
        node.take();
        while let Some(InFlight { mut batch, .. }) = node.in_flight.pop_front() {
            if node.rest.publisher.publish(&mut batch).is_ok() {
                return Err("a batch was published after a failed one".into());
            }
            self.tally.add("refused after a failure", 1);
        }
        match node.answers().iter().find(|(_, answer)| answer.stopped.is_none()) {
            Some((asked, _)) => Err(format!("{asked:?} was answered after a failure")),
            None => Ok(()),
        }
    }

    /// Takes a commit into the model.
    pub(super) fn adopt_all(&mut self, leaves: &[Vec<u8>]) -> Outcome {
        if !leaves.is_empty() {
            self.model.commits.push(self.model.size());
        }
        for leaf in leaves {
            let index = self.model.size();
            self.model.adopt(leaf)?;
            match Leaf::decode(leaf) {
                Ok(Leaf::Entry(entry)) => self.adopt_entry(index, &entry)?,
                Ok(Leaf::Block(_)) => self.tally.add("blocks", 1),
                _ => {}
            }
        }
        Ok(())
    }

    fn adopt_entry(&mut self, index: u64, entry: &Entry<'_>) -> Outcome {
        let statement = statement_of(entry)?;
        if self.refused.contains(&statement.event_id) {
            return Err(format!("entry {index} was refused"));
        }
        self.tally.add("entries", 1);
        let person = entry.handles.iter().find(|handle| {
            handle.role == PersonalRole::Subject && handle.kind == HandleKind::Person
        });
        let sent = self
            .book
            .iter()
            .find(|sent| sent.event_id == Some(statement.event_id) && sent.user.is_some());
        let (Some(person), Some(user)) = (person, sent.and_then(|sent| sent.user.clone())) else {
            return Ok(());
        };
        let erased = |handle: &[u8; 16]| self.model.erased.contains(handle);
        match self.users.get(&user) {
            Some(known) if *known == person.id => {}
            _ if erased(&person.id) => {}
            Some(known) if !erased(known) => {
                return Err(format!("{user} has two handles, the second at entry {index}"));
            }
            _ => {
                self.users.insert(user, person.id);
            }
        }
        Ok(())
    }

    pub(super) fn note_checkpoints(&mut self) -> Outcome {
        let Some(node) = &self.node else { return Ok(()) };
        let published = node.rest.rooms.published();
        for text in [&published.checkpoint, &published.block_checkpoint] {
            let note = Note::parse(text.as_bytes()).map_err(|error| error.to_string())?;
            let said = Checkpoint::parse(note.text()).map_err(|error| error.to_string())?;
            self.model.note_signed(said.size(), said.root())?;
        }
        self.model.check_signed()
    }

    /// Answers given by a batch that began at `first`.
    fn take_answers(&mut self, first: u64) -> Outcome {
        let Some(node) = &self.node else { return Ok(()) };
        let sealed = self.model.blocks.last().is_some_and(|block| *block >= first);
        for (asked, answer) in node.answers() {
            if answer.stopped.is_some() || answer.checkpoint.is_none() {
                return Err("a published answer brings no checkpoint".into());
            }
            match asked {
                Asked::Events { events, size } => {
                    self.take_answer((first, size), &events, &answer)?;
                }
                Asked::Admin => self.take_admin_answer(&answer)?,
                Asked::Own if answer.events[0].error.is_none() => {}
                Asked::Own => return Err(format!("the ledger refused its own: {answer:?}")),
            }
        }
        if sealed {
            self.check_refusals()?;
        }
        Ok(())
    }

    fn take_admin_answer(&mut self, answer: &SubmitAnswer) -> Outcome {
        match &answer.events[0] {
            EventAnswer { error: Some(error), .. } => {
                let known = ["key_exists", "unknown_key"].contains(&error.code);
                if known { Ok(()) } else { Err(format!("an act was refused: {error:?}")) }
            }
            EventAnswer { index: Some(index), .. } if *index < self.model.size() => Ok(()),
            other => Err(format!("an act was answered {other:?}")),
        }
    }

    /// A block counts what was refused since the one before.
    fn check_refusals(&mut self) -> Outcome {
        let index = self.model.block_size() - 1;
        let leaf = &self.model.leaves[place(index)];
        let Ok(Leaf::Block(block)) = Leaf::decode(leaf) else { return Ok(()) };
        let counted = u64::try_from(block.refused_count).unwrap_or(u64::MAX);
        let expected = std::mem::take(&mut self.refusals);
        if counted == expected {
            Ok(())
        } else {
            Err(format!("the block at {index} counts {counted} refusals of {expected}"))
        }
    }

    fn take_answer(
        &mut self,
        (first, size): (u64, u64),
        events: &[usize],
        answer: &SubmitAnswer,
    ) -> Outcome {
        if answer.events.len() != events.len() {
            return Err("a submission was not answered event by event".into());
        }
        for (number, answer) in events.iter().zip(&answer.events) {
            let sent = self.book[*number].clone();
            let wrong = |why: &str| {
                let fate = sent.fate;
                Err(format!("event {number}, whose fate is {fate:?}, {why}: {answer:?}"))
            };
            if answer.status == EventStatus::Refused {
                self.refusals += 1;
                self.tally.add("refused", 1);
                let code = answer.error.as_ref().map_or("", |error| error.code);
                if !self.may_refuse(&sent, size, code) {
                    return wrong("was refused");
                }
                continue;
            }
            if sent.fate != Fate::Good {
                return wrong("was not refused");
            }
            let Some(id) = sent.event_id else { return wrong("has no id") };
            let identity = (sent.tenant.to_owned(), sent.source.to_owned(), id);
            let Some(place) = self.model.events.get(&identity).copied() else {
                return wrong("is not in the ledger");
            };
            let found = (answer.index, answer.sequence, answer.event_hash);
            if found != (Some(place.index), Some(place.sequence), Some(place.event_hash)) {
                return wrong("has another place");
            }
            let fresh = place.index >= first && self.answered.insert(place.index);
            let expected = if fresh { EventStatus::Recorded } else { EventStatus::Duplicate };
            if answer.status != expected {
                return wrong("has the wrong status");
            }
            self.tally.add(if fresh { "recorded" } else { "duplicates" }, 1);
            if fresh {
                self.check_statement(&sent, place.index)?;
            }
        }
        Ok(())
    }

    /// What stands in the ledger is what was sent.
    fn check_statement(&self, sent: &Sent, index: u64) -> Outcome {
        let leaf = &self.model.leaves[place(index)];
        let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else {
            return Err(format!("leaf {index} is no entry"));
        };
        let statement = statement_of(&entry)?;
        let same = match &sent.form {
            Form::Avro(bytes) => {
                let submission = decode_object::<Submission<'_>>(Kind::Submission, bytes);
                submission.is_ok_and(|submission| submission.statement == entry.statement)
            }
            Form::Json(text) => text.contains(statement.target.id),
        };
        if !same || statement.personal.len() != sent.records {
            return Err(format!("entry {index} does not say what its producer said"));
        }
        let Some(node) = &self.node else { return Ok(()) };
        let rooms = &node.rest.rooms;
        let read = || rooms.reader.leaf_with_records(index);
        let stored = match rooms.patience.with("a question", read) {
            Ok(stored) => stored,
            Err(_) if self.faulty => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let attached: Vec<&[u8]> = stored.attachments.iter().map(|one| &one.data[..]).collect();
        let expected: Vec<&[u8]> = sent.attached.iter().map(|data| &data[..]).collect();
        if attached == expected {
            Ok(())
        } else {
            Err(format!("entry {index} has not the attachment it came with"))
        }
    }

    fn may_refuse(&self, sent: &Sent, size: u64, code: &str) -> bool {
        let of_key = |key_id: &String| match self.model.keys.get(key_id) {
            None => code == "unknown_key",
            Some(range) if range.from > size && code == "unknown_key" => true,
            Some(range) => range.until.is_some() && code == "retired_key",
        };
        match sent.fate {
            Fate::Refused(expected) if expected == code => true,
            // The key's secret cannot be read to tell the two apart.
            Fate::Refused("wrong_deployment") if self.faulty && code == "bad_signature" => true,
            _ if sent.key_id.as_ref().is_some_and(of_key) => true,
            _ => self.faulty && matches!(code, "vault_unavailable" | "act_incomplete"),
        }
    }
}
