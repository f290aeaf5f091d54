//! What a service holds: the door to the emitter.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ledgerline_api::event::Event;

use crate::counts::{Counts, Refusal, add};
use crate::run::{Shared, Stopped, lock, wall};
use crate::settings::WhenFull;
use crate::slots::Taken;
use crate::spool::SpoolError;
use crate::unit::Unit;

/// Heaviest event, in bytes of its texts: what no submission could hold.
const MAX_EVENT_WEIGHT: usize = 4 << 20;

/// Reports events. Cheap to clone; the emitter stops when [`Emitter::stop`] is called, or when the
/// last clone is dropped.
#[derive(Clone)]
pub struct Emitter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) _last: Arc<LastOne>,
}

impl std::fmt::Debug for Emitter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Emitter")
    }
}

/// What an event became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emission {
    /// Its id, unless it brought one of its own.
    pub event_id: Option<[u8; 16]>,
    /// Its number in this instance; none when it brought an instance of its own.
    pub source_seq: Option<i64>,
    /// Whether it was taken. `false`: everything is full, and it was given up (fail-open).
    pub is_kept: bool,
}

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// Memory and spool are full (fail-closed). Nothing of it was kept.
    #[error("memory and spool are full")]
    Full,
    /// It is larger than any event of the ledger.
    #[error("an event has at most 4 MiB, and an act 1 to 64 events")]
    TooLarge,
    /// The emitter was stopped.
    #[error("the emitter was stopped")]
    Stopped,
    /// Durable mode: it is in memory and will be sent if the process lives, but the spool could not
    /// take it.
    #[error("the event is not on the disk: {0}")]
    NotDurable(String),
}

/// Why units were not taken over. Nothing of the call was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// Memory and spool are full.
    #[error("memory and spool are full")]
    Full,
    /// The emitter was stopped.
    #[error("the emitter was stopped")]
    Stopped,
    /// It was to be kept on the disk, which failed. Hand the units over again; some of them may be
    /// delivered all the same, and are duplicates then.
    #[error("the units are not on the disk: {0}")]
    NotDurable(String),
}

/// What whoever emits in durable mode waits with.
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    number: u64,
}

impl Ticket {
    fn wait(&self) -> Result<(), EmitError> {
        self.shared.wait_durable(self.number).map_err(EmitError::NotDurable)
    }

    /// Ready when the event is on the disk, or is known not to be.
    pub fn poll_durable(&self, context: &mut Context<'_>) -> Poll<Result<(), EmitError>> {
        self.shared.poll_durable(self.number, context).map_err(EmitError::NotDurable)
    }
}

impl Emitter {
    pub(crate) fn of(shared: &Arc<Shared>) -> Self {
        let last = Arc::new(LastOne(Arc::clone(shared)));
        Self { shared: Arc::clone(shared), _last: last }
    }

    /// Reports an event. It needs `type` and a target (`token_id`); time, id and number are given
    /// here. Does no input or output and waits for nothing but a short lock, unless the mode is
    /// durable: then it returns after the spool's fsync.
    ///
    /// # Errors
    /// [`EmitError`].
    pub fn emit(&self, event: Event<'static>) -> Result<Emission, EmitError> {
        let (emission, ticket) = self.begin(Box::new(event))?;
        ticket.map_or(Ok(()), |ticket| ticket.wait())?;
        Ok(emission)
    }

    /// As [`Self::emit`], for tasks: in durable mode the task waits, and no thread does.
    ///
    /// # Errors
    /// [`EmitError`].
    pub async fn emit_async(&self, event: Event<'static>) -> Result<Emission, EmitError> {
        let (emission, ticket) = self.begin(Box::new(event))?;
        if let Some(ticket) = ticket {
            std::future::poll_fn(|context| ticket.poll_durable(context)).await?;
        }
        Ok(emission)
    }

    /// Takes an event; the ticket of whoever has to wait for the disk.
    pub(crate) fn begin(
        &self,
        event: Box<Event<'static>>,
    ) -> Result<(Emission, Option<Ticket>), EmitError> {
        let weight = weight(&event);
        self.take(Taken::One(event), weight)
    }

    /// Reports the parts of one act: all are recorded together, or none. Each names the act.
    ///
    /// # Errors
    /// As [`Self::emit`].
    pub fn emit_act(&self, parts: Vec<Event<'static>>) -> Result<Emission, EmitError> {
        if parts.is_empty() || parts.len() > crate::unit::MAX_UNIT_EVENTS {
            add(&self.shared.counters.rejected, parts.len());
            return Err(EmitError::TooLarge);
        }
        let weight = parts.iter().map(weight).sum();
        let (emission, ticket) = self.take(Taken::Act(parts), weight)?;
        ticket.map_or(Ok(()), |ticket| ticket.wait())?;
        Ok(emission)
    }

    fn take(&self, taken: Taken, weight: usize) -> Result<(Emission, Option<Ticket>), EmitError> {
        let shared = &self.shared;
        let count = taken.len();
        if weight > MAX_EVENT_WEIGHT {
            add(&shared.counters.rejected, count);
            return Err(EmitError::TooLarge);
        }
        let wall = wall();
        let mut slots = lock(&shared.slots);
        if slots.closed {
            add(&shared.counters.rejected, count);
            return Err(EmitError::Stopped);
        }
        let taken = match shared.is_jammed.load(Ordering::Relaxed) {
            true => Err(taken),
            false => slots.take(taken, weight, wall),
        };
        let given = match taken {
            Ok(given) => given,
            Err(refused) => {
                if shared.limiting.when_full == WhenFull::FailOpen {
                    slots.give_up(refused.numbered());
                    drop(slots);
                    add(&shared.counters.dropped, count);
                    drop(refused);
                    let lost = Emission { event_id: None, source_seq: None, is_kept: false };
                    return Ok((lost, None));
                }
                drop(slots);
                drop(refused);
                add(&shared.counters.rejected, count);
                return Err(EmitError::Full);
            }
        };
        drop(slots);
        add(&shared.counters.emitted, count);
        let mut ticket = None;
        if shared.limiting.durable {
            shared.wake_worker();
            ticket = Some(Ticket { shared: Arc::clone(shared), number: given.ticket });
        } else if given.is_urgent && !shared.is_awake.swap(true, Ordering::Relaxed) {
            shared.wake_worker();
        }
        let kept = Emission { event_id: given.id, source_seq: given.seq, is_kept: true };
        Ok((kept, ticket))
    }

