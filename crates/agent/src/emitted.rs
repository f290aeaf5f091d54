//! The way to the ledger: the emitter, with its spool, its retries and its heartbeats.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use ledgerline_client::Misconfigured;
use ledgerline_emitter::{
    Builder, Counts as Sent, Emitter, HandOverError, HttpSettings, HttpTransport, Refusal,
    SpoolSettings, Unit as Final, WhenFull,
};

use crate::aside::Aside;
use crate::clock;
use crate::counts::{Counts, lock};
use crate::outlet::{Keep, NotTaken, Outlet, Unit};
use crate::refusing::Refusing;
use crate::settings::Settings;

/// Codes of refusals that the log says once each.
const CODES_TOLD_MAX: usize = 64;
/// Bytes that may wait in memory: two of the largest bodies, and what is on its way.
const MEMORY_BYTES: usize = 48 << 20;

/// The emitter as the agent uses it.
pub struct Emitted {
    emitter: Emitter,
    refusing: Arc<Refusing>,
}

/// How the ledger is reached.
///
/// # Errors
/// When URL, key or certificates cannot be used.
pub fn transport(settings: &Settings) -> anyhow::Result<HttpTransport> {
    let mut http = HttpSettings::new(&settings.url, &settings.key);
    http.timeout = settings.timeout;
    if let Some(path) = &settings.ca_file {
        http.ca_pem = Some(fs::read(path).with_context(|| path.display().to_string())?);
    }
    HttpTransport::new(&http).map_err(|error| Misconfigured::new(error).into())
}

impl Emitted {
    /// Starts it. What an agent before left in the spool is sent first.
    ///
    /// # Errors
    /// When a setting is not possible or the spool cannot be used.
    pub fn start(
        settings: &Settings,
        state: &Path,
        counts: &Arc<Counts>,
        aside: &Arc<Aside>,
    ) -> anyhow::Result<Self> {
        let transport = transport(settings)?;
        let (facts, aside) = (Arc::clone(counts), Arc::clone(aside));
        let refusing = Arc::new(Refusing::default());
        let (kept, told) = (Arc::clone(&refusing), Mutex::default());
        let mut builder = Builder::new(&settings.source, transport.clone())
            .tenant(&settings.tenant)
            .spool(SpoolSettings::new(state.join("spool"), settings.spool_bytes))
            .durable(settings.durable)
            .when_full(WhenFull::FailClosed)
            .memory(MEMORY_BYTES)
            .batch(5000, 4 << 20)
            .heartbeat(Some(settings.heartbeat))
            .heartbeat_detail(move || facts.detail())
            .on_refused(move |refusal| {
                kept.refused(&refusal.why.code);
                refused(&aside, refusal, &told);
            });
        if let Some(signing) = &settings.signing {
            builder = builder.signing(signing.key()?);
        }
        if let Some(key) = &settings.log_key {
            builder = builder.watch(key.clone(), transport);
        }
        let emitter = builder.start().context("the spool")?;
        Ok(Self { emitter, refusing })
    }

    /// The emitter's own counts.
    #[must_use]
    pub fn counts(&self) -> Sent {
        self.emitter.counts()
    }

    /// What the ledger refused for the sake of the key, and whether there was room.
    #[must_use]
    pub fn refusing(&self) -> &Refusing {
        &self.refusing
    }

    /// The emitter.
    #[must_use]
    pub const fn emitter(&self) -> &Emitter {
        &self.emitter
    }
}

/// The ledger refused an event that was taken here. Each is named in the file beside, for it will
/// not be sent again; the log says the first of a code, since a wrong key refuses all of them.
fn refused(aside: &Aside, refusal: &Refusal, told: &Mutex<BTreeSet<String>>) {
    let code = &*refusal.why.code;
    let id = ledgerline_api::uuid_text::text(&refusal.event_id);
    let mut told = lock(told);
    if told.len() < CODES_TOLD_MAX && told.insert(code.to_owned()) {
        let what = "others of this code are in aside.ndjson only";
        tracing::warn!(code = "refused_by_ledger", why = code, event_id = id, what);
    }
    drop(told);
    aside.refused(clock::unix_nanos(), &id, code);
}

impl Outlet for Emitted {
    fn take(&self, units: &[Unit], keep: Keep) -> Result<(), NotTaken> {
        let now = clock::unix_nanos();
        let mut all = Vec::with_capacity(units.len());
        for unit in units {
            let unit = Final::submissions(unit, now);
            all.push(unit.map_err(|error| NotTaken { is_full: false, why: error.to_string() })?);
        }
        let taken = match keep {
            Keep::AsSetUp => self.emitter.hand_over(all),
            Keep::OnDisk => self.emitter.hand_over_durably(all),
        };
        self.refusing.was_full(matches!(taken, Err(HandOverError::Full)));
        taken.map_err(|error| NotTaken {
            is_full: matches!(error, HandOverError::Full),
            why: match error {
                HandOverError::Full => {
                    "the spool is full: the ledger has not taken events for long".to_owned()
                }
                error => error.to_string(),
            },
        })
    }
}
