//! The request that a task answers: whose it is, and which lines it stands in.
//!
//! Promises: what a handler waits for is waited for in its own tenant's line.

use std::sync::Arc;

use ledgerline_answers::problem::Problem;

use crate::Gate;
use crate::shares::{Kind, Party, Room, Turn};

tokio::task_local! {
    static HERE: Here;
}

struct Here {
    party: Arc<Party>,
    is_vital: bool,
}

/// Answers as a party.
pub async fn answer<F: Future>(party: Arc<Party>, room: Option<Room>, answering: F) -> F::Output {
    let is_vital = matches!(room, None | Some(Room::Vital | Room::Polls));
    HERE.scope(Here { party, is_vital }, answering).await
}

/// Whose request this is. Outside of one: nobody's.
#[must_use]
pub fn party(gate: &Gate) -> Arc<Party> {
    let here = HERE.try_with(|here| Arc::clone(&here.party));
    here.unwrap_or_else(|_| Arc::clone(gate.shares.strangers()))
}

/// Waits for the turn to use a thread that may wait for the disk; `None` outside of a request.
///
/// # Errors
/// 500 when the server is gone.
pub async fn turn_to_wait() -> Result<Option<Turn>, Problem> {
    let here = HERE.try_with(|here| (Arc::clone(&here.party), here.is_vital));
    let Ok((party, is_vital)) = here else { return Ok(None) };
    let kind = if is_vital { Kind::Vital } else { Kind::Read };
    Ok(Some(party.turn(kind).await?))
}
