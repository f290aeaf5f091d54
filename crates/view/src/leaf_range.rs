//! Ranges of leaves of a view, for those who read all of them.
//!
//! Promises: what [`View::leaf`] promises of each leaf, in order. Cheaper than one by one:
//! neighbours are read together, and nothing is copied.

use std::ops::{ControlFlow, Range};

use crate::view::{QueryError, View};

impl View {
    /// Hands out the leaves of a range in order, until `each` says that it has enough.
    ///
    /// # Errors
    /// As [`View::leaf`], or what `each` says.
    pub fn each_leaf(
        &self,
        range: Range<u64>,
        mut each: impl FnMut(u64, &[u8]) -> Result<bool, QueryError>,
    ) -> Result<(), QueryError> {
        if range.start < range.end && range.end > self.size() {
            return Err(QueryError::OutOfRange("the ledger has no entry at this index yet"));
        }
        let mut failed = Ok(());
        let mut go_on = |index, leaf: &[u8]| match each(index, leaf) {
            Ok(true) => ControlFlow::Continue(()),
            ended => {
                failed = ended.map(drop);
                ControlFlow::Break(())
            }
        };
        self.leaf_store().each(range, &mut go_on)?;
        failed
    }
}
