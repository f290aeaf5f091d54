//! What simulated producers send in a step, and how it is handed to intake.

use ledgerline_journal::streams::{
    NO_LEADER_EPOCH, NextPosition, StreamId, StreamMark, StreamState,
};
use ledgerline_ledger::intake::{BodyForm, SubmitError};
use ledgerline_proof::submission::put_frame;
use ledgerline_world::clock::Clock;

use super::events::{BAD_JSON, Facts, Fate, Form, Producer, Sent, SigningKey};
use super::node::CREDENTIALS;
use super::{DEPLOYMENT, Outcome, Run};

impl Run {
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

    pub(super) fn send_one(&mut self) -> Outcome {
        let event = self.draw_good();
        self.submit(vec![event])
    }

    pub(super) fn send_lines(&mut self) -> Outcome {
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

    pub(super) fn send_signed(&mut self) -> Outcome {
        if self.producers.is_empty() {
            return self.add_producer();
        }
        let mut events = Vec::new();
        for _ in 0..1 + self.random.index(8) {
            let facts = self.draw_facts();
            let producer = &self.producers[self.random.index(self.producers.len())];
            let signer = producer.signer(DEPLOYMENT);
            let key = SigningKey { id: &producer.key_id, alg: producer.alg, signer: &signer };
            let caller = if self.random.chance(300) { 2 } else { 0 };
            let sent = facts.avro(caller, &mut self.random, Some(key));
            // All of a body come from one caller.
            let caller = events.first().map_or(caller, |first: &usize| self.book[*first].caller);
            events.push(self.enter(Sent { caller, ..sent }, Some(facts)));
        }
        self.submit(events)
    }

    pub(super) fn send_act(&mut self) -> Outcome {
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
    pub(super) fn send_again(&mut self) -> Outcome {
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

    pub(super) fn send_conflict(&mut self) -> Outcome {
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
    pub(super) fn send_bad(&mut self) -> Outcome {
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
            let text = facts.json_with("").replacen(r#""token_id""#, r#""client_id""#, 1);
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
            let key = SigningKey { id: "nobody", alg: 1, signer: &signer };
            let sent = facts.avro(0, &mut self.random, Some(key));
            return Sent { fate: Fate::Refused("unknown_key"), key_id: None, ..sent };
        }
        let producer = valid[self.random.index(valid.len())];
        let (key_id, alg) = (producer.key_id.clone(), producer.alg);
        let (signer, alg, code) = match self.random.below(3) {
            0 => (producer.signer("sibling"), alg, "wrong_deployment"),
            1 => (producer.signer(DEPLOYMENT), 3 - alg, "wrong_alg"),
            _ => (producer.signer("elsewhere"), alg, "bad_signature"),
        };
        let key = SigningKey { id: &key_id, alg, signer: &signer };
        let sent = facts.avro(0, &mut self.random, Some(key));
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
        match node.accept(&caller, form, body, Vec::new(), Vec::new()) {
            Err(SubmitError::Malformed { .. }) => Ok(()),
            other => Err(format!("a body of nonsense was taken: {other:?}")),
        }
    }

    /// How far a stream was read with what is sent: in one of three parts that go on, or to the end
    /// of one that was never heard of.
    fn draw_marks(&mut self) -> Vec<StreamMark> {
        let random = &mut self.stream_random;
        let ends = random.chance(20);
        let number = self.book.len() as u64;
        let part = if ends { 1000 + number } else { random.below(3) };
        let mark = StreamMark {
            stream: StreamId { id: [6; 16], name: "cluster".into() },
            part: Box::new(part.to_be_bytes()),
            next: NextPosition::new(&number.to_be_bytes()),
            leader_epoch: NO_LEADER_EPOCH,
            state: if ends { StreamState::Ended } else { StreamState::Open },
        };
        let is_read = random.chance(400) && (!ends || self.streams.marks().len() < 100);
        is_read.then_some(mark).into_iter().collect()
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
        let streams = self.draw_marks();
        let Some(node) = &mut self.node else { return Ok(()) };
        let Some(caller) = node.caller(caller, self.clock.as_ref()) else { return Ok(()) };
        let accepted = node.accept(&caller, form, &body, events, streams);
        accepted.map_err(|error| error.to_string())?;
        if self.random.chance(700) { self.plan_all() } else { Ok(()) }
    }

    /// Events of one form, one a line or one a frame.
    pub(super) fn body_of(&self, events: &[usize]) -> Vec<u8> {
        let mut body = Vec::new();
        for event in events {
            match &self.book[*event].form {
                Form::Json(text) => body.extend_from_slice(format!("{text}\n").as_bytes()),
                Form::Avro(bytes) => put_frame(&mut body, bytes).expect("a frame of this size"),
            }
        }
        body
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
}
