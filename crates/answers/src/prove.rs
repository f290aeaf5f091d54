//! Proof bundles: the engine's prover, its errors told as problems.
//!
//! Promises: every leaf comes with its inclusion path under the published checkpoint, so whoever
//! trusts the log's key can check the bundle offline. No personal record is disclosed, but where
//! it was asked for. With `previous_size`, the size of a checkpoint that the asker kept, the bundle
//! also proves that its tree begins with that one.
//!
//! Assumes: how far one reaches is waited for by whoever asks, who has it said ([`Covered`]).
//!
//! Refuses: to prove what no block covers yet (503: the next block comes within its interval), and
//! lives with more leaves than a bundle may have.

use std::sync::Arc;

use axum::http::StatusCode;
use ledgerline_proof::bundle::{Bundle, Decimal, ENDS_AT, INCOMPLETE, MAX_REMARKS};
use ledgerline_prover::{
    BundleRequest, ProveError, QuestionRequest, event_bundle_at, previous, question_bundle,
    token_bundle,
};
use ledgerline_questions::life::{Judgement, life_of};
use ledgerline_questions::lineage::{Cut, QueryContext};
use ledgerline_view::view::{PageRequest, View};

use crate::problem::Problem;

/// What a proof is to cover.
#[derive(Debug, Clone)]
pub struct Covered {
    origin: String,
    size: u64,
}

impl Covered {
    /// What is recorded now; or of it what is recorded below `upto`.
    #[must_use]
    pub fn of(view: &View, upto: Option<u64>) -> Self {
        let size = upto.map_or(view.size(), |upto| upto.min(view.size()));
        Self { origin: view.identity().origin.to_string(), size }
    }

    /// Whether a block covers it.
    #[must_use]
    pub fn is_published(&self, view: &View) -> bool {
        view.published_size() >= self.size
    }

    /// Says in a bundle how far it reaches. Of an older origin all is there.
    pub fn mark(&self, bundle: &mut Bundle) {
        if bundle.origin != self.origin {
            return;
        }
        let reached = bundle.as_of.size.0;
        let Some(newer @ 1..) = self.size.checked_sub(reached) else {
            // What came since is no part of what was asked.
            bundle.coverage.beyond = Decimal(0);
            return;
        };
        let notes = &mut bundle.coverage.notes;
        let of = self.size;
        let entries =
            if newer == 1 { "1 newer entry is" } else { &format!("{newer} newer entries are") };
        notes.insert(0, format!("{INCOMPLETE}{ENDS_AT}{reached} of {of}; {entries} not in it"));
        notes.truncate(MAX_REMARKS);
    }
}

/// Which bundle of a token's life is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct LifeRequest<'a> {
    /// Whose token.
    pub tenant: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Of this origin alone; else of the newest that knows the token.
    pub origin: Option<&'a str>,
    /// With the opened personal records. Whoever asks has recorded that.
    pub disclose: bool,
    /// The size of a checkpoint that the asker kept.
    pub previous_size: Option<u64>,
}

/// The bundle of a token's life in one origin.
///
/// # Errors
/// 404 when there is no such token or origin, 503 before its first block.
pub fn token(view: &View, asked: &LifeRequest<'_>, now: i64) -> Result<Bundle, Problem> {
    let known = Known::of(view, asked.tenant, asked.id, now)?;
    let request = BundleRequest {
        tenant: asked.tenant.to_owned(),
        token_id: asked.id.to_owned(),
        others: known.others.clone(),
        disclose: asked.disclose,
        previous_size: asked.previous_size,
    };
    let wanted = |one: &View| asked.origin.is_none_or(|name| name == &*one.identity().origin);
    for view in view.origins().iter().rev().filter(|one| wanted(one)) {
        match token_bundle(view.rooms(), view.terms(), &request) {
            Err(ProveError::NotFound) => {}
            bundle => {
                let mut bundle = told(view, bundle)?;
                let own = bundle.origin.clone();
                bundle.coverage.notes.extend(known.elsewhere(&own));
                bundle.coverage.notes.sort_by_key(|note| !note.starts_with(INCOMPLETE));
                bundle.coverage.notes.truncate(MAX_REMARKS);
                return Ok(bundle);
            }
        }
    }
    Err(Problem::not_found())
}

/// What the ledger knows of a token beside the chain of the id that is asked for.
struct Known {
    /// Its other ids, whose chains its bundle shows, too.
    others: Vec<String>,
    /// Whether not all was read: it may have ended under an id or by an entry that was not.
    cut: bool,
    /// How many of its entries, and of the revocations that cover it, each origin holds.
    by_origin: Vec<(Arc<str>, u64)>,
}

