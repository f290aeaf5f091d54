//! The settings of an emitter, and its start.

use std::sync::Arc;
use std::time::Duration;

use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::statement::{MAX_ID_BYTES, is_source_name};

use crate::backlog::{Backlog, Limits};
use crate::counts::Refusal;
use crate::emitter::Emitter;
use crate::prepare::{Preparer, Signing};
use crate::run;
use crate::seen::{LogReader, Watch};
use crate::settings::{Held, Hooks, Limiting, MoreDetail, OnRefused, WhenFull};
use crate::spool::{Spool, SpoolError, SpoolSettings};
use crate::transport::Transport;

/// Longest interval between heartbeats: what a ledger takes as a promise.
const HEARTBEAT_MAX: Duration = Duration::from_secs(86_400);

/// Why an emitter does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is not possible.
    #[error("{0}")]
    Setting(&'static str),
    /// The spool cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Randomness,
    /// No thread.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Settings of an emitter, with defaults for all but its source and its transport.
pub struct Builder {
    pub(crate) source: String,
    pub(crate) transport: Box<dyn Transport>,
    tenant: String,
    instance: Option<[u8; 16]>,
    service: Option<String>,
    signing: Option<Signing>,
    spool: Option<SpoolSettings>,
    limiting: Limiting,
    on_refused: Option<OnRefused>,
    more_detail: Option<MoreDetail>,
    held: Option<Held>,
    watch: Option<(VerifierKey, Box<dyn LogReader>)>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Builder({}, {:?})", self.source, self.limiting)
    }
}

impl Builder {
    /// An emitter of a source: the name that the credential of the transport has.
    #[must_use]
    pub fn new(source: impl Into<String>, transport: impl Transport + 'static) -> Self {
        let limiting = Limiting {
            queue_events: 8192,
            queue_bytes: 16 << 20,
            memory_bytes: 32 << 20,
            batch: Limits { events: 2000, bytes: 4 << 20 },
            linger: Duration::from_millis(10),
            spill_after: Duration::from_millis(100),
            durable: false,
            when_full: WhenFull::default(),
            heartbeat: Some(Duration::from_secs(30)),
        };
        Self {
            source: source.into(),
            transport: Box::new(transport),
            tenant: String::new(),
            instance: None,
            service: None,
            signing: None,
            spool: None,
            limiting,
            on_refused: None,
            more_detail: None,
            held: None,
            watch: None,
        }
    }

    /// The tenant that the credential has; signed statements say it. Default: none.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// What `service` says in events that do not say it.
    #[must_use]
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// The instance. Default: random at each start, as it should be: numbers begin at 0.
    #[must_use]
    pub fn instance(mut self, instance: [u8; 16]) -> Self {
        self.instance = Some(instance);
        self
    }

    /// Signs every statement. Default: unsigned JSON, for which the credential alone vouches.
    #[must_use]
    pub fn signing(mut self, signing: Signing) -> Self {
        self.signing = Some(signing);
        self
    }

    /// Where events go that are not delivered in time. Default: nowhere: they wait in memory, and
    /// a kill of the process loses them all.
    #[must_use]
    pub fn spool(mut self, spool: SpoolSettings) -> Self {
        self.spool = Some(spool);
        self
    }

