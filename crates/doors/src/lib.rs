//! The doors: what other systems speak over HTTP, taken as events of the ledger.
//!
//! ```text
//! body + headers ──▶ who sends it? ──▶ decoded: events as JSON, or why a record is none
//!                                        ──▶ the ordinary submit path ──▶ the door's own answer
//! ```
//!
//! Promises: what a door answers with success is on the disk. Events of a door pass everything that
//! events of `POST /v1/events` pass: roles, grants, limits, shares, the secret scan, one verdict
//! for each. A record that becomes no event is counted by its reason, under the door it came by,
//! and a refused one in the block as well ([`tally`]).
//!
//! Refuses: credentials in a query. No refusal repeats input.

pub mod cloudevents;
pub mod cloudevents_route;
pub mod submitting;
pub mod tally;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, post};
use ledgerline_gate::Gate;
use ledgerline_issuers::Register;
use ledgerline_node::Node;

use crate::tally::Tally;

/// What the doors' handlers have. Shared behind one `Arc`.
pub struct Doors {
    /// The ledger.
    pub node: Arc<Node>,
    /// What every request passes.
    pub gate: Arc<Gate>,
    /// Whose signatures count.
    pub register: Arc<Register>,
    /// What came of what was sent.
    pub tally: Tally,
}

/// The state of handlers.
pub type Shared = axum::extract::State<Arc<Doors>>;

impl Doors {
    /// Doors into a ledger.
    #[must_use]
    pub fn new(node: Arc<Node>, gate: Arc<Gate>, register: Arc<Register>) -> Arc<Self> {
        Arc::new(Self { node, gate, register, tally: Tally::default() })
    }
}

/// A route: its path, and what serves it by method.
type Route = (&'static str, &'static [&'static str], fn() -> MethodRouter<Arc<Doors>>);

/// Every route of the doors, with its methods.
pub const ROUTES: &[Route] = &[("/v1/cloudevents", &["post", "options"], || {
    post(cloudevents_route::submit).options(cloudevents_route::handshake)
})];

/// The routes, for a router of any state.
pub fn routes<S: Clone + Send + Sync + 'static>(doors: Arc<Doors>) -> Router<S> {
    let router =
        ROUTES.iter().fold(Router::new(), |router, (path, _, serve)| router.route(path, serve()));
    router.with_state(doors)
}