impl Known {
    fn of(view: &View, tenant: &str, id: &str, now: i64) -> Result<Self, Problem> {
        let judgement = Judgement { at: now, by: i64::MAX };
        let page = PageRequest { after: None, limit: 1 };
        let Some(life) = life_of(view, tenant, id, &view.as_of(), judgement, page)? else {
            return Ok(Self { others: Vec::new(), cut: false, by_origin: Vec::new() });
        };
        let others = life.ids.iter().filter(|one| **one != *id).map(ToString::to_string);
        Ok(Self { others: others.collect(), cut: life.cut, by_origin: life.by_origin })
    }

    /// What a bundle of one origin does not show: then its states may be other ones.
    fn elsewhere(&self, own: &str) -> Vec<String> {
        let cut = self.cut.then(|| {
            format!("{INCOMPLETE}the token has more ids and entries than are read at once")
        });
        let others = self.by_origin.iter().filter(|(origin, _)| **origin != *own);
        let others = others.map(|(origin, count)| {
            format!(
                "{INCOMPLETE}{count} entries of the token, or revocations that cover it, stand in \
                 origin {origin}, which has a bundle of its own"
            )
        });
        cut.into_iter().chain(others).collect()
    }
}

/// The bundle of the event at `index`.
///
/// # Errors
/// 503 before its block.
pub fn event(view: &View, index: u64, previous_size: Option<u64>) -> Result<Bundle, Problem> {
    event_with(view, index, false, previous_size)
}

/// The same, with the opened personal records when they are to be disclosed. The caller has
/// recorded that.
///
/// # Errors
/// As [`event`].
pub fn event_with(
    view: &View,
    index: u64,
    disclose: bool,
    previous_size: Option<u64>,
) -> Result<Bundle, Problem> {
    told(view, event_bundle_at(view.rooms(), view.terms(), index, disclose, previous_size))
}

/// The bundle of an answer: of the part that stands in the origin named, or in the newest one that
/// holds any of it. `request` says what was asked; its notes are told behind what cut the answer.
///
/// # Errors
/// 404 for an origin that is none; 422 when it is too large, with the bound; 503 before its block.
pub fn question(
    context: &mut QueryContext<'_>,
    mut request: QuestionRequest,
    origin: Option<&str>,
    previous_size: Option<u64>,
) -> Result<Bundle, Problem> {
    // Lives are read for it, which may be cut.
    let evidence = context.evidence()?;
    let cuts = context.cuts();
    let cuts = cuts.iter().map(|cut| {
        // Then the states told may be other ones: a token may have ended under an id not read.
        let states = if matches!(cut, Cut::Width | Cut::Reads) { INCOMPLETE } else { "" };
        format!("{states}the answer was cut by {}", cut.word())
    });
    request.notes.splice(0..0, cuts);
    let view = context.view();
    let origins = view.origins();
    let within = |one: &View| evidence.range(one.log().entries()).count();
    let found = match origin {
        Some(name) => origins.iter().find(|one| name == &*one.identity().origin),
        None => origins.iter().rev().find(|one| within(one) > 0).or(origins.last()),
    };
    let chosen = found.ok_or_else(Problem::not_found)?;
    for other in origins.iter().filter(|other| other.log() != chosen.log()) {
        if let count @ 1.. = within(other) {
            let name = &other.identity().origin;
            let words = format!("{count} entries of the answer stand in origin {name}");
            request.notes.push(format!("{INCOMPLETE}{words}"));
        }
    }
    request.entries = evidence.range(chosen.log().entries()).map(|at| at.index).collect();
    if chosen.is_older() {
        // A size is one of the newest origin: of an older one all was there by then.
        let is_size = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        request.parameters.retain(|(name, value)| name != "as_of" || !is_size(value));
        let never = request.entries.split_off(&chosen.published_size()).len();
        if never > 0 {
            let note = format!("{never} entries of the answer were never covered by a block");
            request.notes.push(note);
        }
    }
    let ids = context.shown().map(|token| token.ids.iter().cloned().collect());
    request.tokens = ids.collect();
    let mut bundle = told(chosen, question_bundle(chosen.rooms(), chosen.terms(), request))?;
    if let Some(old) = previous_size {
        bundle.previous = Some(previous(chosen.rooms(), old, bundle.as_of.size.0)?);
    }
    Ok(bundle)
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
            ProveError::TooLarge(bound) => {
                let detail = format!(
                    "the answer is too large for one bundle: {bound}; narrow the question, or \
                     prove single events"
                );
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bundle_too_large", detail)
            }
            error => {
                tracing::error!(code = "prove_failed", %error, "a proof could not be made");
                Self::internal()
            }
        }
    }
}
