//! What a node does with tokens that somebody presented: says where they stand, revokes them,
//! records that they were used; and how far it is with stating that they expired.
//!
//! Promises: what is revoked or recorded here goes the way of all events.

use std::sync::Arc;

use super::Node;
use crate::intake::{Reply, RevokeToken, SeenUse, SubmitError};
use crate::registry::Caller;
use crate::standing::{Presented, Standing};
use crate::view::QueryError;

impl Node {
    /// The wall time, Unix nanoseconds.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.inner.world.clock.wall_nanos()
    }

    /// Committed entries that were not looked at for expiries yet; 0 when that is switched off.
    #[must_use]
    pub fn expiry_lag(&self) -> u64 {
        if !self.inner.config.expire {
            return 0;
        }
        let view = self.view();
        let position = self.inner.counters.snapshot().expiry_position;
        (view.base() + view.size()).saturating_sub(position)
    }

    /// Where a token stands now, in the newest committed state.
    ///
    /// # Errors
    /// As [`crate::standing::standing`].
    pub fn standing(
        &self,
        tenant: &str,
        presented: Presented<'_>,
    ) -> Result<Option<Arc<Standing>>, QueryError> {
        let now = self.inner.world.clock.wall_nanos();
        self.inner.standings.standing(&self.view(), tenant, presented, now)
    }

    /// Revokes tokens in the name of a responder, as [`Node::submit`] takes events: one REVOKED
    /// each.
    ///
    /// # Errors
    /// [`SubmitError`], with `reply` dropped uncalled.
    pub fn revoke(
        &self,
        caller: &Caller,
        tenant: &str,
        tokens: &[RevokeToken],
        reply: Reply,
    ) -> Result<(), SubmitError> {
        if let Err(why) = self.ready() {
            return Err(SubmitError::Stopped { why });
        }
        let accepted = self.inner.intake.accept_revocations(caller, tenant, tokens)?;
        self.put(accepted, reply)
    }

    /// Records uses that this ledger saw when it was asked about tokens, as [`Node::submit`] takes
    /// events: one USED each, in the name of whoever asked.
    ///
    /// # Errors
    /// [`SubmitError`], with `reply` dropped uncalled.
    pub fn record_uses(
        &self,
        caller: &Caller,
        tenant: &str,
        uses: &[SeenUse],
        reply: Reply,
    ) -> Result<(), SubmitError> {
        if let Err(why) = self.ready() {
            return Err(SubmitError::Stopped { why });
        }
        let accepted = self.inner.intake.accept_uses(caller, tenant, uses)?;
        self.put(accepted, reply)
    }
}
