//! The HTTP interface: thin handlers that extract, ask the engine, and map its answer.
//!
//! Promises: no route without a credential except `/healthz`, `/readyz`, `/checkpoint`, the hash
//! tiles and `/oauth2/jwks`. One tenant never learns that another one's things exist: what it may
//! not see is answered like what is not there. Refusals are RFC 9457 problems with a stable `code`
//! and never repeat input.
//!
//! Assumes: one process owns the node. Refuses: bodies above the limit of their route, anything
//! beyond the limits of [`server::Limits`] and the caller's [`shares`] of them.

pub mod after_revoke;
pub mod asked;
pub mod at_work;
pub mod auth;
pub mod blocks;
pub mod body;
pub mod connections;
pub mod covered;
pub mod disclose;
pub mod event_json;
pub mod events;
pub mod extract;
pub mod feed;
pub mod findings;
pub mod findings_stream;
pub mod form;
pub mod introspect;
pub mod key_ends;
pub mod keys;
pub mod lanes;
pub mod metrics;
pub mod openapi;
pub mod pace;
pub mod packed;
pub mod presented;
pub mod problem;
pub mod progress;
pub mod prove;
pub mod question_json;
pub mod questions;
pub mod reconcile;
pub mod revocation;
pub mod revoke;
pub mod server;
pub mod shares;
pub mod signed_answer;
pub mod sources;
pub mod status;
pub mod telling;
pub mod tiles;
pub mod tokens;
pub mod triage;
pub mod uses;
pub mod verify_reports;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::routing::{delete, get, post};
use ledgerline_issuers::Issuers;
use ledgerline_node::Node;
use ledgerline_view::view::View;

use self::connections::Connections;
use self::metrics::Tally;
use self::problem::Problem;
use self::server::Limits;
use self::shares::{Kind, Room, Shares, Turn};
use self::signed_answer::Answers;
use self::uses::Uses;
use crate::webhook::Webhook;

/// What every handler has. Shared behind one `Arc`.
pub struct App {
    /// The ledger.
    pub node: Arc<Node>,
    /// Counts of requests, for `/metrics`.
    pub tally: Tally,
    /// Limits of requests.
    pub limits: Limits,
    /// Whose tokens are verified; replaced whole.
    issuers: RwLock<Arc<Issuers>>,
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
    /// Who may have how much of it at a time.
    pub shares: Shares,
    /// Revocations that are waited for.
    pub news: feed::News,
    /// The open connections.
    pub connections: Arc<Connections>,
}

/// What the configuration adds to a node.
pub struct With {
    /// Whose tokens are verified.
    pub issuers: Issuers,
    /// Signs answers of introspection.
    pub answers: Answers,
    /// Where findings are told.
    pub webhook: Option<Webhook>,
    /// Whether the head store held no checkpoint of a ledger with entries.
    pub head_was_missing: bool,
}

/// The state of handlers.
pub type Shared = axum::extract::State<Arc<App>>;

impl App {
    /// The state over a node.
    #[must_use]
    pub fn new(node: Arc<Node>, limits: Limits, with: With) -> Arc<Self> {
        let shares = Shares::new(&limits);
        let connections = Arc::new(Connections::new(limits.max_connections));
        let (tally, stopping) = (Tally::default(), AtomicBool::new(false));
        let uses = Uses::new(limits.use_window);
        Arc::new(Self {
            node,
            tally,
            limits,
            issuers: RwLock::new(Arc::new(with.issuers)),
            answers: with.answers,
            webhook: with.webhook,
            head_was_missing: with.head_was_missing,
            uses,
            endings: key_ends::Endings::default(),
            stopping,
            shares,
            news: feed::News::default(),
            connections,
        })
    }

