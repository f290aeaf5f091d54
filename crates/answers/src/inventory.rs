//! What is said of a service that should tell the ledger.
//!
//! Promises: a service that should report and of which nothing was recorded is missing, whatever
//! else is said of it.

use ledgerline_api::source::{Phase, ServiceStatus};
use ledgerline_questions::Told;

/// A source without heartbeats says nothing by saying nothing; after so long that is said.
const QUIET_NANOS: i64 = 24 * 3_600_000_000_000;

/// What is said of a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    /// A stable word.
    pub status: ServiceStatus,
    /// Whether something is not as the inventory says.
    pub is_missing: bool,
    /// For people.
    pub words: String,
}

/// What is to be said of a service by what it told.
#[must_use]
pub fn judge(phase: Phase, regions: &[String], told: &Told, now: i64) -> Judged {
    let say = |status, is_missing, words: &str| Judged { status, is_missing, words: words.into() };
    let has_told = told.events > told.heartbeats;
    let age = told.last_at.map_or(i64::MAX, |at| now.saturating_sub(at).max(0));
    let hours = age / 3_600_000_000_000;
    let absent = regions.iter().filter(|one| !told.sample.regions.contains(*one));
    let absent: Vec<&str> = absent.map(String::as_str).collect();
    match phase {
        Phase::Planned if told.events > 0 => {
            say(ServiceStatus::ReportsAlready, false, "reports already")
        }
        Phase::Planned => say(ServiceStatus::NotYet, false, "does not report yet"),
        Phase::Retired if age < QUIET_NANOS => say(
            ServiceStatus::StillReports,
            true,
            "STILL REPORTS: something within the last 24 hours",
        ),
        Phase::Retired => say(ServiceStatus::Retired, false, "reports no more"),
        Phase::Reporting if told.events == 0 => {
            say(ServiceStatus::NeverReported, true, "NEVER REPORTED: nothing was recorded of it")
        }
        Phase::Reporting if !has_told => say(
            ServiceStatus::HeartbeatsOnly,
            true,
            "NOTHING BUT HEARTBEATS: it is alive and tells nothing",
        ),
        Phase::Reporting if told.is_silent(now) => {
            say(ServiceStatus::Silent, true, "SILENT: its heartbeats stopped")
        }
        Phase::Reporting if told.heartbeat_at.is_none() && age >= QUIET_NANOS => {
            let words = format!("QUIET: nothing for {hours} hours, and it sends no heartbeats");
            say(ServiceStatus::Quiet, true, &words)
        }
        Phase::Reporting if !absent.is_empty() => {
            let (list, seen) = (absent.join(", "), told.sample.events);
            let words = format!("NOT FROM {list}: none of its newest {seen} events is");
            say(ServiceStatus::RegionMissing, true, &words)
        }
        Phase::Reporting => say(ServiceStatus::Reports, false, "reports"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ledgerline_questions::Sample;

    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    fn status(phase: Phase, regions: &[&str], told: &Told) -> (ServiceStatus, bool) {
        let regions: Vec<String> = regions.iter().map(|one| (*one).to_owned()).collect();
        let judged = judge(phase, &regions, told, 100 * HOUR);
        (judged.status, judged.is_missing)
    }

    #[test]
    fn a_service_that_never_reported_was_not_missed() {
        let nothing = Told::default();
        let regions = BTreeSet::from(["eu".to_owned()]);
        let sample = Sample { events: 3, regions, ..Sample::default() };
        let told = Told { events: 3, last_at: Some(99 * HOUR), sample, ..nothing.clone() };
        let alive = Told { heartbeats: 3, heartbeat_at: Some(100 * HOUR), ..told.clone() };
        let stopped = Told { heartbeats: 1, heartbeat_at: Some(HOUR), ..told.clone() };
        let quiet = Told { last_at: Some(HOUR), ..told.clone() };
        let reporting = Phase::Reporting;
        assert_eq!(status(reporting, &[], &nothing), (ServiceStatus::NeverReported, true));
        assert_eq!(status(reporting, &[], &alive), (ServiceStatus::HeartbeatsOnly, true));
        assert_eq!(status(reporting, &[], &stopped), (ServiceStatus::Silent, true));
        assert_eq!(status(reporting, &[], &quiet), (ServiceStatus::Quiet, true));
        assert_eq!(status(reporting, &["eu", "us"], &told), (ServiceStatus::RegionMissing, true));
        assert_eq!(status(reporting, &["eu"], &told), (ServiceStatus::Reports, false));
        assert_eq!(status(Phase::Planned, &[], &nothing), (ServiceStatus::NotYet, false));
        assert_eq!(status(Phase::Planned, &[], &told), (ServiceStatus::ReportsAlready, false));
        assert_eq!(status(Phase::Retired, &[], &nothing), (ServiceStatus::Retired, false));
        assert_eq!(status(Phase::Retired, &[], &quiet), (ServiceStatus::Retired, false));
        assert_eq!(status(Phase::Retired, &[], &told), (ServiceStatus::StillReports, true));
    }
}
