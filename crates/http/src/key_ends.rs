//! Rotating keys, and ending the replaced ones when their time has come.
//!
//! ```text
//! POST /v1/keys/{key_id}/rotate {"overlap_seconds":86400}
//!   KEY_ADDED    the successor, with the grant of the old key
//!   ADMIN_ACT    on the old key's chain, by the ledger: act = key_ends, at, successor, by
//!   … until then both are valid …
//!   KEY_RETIRED  of the old key, reason rotated: recorded by this node at that time, or at the
//!                first start after it, before anything is answered
//! ```
//!
//! Promises: a key that has ended (retired, compromised, expired) or that is being replaced makes
//! no other. When a key ends is in the ledger, so that a restart keeps it. Ending it sooner is
//! `DELETE /v1/keys/{key_id}`, also in the overlap.
//!
//! Assumes: the clock of this machine. To everybody who checks a bundle the old key is valid up to
//! its KEY_RETIRED, by index as every key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ledgerline_answers::problem::Problem;
use ledgerline_api::time_text;
use ledgerline_index::terms::By;
use ledgerline_ledger::planner::{AdminAct, NewKey};
use ledgerline_node::{AddedKey, Node};
use ledgerline_proof::own_statement::{Named, OwnStatement};
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_view::registry::{ALL_TENANTS, Caller, Key, LEDGER_SOURCE};
use ledgerline_view::view::QueryError;

use crate::App;

/// The detail `act` of the ADMIN_ACT that says when a replaced key ends.
const KEY_ENDS: &str = "key_ends";
/// Longest overlap: a key that is never ended is no rotation.
pub const OVERLAP_MAX_SECONDS: u64 = 90 * 86_400;
/// Between two looks at the clock.
const INTERVAL: Duration = Duration::from_millis(200);
/// Acts on one key that are looked through.
const ACTS_MAX: usize = 64;

/// When a key ends, and what replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Unix nanoseconds.
    pub at: i64,
    /// The key that replaces it.
    pub successor: String,
}

/// Keys that are being replaced. One rotation goes on at a time.
#[derive(Default)]
pub struct Endings {
    known: Mutex<BTreeMap<String, Ending>>,
    /// By key, also of those that have ended: what replaced it.
    replaced: Mutex<BTreeMap<String, String>>,
    turn: Mutex<()>,
}

impl Endings {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Ending>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a key ends; `None` for one that nothing replaces.
    #[must_use]
    pub fn of(&self, key_id: &str) -> Option<Ending> {
        self.known().get(key_id).cloned()
    }

    /// What replaces a key, or did.
    #[must_use]
    pub fn successor(&self, key_id: &str) -> Option<String> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner).get(key_id).cloned()
    }

    fn keep(&self, key_id: &str, ending: Ending, is_to_come: bool) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.insert(key_id.to_owned(), ending.successor.clone());
        drop(replaced);
        if is_to_come {
            self.known().insert(key_id.to_owned(), ending);
        }
    }

    /// Finds in the ledger which keys are being replaced, and ends those whose time has come.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn find(&self, node: &Node) -> Result<(), QueryError> {
        // Also of those that have ended: who replaced them is asked for as long as they are listed.
        for key in &node.keys() {
            if let Some(ending) = recorded(node, key)? {
                self.keep(&key.key_id, ending, key.valid_until.is_none());
            }
        }
        self.end_due(node);
        Ok(())
    }

    /// Ends the keys whose time has come. What cannot be recorded now is tried again.
    fn end_due(&self, node: &Node) {
        let now = node.now();
        let due: Vec<String> = {
            let known = self.known();
            let due = known.iter().filter(|(_, ending)| ending.at <= now);
            due.map(|(key_id, _)| key_id.clone()).collect()
        };
        for key_id in due {
            let is_valid = |key: &&Arc<Key>| *key.key_id == *key_id && key.valid_until.is_none();
            let valid = node.keys().iter().any(|key| is_valid(&key));
            if valid && let Err(error) = node.retire_key(&key_id, false, Some("rotated")) {
                tracing::warn!(code = "key_not_ended", key_id, %error, "tried again in a moment");
                continue;
            }
            tracing::info!(code = "key_ended", key_id, "a replaced key has ended");
            self.known().remove(&key_id);
        }
    }
}

/// Ends keys whose time has come, until the server stops.
pub async fn end_keys(app: Arc<App>) {
    while !app.is_stopping() {
        tokio::time::sleep(INTERVAL).await;
        let now = app.node.now();
        if app.endings.known().values().any(|ending| ending.at <= now) {
            let of = Arc::clone(&app);
            // A panic is logged by the hook; the next look tries again.
            let _ = tokio::task::spawn_blocking(move || of.endings.end_due(&of.node)).await;
        }
    }
}

