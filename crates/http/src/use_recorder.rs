//! Records the use of tokens (USED) that introspection noted, as long as the server runs.

use std::sync::Arc;
use std::time::Duration;

use ledgerline_node::uses::UsesNews;

use crate::App;

/// After the ledger was too busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Records what was noted, each when its window ends, for as long as the runtime lives.
pub async fn keep_recording(app: Arc<App>) {
    if !app.uses.is_on() {
        return;
    }
    loop {
        tokio::time::sleep(app.uses.look_in()).await;
        if !app.uses.is_due(&app.node) {
            continue;
        }
        let of = Arc::clone(&app);
        let record = move || of.uses.record_due(&of.node);
        if !tokio::task::spawn_blocking(record).await.unwrap_or(true) {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Tells the log what becomes of uses that are to be recorded.
pub(crate) fn tell(news: UsesNews<'_>) {
    match news {
        UsesNews::Unmarked(error) => {
            let why = "a crash now would lose uses without a finding";
            tracing::warn!(code = "uses_unmarked", %error, why);
        }
        UsesNews::MarkLeft(error) => {
            tracing::warn!(code = "uses_mark_left", %error, "a start may tell of no loss");
        }
        UsesNews::Dropped(dropped) => {
            let why = "more tokens were presented in one window than are kept";
            tracing::warn!(code = "uses_dropped", dropped, why);
        }
        UsesNews::Lost(lost, error) => {
            tracing::warn!(code = "uses_lost", lost, %error, "uses were not recorded");
        }
        UsesNews::Refused(because) => {
            let why = "the credential's grant may not cover USED";
            tracing::warn!(code = "uses_refused", because, why);
        }
        UsesNews::TooBusy => {
            tracing::warn!(code = "uses_lost", "the ledger was too busy for the last uses");
        }
    }
}
