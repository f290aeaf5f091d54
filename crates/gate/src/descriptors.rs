//! Open files: as many as the system lets us have, and who may have them.
//!
//! ```text
//! soft limit ──raised──▶ hard limit, at most 1,048,576
//! of these     a third, 128 to 1,024, is held back: journal, index, head store, calls to others
//!              the rest is for connections
//! ```
//!
//! Promises: connections never take the descriptors that the ledger writes with: there are fewer
//! of them when the system allows few, and the log says so.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// No more are asked for: the kernel keeps a table of them.
const FILES_MAX: u64 = 1 << 20;
const HELD_BACK_MIN: u64 = 128;
const HELD_BACK_MAX: u64 = 1024;
/// A server with fewer answers nobody.
const CONNECTIONS_MIN: u64 = 16;

/// Raises the limit of open files, and says how many of the connections wanted there can be.
#[must_use]
pub fn connections(wanted: usize) -> usize {
    let files = raise();
    let held_back = held_back(files);
    let room = files.saturating_sub(held_back).max(CONNECTIONS_MIN);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if room < wanted {
        let what = "fewer connections than max_connections: raise the limit of open files \
                    (ulimit -n, LimitNOFILE)";
        tracing::warn!(code = "few_descriptors", files, held_back, max_connections = room, what);
    }
    wanted.min(room)
}

fn held_back(files: u64) -> u64 {
    (files / 3).clamp(HELD_BACK_MIN, HELD_BACK_MAX)
}

/// The limit of open files after raising it as far as it goes without privileges.
fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(FILES_MAX);
    let most = limit.maximum.unwrap_or(FILES_MAX).min(FILES_MAX);
    if soft >= most {
        return soft;
    }
    let raised = Rlimit { current: Some(most), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(error) => {
            tracing::warn!(code = "few_descriptors", %error, soft, "the limit of open files stays");
            soft
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledgers_own_files_are_held_back() {
        let check = |files: u64, expected: u64| assert_eq!(held_back(files), expected, "{files}");
        check(256, 128);
        check(1024, 341);
        check(4096, 1024);
        check(1 << 20, 1024);
        let few = connections(100_000_000);
        assert!(few < 1 << 20, "{few} connections, and no file for the journal");
    }
}