    /// Whose tokens are verified now.
    #[must_use]
    pub fn issuers(&self) -> Arc<Issuers> {
        Arc::clone(&self.issuers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Verifies with these issuers from now on.
    pub fn replace_issuers(&self, issuers: Issuers) {
        *self.issuers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(issuers);
        // What is kept ready names its issuer as it was.
        self.node.forget_heads();
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

    /// Runs the taking apart of a body of `length` bytes, when it is its turn.
    ///
    /// # Errors
    /// 429 when the caller has its share of what waits for that; whatever `work` says; 500 when it
    /// panicked.
    pub async fn parse<T, F>(&self, length: usize, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Problem> + Send + 'static,
    {
        let party = at_work::party(self);
        let _place = party.take_or_alone(Room::Line, length)?;
        let turn = party.turn(Kind::Parse).await?;
        blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
    }

    /// Waits for the turn to make a bundle, when one is wanted.
    ///
    /// # Errors
    /// 429 while the caller leaves too much of what it asked for unread; 500 when the server is
    /// gone.
    pub async fn turn_to_prove(&self, wanted: bool) -> Result<Option<Turn>, Problem> {
        if !wanted {
            return Ok(None);
        }
        let party = at_work::party(self);
        party.has_room(Room::Unsent)?;
        Ok(Some(party.turn(Kind::Prove).await?))
    }

    /// A turn to look a presented token up, if one is `wanted`. Each has a thread meanwhile, and
    /// each thread keeps some MiB of the allocator.
    ///
    /// # Errors
    /// 500 when the server is gone.
    pub async fn turn_to_look_up(&self, wanted: bool) -> Result<Option<Turn>, Problem> {
        match wanted {
            true => Ok(Some(at_work::party(self).turn(Kind::LookUp).await?)),
            false => Ok(None),
        }
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
        self.wait(move || ask(&view)).await
    }

    /// Runs something that waits for the disk.
    ///
    /// # Errors
    /// Whatever `work` says; 500 when it panicked.
    pub async fn wait<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Problem> + Send + 'static,
    {
        let turn = at_work::turn_to_wait().await?;
        // Whoever hangs up does not stop the work: the turn ends with it.
        blocking(move || {
            let done = work();
            drop(turn);
            done
        })
        .await
    }
}

async fn blocking<T, F>(work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Problem> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Problem::internal()))
}

/// The questions about the past.
fn past() -> Router<Arc<App>> {
    use questions as ask;
    Router::new()
        .route("/v1/tokens/{id}/lineage", get(ask::lineage))
        .route("/v1/tokens/{id}/resources", get(ask::resources))
        .route("/v1/tokens/{id}/policies", get(ask::policies))
        .route("/v1/tokens/{id}/divergence", get(ask::divergence))
        .route("/v1/tokens/{id}/exposure", get(ask::exposure))
        .route("/v1/tokens/{id}/after-revoke", get(after_revoke::one))
        .route("/v1/after-revoke", get(after_revoke::many))
        .route("/v1/triage", post(triage::triage))
        .route("/v1/tokens/{id}/blast-radius", get(ask::blast_radius).post(revoke::asked))
        .route("/v1/subjects/{handle}/tokens", get(ask::subject_tokens))
        .route("/v1/subjects/{handle}/policy-changes", get(ask::policy_changes))
        .route("/v1/clients/{id}/tokens", get(ask::client_tokens))
        .route("/v1/sessions/{id}/tokens", get(ask::session_tokens))
        .route("/v1/grants/{id}/tokens", get(ask::grant_tokens))
        .route("/v1/resources/{id}/tokens", get(ask::resource_tokens))
        .route("/v1/policies/{id}/versions", get(ask::policy_versions))
        .route("/v1/pivot", get(ask::pivot))
        .route("/v1/events/{source}/{event_id}/why", get(ask::why))
        .route("/v1/attachments/{digest}", get(ask::attachment))
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
        .merge(past())
        .route("/v1/revocations", get(feed::revocations))
        .route("/oauth2/introspect", post(introspect::introspect))
        .route("/oauth2/jwks", get(signed_answer::jwks))
        .route("/oauth2/revoke", post(revocation::revoke))
        .route("/v1/findings", get(findings::list))
        .route("/v1/findings/{id}", get(findings::one))
        .route("/v1/findings/{id}/acknowledge", post(findings::acknowledge))
        .route("/v1/findings/{id}/close", post(findings::close))
        .route("/v1/verify-reports", get(verify_reports::list))
        .route("/v1/leaves/{index}", get(blocks::leaf))
        .route("/v1/blocks", get(blocks::blocks))
        .route("/v1/status", get(status::status))
        .route("/v1/resolve", post(keys::resolve))
        .route("/v1/erase", post(keys::erase))
        .route("/v1/disclose", post(disclose::disclose))
        .route("/v1/issuers", get(status::issuers))
        .route("/v1/issuers/{id}/tokens", get(questions::issuer_tokens))
        .route("/v1/reconciliations", post(reconcile::compare))
        .route("/v1/sources", get(sources::sources).post(sources::expected))
        .route("/v1/keys", get(keys::list).post(keys::add))
        .route("/v1/keys/{key_id}", delete(keys::retire))
        .route("/v1/keys/{key_id}/rotate", post(keys::rotate))
        .route("/openapi.json", get(openapi::openapi))
        .route("/checkpoint", get(tiles::checkpoint))
        .route("/tile/{*path}", get(tiles::tile))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), server::around))
        .with_state(app)
}
