//! Reading personal records back: recorded first, opened after.
//!
//! Promises: no record is opened before the DISCLOSED entry that counts it is on the disk. When the
//! process dies in between, the ledger says that records were disclosed which nobody got: the safe
//! side.

use ledgerline_disclosure::{DisclosedEvent, Selection};
use ledgerline_ledger::intake::secret_scan::check_text;
use ledgerline_ledger::planner::AdminAct;
use ledgerline_view::registry::Caller;

use super::{AdminError, Node};

impl Node {
    /// Records that what was selected is disclosed; blocks until that is durable. Gives the index
    /// of the DISCLOSED entry.
    ///
    /// # Errors
    /// [`AdminError`]; then nothing may be shown. `secret_refused` for a purpose that holds a
    /// token.
    pub fn record_disclosure(
        &self,
        by: &Caller,
        purpose: &str,
        selection: &Selection,
    ) -> Result<u64, AdminError> {
        check_purpose(purpose)?;
        let disclosing = selection.disclosing(by.key_id(), purpose);
        self.administer(AdminAct::State(vec![disclosing]))
    }

    /// Records the disclosure, then opens the records. Gives the index of the DISCLOSED entry, too.
    /// A record that was erased in between is `Erased`, although the entry counts it.
    ///
    /// # Errors
    /// [`AdminError`]; then nothing was opened.
    pub fn disclose(
        &self,
        by: &Caller,
        purpose: &str,
        selection: Selection,
    ) -> Result<(u64, Vec<DisclosedEvent>), AdminError> {
        let index = self.record_disclosure(by, purpose, &selection)?;
        Ok((index, selection.open()))
    }
}

/// Refuses a purpose that holds what is recognisably a token: it would stand in the ledger for
/// ever.
pub(super) fn check_purpose(purpose: &str) -> Result<(), AdminError> {
    Ok(check_text(purpose)?)
}
