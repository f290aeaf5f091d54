//! `/metrics`: counters in the Prometheus text form (version 0.0.4).
//!
//! Promises: every name begins with `ledgerline_`; labels are taken from closed lists and from the
//! ids of keys that the caller may see, never from requests. The engine counts what it does, this
//! file counts requests; nothing is sampled.

use std::fmt::{Display, Write as _};
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use ledgerline_answers::problem::Problem;
use ledgerline_attendance::AttendanceFollower;
use ledgerline_expiry::ExpiryFollower;
use ledgerline_followers::findings::FindingsFollower;
use ledgerline_gate::shares::{Room, Whose};
use ledgerline_gate::tally::Tally;
use ledgerline_index::Usage;
use ledgerline_node::Reader::{self, Expiry, Findings, Verifier};
use ledgerline_node::counters::COMMIT_BUCKETS_US;
use ledgerline_view::registry::{Caller, Roles};
use ledgerline_webhook::Webhook;

use crate::{App, Shared, auth};

/// Keys whose age is told one by one.
const KEY_AGES_MAX: usize = 1000;

fn requests(tally: &Tally, out: &mut Exposition) {
    out.family("ledgerline_http_requests_total", "counter", "Requests answered, by status.");
    for (class, count) in tally.by_class().into_iter().enumerate().skip(1) {
        out.line("ledgerline_http_requests_total", &format!("{{status=\"{class}xx\"}}"), count);
    }
    let name = "ledgerline_http_request_duration_seconds";
    out.family(name, "histogram", "Time to answer a request.");
    let mut total = 0;
    for (bound, count) in tally.by_duration() {
        total += count;
        let bound = bound.map_or("+Inf".into(), seconds);
        out.line(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), total);
    }
    out.line(&format!("{name}_sum"), "", seconds(tally.micros()));
    out.line(&format!("{name}_count"), "", total);
}

fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text in the exposition form.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("text grows");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl Display) {
        writeln!(self.0, "{name}{labels} {value}").expect("text grows");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.line(name, "", value);
    }
}

fn expose(app: &App, caller: &Caller) -> String {
    let mut out = Exposition::default();
    let view = app.node.view();
    out.single("ledgerline_log_size", "gauge", "Leaves in the ledger.", view.size());
    let ready = u8::from(app.node.ready().is_ok());
    out.single("ledgerline_ready", "gauge", "1 while events are taken.", ready);
    engine_counters(app, &mut out);
    key_ages(app, caller, &mut out);
    webhook_counters(app, view.size(), &mut out);
    requests(&app.gate.tally, &mut out);
    let name = "ledgerline_door_records_total";
    out.family(name, "counter", "Records by other doors than /v1/events, by what came of them.");
    for (door, word, count) in app.doors.tally.counts() {
        out.line(name, &format!("{{door=\"{door}\",verdict=\"{word}\"}}"), count);
    }
    caches(app, &mut out);
    room_counters(app, &mut out);
    out.0
}

/// What each cache is good for.
fn caches(app: &App, out: &mut Exposition) {
    let mut caches = app.node.caches();
    caches.insert("verified_tokens", app.issuers().cached());
    let answers = caches.get("introspection_answers").copied().unwrap_or_default();
    let name = "ledgerline_introspection_tokens";
    out.single(name, "gauge", "Tokens whose introspection answer is kept ready.", answers.entries);
    let name = "ledgerline_introspection_bytes";
    out.single(name, "gauge", "Memory of these answers, about.", answers.weight);
    let mut each = |name: &str, kind: &str, help: &str, value: fn(&Usage) -> u64| {
        out.family(name, kind, help);
        for (cache, usage) in &caches {
            out.line(name, &format!("{{cache=\"{cache}\"}}"), value(usage));
        }
    };
    each("ledgerline_cache_entries", "gauge", "Values in a cache.", |one| one.entries);
    each("ledgerline_cache_weight", "gauge", "Their bytes, or their count.", |one| one.weight);
    each("ledgerline_cache_hits_total", "counter", "Look-ups answered.", |one| one.hits);
    each("ledgerline_cache_misses_total", "counter", "Look-ups not answered.", |one| one.misses);
    each("ledgerline_cache_evicted_total", "counter", "Values pushed out.", |one| one.evicted);
}

