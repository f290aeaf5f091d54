//! The engine wired without threads: every call of the node's threads is a call here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_journal::streams::{StreamMark, StreamTable};
use ledgerline_ledger::intake::{Accepted, BodyForm, Reply, SubmitAnswer, SubmitError};
use ledgerline_ledger::opening::{LedgerConfig, OpenError, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_ledger::sequencer::{PlanError, PlannedBatch};
use ledgerline_proof::vocabulary::EventType;
use ledgerline_view::registry::{Caller, api_key_text, secret_hash};
use ledgerline_world::clock::Clock;

use crate::{SECRET, credential, ed25519_producer, hmac_producer};

/// What an answer is about.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// Events.
    Events {
        /// Their numbers in the book, in order.
        events: Vec<usize>,
        /// Size of the ledger when they passed intake.
        size: u64,
    },
    /// An administrative act.
    Admin,
    /// What the ledger states by itself.
    Own,
}

/// Answers as they come in.
type Answers = Arc<Mutex<Vec<(Asked, SubmitAnswer)>>>;

/// An open engine.
pub(super) struct Node {
    pub(super) planner: Planner,
    pub(super) rest: OpenedRest,
    /// Bodies that passed intake and wait for the sequencer.
    pub(super) queue: VecDeque<(Accepted, Asked)>,
    /// Batches planned and not yet written.
    pub(super) in_flight: VecDeque<InFlight>,
    /// How far streams were read, with everything planned.
    planned_streams: StreamTable,
    answers: Answers,
}

/// A batch, and how far streams must be read once it is committed, if it has leaves.
pub(super) struct InFlight {
    pub(super) batch: PlannedBatch,
    pub(super) streams: Option<StreamTable>,
}

/// A credential of the simulation: its key id, tenant, source, and what it may send.
pub(super) struct Credential {
    pub(super) key_id: &'static str,
    pub(super) tenant: &'static str,
    pub(super) source: &'static str,
    signed_only: bool,
    narrow: bool,
}

/// The credentials: one for everything, one narrow, one for signed statements only.
pub(super) const CREDENTIALS: [Credential; 3] = [
    Credential { key_id: "all", tenant: "*", source: "idp", signed_only: false, narrow: false },
    Credential { key_id: "gate", tenant: "acme", source: "gw", signed_only: false, narrow: true },
    Credential { key_id: "signed", tenant: "*", source: "idp", signed_only: true, narrow: false },
];

impl Credential {
    fn new_key(&self) -> NewKey {
        let types = if self.narrow { vec![EventType::Used] } else { Vec::new() };
        let regions = if self.narrow { vec!["eu".to_owned()] } else { Vec::new() };
        let (tenant, signed_only) = (self.tenant.into(), self.signed_only);
        NewKey { tenant, types, regions, signed_only, ..credential(self.key_id, self.source) }
    }
}

/// The registration of a key that signs statements.
pub(super) fn producer_key(key_id: &str, alg: i32, seed: &[u8; 32]) -> NewKey {
    match alg {
        2 => ed25519_producer(key_id, "idp", seed),
        _ => NewKey { secret_hash: Some(secret_hash(seed)), ..hmac_producer(key_id, "idp") },
    }
}

impl Node {
    /// Opens the ledger of a world.
    pub(super) fn open(
        world: &World,
        config: &LedgerConfig,
        pace: BlockPace,
    ) -> Result<Self, OpenError> {
        let opened = open(world, config)?;
        let (planner, rest) = Planner::new(opened, world, pace);
        let (queue, in_flight) = (VecDeque::new(), VecDeque::new());
        let planned_streams = rest.streams.clone();
        let answers = Answers::default();
        Ok(Self { planner, rest, queue, in_flight, planned_streams, answers })
    }

    /// Plans the registration of a credential, when the ledger does not know it yet.
    pub(super) fn register(&mut self, credential: &Credential) -> Result<(), PlanError> {
        if self.rest.rooms.registry.key(credential.key_id).is_none() {
            self.admin(&AdminAct::AddKey(Box::new(credential.new_key())))?;
        }
        Ok(())
    }

    pub(super) fn caller(&self, number: usize, clock: &dyn Clock) -> Option<Caller> {
        let text = api_key_text(CREDENTIALS[number].key_id, &SECRET);
        self.rest.rooms.registry.authenticate(&text, clock.wall_nanos()).ok()
    }

    /// Takes a body through intake into the queue.
    pub(super) fn accept(
        &mut self,
        caller: &Caller,
        form: BodyForm,
        body: &[u8],
        events: Vec<usize>,
        streams: Vec<StreamMark>,
    ) -> Result<(), SubmitError> {
        let accepted = Accepted { streams, ..self.rest.intake.accept(caller, form, body)? };
        let size = self.rest.rooms.published().size;
        self.queue.push_back((accepted, Asked::Events { events, size }));
        Ok(())
    }

    /// Plans what waits.
    pub(super) fn offer_all(&mut self) -> Result<(), PlanError> {
        while let Some((accepted, asked)) = self.queue.pop_front() {
            let reply = self.reply(asked);
            let advanced = self.planned_streams.advance(&accepted.streams);
            advanced.expect("a simulated reader keeps within the bounds");
            self.planner.offer(accepted, reply, &mut |_| {})?;
        }
        Ok(())
    }

    pub(super) fn admin(&mut self, act: &AdminAct) -> Result<(), PlanError> {
        let reply = self.reply(Asked::Admin);
        self.planner.admin(act, reply)
    }

    /// Plans what the ledger states by itself.
    pub(super) fn own(&mut self, act: &AdminAct) -> Result<(), PlanError> {
        let reply = self.reply(Asked::Own);
        self.planner.admin(act, reply)
    }

    /// Closes the batch being planned.
    pub(super) fn take(&mut self) {
        if !self.planner.is_empty() {
            let batch = self.planner.take();
            let streams = (!batch.leaves.is_empty()).then(|| self.planned_streams.clone());
            self.in_flight.push_back(InFlight { batch, streams });
        }
    }

    /// The answers given since the last call.
    pub(super) fn answers(&self) -> Vec<(Asked, SubmitAnswer)> {
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reply(&self, asked: Asked) -> Reply {
        let answers = Arc::clone(&self.answers);
        Box::new(move |answer| {
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((asked, answer));
        })
    }
}