    /// Whether `emit` returns only after the spool's fsync. Needs a spool. `emit` may then wait for
    /// the disk; callers that wait at the same time share an fsync.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.limiting.durable = durable;
        self
    }

    /// What happens when memory and spool are full. Default: fail-open.
    #[must_use]
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.limiting.when_full = when_full;
        self
    }

    /// Events, and bytes of them, that may wait for the worker. Default: 8192, 16 MiB.
    #[must_use]
    pub fn queue(mut self, events: usize, bytes: usize) -> Self {
        (self.limiting.queue_events, self.limiting.queue_bytes) = (events, bytes);
        self
    }

    /// Bytes that may wait in memory for the transport. Default: 32 MiB.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.limiting.memory_bytes = bytes;
        self
    }

    /// Events, and bytes of them, of one request. Default: 2000, 4 MiB; at most 10,000, 8 MiB.
    #[must_use]
    pub fn batch(mut self, events: usize, bytes: usize) -> Self {
        self.limiting.batch = Limits { events, bytes };
        self
    }

    /// How long the worker gathers events. Default: 10 ms. Callers never wake it for one event.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.limiting.linger = linger;
        self
    }

    /// After which time an undelivered event is in the spool. Default: 100 ms.
    #[must_use]
    pub fn spill_after(mut self, age: Duration) -> Self {
        self.limiting.spill_after = age;
        self
    }

    /// The interval of heartbeats, in whole seconds up to a day; `None`: none. Default: 30 s.
    #[must_use]
    pub fn heartbeat(mut self, interval: Option<Duration>) -> Self {
        self.limiting.heartbeat = interval;
        self
    }

    /// Further detail of each heartbeat: keys in lower case, nothing personal.
    #[must_use]
    pub fn heartbeat_detail(
        mut self,
        detail: impl Fn() -> Vec<(String, String)> + Send + Sync + 'static,
    ) -> Self {
        self.more_detail = Some(Box::new(detail));
        self
    }

    /// Names the tokens that are held in each heartbeat: token ids, never tokens. Called on the
    /// worker's thread. Default: nothing is said of them.
    #[must_use]
    pub fn held(mut self, held: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.held = Some(Box::new(held));
        self
    }

    /// Called for each event that is refused for good, on a thread of the emitter.
    #[must_use]
    pub fn on_refused(mut self, call: impl Fn(&Refusal) + Send + Sync + 'static) -> Self {
        self.on_refused = Some(Box::new(call));
        self
    }

    /// Verifies the log's checkpoints by its key, and says in heartbeats which one was the last.
    #[must_use]
    pub fn watch(mut self, key: VerifierKey, reader: impl LogReader + 'static) -> Self {
        self.watch = Some((key, Box::new(reader)));
        self
    }

    /// Starts the emitter: two threads, three with [`Self::watch`].
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(self) -> Result<Emitter, StartError> {
        self.check()?;
        let mut boot = [0; 24];
        getrandom::fill(&mut boot).map_err(|_| StartError::Randomness)?;
        let (random, boot) = boot.split_at(16);
        let random: [u8; 16] = random.try_into().expect("16 bytes");
        let instance = self
            .instance
            .unwrap_or_else(|| uuid::Builder::from_random_bytes(random).into_uuid().into_bytes());
        let file = self.spool.as_ref().map(|spool| spool.folder.join("seen"));
        let spool = self.spool.map(Spool::open).transpose()?;
        let preparer = Preparer {
            tenant: self.tenant,
            source: self.source,
            instance,
            service: self.service,
            signing: self.signing,
        };
        let watch = self.watch.map(|(key, reader)| Watch::new(key, reader, file));
        let hooks =
            Hooks { on_refused: self.on_refused, more_detail: self.more_detail, held: self.held };
        let boot = boot.try_into().expect("8 bytes");
        let shared = Arc::new(run::Shared::new(self.limiting, Backlog::new(spool), hooks, boot));
        // When a thread cannot be started, the others end with this.
        let emitter = Emitter::of(&shared);
        run::start(&shared, preparer, self.transport, watch).map_err(StartError::Thread)?;
        Ok(emitter)
    }

    fn check(&self) -> Result<(), StartError> {
        let limiting = &self.limiting;
        let batch = limiting.batch;
        let rules = [
            (is_source_name(&self.source), "a source is [a-z0-9._-]{1,64}"),
            (self.tenant.len() <= MAX_ID_BYTES, "a tenant has at most 256 bytes"),
            (!limiting.durable || self.spool.is_some(), "durable mode needs a spool"),
            (limiting.queue_events >= 1, "the queue holds at least one event"),
            ((1..=10_000).contains(&batch.events), "a batch has 1 to 10,000 events"),
            ((1..=8 << 20).contains(&batch.bytes), "a batch has at most 8 MiB"),
            (limiting.linger >= Duration::from_millis(1), "linger is at least 1 ms"),
            (limiting.spill_after >= limiting.linger * 3, "spill_after is at least 3 x linger"),
            (
                limiting.heartbeat.is_none_or(|interval| {
                    (Duration::from_secs(1)..=HEARTBEAT_MAX).contains(&interval)
                }),
                "heartbeats come every 1 s to a day",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(StartError::Setting(rule)),
            None => Ok(()),
        }
    }
}