/// Who has how much of the server, and what was refused or closed for want of it.
fn room_counters(app: &App, out: &mut Exposition) {
    let open = app.gate.shares.taken(Room::Requests).0 + app.gate.shares.taken(Room::Vital).0;
    out.single("ledgerline_http_requests_open", "gauge", "Requests being answered.", open);
    let name = "ledgerline_http_connections_open";
    out.single(name, "gauge", "Open connections.", app.gate.connections.count());
    for (name, help, of_limit) in [
        ("ledgerline_http_room_taken", "Taken of what callers share.", false),
        ("ledgerline_http_room_limit", "What there is of it.", true),
    ] {
        out.family(name, "gauge", help);
        for room in Room::ALL {
            let (taken, limit) = app.gate.shares.taken(room);
            let value = if of_limit { limit } else { taken };
            out.line(name, &format!("{{room=\"{}\"}}", room.word()), value);
        }
    }
    let name = "ledgerline_http_share_refusals_total";
    out.family(name, "counter", "Requests refused for want of room, by whose share is used up.");
    for (room, whose) in Room::ALL.into_iter().flat_map(|room| Whose::ALL.map(|one| (room, one))) {
        let labels = format!("{{room=\"{}\",share=\"{}\"}}", room.word(), whose.word());
        out.line(name, &labels, app.gate.shares.refused(room, whose));
    }
    let (evicted, refused) = app.gate.connections.turned_out();
    let unread = app.gate.connections.unread.load(Ordering::Relaxed);
    let name = "ledgerline_http_connections_closed_total";
    out.family(name, "counter", "Connections closed by the server's own will, by reason.");
    for (reason, count) in [("newcomer", evicted), ("no_place", refused), ("unread", unread)] {
        out.line(name, &format!("{{reason=\"{reason}\"}}"), count);
    }
}

fn webhook_counters(app: &App, size: u64, out: &mut Exposition) {
    let Some(state) = app.webhook.as_ref().map(Webhook::state) else { return };
    let name = "ledgerline_webhook_delivered_total";
    out.single(name, "counter", "Findings that the receiver took.", state.delivered);
    let name = "ledgerline_webhook_failures_total";
    out.single(name, "counter", "Tries to tell a finding that failed.", state.failures);
    let name = "ledgerline_webhook_set_aside_total";
    out.single(name, "counter", "Messages refused again and again, and given up.", state.set_aside);
    let name = "ledgerline_webhook_failing";
    let failing = u8::from(state.failing);
    out.single(name, "gauge", "1 while a finding is tried again.", failing);
    let name = "ledgerline_webhook_lag_entries";
    let lag = size.saturating_sub(state.position);
    out.single(name, "gauge", "Entries not looked at for findings to tell.", lag);
}

/// Of keys that the caller may see.
fn key_ages(app: &App, caller: &Caller, out: &mut Exposition) {
    let mut ages = app.node.key_ages();
    ages.retain(|(key, _)| caller.may_see(&key.tenant));
    out.single("ledgerline_keys_in_force", "gauge", "Keys in force.", ages.len());
    let name = "ledgerline_key_age_seconds";
    out.family(name, "gauge", "Age of keys in force, of the oldest.");
    for (key, age) in ages.iter().take(KEY_AGES_MAX) {
        out.line(name, &format!("{{key=\"{}\"}}", key.key_id), age / 1_000_000_000);
    }
}

