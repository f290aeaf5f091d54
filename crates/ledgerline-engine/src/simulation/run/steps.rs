//! What a step does.

use ledgerline_proof::checkpoint::Checkpoint;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::note::Note;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::vocabulary::{HandleKind, PersonalRole};

use super::check::{Check, Checked, Trouble};
use super::events::{BAD_JSON, Facts, Fate, Form, Producer, Sent};
use super::model::{place, statement_of};
use super::node::{Asked, CREDENTIALS, producer_key};
use super::{DEPLOYMENT, Outcome, Run};
use crate::clock::Clock;
use crate::erasure;
use crate::index::Progress;
use crate::intake::{BodyForm, EventAnswer, EventStatus, SubmitAnswer, SubmitError};
use crate::planner::AdminAct;
use crate::sequencer::PlanError;
use crate::simulation::Faults;

/// How often each step happens by default, by its number in [`Run::step`].
pub(super) const WEIGHTS: [u64; 18] = [30, 15, 12, 8, 14, 6, 10, 4, 3, 5, 8, 10, 4, 3, 6, 12, 4, 4];

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
            11 => self.index_step()?,
            12 => self.vault_step()?,
            13 => self.zero_frames(),
            14 => self.write_head(),
            15 => self.move_clock(),
            16 => self.seal(true)?,
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

    // ---- what producers send -------------------------------------------------------------

    fn draw_facts(&mut self) -> Facts {
        let wall = self.clock.wall_nanos();
        Facts::draw(&mut self.random, wall, self.temper.persons)
    }

    fn enter(&mut self, sent: Sent, facts: Option<Facts>) -> usize {
        let number = self.book.len();
        self.book.push(sent);
        self.facts.extend(facts.map(|facts| (number, facts)));
        number
    }

    fn draw_good(&mut self) -> usize {
        let facts = self.draw_facts();
        let sent = if self.random.chance(150) {
            facts.avro(0, &mut self.random, None)
        } else {
            facts.json(0)
        };
        self.enter(sent, Some(facts))
    }

    fn send_one(&mut self) -> Outcome {
        let event = self.draw_good();
        self.submit(vec![event])
    }

    fn send_lines(&mut self) -> Outcome {
        let mut events = Vec::new();
        for _ in 0..2 + self.random.index(12) {
            let facts = self.draw_facts();
            let sent = facts.json(0);
            events.push(self.enter(sent, Some(facts)));
        }
        if self.random.chance(200) {
            let again = *self.random.choose(&events);
            events.push(again);
        }
        self.submit(events)
    }

    fn send_signed(&mut self) -> Outcome {
        if self.producers.is_empty() {
            return self.add_producer();
        }
        let mut events = Vec::new();
        for _ in 0..1 + self.random.index(8) {
            let facts = self.draw_facts();
            let producer = &self.producers[self.random.index(self.producers.len())];
            let signer = producer.signer(DEPLOYMENT);
            let key = (producer.key_id.as_str(), producer.alg, &signer);
            let caller = if self.random.chance(300) { 2 } else { 0 };
            let sent = facts.avro(caller, &mut self.random, Some(key));
            // All of a body come from one caller.
            let caller = events.first().map_or(caller, |first: &usize| self.book[*first].caller);
            events.push(self.enter(Sent { caller, ..sent }, Some(facts)));
        }
        self.submit(events)
    }

    fn send_act(&mut self) -> Outcome {
        let parts = 2 + i32::try_from(self.random.below(3)).expect("small");
        let name = format!("act-{}", self.random.bits());
        let mut events = Vec::new();
        for part in 0..parts {
            let facts = self.draw_facts().part(&name, part, parts);
            let sent = facts.json(0);
            events.push(self.enter(sent, Some(facts)));
        }
        for event in &events {
            self.book[*event].act.clone_from(&events);
        }
        if self.random.chance(200) {
            // One part stays behind: the others are refused, and may come again in full.
            let missing = self.random.index(events.len());
            events.remove(missing);
            return self.submit_as(events, Some(Fate::Refused("act_incomplete")));
        }
        if self.random.chance(200) {
            let at = self.random.index(events.len());
            let (first, second) = (events[0], events[at]);
            (events[0], events[at]) = (second, first);
            let stranger = self.draw_facts();
            let sent = stranger.json(0);
            let stranger = self.enter(sent, Some(stranger));
            events.insert(at, stranger);
        }
        self.submit(events)
    }

    /// What was sent before, in flight or committed or lost, comes again.
    fn send_again(&mut self) -> Outcome {
        let mut events = Vec::new();
        let mut caller = None;
        let mut form = None;
        for _ in 0..1 + self.random.index(4) {
            if self.book.is_empty() {
                break;
            }
            let number = self.random.index(self.book.len());
            let sent = &self.book[number];
            let kind = std::mem::discriminant(&sent.form);
            let fits = caller.is_none_or(|caller| caller == sent.caller)
                && form.is_none_or(|form| form == kind);
            if sent.fate == Fate::Good && fits && !events.contains(&number) {
                (caller, form) = (Some(sent.caller), Some(kind));
                let whole = if sent.act.is_empty() { vec![number] } else { sent.act.clone() };
                events.extend(whole);
            }
        }
        if events.is_empty() { Ok(()) } else { self.submit(events) }
    }

    fn send_conflict(&mut self) -> Outcome {
        let known: Vec<usize> = self
            .facts
            .iter()
            .filter(|(_, facts)| facts.act.is_none() && self.is_recorded(facts))
            .map(|(number, _)| *number)
            .collect();
        if known.is_empty() {
            return Ok(());
        }
        let facts = self.facts[self.random.choose(&known)].clone();
        let mut sent = facts.conflicting().json(0);
        sent.fate = Fate::Refused("event_id_conflict");
        sent.event_id = None;
        let event = self.enter(sent, None);
        self.submit(vec![event])
    }

    fn is_recorded(&self, facts: &Facts) -> bool {
        let identity = (facts.tenant.to_owned(), facts.source.to_owned(), facts.event_id);
        self.model.events.contains_key(&identity)
    }

    /// Something that must be refused, beside something good that must not suffer.
    fn send_bad(&mut self) -> Outcome {
        let mut sent = match self.random.below(6) {
            0 => return self.send_nonsense(),
            1 => self.bad_grant(),
            2 => self.bad_signature(),
            3 => self.bad_avro(),
            _ => self.bad_json(),
        };
        if let Fate::Refused(_) = sent.fate {
            self.refused.extend(sent.event_id.take());
        }
        let form = std::mem::discriminant(&sent.form);
        let caller = sent.caller;
        let mut events = vec![self.enter(sent, None)];
        if caller == 0 && self.random.chance(500) {
            let facts = self.draw_facts();
            let good = match form == std::mem::discriminant(&Form::Json(String::new())) {
                true => facts.json(0),
                false => facts.avro(0, &mut self.random, None),
            };
            events.insert(self.random.index(2), self.book.len());
            self.enter(good, Some(facts));
        }
        self.submit(events)
    }

    fn bad_json(&mut self) -> Sent {
        let facts = self.draw_facts();
        let mut sent = facts.json(0);
        if self.random.chance(150) {
            let text = facts.json_with("").replace(r#""token_id""#, r#""client_id""#);
            sent.fate = Fate::Refused("missing_target");
            if text.contains("SUBJECT") && text.contains("target") {
                sent.fate = Fate::Good;
                return sent;
            }
            sent.form = Form::Json(text);
            return sent;
        }
        let (more, code) = *self.random.choose(&BAD_JSON);
        sent.fate = Fate::Refused(code);
        sent.form = Form::Json(facts.json_with(more));
        let text = facts.json_with("");
        if more.contains("target") && !text.contains("token_id") {
            // The target stands twice then.
            sent.fate = Fate::Refused("bad_json");
        }
        sent
    }

    fn bad_grant(&mut self) -> Sent {
        let facts = self.draw_facts();
        let (sent, code) = match self.random.below(4) {
            0 => (facts.from("gw", "other").avro(1, &mut self.random, None), "wrong_tenant"),
            1 => (facts.from("idp", "acme").avro(1, &mut self.random, None), "wrong_source"),
            2 => (facts.json(2), "signature_required"),
            _ => (facts.from("ledger", "").avro(0, &mut self.random, None), "wrong_source"),
        };
        Sent { fate: Fate::Refused(code), ..sent }
    }

    fn bad_signature(&mut self) -> Sent {
        let facts = self.draw_facts();
        let valid = |producer: &Producer| {
            let known = self.model.keys.get(&producer.key_id);
            known.is_some_and(|range| range.until.is_none())
        };
        let valid: Vec<&Producer> = self.producers.iter().filter(|one| valid(one)).collect();
        if valid.is_empty() || self.random.chance(250) {
            let stranger = Producer { key_id: "nobody".into(), alg: 1, seed: [1; 32] };
            let signer = stranger.signer(DEPLOYMENT);
            let sent = facts.avro(0, &mut self.random, Some(("nobody", 1, &signer)));
            return Sent { fate: Fate::Refused("unknown_key"), key_id: None, ..sent };
        }
        let producer = valid[self.random.index(valid.len())];
        let (key_id, alg) = (producer.key_id.clone(), producer.alg);
        let (signer, alg, code) = match self.random.below(3) {
            0 => (producer.signer("sibling"), alg, "wrong_deployment"),
            1 => (producer.signer(DEPLOYMENT), 3 - alg, "wrong_alg"),
            _ => (producer.signer("elsewhere"), alg, "bad_signature"),
        };
        let sent = facts.avro(0, &mut self.random, Some((&key_id, alg, &signer)));
        Sent { fate: Fate::Refused(code), ..sent }
    }

    fn bad_avro(&mut self) -> Sent {
        let mut facts = self.draw_facts();
        if self.random.chance(300) {
            facts = facts.conflicting();
        }
        let mut sent = facts.avro(0, &mut self.random, None);
        let Form::Avro(bytes) = &sent.form else { return sent };
        let mut bytes = bytes.clone();
        bytes.push(0);
        sent.form = Form::Avro(bytes);
        sent.event_id = None;
        sent.fate = Fate::Refused("non_canonical");
        sent
    }

    /// A body of which nothing can be taken.
    fn send_nonsense(&mut self) -> Outcome {
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(caller) = node.caller(0, self.clock.as_ref()) else { return Ok(()) };
        let bodies: [(BodyForm, &[u8]); 4] = [
            (BodyForm::Json, b"\xff\xfe"),
            (BodyForm::Json, b"[1,"),
            (BodyForm::Ndjson, b"\n \n"),
            (BodyForm::AvroBatch, b""),
        ];
        let (form, body) = *self.random.choose(&bodies);
        match node.accept(&caller, form, body, Vec::new()) {
            Err(SubmitError::Malformed { .. }) => Ok(()),
            other => Err(format!("a body of nonsense was taken: {other:?}")),
        }
    }

    fn submit(&mut self, events: Vec<usize>) -> Outcome {
        self.submit_as(events, None)
    }

    /// Hands events to intake. `fate` overrides that of the good ones, for this time.
    fn submit_as(&mut self, events: Vec<usize>, fate: Option<Fate>) -> Outcome {
        let caller = self.book[events[0]].caller;
        let (form, body) = self.body(&events);
        let mut events = events;
        if let Some(fate) = fate {
            let copies = events.iter().map(|event| {
                let copy = Sent { fate, event_id: None, ..self.book[*event].clone() };
                self.book.push(copy);
                self.book.len() - 1
            });
            events = copies.collect();
        }
        self.note(format!("send {form:?} {events:?} as {}", CREDENTIALS[caller].key_id));
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(caller) = node.caller(caller, self.clock.as_ref()) else { return Ok(()) };
        node.accept(&caller, form, &body, events).map_err(|error| error.to_string())?;
        if self.random.chance(700) { self.plan_all() } else { Ok(()) }
    }

    fn body(&mut self, events: &[usize]) -> (BodyForm, Vec<u8>) {
        let mut lines = Vec::new();
        let mut frames = Vec::new();
        for event in events {
            match &self.book[*event].form {
                Form::Json(text) => lines.push(text.as_str()),
                Form::Avro(bytes) => put_frame(&mut frames, bytes).expect("a frame of this size"),
            }
        }
        if !frames.is_empty() {
            assert!(lines.is_empty(), "a body has one form");
            return (BodyForm::AvroBatch, frames);
        }
        match (lines.len(), self.random.chance(300)) {
            (1, false) => (BodyForm::Json, lines[0].as_bytes().to_vec()),
            (_, true) => (BodyForm::Json, format!("[{}]", lines.join(",")).into_bytes()),
            _ => (BodyForm::Ndjson, lines.join("\n").into_bytes()),
        }
    }

    // ---- planning and publishing -----------------------------------------------------------

    fn plan_all(&mut self) -> Outcome {
        let Some(node) = &mut self.node else { return Ok(()) };
        let planned = node.offer_all();
        self.planned(planned)
    }

    fn planned(&mut self, planned: Result<(), PlanError>) -> Outcome {
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
        let Some(batch) = node.in_flight.pop_front() else { return Ok(()) };
        let leaves: Vec<Vec<u8>> = batch.leaves.iter().map(|leaf| leaf.bytes.clone()).collect();
        let first = self.model.size();
        match node.rest.publisher.publish(batch) {
            Ok(()) => {
                node.planner.published();
                self.tally.add("batches", u64::from(!leaves.is_empty()));
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
        while let Some(batch) = node.in_flight.pop_front() {
            if node.rest.publisher.publish(batch).is_ok() {
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
        let stored = match node.rest.rooms.reader.leaf_with_records(index) {
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

    // ---- administration ----------------------------------------------------------------------

    fn add_producer(&mut self) -> Outcome {
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
            match node.rest.rooms.index.step(node.rest.rooms.published().size) {
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
        let done = if snapshot {
            vault.snapshot(node.rest.rooms.published().size)
        } else {
            vault.refill(want)
        };
        match done {
            Err(error) if !self.faulty => Err(format!("the vault failed: {error}")),
            _ => Ok(()),
        }
    }

    /// Writes the head store: late, seldom or never.
    fn write_head(&mut self) {
        if !self.random.chance(self.temper.head) {
            return;
        }
        let Some(node) = &self.node else { return };
        let note = node.rest.rooms.published().checkpoint.clone();
        let breaks = !self.shares_disk && self.random.chance(100);
        if breaks {
            let faults = Faults { write_error_per_mille: 300, ..Faults::default() };
            self.head.set_faults(faults);
        }
        let written = node.rest.head.write(note.as_bytes());
        if breaks {
            self.head.set_faults(Faults::default());
        }
        self.note(format!("head written: {}", written.is_ok()));
        self.tally.add("heads written", u64::from(written.is_ok()));
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
