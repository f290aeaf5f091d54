//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix nanoseconds.
#[must_use]
pub fn unix_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
