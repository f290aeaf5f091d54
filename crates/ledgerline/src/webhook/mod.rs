//! Findings, told to a receiver: every FINDING_RAISED and FINDING_CLOSED, in ledger order.
//!
//! ```text
//! committed entries ──▶ one finding ──▶ POST ──▶ 2xx: position saved, next
//!      ▲ followers/webhook                  └──▶ else: the same again, after a doubling pause
//! {"type":"finding.raised" | "finding.acknowledged" | "finding.closed" | "finding.withdrawn",
//!  "timestamp":…,"data":{"origin":…,"tenant":…,"finding":{…}}}
//! ```
//!
//! Promises: each at least once, also across crashes, under the same `webhook-id`; in order, so
//! that what is not taken holds up what comes after it. Nothing is kept in memory but the one on
//! its way: the ledger is the queue. `finding` is as it stood behind that entry. A position that is
//! lost costs repetition.
//!
//! Assumes: the receiver knows ids it has seen. Refuses: redirects, answers that take longer than
//! ten seconds, plain http across a network.

pub mod signing;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledgerline_engine::findings::book;
use ledgerline_engine::findings::record::detail_of;
use ledgerline_engine::lineage::{Inquiry, Scope, Spending};
use ledgerline_engine::node::Node;
use ledgerline_engine::registry::LEDGER_SOURCE;
use ledgerline_engine::view::View;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::EventType;
use serde_json::json;

use self::signing::Secret;
use crate::config::ServerSettings;
use crate::exit::Failure;
use crate::http::findings::finding;
use crate::issuers::connector::read_secret_file;
use crate::outbound::Outbound;
use crate::time_text::rfc3339;
use crate::uuid_text;

/// Name of the position's file.
const FOLLOWER: &str = "webhook";
/// What one try may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of an answer: nothing in it matters.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Entries that are looked at before others have their turn.
const STEP_ENTRIES: u64 = 4096;
/// Between two looks when there is nothing new.
const LOOK: Duration = Duration::from_millis(250);
/// The position is saved so often while nothing is told.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// The way to the receiver, and how it goes.
pub struct Webhook {
    outbound: Outbound,
    secret: Secret,
    first_pause: Duration,
    position: AtomicU64,
    delivered: AtomicU64,
    failures: AtomicU64,
    failing: AtomicBool,
}

/// One finding on its way.
struct Message {
    id: String,
    body: String,
}

/// What one step did.
enum Stepped {
    /// Nothing is new.
    Idle,
    /// There is more.
    On,
    /// The receiver did not take it.
    Failed,
}

/// Counts for `/metrics`.
#[derive(Debug, Clone, Copy)]
pub struct WebhookState {
    /// Entries looked at.
    pub position: u64,
    /// Messages taken.
    pub delivered: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Whether the one on its way failed before.
    pub failing: bool,
}

impl Webhook {
    /// By the settings; `None` when they name no receiver.
    ///
    /// # Errors
    /// When only a part is named, or the secret or the certificates cannot be used.
    pub fn open(settings: &ServerSettings) -> Result<Option<Self>, Failure> {
        let (url, file) = match (&settings.webhook_url, &settings.webhook_secret_file) {
            (None, None) => return Ok(None),
            (Some(url), Some(file)) => (url, file),
            _ => return Err(Failure::usage("webhook_url and webhook_secret_file go together")),
        };
        let wrong = |failure: &Failure| Failure::usage(format!("webhook_url: {:#}", failure.error));
        let ca_file = settings.webhook_ca_file.as_deref();
        let outbound = Outbound::new(url, ca_file, TIMEOUT).map_err(|failure| wrong(&failure))?;
        let first_pause = Duration::from_millis(settings.webhook_retry_ms.unwrap_or(1000).max(1));
        Ok(Some(Self {
            outbound,
            secret: secret(file)?,
            first_pause,
            position: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }))
    }

    /// How it goes.
    #[must_use]
    pub fn state(&self) -> WebhookState {
        WebhookState {
            position: self.position.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            failing: self.failing.load(Ordering::Relaxed),
        }
    }