fn engine_counters(app: &App, out: &mut Exposition) {
    let counters = app.node.counters();
    let name = "ledgerline_events_recorded_total";
    out.single(name, "counter", "Events recorded since start.", counters.recorded);
    let name = "ledgerline_events_duplicate_total";
    out.single(name, "counter", "Retries recognised since start.", counters.duplicates);
    let name = "ledgerline_events_refused_total";
    out.family(name, "counter", "Events and requests refused since start, by code.");
    for (code, count) in &counters.refused {
        out.line(name, &format!("{{code=\"{code}\"}}"), count);
    }
    let name = "ledgerline_findings_raised_total";
    out.family(name, "counter", "Findings noticed since start, by rule and severity.");
    for ((rule, severity), count) in &counters.findings {
        out.line(name, &format!("{{rule=\"{rule}\",severity=\"{severity}\"}}"), count);
    }
    let on = "ledgerline_findings_on";
    let name = "ledgerline_findings_lag_entries";
    out.single(on, "gauge", "1 while the rules judge what is committed.", is_on(app, Findings));
    lag_of(app, Findings, name, "Committed entries that the rules have not judged yet.", out);
    let name = "ledgerline_findings_failures_total";
    let failures = app.node.follower(FindingsFollower::NAME).failures;
    out.single(name, "counter", "Times the rules stopped at a failed read.", failures);
    let attendance = app.node.follower(AttendanceFollower::NAME);
    let name = "ledgerline_attendance_lag_entries";
    let help = "Committed entries not looked at for who is missing, while findings are on.";
    out.single(name, "gauge", help, attendance.reach.behind());
    let name = "ledgerline_attendance_failures_total";
    let help = "Times the search for who is missing stopped at a failed read.";
    out.single(name, "counter", help, attendance.failures);
    verifier(app, out);
    let name = "ledgerline_tokens_expired_total";
    let expiry = app.node.follower(ExpiryFollower::NAME);
    out.single(name, "counter", "Tokens stated to have expired, since start.", expiry.stated);
    let on = "ledgerline_expiry_on";
    let name = "ledgerline_expiry_lag_entries";
    out.single(on, "gauge", "1 while expiries are stated.", is_on(app, Expiry));
    lag_of(app, Expiry, name, "Committed entries not looked at for expiries yet.", out);
    let name = "ledgerline_expiry_failures_total";
    let failures = expiry.failures;
    out.single(name, "counter", "Times the search for them stopped at a failed read.", failures);
    let name = "ledgerline_submissions_busy_total";
    out.single(name, "counter", "Submissions turned away: the queue was full.", counters.busy);
    let name = "ledgerline_queue_bytes";
    out.single(name, "gauge", "Bytes of submissions that wait.", app.node.queue_bytes());
    let name = "ledgerline_commit_duration_seconds";
    out.family(name, "histogram", "Time from write to fsync of a commit.");
    for (bound, count) in COMMIT_BUCKETS_US.iter().zip(counters.commit_buckets) {
        out.line(&format!("{name}_bucket"), &format!("{{le=\"{}\"}}", seconds(*bound)), count);
    }
    out.line(&format!("{name}_bucket"), "{le=\"+Inf\"}", counters.commits);
    out.line(&format!("{name}_sum"), "", seconds(counters.commit_nanos / 1000));
    out.line(&format!("{name}_count"), "", counters.commits);
}

fn is_on(app: &App, reader: Reader) -> u8 {
    u8::from(app.node.progress(reader).position.is_some())
}

/// How far a reader lags. One that is switched off has no lag that one could read 0 from.
fn lag_of(app: &App, reader: Reader, name: &str, help: &str, out: &mut Exposition) {
    if let Some(lag) = app.node.progress(reader).lag() {
        out.single(name, "gauge", help, lag);
    }
}

fn verifier(app: &App, out: &mut Exposition) {
    let state = app.node.verification();
    let on = u8::from(state.on);
    out.single("ledgerline_verify_on", "gauge", "1 while the ledger is verified.", on);
    let name = "ledgerline_verify_size";
    out.single(name, "gauge", "Entries verified behind the head.", state.size);
    let name = "ledgerline_verify_lag_entries";
    lag_of(app, Verifier, name, "Committed entries not verified behind the head yet.", out);
    let now = app.node.now();
    let age = |at: i64| now.saturating_sub(at).max(0) / 1_000_000_000;
    if let Some(at) = state.block_sealed_at {
        let name = "ledgerline_verify_block_age_seconds";
        out.single(name, "gauge", "Age of the last verified block.", age(at));
    }
    let name = "ledgerline_verify_flaws_total";
    out.single(name, "counter", "Flaws found behind the head since start.", state.flaws);
    let name = "ledgerline_verify_runs_total";
    out.family(name, "counter", "Full verifications since start, by verdict.");
    for (verdict, count) in &state.runs {
        out.line(name, &format!("{{verdict=\"{verdict}\"}}"), count);
    }
    if let Some(last) = &state.last {
        let name = "ledgerline_verify_last_verdict";
        out.family(name, "gauge", "1 for the verdict of the last full verification.");
        out.line(name, &format!("{{verdict=\"{}\"}}", last.verdict.word()), 1);
        let name = "ledgerline_verify_last_size";
        out.single(name, "gauge", "Entries of the last full verification.", last.size);
        let name = "ledgerline_verify_last_age_seconds";
        out.single(name, "gauge", "Time since the last full verification.", age(last.at));
        if let Some(took) = last.took_nanos {
            let name = "ledgerline_verify_last_duration_seconds";
            out.single(name, "gauge", "How long it took.", seconds(took / 1000));
        }
    }
    let name = "ledgerline_verify_failures_total";
    let help = "Times a thread of the verifier had to begin again.";
    out.single(name, "counter", help, state.failures);
}

/// The counters.
///
/// # Errors
/// 401, 403.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn metrics(State(app): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let roles = Roles::ADMIN.with(Roles::AUDITOR).with(Roles::READER);
    let lacking = "the credential needs the role admin, auditor or reader";
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let mut response = expose(&app, &caller).into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
