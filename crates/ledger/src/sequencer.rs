//! The sequencer: the one room that assigns indexes.
//!
//! Promises: events get their index, sequence, stamp and hash in the order offered; an event id is
//! recorded once for ever; the parts of an act share a batch or are all refused; a signature
//! counts only if its key covers the index assigned; the marks of streams are committed with the
//! events that were read up to them, or later, never before. What is planned is a pure function of
//! what was offered, the state before, the clock and the entropy.
//!
//! Assumes: offered events passed intake. Batches are committed in the order taken; if one fails,
//! the sequencer is never used again.
//!
//! Refuses: nothing it cannot answer for. A disk that cannot be read is waited for
//! ([`ledgerline_world::patience`]); damage in what is looked up stops the ledger.

mod batch;

use std::sync::Arc;

pub use self::batch::{Effect, PlannedBatch, WaitingReply};

use ledgerline_index::terms::leaf_terms;
use ledgerline_index::{Posting, Term, TermKind, Usage};
use ledgerline_journal::format::JournalLeaf;
use ledgerline_journal::format::SealedRecord;
use ledgerline_journal::streams::{StreamError, StreamMark, StreamTable};
use ledgerline_proof::block::Block;
use ledgerline_proof::block_builder::BlockState;
use ledgerline_proof::chain::ChainTip;
use ledgerline_proof::control::{Control, ControlKind};
use ledgerline_proof::entry::{Attestation, Entry, MAX_ENTRY_BYTES, Signature};
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::hlc::{Hlc, HlcClock};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::tree::{Frontier, HashAt};
use ledgerline_view::committed::SequencerRooms;

pub use crate::plan_error::PlanError;

use crate::idempotency::{self, Prior};
use crate::in_flight::{InFlight, PlannedEvent};
use crate::intake::{
    Accepted, EventAnswer, EventError, EventStatus, PendingEvent, Reply, SubmitAnswer, Unit,
};
use crate::lifecycle_guard::{HistorySources, LifecycleGuard};
use crate::refusals::RefusalSummary;

/// What is waited for when planning cannot look something up.
const LOOK_UP: &str = "the ledger cannot be read";

/// The state a sequencer starts from.
pub struct SequencerState {
    /// The tree.
    pub frontier: Frontier,
    /// The newest stamp in the ledger.
    pub last_recorded_at: Hlc,
    /// The block in the making.
    pub block: BlockState,
    /// How far every stream was read.
    pub streams: StreamTable,
}

/// The room. Owned by one thread.
pub struct Sequencer {
    rooms: SequencerRooms,
    clock: HlcClock,
    block: BlockState,
    frontier: Frontier,
    in_flight: InFlight,
    guard: LifecycleGuard,
    /// How far every stream was read, with everything planned.
    streams: StreamTable,
    /// Whether no batch that was taken says so yet.
    streams_moved: bool,
    draft: PlannedBatch,
    draft_bytes: usize,
}

impl Sequencer {
    /// Continues from a state.
    #[must_use]
    pub fn new(rooms: SequencerRooms, state: SequencerState) -> Self {
        let SequencerState { frontier, last_recorded_at, block, streams } = state;
        let draft = PlannedBatch::empty_at(&frontier);
        let clock = HlcClock::after(last_recorded_at);
        let (in_flight, guard) = (InFlight::default(), LifecycleGuard::default());
        Self {
            rooms,
            clock,
            block,
            frontier,
            in_flight,
            guard,
            streams,
            streams_moved: false,
            draft,
            draft_bytes: 0,
        }
    }

    /// Size with everything planned.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Whether a block would cover anything.
    #[must_use]
    pub fn has_uncovered(&self) -> bool {
        self.block.first_index < self.frontier.size()
    }

