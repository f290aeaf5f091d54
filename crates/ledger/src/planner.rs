//! The planner: everything that asks the sequencer for a place, in one queue-free struct.
//!
//! Promises: submissions, administrative acts and blocks get their places in the order of calls.
//! The node's sequencer thread calls it; the simulator calls the same functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_index::Usage;
use ledgerline_proof::control::{Control, ControlKind, Grant, KeyAdded, KeyEnded};
use ledgerline_proof::entry::Handle;
use ledgerline_proof::event_id::derived_event_id;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::own_statement::{Named, OwnStatement};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::statement::{Detail, Link, Statement, Target};
use ledgerline_proof::vocabulary::{EventType, HandleKind, PersonalRole, TargetKind};
use ledgerline_view::committed::Rooms;
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_world::clock::Clock;
use ledgerline_world::entropy::{Entropy, random};

pub use crate::intake::acts::{AdminAct, NewKey};
use crate::intake::{
    Accepted, EventAnswer, EventError, EventStatus, Intake, PendingEvent, Reply, SubmitAnswer,
};
use crate::opening::predecessors;
use crate::opening::{Opened, World, control};
use crate::refusals::Refusals;
use crate::sequencer::{PlanError, PlannedBatch, Sequencer, WaitingReply};

/// When blocks are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockPace {
    /// Between blocks when there is something to cover.
    pub interval_nanos: u64,
    /// Between blocks when there is nothing.
    pub empty_interval_nanos: u64,
}

impl Default for BlockPace {
    fn default() -> Self {
        Self { interval_nanos: 5_000_000_000, empty_interval_nanos: 60_000_000_000 }
    }
}

/// The planner. Owned by one thread.
pub struct Planner {
    sequencer: Sequencer,
    intake: Arc<Intake>,
    refusals: Arc<Refusals>,
    rooms: Arc<Rooms>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    ledger_id: String,
    /// In front of its own native ids.
    prefix: String,
    pace: BlockPace,
    last_block_nanos: u64,
    height: u64,
    keys: PlannedKeys,
}

/// Keys that acts of the planned batches begin and end: what is published does not know of them
/// yet, and the same act twice in one batch would be an error in the ledger for ever.
#[derive(Default)]
struct PlannedKeys {
    /// By id: whether it has ended, and whether it is compromised.
    by_id: BTreeMap<String, (bool, bool)>,
    /// They are published with this size.
    size: u64,
}

impl Planner {
    /// Takes the sequencer of an opened ledger; gives back the rest.
    #[must_use]
    pub fn new(opened: Opened, world: &World, pace: BlockPace) -> (Self, OpenedRest) {
        let ledger_id = uuid::Uuid::from_bytes(opened.identity.ledger_id).to_string();
        let height = opened.sequencer.block_height();
        let planner = Self {
            sequencer: opened.sequencer,
            intake: Arc::clone(&opened.intake),
            refusals: Arc::clone(&opened.refusals),
            rooms: Arc::clone(&opened.rooms),
            clock: Arc::clone(&world.clock),
            entropy: Arc::clone(&world.entropy),
            ledger_id,
            prefix: predecessors::own_prefix(&opened.rooms.predecessors),
            pace,
            last_block_nanos: world.clock.monotonic_nanos(),
            height,
            keys: PlannedKeys::default(),
        };
        let rest = OpenedRest {
            rooms: opened.rooms,
            intake: opened.intake,
            publisher: opened.publisher,
            refusals: opened.refusals,
            head: opened.head,
            terms: opened.terms,
            identity: opened.identity,
            created: opened.created,
            streams: opened.streams,
        };
        (planner, rest)
    }

