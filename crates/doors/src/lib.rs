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

pub mod bodies;
pub mod cloudevents;
pub mod cloudevents_route;
pub mod hooks;
pub mod opa;
pub mod otlp;
pub mod otlp_route;
pub mod records_route;
pub mod sets;
pub mod settings;
pub mod submitting;
pub mod tally;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use ledgerline_gate::Gate;
use ledgerline_issuers::Register;
use ledgerline_node::Node;

use crate::hooks::Hooks;
use crate::tally::Tally;

/// What the doors' handlers have. Shared behind one `Arc`.
pub struct Doors {
    /// The ledger.
    pub node: Arc<Node>,
    /// What every request passes.
    pub gate: Arc<Gate>,
    /// Whose signatures count.
    pub register: Arc<Register>,
    /// Doors of the settings.
    pub hooks: Hooks,
    /// What came of what was sent.
    pub tally: Tally,
}

/// The state of handlers.
pub type Shared = axum::extract::State<Arc<Doors>>;

impl Doors {
    /// Doors into a ledger.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        gate: Arc<Gate>,
        register: Arc<Register>,
        hooks: Hooks,
    ) -> Arc<Self> {
        Arc::new(Self { node, gate, register, hooks, tally: Tally::default() })
    }
}

/// A route: its path, and what serves it by method.
type Route = (&'static str, &'static [&'static str], fn() -> MethodRouter<Arc<Doors>>);

/// Every route of the doors, with its methods.
pub const ROUTES: &[Route] = &[
    ("/v1/cloudevents", &["post", "options"], || {
        post(cloudevents_route::submit).options(cloudevents_route::handshake)
    }),
    ("/v1/sets", &["post"], || post(sets::push)),
    ("/v1/backchannel-logout", &["post"], || post(sets::logout)),
    ("/v1/opa/logs", &["post"], || post(records_route::opa_logs)),
    ("/v1/otlp/v1/traces", &["post"], || post(otlp_route::traces)),
    ("/v1/otlp/v1/logs", &["post"], || post(otlp_route::logs)),
    ("/v1/adapters/{name}", &["post"], || post(records_route::adapters)),
    ("/v1/hooks/{name}", &["get", "post"], || {
        get(records_route::verification).post(records_route::hook)
    }),
];

/// The routes, for a router of any state.
pub fn routes<S: Clone + Send + Sync + 'static>(doors: Arc<Doors>) -> Router<S> {
    let router =
        ROUTES.iter().fold(Router::new(), |router, (path, _, serve)| router.route(path, serve()));
    router.with_state(doors)
}
