//! The first answer of a process whose files are not in the page cache.

use anyhow::Result;

use crate::asking::Asking;
use crate::load::quantile;
use crate::server::Server;

/// How often a question is asked cold, each time another one.
pub const TIMES: u64 = 5;

/// Asks with a credential, of a server that was started anew for each question on files of which
/// nothing is in memory; sorted times, in microseconds.
///
/// # Errors
/// When the server fails or an answer is not 200.
pub fn ask(server: &mut Server, key: &str, path: &dyn Fn(u64) -> String) -> Result<Vec<u32>> {
    let mut times = Vec::new();
    for n in 0..TIMES {
        if server.target().is_ok() {
            server.stop()?;
        }
        server.forget_pages()?;
        server.start()?;
        times.extend(Asking::with(server, key).ask(1, |_| path(n))?.latencies_us);
    }
    times.sort_unstable();
    Ok(times)
}

/// The median and the longest.
pub fn text(times: &[u32]) -> String {
    let ms = |share| quantile(times, share) / 1e3;
    format!("p50 {:.1} ms, at most {:.1} ms of {}", ms(0.5), ms(1.0), times.len())
}