    /// The sequencer's caches, by name.
    #[must_use]
    pub fn caches(&self) -> [(&'static str, Usage); 3] {
        self.sequencer.caches()
    }

    /// Gives a submission's events their places. `each` is told of every answer.
    ///
    /// # Errors
    /// [`PlanError`]: the ledger stops.
    pub fn offer(
        &mut self,
        accepted: Accepted,
        reply: Reply,
        each: &mut dyn FnMut(&EventAnswer),
    ) -> Result<(), PlanError> {
        let wall = self.clock.wall_nanos();
        let credential = accepted.credential.clone();
        let refusals = &self.refusals;
        self.sequencer.offer(accepted, reply, wall, &mut |answer| {
            if let Some(error) = &answer.error {
                refusals.count(&credential, error.code);
            }
            each(answer);
        })
    }

    /// Gives an administrative act its place; the answer holds its index.
    ///
    /// # Errors
    /// [`PlanError`]: the ledger stops.
    pub fn admin(&mut self, act: &AdminAct, reply: Reply) -> Result<(), PlanError> {
        let wall = self.clock.wall_nanos();
        let outcome = match act {
            AdminAct::AddKey(key) => self.add_key(key, wall),
            AdminAct::EndKey { key_id, compromised, reason } => {
                self.end_key(key_id, *compromised, reason.as_deref(), wall)
            }
            AdminAct::Erase { handle, tenant, by, purpose } => {
                let event = self.erased_event(*handle, tenant, by, purpose, wall);
                Ok(self.sequencer.offer_own(event, wall)?)
            }
            AdminAct::State(statements) => {
                let mut last = None;
                for one in statements {
                    last = self.state(one, wall)?.or(last);
                }
                Ok(last.unwrap_or_else(|| self.sequencer.size()))
            }
            AdminAct::StateNew { statement, refusal } => {
                self.state(statement, wall)?.ok_or_else(|| refusal.clone())
            }
        };
        let answer = match outcome {
            Ok(index) => EventAnswer {
                status: EventStatus::Recorded,
                index: Some(index),
                error: None,
                ..EventAnswer::refused(None, EventError::new("", String::new()))
            },
            Err(error) => EventAnswer::refused(None, error),
        };
        let answer = SubmitAnswer { lone: true, events: vec![answer], ..SubmitAnswer::default() };
        self.sequencer.wait(WaitingReply { reply, answer });
        Ok(())
    }

    fn add_key(&mut self, key: &NewKey, wall: i64) -> Result<u64, EventError> {
        if self.key_state(&key.key_id).is_some() {
            let detail = "a key with this id exists; ids are never reused".to_owned();
            return Err(EventError::new("key_exists", detail));
        }
        let blind = random(self.entropy.as_ref());
        let roles = key.roles.names();
        let list = |items: &'_ [String]| -> Vec<String> { items.to_vec() };
        let (issuers, regions) = (list(&key.issuers), list(&key.regions));
        let index = self.sequencer.record_control(wall, |recorded_at| Control {
            key_added: Some(KeyAdded {
                key_id: &key.key_id,
                purpose: key.purpose,
                alg: key.alg,
                tenant: &key.tenant,
                source: &key.source,
                grant: Grant {
                    types: key.types.clone(),
                    issuers: issuers.iter().map(String::as_str).collect(),
                    regions: regions.iter().map(String::as_str).collect(),
                    roles,
                    signed_only: key.signed_only,
                    strict: key.strict,
                    expires_at: key.expires_at,
                },
                public_key: key.public_key.as_ref().map(|bytes| &bytes[..]),
                secret_hash: key.secret_hash,
            }),
            ..control(ControlKind::KeyAdded, recorded_at, blind)
        });
        self.plan_key(&key.key_id, (false, false), index);
        Ok(index)
    }

    fn end_key(
        &mut self,
        key_id: &str,
        compromised: bool,
        reason: Option<&str>,
        wall: i64,
    ) -> Result<u64, EventError> {
        // That a key leaked may be found out after it ended.
        let (ends, was_compromised) = match self.key_state(key_id) {
            Some((ended, known)) => (!ended || (compromised && !known), known),
            None => (false, false),
        };
        if !ends {
            let detail = "no valid key with this id".to_owned();
            return Err(EventError::new("unknown_key", detail));
        }
        let kind = if compromised { ControlKind::KeyCompromised } else { ControlKind::KeyRetired };
        let blind = random(self.entropy.as_ref());
        let index = self.sequencer.record_control(wall, |recorded_at| Control {
            key_ended: Some(KeyEnded { key_id, reason }),
            ..control(kind, recorded_at, blind)
        });
        self.plan_key(key_id, (true, compromised || was_compromised), index);
        Ok(index)
    }

    /// Whether a key has ended, and whether it is compromised, by what is planned; `None` when
    /// there is none.
    fn key_state(&self, key_id: &str) -> Option<(bool, bool)> {
        let published = self.rooms.registry.key(key_id);
        let published = published.map(|key| (key.valid_until.is_some(), key.compromised));
        self.keys.by_id.get(key_id).copied().or(published)
    }

    fn plan_key(&mut self, key_id: &str, state: (bool, bool), index: u64) {
        self.keys.by_id.insert(key_id.to_owned(), state);
        self.keys.size = index + 1;
    }

    fn erased_event(
        &self,
        handle: [u8; 16],
        tenant: &str,
        by: &str,
        purpose: &str,
        wall: i64,
    ) -> Box<PendingEvent> {
        let person = Handle { role: PersonalRole::Subject, kind: HandleKind::Person, id: handle };
        let (prefix, size) = (&self.prefix, self.sequencer.size());
        let native_id = format!("{prefix}erased/{:032x}/{size}", u128::from_be_bytes(handle));
        let target = Target { kind: TargetKind::Subject, id: "" };
        let detail =
            vec![Detail { key: "by", value: by }, Detail { key: "purpose", value: purpose }];
        let event =
            OwnEvent { tenant, native_id: &native_id, target, detail, links: Vec::new(), wall };
        let mut pending = self.own_event(EventType::Erased, &event, vec![person]);
        pending.erases = Some(handle);
        pending
    }

    /// Records a statement of the ledger, unless its name was recorded. Gives its index.
    fn state(&mut self, own: &OwnStatement, wall: i64) -> Result<Option<u64>, PlanError> {
        let target = match &own.target {
            Some((kind, id)) => Target { kind: *kind, id },
            None => Target { kind: TargetKind::Ledger, id: &self.ledger_id },
        };
        let (prefix, name) = (&self.prefix, &own.native_id);
        let native_id = match own.named {
            Named::Ever => name.clone(),
            Named::InOrigin => format!("{prefix}{name}"),
            Named::EachTime => format!("{prefix}{name}{}", self.sequencer.size()),
        };
        let event = OwnEvent {
            tenant: &own.tenant,
            native_id: &native_id,
            target,
            detail: own.details(),
            links: own.links(),
            wall: own.at.unwrap_or(wall),
        };
        let pending = self.own_event(own.event_type, &event, own.handles.clone());
        match own.named {
            Named::EachTime => self.sequencer.offer_own(pending, wall).map(Some),
            Named::Ever | Named::InOrigin => self.sequencer.offer_own_once(pending, wall),
        }
    }

    /// One of the ledger's own statements: unsigned, its id derived from a deterministic native id.
    fn own_event(
        &self,
        event_type: EventType,
        event: &OwnEvent<'_>,
        handles: Vec<Handle>,
    ) -> Box<PendingEvent> {
        let OwnEvent { tenant, native_id, target, detail, links, wall } = event;
        let event_id = derived_event_id(tenant, LEDGER_SOURCE, native_id, 0);
        let occurred_at = Hlc::at((*wall).max(0));
        let mut statement =
            Statement::new(event_id, LEDGER_SOURCE, target.clone(), event_type, occurred_at);
        statement.tenant = tenant;
        statement.native_id = Some(native_id);
        statement.detail = detail.clone();
        statement.links = links.clone();
        let bytes = encode_object(Kind::Statement, &statement);
        self.intake.own(&statement, &bytes, handles)
    }

    /// Seals a block when one is due, or when `force` is set. The batch must be taken next then.
    ///
    /// # Errors
    /// [`PlanError`]: the ledger stops.
    pub fn seal_if_due(&mut self, force: bool) -> Result<bool, PlanError> {
        let now = self.clock.monotonic_nanos();
        let since = now.saturating_sub(self.last_block_nanos);
        let something = self.sequencer.has_uncovered() || !self.refusals.is_empty();
        let due = (something && since >= self.pace.interval_nanos)
            || since >= self.pace.empty_interval_nanos
            || (force && something);
        if due {
            self.last_block_nanos = now;
            self.seal_block()?;
        }
        Ok(due)
    }

    /// REFUSED events of the refusals since the last block, then the block.
    fn seal_block(&mut self) -> Result<(), PlanError> {
        let wall = self.clock.wall_nanos();
        let summary = self.refusals.take();
        for (credential, code, count) in &summary.pairs {
            let key = self.rooms.registry.key(credential);
            let (tenant, source) = match &key {
                Some(key) if &*key.tenant != "*" => (&*key.tenant, &*key.source),
                Some(key) => ("", &*key.source),
                None => ("", ""),
            };
            let native_id = format!("{}refused/{}/{credential}/{code}", self.prefix, self.height);
            let target = if source.is_empty() {
                Target { kind: TargetKind::Ledger, id: &self.ledger_id }
            } else {
                Target { kind: TargetKind::Source, id: source }
            };
            let count = count.to_string();
            let mut detail =
                vec![Detail { key: "code", value: code }, Detail { key: "count", value: &count }];
            if !credential.is_empty() {
                detail.push(Detail { key: "credential", value: credential });
            }
            let event =
                OwnEvent { tenant, native_id: &native_id, target, detail, links: Vec::new(), wall };
            let pending = self.own_event(EventType::Refused, &event, Vec::new());
            self.sequencer.offer_own(pending, wall)?;
        }
        self.sequencer.seal_block(&summary, wall);
        self.height += 1;
        Ok(())
    }

    /// Whether there is anything to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sequencer.is_empty()
    }

