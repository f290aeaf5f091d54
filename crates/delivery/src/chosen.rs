//! Which adapter reads a file where that is found out for each, and what is said of it.

use std::io::{self, Write as _};

use ledgerline_sources::Adapter;

/// Finds out which adapter it is.
pub const AUTO: &str = "auto";

/// Code and words of an empty file, for which nothing can be chosen.
pub const EMPTY: [&str; 2] =
    ["empty_file", "the file is empty: there is nothing to choose an adapter by"];

/// Says on standard error by which adapter a file was read, where that was chosen.
pub fn say(adapter: &dyn Adapter, file: &str) {
    if adapter.name() != AUTO {
        return;
    }
    let by = adapter.chosen().map_or_else(
        || "no adapter alone recognises it: name one with --adapter".to_owned(),
        |name| format!("read by the adapter {name}"),
    );
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(io::stderr(), "ledgerline: {file}: {by}");
}
