//! Where a service of an inventory stands: said by its owner, judged by the server.

use serde::{Deserialize, Serialize};

/// Where a service stands in the roll-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It will report.
    Planned,
    /// It should report.
    Reporting,
    /// It should not report any more.
    Retired,
}

impl Phase {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Reporting => "reporting",
            Self::Retired => "retired",
        }
    }
}