/// What the ledger has recorded of a key being replaced, the newest.
fn recorded(node: &Node, key: &Key) -> Result<Option<Ending>, QueryError> {
    let view = node.view();
    let tenant = tenant_of(key);
    let scope = Scope { tenant, as_of: view.as_of(), at: None, judged_at: node.now() };
    let mut context = QueryContext::new(&view, scope, Spending::default())?;
    let term = By::Key(&key.key_id).term(view.terms(), &context.scope().tenant);
    let acts = context.records(&term, ACTS_MAX, |_, one| {
        one.source == LEDGER_SOURCE
            && one.event_type == EventType::AdminAct
            && one.target.kind == TargetKind::Key
            && one.target.id == &*key.key_id
            && one.detail.iter().any(|pair| pair.key == "act" && pair.value == KEY_ENDS)
    })?;
    Ok(acts.last().and_then(|act| {
        act.read(|_, one| {
            let value = |name: &str| one.detail.iter().find(|pair| pair.key == name);
            let at = time_text::parse(value("at")?.value)?;
            Some(Ending { at, successor: value("successor")?.value.to_owned() })
        })
    }))
}

fn tenant_of(key: &Key) -> String {
    if &*key.tenant == ALL_TENANTS { String::new() } else { key.tenant.to_string() }
}

/// A key with the grant of another.
fn successor_of(old: &Key, public_key: Option<[u8; 32]>) -> NewKey {
    NewKey {
        key_id: String::new(),
        purpose: old.purpose,
        alg: old.alg,
        tenant: old.tenant.to_string(),
        source: old.source.to_string(),
        roles: old.roles,
        types: old.grant.types.clone(),
        issuers: old.grant.issuers.clone(),
        regions: old.grant.regions.clone(),
        signed_only: old.grant.signed_only,
        strict: old.grant.strict,
        expires_at: old.expires_at,
        public_key,
        secret_hash: None,
    }
}

/// Replaces a key. Blocks. Gives the successor, and when the old key ends.
///
/// # Errors
/// 404 as for none; 409 `key_ended` or `key_rotated`; what making and ending keys may fail with.
pub fn rotate(
    app: &App,
    by: &Caller,
    key_id: &str,
    public_key: Option<[u8; 32]>,
    overlap_seconds: u64,
) -> Result<(AddedKey, i64), Problem> {
    let conflict = |code, detail| Problem::new(axum::http::StatusCode::CONFLICT, code, detail);
    let (node, endings) = (&app.node, &app.endings);
    // Two rotations of one key would make two keys.
    let _turn = endings.turn.lock().unwrap_or_else(PoisonError::into_inner);
    let keys = node.keys();
    let old = keys.iter().find(|key| *key.key_id == *key_id && by.may_see(&key.tenant));
    let old = old.ok_or_else(Problem::not_found)?;
    let now = node.now();
    if old.valid_until.is_some() {
        let detail = "the key has ended; an ended key makes no other: add one";
        return Err(conflict("key_ended", detail));
    }
    if old.expires_at.is_some_and(|end| end <= now) {
        return Err(conflict("key_ended", "the key has expired; an ended key makes no other"));
    }
    if endings.of(key_id).is_some() {
        return Err(conflict("key_rotated", "the key is being replaced; rotate what replaces it"));
    }
    let ends_at = now.saturating_add_unsigned(overlap_seconds.saturating_mul(1_000_000_000));
    let added = node.add_key(successor_of(old, public_key))?;
    let ended = if overlap_seconds == 0 {
        node.retire_key(key_id, false, Some("rotated"))
    } else {
        let (tenant, by) = (tenant_of(old), by.key_id().to_string());
        let chosen = vec![tenant.clone(), by.clone()];
        let detail = vec![
            ("act", KEY_ENDS.to_owned()),
            ("at", time_text::rfc3339(ends_at)),
            ("by", by),
            ("successor", added.key_id.clone()),
        ];
        let name = format!("key-ends/{key_id}/{}", added.key_id);
        // The key ends by its KEY_RETIRED, which is recorded then: this says only when.
        let ends = OwnStatement {
            named: Named::InOrigin,
            target: Some((TargetKind::Key, key_id.to_owned())),
            detail,
            chosen,
            ..OwnStatement::new(&tenant, name, EventType::AdminAct)
        };
        let done = node.record_act(AdminAct::State(vec![ends]));
        let ending = Ending { at: ends_at, successor: added.key_id.clone() };
        done.inspect(|_| endings.keep(key_id, ending, true))
    };
    if let Err(error) = ended {
        // Nobody is told its secret: it must not go on.
        let undone = node.retire_key(&added.key_id, false, Some("not handed out"));
        tracing::warn!(code = "rotation_undone", key_id, undone = undone.is_ok(), %error);
        return Err(error.into());
    }
    Ok((added, ends_at))
}
