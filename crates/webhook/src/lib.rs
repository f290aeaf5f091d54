//! Findings, told to a receiver: every FINDING_RAISED and FINDING_CLOSED.
//!
//! ```text
//! committed entries ──▶ queue ──▶ POST ──▶ 2xx: settled
//!      ▲ followers/webhook         └──▶ else: again after a doubling pause; others go on
//! ```
//!
//! Promises: each at least once, also across crashes, under the same `webhook-id`; alone or, when
//! many of the same kind come, together with them ([`queue`]). Criticals first, tenants in turn.
//! The ledger is the queue's store: the position saved is that of the first entry that is not
//! settled, so that a start tells again what was told behind it. One that is lost costs repetition.
//! What the receiver refuses again and again while it takes others is set aside: counted, logged,
//! and still a finding of the ledger.
//!
//! Assumes: the receiver knows ids it has seen. Refuses: redirects, answers that take longer than
//! ten seconds, plain http across a network.

pub mod message;
pub mod queue;
pub mod signing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ledgerline_client::Misconfigured;
use ledgerline_client::outbound::Outbound;
use ledgerline_client::secret_file::read_secret_file;
use ledgerline_followers::Follower;
use ledgerline_followers::follower::{Interrupted, Next, Reach, Step, Unusable};
use ledgerline_followers::position::{self, Position};
use ledgerline_node::Node;
use ledgerline_view::view::View;

use crate::message::{Message, likeness, message, named_at};
use crate::queue::{Outcome, Queue, Rules, Waiting};
use crate::signing::Secret;

/// Name of the position's file.
const FOLLOWER: &str = "webhook";
/// What one try may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of an answer: nothing in it matters.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Entries that are looked at before others have their turn.
const STEP_ENTRIES: u64 = 4096;
/// Between two looks when there is nothing new.
const LOOK: Duration = Duration::from_millis(250);

/// Who is told, and how.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Where messages are sent.
    pub url: String,
    /// File with the secret shared with it.
    pub secret_file: PathBuf,
    /// Certificates (PEM) to trust instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// When findings are told together, and what is told again.
    pub rules: Rules,
}

/// The way to the receiver, and how it goes.
pub struct Webhook {
    outbound: Outbound,
    secret: Secret,
    rules: Rules,
    position: AtomicU64,
    delivered: AtomicU64,
    failures: AtomicU64,
    set_aside: AtomicU64,
    failing: AtomicBool,
}

/// Counts for `/metrics`.
#[derive(Debug, Clone, Copy)]
pub struct WebhookState {
    /// Up to where everything is settled.
    pub position: u64,
    /// Messages taken.
    pub delivered: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Messages that are not tried any more.
    pub set_aside: u64,
    /// Whether any is tried again.
    pub failing: bool,
}

impl Webhook {
    /// A way to a receiver. Nothing is sent yet.
    ///
    /// # Errors
    /// When the URL may not be called, or the secret or the certificates cannot be used.
    pub fn open(receiver: &Receiver) -> anyhow::Result<Self> {
        let Receiver { url, secret_file, ca_file, rules } = receiver;
        let outbound = Outbound::new(url, ca_file.as_deref(), TIMEOUT)
            .map_err(|error| Misconfigured::new(format!("webhook_url: {error:#}")))?;
        Ok(Self {
            outbound,
            secret: secret(secret_file)?,
            rules: *rules,
            position: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            set_aside: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        })
    }

    /// How it goes.
    #[must_use]
    pub fn state(&self) -> WebhookState {
        WebhookState {
            position: self.position.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            set_aside: self.set_aside.load(Ordering::Relaxed),
            failing: self.failing.load(Ordering::Relaxed),
        }
    }

    /// Tells until `stopping` says so. Blocks; for a thread of its own.
    pub fn follow(&self, node: &Node, stopping: &dyn Fn() -> bool) {
        let queue = Queue::new(self.rules);
        let telling = Telling { webhook: self, node, stopping, queue, looked: 0 };
        node.follow(telling, LOOK.min(self.rules.first_pause), &|| !stopping());
    }

    /// Puts what was recorded from an index on into the queue, for a while; up to where.
    fn look(&self, view: &View, now: Duration, queue: &mut Queue, from: u64) -> u64 {
        let end = view.size().min(from + STEP_ENTRIES);
        for index in from..end {
            let put = named_at(view, index).and_then(|named| {
                let Some(named) = named else { return Ok(()) };
                // One that this version does not know is not told.
                if let Some(likeness) = likeness(view, index, &named)? {
                    queue.put(&named.tenant, index, named.finding, &likeness, now);
                }
                Ok(())
            });
            if let Err(why) = put {
                tracing::warn!(code = "webhook_unread", index, why, "trying again");
                self.failures.fetch_add(1, Ordering::Relaxed);
                return index;
            }
        }
        end
    }

