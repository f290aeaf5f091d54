//! Proof bundles: the one place where the interface meets the engine's prover.

use axum::http::StatusCode;
use ledgerline_engine::view::View;
use serde_json::Value;

use super::problem::Problem;

/// The bundle of a token's life.
///
/// # Errors
/// What the prover says.
pub fn token(_view: &View, _tenant: &str, _id: &str) -> Result<Value, Problem> {
    Err(not_built())
}

/// The bundle of one event.
///
/// # Errors
/// What the prover says.
pub fn event(_view: &View, _index: u64) -> Result<Value, Problem> {
    Err(not_built())
}

fn not_built() -> Problem {
    Problem::new(StatusCode::NOT_IMPLEMENTED, "not_built", "bundles are not built yet")
}