    /// Tells until `stopping` says so. Blocks; for a thread of its own.
    pub fn follow(&self, node: &Node, stopping: &dyn Fn() -> bool) {
        let saved = node.follower_position(FOLLOWER).min(node.view().size());
        self.position.store(saved, Ordering::Relaxed);
        let (mut saved, mut saved_at, mut failed) = (saved, Instant::now(), 0_u32);
        while !stopping() {
            let begun = Instant::now();
            let before = self.delivered.load(Ordering::Relaxed);
            let stepped = self.step(node);
            let position = self.position.load(Ordering::Relaxed);
            let told = self.delivered.load(Ordering::Relaxed) > before;
            if position > saved && (told || saved_at.elapsed() >= SAVE_EVERY) {
                save(node, position);
                (saved, saved_at) = (position, Instant::now());
            }
            failed = if matches!(stepped, Stepped::Failed) { failed.saturating_add(1) } else { 0 };
            self.failing.store(failed > 0, Ordering::Relaxed);
            let pause = match stepped {
                Stepped::Idle => LOOK,
                // Behind, it takes a fifth of a core at most: recording goes first.
                Stepped::On if told => Duration::ZERO,
                Stepped::On => (begun.elapsed() * 4).min(LOOK),
                Stepped::Failed => {
                    let doublings = failed.saturating_sub(1).min(16);
                    self.first_pause.saturating_mul(1 << doublings).min(PAUSE_MAX)
                }
            };
            rest(pause, stopping);
        }
        let position = self.position.load(Ordering::Relaxed);
        if position > saved {
            save(node, position);
        }
    }

    /// Looks on until a finding is told, or for a while.
    fn step(&self, node: &Node) -> Stepped {
        let view = node.view();
        let (from, size) = (self.position.load(Ordering::Relaxed), view.size());
        for index in from..size.min(from + STEP_ENTRIES) {
            let message = match message(&view, index) {
                Ok(message) => message,
                Err(why) => {
                    tracing::warn!(code = "webhook_unread", index, why, "trying again");
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    return Stepped::Failed;
                }
            };
            let told = message.is_some();
            if let Some(message) = message
                && let Err(why) = self.tell(&message, node.now())
            {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if !self.failing.load(Ordering::Relaxed) {
                    let what = "the receiver of findings did not take one; trying again";
                    tracing::warn!(code = "webhook_failed", why, what);
                }
                return Stepped::Failed;
            }
            self.position.store(index + 1, Ordering::Relaxed);
            if told {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                return Stepped::On;
            }
        }
        if from < size { Stepped::On } else { Stepped::Idle }
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

fn secret(file: &Path) -> Result<Secret, Failure> {
    let text = read_secret_file(file)?;
    Secret::parse(&text).map_err(|what| Failure::usage(format!("webhook_secret_file: {what}")))
}

fn save(node: &Node, position: u64) {
    if let Err(error) = node.save_follower_position(FOLLOWER, position) {
        let why = "a start after a crash tells findings again";
        tracing::warn!(code = "webhook_position", %error, why);
    }
}

/// Sleeps, but not past the end.
fn rest(pause: Duration, stopping: &dyn Fn() -> bool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !stopping() {
        let left = until.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// The message of an entry; `None` when it is no finding.
fn message(view: &View, index: u64) -> Result<Option<Message>, String> {
    let leaf = view.leaf(index).map_err(|error| error.to_string())?;
    let Some((tenant, id, kind, event_id, recorded_at)) = named(&leaf) else { return Ok(None) };
    let scope = Scope { tenant: tenant.clone(), size: index + 1, at: None, judged_at: i64::MAX };
    let inquiry = Inquiry::new(view, scope, Spending::default());
    let mut inquiry = inquiry.map_err(|error| error.to_string())?;
    let found = book::finding(&mut inquiry, &id).map_err(|error| error.to_string())?;
    // One that this version does not know is not told.
    let Some(found) = found else { return Ok(None) };
    let mut told = finding(view, &found);
    if let Some(members) = told.as_object_mut() {
        // That is of now; what is told is the same at every try.
        members.remove("proof_state");
    }
    let body = json!({
        "type": kind,
        "timestamp": rfc3339(recorded_at),
        "data": {
            "origin": &*view.identity().origin,
            "tenant": tenant,
            "finding": told,
        },
    });
    Ok(Some(Message { id: uuid_text::text(&event_id), body: body.to_string() }))
}

/// Tenant, finding, what became of it, event id and time of an entry about a finding.
fn named(leaf: &[u8]) -> Option<(String, Hash, String, [u8; 16], i64)> {
    let entry = decode_object::<Entry<'_>>(Kind::Entry, leaf).ok()?;
    // The source as it is encoded: most entries are done with here.
    let mark = [&[12], LEDGER_SOURCE.as_bytes()].concat();
    if !entry.statement.windows(mark.len()).any(|window| window == mark) {
        return None;
    }
    let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).ok()?;
    if statement.source != LEDGER_SOURCE {
        return None;
    }
    let word = match statement.event_type {
        EventType::FindingRaised => "raised",
        EventType::FindingClosed => detail_of(&statement, "state")?,
        _ => return None,
    };
    let id = Hash::from_hex(detail_of(&statement, "finding")?).ok()?;
    let kind = format!("finding.{word}");
    let recorded_at = entry.recorded_at.nanos;
    Some((statement.tenant.to_owned(), id, kind, statement.event_id, recorded_at))
}