    /// Leaves and bytes planned since the last take.
    #[must_use]
    pub fn draft_weight(&self) -> (usize, usize) {
        self.sequencer.draft_weight()
    }

    /// Takes what was planned since the last call.
    pub fn take(&mut self) -> PlannedBatch {
        self.sequencer.take()
    }

    /// Told that a batch was published.
    pub fn published(&mut self) {
        let size = self.rooms.published().size;
        self.sequencer.published(size);
        if size >= self.keys.size {
            self.keys.by_id.clear();
        }
    }
}

struct OwnEvent<'e> {
    tenant: &'e str,
    native_id: &'e str,
    target: Target<'e>,
    detail: Vec<Detail<'e>>,
    links: Vec<Link<'e>>,
    wall: i64,
}

/// An opened ledger without its sequencer.
pub struct OpenedRest {
    /// What readers use.
    pub rooms: Arc<Rooms>,
    /// Takes bodies.
    pub intake: Arc<Intake>,
    /// Makes durable.
    pub publisher: crate::publisher::Publisher,
    /// Refusals since the last block.
    pub refusals: Arc<Refusals>,
    /// The head store.
    pub head: ledgerline_journal::head_store::HeadStore,
    /// Hashes terms.
    pub terms: Arc<ledgerline_index::TermHasher>,
    /// Facts that never change.
    pub identity: ledgerline_view::identity::Identity,
    /// Whether the ledger was created just now.
    pub created: bool,
    /// How far every stream was read when it was opened: where a connector goes on.
    pub streams: ledgerline_journal::streams::StreamTable,
}
