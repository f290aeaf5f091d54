//! Proof bundles over HTTP: the engine's prover, its errors told as problems.
//!
//! Promises: every leaf comes with its inclusion path under the published checkpoint, so whoever
//! trusts the log's key can check the bundle offline. No personal record is disclosed.
//!
//! Refuses: to prove what no block covers yet (503: the next block comes within its interval), and
//! lives with more leaves than a bundle may have.

use axum::http::StatusCode;
use ledgerline_engine::prover::{BundleRequest, ProveError, event_bundle_at, token_bundle};
use ledgerline_engine::view::View;
use ledgerline_proof::bundle::Bundle;

use super::problem::Problem;

/// The bundle of a token's life in one origin: the one named, or the newest that knows it.
///
/// # Errors
/// 404 when there is no such token or origin, 503 before its first block.
pub fn token(view: &View, tenant: &str, id: &str, origin: Option<&str>) -> Result<Bundle, Problem> {
    let request = BundleRequest {
        tenant: tenant.to_owned(),
        token_id: id.to_owned(),
        disclose: false,
        previous_size: None,
    };
    let wanted = |one: &View| origin.is_none_or(|name| name == &*one.identity().origin);
    for view in view.origins().iter().rev().filter(|one| wanted(one)) {
        match token_bundle(view.rooms(), view.terms(), &request) {
            Err(ProveError::NotFound) => {}
            bundle => return told(view, bundle),
        }
    }
    Err(Problem::not_found())
}

/// The bundle of the event at `index`.
///
/// # Errors
/// 503 before its block.
pub fn event(view: &View, index: u64) -> Result<Bundle, Problem> {
    told(view, event_bundle_at(view.rooms(), view.terms(), index, false, None))
}

fn told(view: &View, bundle: Result<Bundle, ProveError>) -> Result<Bundle, Problem> {
    match bundle {
        Err(ProveError::NotYetSealed { .. }) if view.is_older() => {
            let detail = "its origin ended before a block covered it, so no published checkpoint \
                          does; its receipt still proves it (send the event again with \
                          ?receipt=proof)";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "never_in_a_block", detail))
        }
        bundle => Ok(bundle?),
    }
}

impl From<ProveError> for Problem {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::NotFound => Self::not_found(),
            ProveError::NotYetSealed { .. } => {
                let detail = "no block covers it yet; ask again after the next block";
                Self::unavailable("not_in_a_block_yet", detail)
            }
            ProveError::PreviousBeyond { .. } => {
                let detail = "the earlier checkpoint is newer than the newest published one";
                Self::bad_request("out_of_range", detail)
            }
            ProveError::TooLarge(_) => {
                let detail = "the answer is too large for one bundle; prove single events";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bundle_too_large", detail)
            }
            error => {
                tracing::error!(code = "prove_failed", %error, "a proof could not be made");
                Self::internal()
            }
        }
    }
}
