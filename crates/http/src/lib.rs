//! The HTTP interface: thin handlers that extract, ask the engine, and map its answer.
//!
//! Promises: no route without a credential except `/`, `/docs`, `/healthz`, `/readyz`,
//! `/checkpoint`, the hash tiles and `/oauth2/jwks`. One tenant never learns that another one's
//! things exist: what it may not see is answered like what is not there. Refusals are RFC 9457
//! problems with a stable `code` and never repeat input.
//!
//! Assumes: one process owns the node. Refuses: bodies above the limit of their route, anything
//! beyond what the gate grants.

pub mod after_revoke;
pub mod auth;
pub mod blocks;
pub mod covered;
pub mod disclose;
pub mod events;
pub mod extract;
pub mod feed;
pub mod findings;
mod findings_lag;
pub mod findings_stream;
pub mod form;
pub mod introspect;
pub mod issuer_notify;
pub mod key_ends;
pub mod keys;
pub mod metrics;
pub mod openapi;
pub mod progress;
pub mod question_params;
pub mod questions;
pub mod reconcile;
pub mod revocation;
pub mod revoke;
mod rooms;
pub mod signed_answer;
pub mod sources;
pub mod status;
pub mod tiles;
pub mod token_lookup;
pub mod tokens;
pub mod triage;
pub mod use_recorder;
pub mod verify_reports;
pub mod write_accesses;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use ledgerline_answers::problem::Problem;
use ledgerline_doors::Doors;
use ledgerline_doors::hooks::Hooks;
use ledgerline_gate::limits::Limits;
use ledgerline_gate::{Gate, Shown, server};
use ledgerline_issuers::{Issuers, Register};
use ledgerline_node::Node;
use ledgerline_node::uses::Uses;
use ledgerline_view::registry::{AuthError, Caller};
use ledgerline_view::view::View;
use ledgerline_webhook::Webhook;

use crate::signed_answer::Answers;

/// What every handler has. Shared behind one `Arc`.
pub struct App {
    /// The ledger.
    pub node: Arc<Node>,
    /// What every request passes.
    pub gate: Arc<Gate>,
    /// Whose tokens are verified; replaced whole.
    register: Arc<Register>,
    /// What others speak, taken as events.
    pub doors: Arc<Doors>,
    /// Signs answers of introspection.
    pub answers: Answers,
    /// Where findings are told.
    pub webhook: Option<Webhook>,
    /// Whether the head store held no checkpoint when the server started on a ledger with entries.
    pub head_was_missing: bool,
    /// Introspections that wait for being recorded.
    pub uses: Uses,
    /// Keys that are being replaced.
    pub endings: key_ends::Endings,
    /// Set when the server stops: what waits for news ends.
    stopping: AtomicBool,
    /// Revocations that are waited for.
    pub news: feed::News,
}

/// What the configuration adds to a node.
pub struct With {
    /// Whose tokens are verified.
    pub issuers: Issuers,
    /// Doors whose senders are known otherwise than by an API key.
    pub hooks: Hooks,
    /// Signs answers of introspection.
    pub answers: Answers,
    /// Where findings are told.
    pub webhook: Option<Webhook>,
    /// Whether the head store held no checkpoint of a ledger with entries.
    pub head_was_missing: bool,
    /// Introspections of one token by one caller within it are one USED; zero records none.
    pub use_window: Duration,
}

/// The state of handlers.
pub type Shared = axum::extract::State<Arc<App>>;

impl App {
    /// The state over a node.
    #[must_use]
    pub fn new(node: Arc<Node>, limits: Limits, with: With) -> Arc<Self> {
        let known = Arc::clone(&node);
        let callers = Box::new(move |shown: Shown<'_>| caller_of(&known, shown).ok());
        let gate = Arc::new(Gate::new(limits, callers, rooms::room_for));
        let register = Arc::new(Register::new(with.issuers));
        let doors =
            Doors::new(Arc::clone(&node), Arc::clone(&gate), Arc::clone(&register), with.hooks);
        Arc::new(Self {
            node,
            gate,
            register,
            doors,
            answers: with.answers,
            webhook: with.webhook,
            head_was_missing: with.head_was_missing,
            uses: Uses::new(with.use_window, Arc::new(use_recorder::tell)),
            endings: key_ends::Endings::default(),
            stopping: AtomicBool::new(false),
            news: feed::News::default(),
        })
    }

    /// The caller by the bearer value of its request.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn caller(&self, bearer: &str) -> Result<Caller, AuthError> {
        caller_of(&self.node, self.gate.shown(bearer))
    }