    /// Takes over units that are final, all of the call or none. They keep their bytes and get no
    /// number. May wait for the disk, unlike [`Self::emit`]; in durable mode it returns after the
    /// spool's fsync.
    ///
    /// # Errors
    /// [`HandOverError`].
    pub fn hand_over(&self, units: Vec<Unit>) -> Result<(), HandOverError> {
        self.hand(units, self.shared.limiting.durable)
    }

    /// As [`Self::hand_over`], and returns after the spool's fsync in every mode.
    ///
    /// # Errors
    /// [`HandOverError`]; without a spool it is always full.
    pub fn hand_over_durably(&self, units: Vec<Unit>) -> Result<(), HandOverError> {
        self.hand(units, true)
    }

    fn hand(&self, units: Vec<Unit>, durably: bool) -> Result<(), HandOverError> {
        let shared = &self.shared;
        let weight: usize = units.iter().map(Unit::weight).sum();
        let count: usize = units.iter().map(|unit| unit.ids().len()).sum();
        let mut backlog = lock(&shared.backlog);
        if shared.is_stopping() {
            // A stop counts what is in the backlog under this lock, and looks no second time.
            drop(backlog);
            add(&shared.counters.rejected, count);
            return Err(HandOverError::Stopped);
        }
        let in_memory = backlog.waiting_bytes() + weight <= shared.limiting.memory_bytes;
        let has_room = backlog.has_room(weight, units.len());
        if !(has_room || in_memory && !durably) {
            drop(backlog);
            add(&shared.counters.rejected, count);
            return Err(HandOverError::Full);
        }
        let (now, pushed) = (Instant::now(), units.len());
        units.into_iter().for_each(|unit| backlog.push(unit, now));
        if durably || !in_memory {
            let spilled = backlog.spill(None);
            shared.note_spilled(&spilled);
            // The caller comes again with all of them: here they would pile up.
            let taken_back = if spilled.is_err() { backlog.take_back(pushed) } else { 0 };
            add(&shared.counters.emitted, count - taken_back);
            add(&shared.counters.rejected, taken_back);
            let to_sync = backlog.to_sync();
            drop(backlog);
            shared.work.notify_all();
            spilled.map_err(|error| match error {
                SpoolError::Full => HandOverError::Full,
                error => HandOverError::NotDurable(error.to_string()),
            })?;
            if durably {
                shared.sync(to_sync).map_err(HandOverError::NotDurable)?;
            }
            return Ok(());
        }
        add(&shared.counters.emitted, count);
        drop(backlog);
        shared.work.notify_all();
        Ok(())
    }

    /// All counts as they are now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// What was refused last, oldest first, at most [`crate::MAX_REFUSALS`].
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        lock(&self.shared.refusals).last.iter().cloned().collect()
    }

    /// Takes no more, says so to the ledger in a last heartbeat, and delivers what it can in time.
    /// The rest is synced in the spool.
    pub fn stop(&self, timeout: Duration) -> Stopped {
        self.shared.stop(timeout)
    }
}

/// Stops the emitter when its last clone goes.
pub(crate) struct LastOne(pub Arc<Shared>);

impl Drop for LastOne {
    fn drop(&mut self) {
        self.0.stop(Duration::from_secs(1));
    }
}

/// Bytes of an event's texts, roughly: what of it is not bounded by its form.
fn weight(event: &Event<'_>) -> usize {
    let texts = [
        &event.event_id,
        &event.native_id,
        &event.token_id,
        &event.reason,
        &event.issuer,
        &event.issuer_kid,
        &event.client_id,
        &event.grant_id,
        &event.session_id,
        &event.family_id,
        &event.service,
        &event.endpoint,
        &event.resource,
        &event.action,
        &event.trace_id,
        &event.correlation_id,
    ];
    let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
    let lists = [&event.also_known_as, &event.scopes, &event.audience];
    let lists: usize = lists.into_iter().flatten().map(|text| text.len() + 24).sum();
    let detail: usize = event.detail.iter().map(|one| one.key.len() + one.value.len() + 48).sum();
    let personal: usize = event.personal.iter().map(personal_weight).sum();
    let attached: usize = event.attachments.iter().map(|one| one.data.len() + 160).sum();
    let linked = event.links.iter().flat_map(|one| [&one.token_id, &one.why]).flatten();
    let linked: usize = linked.map(|text| text.len()).sum();
    let others = event.links.len() + event.actors.len() + event.policies.len();
    size_of::<Event<'_>>() + texts + lists + detail + personal + attached + linked + others * 256
}

fn personal_weight(one: &ledgerline_api::event::Personal<'_>) -> usize {
    let named = [&one.user_id, &one.ip, &one.user_agent, &one.device, &one.resource];
    let named: usize = named.into_iter().flatten().map(|text| text.len()).sum();
    let free = one.attributes.iter().map(|(key, value)| key.len() + value.len() + 64);
    256 + named + free.sum::<usize>()
}
