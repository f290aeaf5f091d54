//! What every command has of the terminal: how it ends, what it shows, files that somebody will
//! rely on, settings under one name in three places, and how a server is reached.
//!
//! Promises: exit codes as in [`exit`]; nothing recorded steers a terminal; no failed command
//! leaves a file that could be taken for its result.
//!
//! Knows neither a server's answers nor the engine: who asks, and whom, is the commands' matter.

pub mod context;
pub mod evidence;
pub mod exit;
pub mod render;
pub mod settings;

use indicatif::{ProgressBar, ProgressDrawTarget};

/// A bar on a terminal, nothing elsewhere.
#[must_use]
pub fn progress_bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5))
}