    /// Whose tokens are verified now.
    #[must_use]
    pub fn issuers(&self) -> Arc<Issuers> {
        self.register.now()
    }

    /// Verifies with these issuers from now on.
    pub fn replace_issuers(&self, issuers: Issuers) {
        self.register.replace(issuers);
        // Cached answers name their issuer as it was.
        self.node.forget_answers();
    }

    /// Ends what waits for news, so that open requests are answered soon.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Asks a snapshot of the ledger on a thread that may wait for the disk.
    ///
    /// # Errors
    /// Whatever `ask` says; 500 when it panicked.
    pub async fn read<T, F>(&self, ask: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&View) -> Result<T, Problem> + Send + 'static,
    {
        let view = self.node.view();
        self.gate.wait(move || ask(&view)).await
    }
}

fn caller_of(node: &Node, shown: Shown<'_>) -> Result<Caller, AuthError> {
    match shown {
        Shown::Key(key) => node.authenticate(key),
        Shown::Proven(key_id) => node.proven(key_id),
    }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/events", post(events::submit))
        .route("/v1/events/{source}/{event_id}", get(events::event))
        .route("/v1/events/{source}/{event_id}/proof", get(events::proof))
        .route("/v1/tokens/{id}", get(tokens::token))
        .route("/v1/tokens/{id}/events", get(tokens::token_events))
        .route("/v1/tokens/{id}/proof", get(tokens::proof))
        .merge(questions::routes())
        .merge(ledgerline_doors::routes(Arc::clone(&app.doors)))
        .route("/v1/tokens/{id}/after-revoke", get(after_revoke::one))
        .route("/v1/after-revoke", get(after_revoke::many))
        .route("/v1/tokens/{id}/blast-radius", post(revoke::asked))
        .route("/v1/triage", post(triage::triage))
        .route("/v1/revocations", get(feed::revocations))
        .route("/oauth2/introspect", post(introspect::introspect))
        .route("/oauth2/jwks", get(signed_answer::jwks))
        .route("/oauth2/revoke", post(revocation::revoke))
        .route("/v1/findings", get(findings::list))
        .route("/v1/findings/{id}", get(findings::one))
        .route("/v1/findings/{id}/acknowledge", post(findings::acknowledge))
        .route("/v1/findings/{id}/close", post(findings::close))
        .route("/v1/verify-reports", get(verify_reports::list))
        .route("/v1/write-accesses", get(write_accesses::list))
        .route("/v1/leaves/{index}", get(blocks::leaf))
        .route("/v1/blocks", get(blocks::blocks))
        .route("/v1/status", get(status::status))
        .route("/v1/resolve", post(keys::resolve))
        .route("/v1/erase", post(keys::erase))
        .route("/v1/disclose", post(disclose::disclose))
        .route("/v1/issuers", get(status::issuers))
        .route("/v1/reconciliations", post(reconcile::compare))
        .route("/v1/sources", get(sources::sources).post(sources::expected))
        .route("/v1/keys", get(keys::list).post(keys::add))
        .route("/v1/keys/{key_id}", delete(keys::retire))
        .route("/v1/keys/{key_id}/rotate", post(keys::rotate))
        .route("/", get(openapi::index))
        .route("/docs", get(openapi::docs))
        .route("/openapi.json", get(openapi::openapi))
        .route("/checkpoint", get(tiles::checkpoint))
        .route("/tile/{*path}", get(tiles::tile))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route_layer(axum::middleware::from_fn(question_params::none_where_none_is_known))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app.gate), server::around))
        .with_state(app)
}

/// Answers an unknown path.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
async fn no_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_route", "there is no such path")
}

/// Answers a known path with another method.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
async fn no_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_method", "the path has no such method")
}