    /// Whether there is anything to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.draft.leaves.is_empty() && self.draft.replies.is_empty()
    }

    /// Events and bytes planned since the last take.
    #[must_use]
    pub fn draft_weight(&self) -> (usize, usize) {
        (self.draft.leaves.len(), self.draft_bytes)
    }

    /// Gives a submission's events their places, at a wall time. `each` is told of every answer.
    ///
    /// # Errors
    /// [`PlanError`]: the sequencer must not be used any more.
    pub fn offer(
        &mut self,
        accepted: Accepted,
        reply: Reply,
        wall_nanos: i64,
        each: &mut dyn FnMut(&EventAnswer),
    ) -> Result<(), PlanError> {
        let Accepted { lone, units, mut answers, streams, .. } = accepted;
        let refused = self.advance_streams(&streams).err();
        for unit in units {
            match unit {
                Unit::One(position, event) => {
                    answers[position] = Some(match &refused {
                        Some(error) => refuse(&event, error),
                        None => self.plan_one(event, wall_nanos)?,
                    });
                }
                Unit::Act(parts) => {
                    let (positions, events): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                    let planned = match &refused {
                        Some(error) => refuse_all(&events, error),
                        None => self.plan_act(events, wall_nanos)?,
                    };
                    for (position, answer) in positions.into_iter().zip(planned) {
                        answers[position] = Some(answer);
                    }
                }
            }
        }
        let events = answers.into_iter().map(|answer| answer.expect("every event is answered"));
        let events: Vec<EventAnswer> = events.collect();
        events.iter().for_each(each);
        let answer = SubmitAnswer {
            lone,
            events,
            checkpoint: None,
            stopped: None,
            streams_refused: refused,
        };
        self.draft.replies.push(WaitingReply { reply, answer });
        Ok(())
    }

    /// Takes up how far streams are read with the submission at hand. They ride on the next batch
    /// that has leaves: a commit of marks alone would prove nothing, and what is read again after a
    /// crash is known by its event ids.
    fn advance_streams(&mut self, marks: &[StreamMark]) -> Result<(), EventError> {
        if marks.is_empty() {
            return Ok(());
        }
        let advanced = self.streams.advance(marks);
        advanced
            .map_err(|error: StreamError| EventError::new("stream_marks", error.to_string()))?;
        self.streams_moved = true;
        Ok(())
    }

    /// Adds somebody who waits for the batch being planned.
    pub fn wait(&mut self, waiting: WaitingReply) {
        self.draft.replies.push(waiting);
    }

    /// Height of the next block.
    #[must_use]
    pub fn block_height(&self) -> u64 {
        self.block.height
    }

    /// Plans one event of the ledger's own.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn offer_own(
        &mut self,
        event: Box<PendingEvent>,
        wall_nanos: i64,
    ) -> Result<u64, PlanError> {
        let answer = self.plan_one(event, wall_nanos)?;
        Ok(answer.index.expect("the ledger's own events are never refused"))
    }

    /// Plans one event of the ledger's own, unless one of its id is recorded. `None` then.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn offer_own_once(
        &mut self,
        event: Box<PendingEvent>,
        wall_nanos: i64,
    ) -> Result<Option<u64>, PlanError> {
        if self.prior(&event)?.is_some() {
            return Ok(None);
        }
        self.offer_own(event, wall_nanos).map(Some)
    }

    /// An event by itself.
    fn plan_one(
        &mut self,
        event: Box<PendingEvent>,
        wall_nanos: i64,
    ) -> Result<EventAnswer, PlanError> {
        if let Some(prior) = self.prior(&event)? {
            return self.answer_known(&event, &prior);
        }
        if self.key_is_out_of_range(self.frontier.size(), &event) {
            return Ok(EventAnswer::refused(Some(event.event_id), retired_key()));
        }
        if event.strict
            && let Some(error) = self.violation(std::slice::from_ref(&event), wall_nanos)?
        {
            return Ok(EventAnswer::refused(Some(event.event_id), error));
        }
        self.record(event, wall_nanos)
    }

    /// The parts of an act: all new, all duplicates, or all refused.
    #[expect(clippy::vec_box, reason = "the parts come boxed; unboxing would copy each")]
    fn plan_act(
        &mut self,
        events: Vec<Box<PendingEvent>>,
        wall_nanos: i64,
    ) -> Result<Vec<EventAnswer>, PlanError> {
        let mut priors = Vec::with_capacity(events.len());
        for event in &events {
            priors.push(self.prior(event)?);
        }
        let known = priors.iter().flatten().count();
        if known == 0 {
            let mut placed = (self.frontier.size()..).zip(&events);
            if placed.any(|(index, event)| self.key_is_out_of_range(index, event)) {
                return Ok(refuse_all(&events, &retired_key()));
            }
            if let Some(error) = self.violation(&events, wall_nanos)? {
                return Ok(refuse_all(&events, &error));
            }
            return events.into_iter().map(|event| self.record(event, wall_nanos)).collect();
        }
        if known < events.len() {
            let detail = "some parts of the act are recorded already and some are new".to_owned();
            let error = EventError::new("act_mismatch", detail);
            return Ok(refuse_all(&events, &error));
        }
        let pairs = events.iter().zip(priors.into_iter().flatten());
        pairs.map(|(event, prior)| self.answer_known(event, &prior)).collect()
    }

    /// Why strict producers' events are refused that would be recorded now.
    fn violation(
        &mut self,
        events: &[Box<PendingEvent>],
        wall_nanos: i64,
    ) -> Result<Option<EventError>, PlanError> {
        let Self { rooms, in_flight, guard, .. } = self;
        let sources = HistorySources { rooms, in_flight };
        rooms.patience.with(LOOK_UP, || guard.refusal(events, &sources, wall_nanos))
    }

    /// The event recorded or planned under the same identity.
    fn prior(&self, event: &PendingEvent) -> Result<Option<Prior>, PlanError> {
        if let Some(planned) = self.in_flight.event(&event.event_term) {
            return Ok(Some(Prior::Planned(Arc::clone(planned))));
        }
        self.rooms.patience.with(LOOK_UP, || self.committed_prior(event))
    }

    /// The event recorded under the same identity.
    fn committed_prior(&self, event: &PendingEvent) -> Result<Option<Prior>, PlanError> {
        for index in self.rooms.index.find(&event.event_term, event.uuid_millis)? {
            let stored = self.rooms.reader.leaf_with_records(index)?;
            if let Some(prior) = idempotency::stored_prior(event, index, stored) {
                return Ok(Some(prior));
            }
        }
        self.older_prior(event)
    }

    /// The event recorded under the same identity in an older origin.
    fn older_prior(&self, event: &PendingEvent) -> Result<Option<Prior>, PlanError> {
        for older in self.rooms.predecessors.iter() {
            let SequencerRooms { index, reader, .. } = &older.asked;
            for at in index.find(&event.event_term, event.uuid_millis)? {
                let stored = reader.leaf_with_records(at)?;
                if let Some(prior) = idempotency::stored_prior(event, at, stored) {
                    return Ok(Some(prior.of_origin(&older.identity.origin)));
                }
            }
        }
        Ok(None)
    }

    fn answer_known(&self, event: &PendingEvent, prior: &Prior) -> Result<EventAnswer, PlanError> {
        if !idempotency::is_same_event(event, prior, &self.rooms.vault) {
            let detail = "another event with this event_id is recorded already".to_owned();
            let error = EventError::new("event_id_conflict", detail);
            return Ok(EventAnswer::refused(Some(event.event_id), error));
        }
        let (index, sequence, event_hash) = prior.place();
        Ok(EventAnswer {
            event_id: Some(event.event_id),
            status: EventStatus::Duplicate,
            origin: prior.origin(),
            index: Some(index),
            sequence: Some(sequence),
            event_hash: Some(event_hash),
            attested_by: event.attested(),
            error: None,
        })
    }

    /// Whether the signing key does not cover the index that the event would get.
    fn key_is_out_of_range(&self, index: u64, event: &PendingEvent) -> bool {
        event.signature.as_ref().is_some_and(|signature| {
            let ended = self.in_flight.key_end(&signature.key.key_id);
            !signature.key.covers_index(index) || ended.is_some_and(|end| index > end)
        })
    }

    /// Gives one new event its place.
    fn record(
        &mut self,
        event: Box<PendingEvent>,
        wall_nanos: i64,
    ) -> Result<EventAnswer, PlanError> {
        let index = self.frontier.size();
        let tip = self.tip(&event.chain_term)?;
        let recorded_at = self.clock.tick(wall_nanos);
        let sequence = tip.as_ref().map_or(0, |tip| tip.sequence + 1);
        let entry = Entry {
            statement: &event.statement,
            signature: event.signature.as_ref().map(|signature| Signature {
                alg: signature.alg,
                key_id: &signature.key.key_id,
                value: &signature.value,
            }),
            attested_by: Attestation { credential: event.credential.as_deref(), stream: None },
            handles: event.handles.clone(),
            sealed_digests: event.sealed.iter().map(SealedRecord::digest).collect(),
            recorded_at,
            sequence: sequence.cast_signed(),
            prev_event_hash: tip.as_ref().map_or(event.chain_start, |tip| tip.event_hash),
            prev_index: tip.as_ref().map(|tip| tip.index.cast_signed()),
            blind: event.blind,
        };
        let bytes = encode_object(Kind::Entry, &entry);
        if bytes.len() > MAX_ENTRY_BYTES {
            let detail = format!("the entry would exceed {MAX_ENTRY_BYTES} bytes");
            let error = EventError::new("entry_too_large", detail);
            return Ok(EventAnswer::refused(Some(event.event_id), error));
        }
        self.block.cover(recorded_at, Some(event.occurred_at));
        let attested_by = event.attested();
        self.guard.recorded(&event, index, recorded_at);
        self.draft.times.push(event.span.recorded(index, recorded_at));
        self.post_event(&event, index, sequence == 0);
        let PendingEvent { event_id, statement, signature, sealed, records, attachments, .. } =
            *event;
        let event_hash = self.push_leaf(JournalLeaf { bytes, sealed, attachments });
        self.draft.event_count += 1;
        let signed = signature.is_some();
        let PendingEvent { event_term, chain_term, handles, .. } = *event;
        self.in_flight.add(
            event_term,
            PlannedEvent {
                index,
                sequence,
                event_hash,
                statement,
                signed,
                records,
                handles,
                recorded_at,
                chain_term,
            },
        );
        Ok(EventAnswer {
            event_id: Some(event_id),
            status: EventStatus::Recorded,
            origin: None,
            index: Some(index),
            sequence: Some(sequence),
            event_hash: Some(event_hash),
            attested_by,
            error: None,
        })
    }

    /// Where the next entry of a chain attaches.
    fn tip(&mut self, chain: &Term) -> Result<Option<ChainTip>, PlanError> {
        if let Some(tip) = self.in_flight.tip(chain) {
            return Ok(Some(tip));
        }
        self.rooms.patience.with(LOOK_UP, || self.committed_tip(chain))
    }

    fn committed_tip(&self, chain: &Term) -> Result<Option<ChainTip>, PlanError> {
        let Some(head) = self.rooms.index.head(chain)? else { return Ok(None) };
        // Not the stored hash alone: the tree's files may rot, and the link is for ever.
        let event_hash = self.rooms.reader.agreed_hash(head.last)?;
        Ok(Some(ChainTip { index: head.last, event_hash, sequence: head.count - 1 }))
    }

    /// Plans a control leaf; `make` gets its stamp. Returns its index.
    pub fn record_control<'c>(
        &mut self,
        wall_nanos: i64,
        make: impl FnOnce(Hlc) -> Control<'c>,
    ) -> u64 {
        let recorded_at = self.clock.tick(wall_nanos);
        let control = make(recorded_at);
        let index = self.frontier.size();
        if let (ControlKind::KeyRetired | ControlKind::KeyCompromised, Some(ended)) =
            (control.kind, &control.key_ended)
        {
            self.in_flight.end_key(ended.key_id, index);
        }
        self.block.cover(recorded_at, None);
        let bytes = encode_object(Kind::Control, &control);
        self.push_leaf(JournalLeaf { bytes, ..JournalLeaf::default() });
        self.post_leaf(leaf_terms::CONTROL, index);
        self.draft.effects.push(Effect::Control(index));
        index
    }

    /// Closes the block in the making. The batch must be taken next: a block entry is the last leaf
    /// of its commit.
    pub fn seal_block(&mut self, refusals: &RefusalSummary, wall_nanos: i64) {
        let index = self.frontier.size();
        let sealed_at = self.clock.tick(wall_nanos);
        let state = &self.block;
        let height = state.height;
        let block = Block {
            height: height.cast_signed(),
            previous: state.previous,
            first_index: state.first_index.cast_signed(),
            count: (index - state.first_index).cast_signed(),
            tree_root: self.frontier.root(),
            min_occurred_at: state.occurred.map(|(first, _)| first),
            max_occurred_at: state.occurred.map(|(_, last)| last),
            first_recorded_at: state.recorded.map(|(first, _)| first),
            last_recorded_at: state.recorded.map(|(_, last)| last),
            sealed_at,
            refused_count: refusals.count.cast_signed(),
            refused_root: refusals.root,
            key_maps: Vec::new(),
        };
        let bytes = encode_object(Kind::Block, &block);
        let event_hash = self.push_leaf(JournalLeaf { bytes, ..JournalLeaf::default() });
        self.post_leaf(leaf_terms::BLOCK, index);
        self.draft.effects.push(Effect::Block { height });
        self.block = BlockState::after(height, index, event_hash);
    }

    fn push_leaf(&mut self, leaf: JournalLeaf) -> Hash {
        let hash = leaf_hash(&leaf.bytes);
        let addition = &mut self.draft.addition;
        self.frontier.push_stored(hash, |at: HashAt, hash| {
            if at.level > 0 {
                addition.upper.push((at, hash));
            }
        });
        addition.leaves.push(hash);
        self.draft_bytes += leaf.bytes.len() + 64;
        self.draft.leaves.push(leaf);
        hash
    }

    /// What an event is found by, and what follows from it.
    fn post_event(&mut self, event: &PendingEvent, index: u64, is_first: bool) {
        self.post(event.event_term, index, event.uuid_millis);
        self.post(event.chain_term, index, None);
        event.terms.iter().for_each(|term| self.post(*term, index, None));
        let first = event.first_term.filter(|_| is_first);
        first.into_iter().for_each(|term| self.post(term, index, None));
        let changes = &mut self.draft.changes;
        changes.extend((!event.is_use).then_some(event.chain_term));
        changes.extend(event.terms.iter().filter(|term| term.kind == TermKind::Alias as u8));
        changes.extend(first);
        if let Some(handle) = event.erases {
            self.post_leaf(leaf_terms::ERASED, index);
            self.draft.effects.push(Effect::Erase(handle));
        }
    }

    fn post(&mut self, term: Term, index: u64, uuid_millis: Option<u64>) {
        self.draft.postings.push(Posting { term, index, uuid_millis });
    }

    fn post_leaf(&mut self, what: &[u8], index: u64) {
        let term = self.rooms.terms.term(TermKind::Leaf, "", &[what]);
        self.post(term, index, None);
    }

    /// Takes what was planned since the last call.
    pub fn take(&mut self) -> PlannedBatch {
        let next = PlannedBatch::empty_at(&self.frontier);
        let mut batch = std::mem::replace(&mut self.draft, next);
        batch.size = self.frontier.size();
        batch.root = self.frontier.root();
        self.draft_bytes = 0;
        if !batch.leaves.is_empty() {
            self.in_flight.close(batch.size);
            let moved = std::mem::take(&mut self.streams_moved);
            batch.streams = moved.then(|| self.streams.clone());
        }
        batch
    }

    /// Its caches, by name.
    #[must_use]
    pub fn caches(&self) -> [(&'static str, Usage); 3] {
        let [lives, revocations] = self.guard.caches();
        [
            ("chain_tips", self.in_flight.tips()),
            ("lifecycle_lives", lives),
            ("lifecycle_revocations", revocations),
        ]
    }

    /// Told that everything below `size` is published.
    pub fn published(&mut self, size: u64) {
        self.in_flight.published(size);
    }
}

fn retired_key() -> EventError {
    EventError::new("retired_key", "this producer key was retired".to_owned())
}

fn refuse_all(events: &[Box<PendingEvent>], error: &EventError) -> Vec<EventAnswer> {
    events.iter().map(|event| refuse(event, error)).collect()
}

fn refuse(event: &PendingEvent, error: &EventError) -> EventAnswer {
    EventAnswer::refused(Some(event.event_id), error.clone())
}