    /// Tells what is due, until it is time to look for what is more urgent. Whether anything was.
    fn tell_for_a_while(
        &self,
        node: &Node,
        queue: &mut Queue,
        stopping: &dyn Fn() -> bool,
    ) -> bool {
        let begun = node.monotonic();
        let mut is_told = false;
        while node.monotonic().saturating_sub(begun) < LOOK
            && !stopping()
            && let Some((tenant, waiting)) = queue.next(node.monotonic())
        {
            is_told = true;
            let told = self.tell_one(node, &waiting);
            let index = waiting.index;
            let outcome = queue.settle(&tenant, waiting, told.is_ok(), node.monotonic());
            let Err(why) = told else { continue };
            self.failures.fetch_add(1, Ordering::Relaxed);
            match outcome {
                Outcome::SetAside => {
                    self.set_aside.fetch_add(1, Ordering::Relaxed);
                    let what = "the receiver refuses a finding while it takes others: it is not \
                                told any more, but stands in the ledger";
                    tracing::warn!(code = "webhook_set_aside", index, why, what);
                }
                _ if !self.failing.swap(true, Ordering::Relaxed) => {
                    let what = "the receiver of findings did not take one; trying again";
                    tracing::warn!(code = "webhook_failed", index, why, what);
                }
                _ => {}
            }
        }
        is_told
    }

    fn tell_one(&self, node: &Node, waiting: &Waiting) -> Result<(), String> {
        if let Some(message) = message(&node.view(), waiting)? {
            self.tell(&message, node.now())?;
            self.delivered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn tell(&self, message: &Message, now_nanos: i64) -> Result<(), String> {
        let timestamp = now_nanos.div_euclid(1_000_000_000);
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", &message.id),
            ("webhook-timestamp", &timestamp.to_string()),
            ("webhook-signature", &self.secret.sign(&message.id, timestamp, &message.body)),
        ];
        match self.outbound.post(&headers, message.body.as_bytes(), ANSWER_BYTES_MAX) {
            Ok(answered) if (200..300).contains(&answered.status) => Ok(()),
            Ok(answered) => Err(format!("http_{}", answered.status)),
            Err(lost) => Err(lost.to_owned()),
        }
    }
}

fn secret(file: &Path) -> anyhow::Result<Secret> {
    let text = read_secret_file(file)?;
    Secret::parse(&text)
        .map_err(|what| Misconfigured::new(format!("webhook_secret_file: {what}")).into())
}

/// The webhook as a follower of the ledger: it states nothing, and tells.
struct Telling<'w> {
    webhook: &'w Webhook,
    node: &'w Node,
    stopping: &'w dyn Fn() -> bool,
    queue: Queue,
    /// Entries that were looked at.
    looked: u64,
}

impl Telling<'_> {
    /// Up to where everything is settled.
    fn settled(&self) -> u64 {
        self.queue.first().unwrap_or(self.looked)
    }

    fn begin_at(&mut self, looked: u64) {
        (self.queue, self.looked) = (Queue::new(self.webhook.rules), looked);
        self.webhook.position.store(looked, Ordering::Relaxed);
    }
}

impl Follower for Telling<'_> {
    fn name(&self) -> &'static str {
        FOLLOWER
    }

    fn begin(&mut self) {
        self.begin_at(0);
    }

    fn resume(&mut self, view: &View, saved: &Position) -> Result<(), Unusable> {
        self.begin_at(saved.in_newest(view)?.unwrap_or(0));
        Ok(())
    }

    fn take_over(&self, _: &View, older: &[u8]) -> Option<Position> {
        position::older_of_one_log(older)
    }

    fn reach(&self, view: &View) -> Reach {
        Reach { position: self.settled(), of: view.size() }
    }

    fn step(&mut self, view: &View, _: i64) -> Result<Step, Interrupted> {
        let webhook = self.webhook;
        let taken = || webhook.delivered.load(Ordering::Relaxed);
        let (before, looked) = (taken(), self.looked);
        let now = self.node.monotonic();
        self.looked = webhook.look(view, now, &mut self.queue, looked);
        let is_told = webhook.tell_for_a_while(self.node, &mut self.queue, self.stopping);
        webhook.position.store(self.settled(), Ordering::Relaxed);
        webhook.failing.store(self.queue.is_failing(), Ordering::Relaxed);
        let next = match (is_told, self.looked > looked) {
            (true, _) => Next::AtOnce,
            (false, true) => Next::Behind,
            (false, false) => Next::Rest,
        };
        Ok(Step { statements: Vec::new(), next, is_done_outside: taken() > before })
    }

    fn position(&self, view: &View) -> Option<Position> {
        Some(Position::of_log(&view.identity().origin, self.settled()))
    }
}
