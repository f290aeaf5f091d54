//! An inventory of the services that should tell the ledger, and what to say of each.
//!
//! ```toml
//! [[service]]
//! name = "orders-gateway"      # the source of its key
//! phase = "reporting"          # planned, reporting or retired
//! regions = ["eu-west-1"]      # may be left out
//! ```
//!
//! Promises: a service that should report and of which nothing was recorded is missing, whatever
//! else is said of it. An error names the line.

use std::collections::BTreeSet;

use ledgerline_proof::statement::is_source_name;
use ledgerline_questions::Told;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// A source without heartbeats says nothing by saying nothing; after so long that is said.
const QUIET_NANOS: i64 = 24 * 3_600_000_000_000;

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

/// A service of the inventory.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// The name of its source.
    pub name: String,
    /// Where it stands.
    pub phase: Phase,
    /// The regions it should report from.
    pub regions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    phase: Phase,
    #[serde(default)]
    regions: Vec<Spanned<String>>,
}

/// Reads an inventory.
///
/// # Errors
/// What is wrong, and in which line.
pub fn parse(text: &str) -> Result<Vec<Service>, String> {
    let line_at = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(span.start));
        format!("line {line}: {}", error.message())
    })?;
    if file.service.is_empty() {
        return Err("line 1: there is no [[service]]".to_owned());
    }
    let mut seen = BTreeSet::new();
    let mut services = Vec::new();
    for entry in file.service {
        for name in std::iter::once(&entry.name).chain(&entry.regions) {
            if !is_source_name(name.get_ref()) {
                let line = line_at(name.span().start);
                return Err(format!("line {line}: names are [a-z0-9._-]{{1,64}}"));
            }
        }
        let line = line_at(entry.name.span().start);
        let name = entry.name.into_inner();
        if !seen.insert(name.clone()) {
            return Err(format!("line {line}: the service {name} was named before"));
        }
        let regions = entry.regions.into_iter().map(Spanned::into_inner).collect();
        services.push(Service { name, phase: entry.phase, regions });
    }
    Ok(services)
}

/// What is said of a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    /// A stable word.
    pub status: &'static str,
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
        Phase::Planned if told.events > 0 => say("reports_already", false, "reports already"),
        Phase::Planned => say("not_yet", false, "does not report yet"),
        Phase::Retired if age < QUIET_NANOS => {
            say("still_reports", true, "STILL REPORTS: something within the last 24 hours")
        }
        Phase::Retired => say("retired", false, "reports no more"),
        Phase::Reporting if told.events == 0 => {
            say("never_reported", true, "NEVER REPORTED: nothing was recorded of it")
        }
        Phase::Reporting if !has_told => {
            say("heartbeats_only", true, "NOTHING BUT HEARTBEATS: it is alive and tells nothing")
        }
        Phase::Reporting if told.is_silent(now) => {
            say("silent", true, "SILENT: its heartbeats stopped")
        }
        Phase::Reporting if told.heartbeat_at.is_none() && age >= QUIET_NANOS => {
            let words = format!("QUIET: nothing for {hours} hours, and it sends no heartbeats");
            say("quiet", true, &words)
        }
        Phase::Reporting if !absent.is_empty() => {
            let (list, seen) = (absent.join(", "), told.sample.events);
            let words = format!("NOT FROM {list}: none of its newest {seen} events is");
            say("region_missing", true, &words)
        }
        Phase::Reporting => say("reports", false, "reports"),
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_questions::Sample;

    use super::*;

    const HOUR: i64 = 3_600_000_000_000;

    fn status(phase: Phase, regions: &[&str], told: &Told) -> (&'static str, bool) {
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
        assert_eq!(status(reporting, &[], &nothing), ("never_reported", true));
        assert_eq!(status(reporting, &[], &alive), ("heartbeats_only", true));
        assert_eq!(status(reporting, &[], &stopped), ("silent", true));
        assert_eq!(status(reporting, &[], &quiet), ("quiet", true));
        assert_eq!(status(reporting, &["eu", "us"], &told), ("region_missing", true));
        assert_eq!(status(reporting, &["eu"], &told), ("reports", false));
        assert_eq!(status(Phase::Planned, &[], &nothing), ("not_yet", false));
        assert_eq!(status(Phase::Planned, &[], &told), ("reports_already", false));
        assert_eq!(status(Phase::Retired, &[], &nothing), ("retired", false));
        assert_eq!(status(Phase::Retired, &[], &quiet), ("retired", false));
        assert_eq!(status(Phase::Retired, &[], &told), ("still_reports", true));
    }

    #[test]
    fn an_inventory_is_read_and_what_is_wrong_names_its_line() {
        let good = "# ours\n[[service]]\nname = \"idp\"\nphase = \"reporting\"\n\
                    regions = [\"eu-west-1\"]\n\n\
                    [[service]]\nname = \"mail\"\nphase = \"planned\"\n";
        let services = parse(good).expect("an inventory");
        assert_eq!(services.len(), 2);
        assert_eq!((&*services[0].name, services[1].phase), ("idp", Phase::Planned));
        assert_eq!(services[0].regions, ["eu-west-1"]);
        let entry = "[[service]]\nname = \"a\"\nphase = \"planned\"\n";
        for (text, line, part) in [
            (String::new(), 1, "service"),
            (format!("{entry}{entry}"), 5, "named before"),
            (entry.replace("planned", "someday"), 3, "someday"),
            (entry.replace("\"a\"", "\"A b\""), 2, "names are"),
            (entry.replace("name", "nam"), 2, "nam"),
            ("[[service]]\nname = \"a\"\n".to_owned(), 1, "phase"),
            (format!("{entry}regions = [\"EU\"]\n"), 4, "names are"),
            ("x = [".to_owned(), 1, ""),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.starts_with(&format!("line {line}: ")), "{text:?}: {error}");
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
