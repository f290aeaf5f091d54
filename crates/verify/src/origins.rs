//! All origins of a ledger, newest first, and how each follows from the one before.
//!
//! Promises: every origin is read as a ledger of its own, with its own genesis and log key. The
//! newest GENESIS must name the newest folder below `origins`, and so on back to the oldest; where
//! an older origin ends is what its log key signed and, if it is at hand, what the head store
//! keeps. Vault and torn bytes, which all share, are checked once.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_journal::end_note::{EndNote, MOVING, end_path, folder, head_path};
use ledgerline_journal::head_store::HeadStore;
use ledgerline_proof::hash::{Hash, empty_root};
use ledgerline_view::identity::{Identity, PredecessorRef};
use ledgerline_world::disk::{Below, Disk};

use super::report::{Counts, Findings, OlderReport, Severity, VerifyFinding, VerifyReport};
use super::signatures::{SIGNATURES_CHECK, every_signature};
use super::{Examined, One, VerifyOptions, VerifyWorld, examine, files};

/// What all origins say together.
#[derive(Default)]
struct Together {
    erased: BTreeMap<[u8; 16], u64>,
    torn: Vec<(Hash, u64)>,
}

impl Together {
    fn add(&mut self, examined: &mut Examined) {
        self.erased.extend(std::mem::take(&mut examined.erased));
        self.torn.append(&mut examined.torn);
    }
}

fn error(code: &'static str, file: &str, what: String) -> VerifyFinding {
    VerifyFinding::new(Severity::Error, code, file, what)
}

/// Verifies a ledger with all its origins.
pub(super) fn verify(world: &VerifyWorld, options: &VerifyOptions<'_>) -> VerifyReport {
    let disk = world.disk.as_ref();
    let mut findings = Findings::default();
    let ends = ends(disk, &mut findings);
    let begins = begins(world, &ends, &mut findings);
    let names: Vec<&str> = ends.iter().flatten().map(|end| &*end.origin).collect();
    let mut together = Together::default();
    let newest = One {
        world,
        shared: &world.disk,
        end: None,
        before: &names,
        erased_later: &BTreeMap::new(),
    };
    let mut newest = if begins { None } else { Some(examine(&newest, options)) };
    let mut named = None;
    if let Some(Some(examined)) = &mut newest {
        findings.absorb(std::mem::take(&mut examined.findings));
        together.add(examined);
        named = Some(examined.identity.predecessor.clone());
    } else if !begins {
        findings.absorb(super::without_genesis(&world.disk));
    }
    let mut reports = Vec::new();
    for (number, end) in ends.iter().enumerate().rev() {
        let Some(end) = end else {
            if let Some(Some(named)) = named.take() {
                follows(Some(&named), None, number, &mut findings);
            }
            continue;
        };
        if let Some(named) = &named {
            follows(named.as_ref(), Some(end), number, &mut findings);
        }
        let (report, identity) = older(
            world,
            options,
            &names[..number.min(names.len())],
            number,
            end,
            &mut together,
            &mut findings,
        );
        reports.push(report);
        named = identity.map(|identity| identity.predecessor);
    }
    if let Some(Some(named)) = &named {
        follows(Some(named), None, 0, &mut findings);
    }
    reports.reverse();
    let newest = newest.flatten();
    if let Some(keys) = &world.keys {
        let clean = newest.as_ref().is_some_and(|one| one.clean);
        files::vault(disk, keys, &together.erased, clean, &mut findings);
    }
    files::torn(disk, &together.torn, &mut findings);
    report(newest, reports, findings)
}

/// Reads an older origin.
fn older(
    world: &VerifyWorld,
    options: &VerifyOptions<'_>,
    names: &[&str],
    number: usize,
    end: &EndNote,
    together: &mut Together,
    all: &mut Findings,
) -> (OlderReport, Option<Identity>) {
    let folder = folder(number);
    let disk: Arc<dyn Disk> = Arc::new(Below::new(Arc::clone(&world.disk), &folder));
    let below = VerifyWorld { disk, ..world.clone() };
    let one = One {
        world: &below,
        shared: &world.disk,
        end: Some(end),
        before: names,
        erased_later: &together.erased,
    };
    let mut examined = examine(&one, options);
    let mut findings = match &mut examined {
        Some(examined) => std::mem::take(&mut examined.findings),
        None => super::without_genesis(&below.disk),
    };
    let head = world.head.as_deref();
    if head.is_some_and(|head| !end.agrees_with(head, number).unwrap_or(false)) {
        let what = format!("the head store keeps another end of it ({})", head_path(number));
        findings.push(error("origin_end", "end", what));
    }
    let (verdict, first_bad_index, count) = findings.summary();
    all.absorb(findings.of_origin(&end.origin, &folder));
    let mut report = OlderReport {
        origin: end.origin.clone(),
        folder,
        verdict,
        size: 0,
        root: empty_root(),
        published_size: None,
        first_bad_index,
        findings: count,
        counts: Counts::default(),
    };
    let Some(mut examined) = examined else { return (report, None) };
    together.add(&mut examined);
    report.size = examined.size;
    report.root = examined.root;
    report.published_size = end.published_size(&examined.identity.log_key);
    report.counts = examined.counts;
    (report, Some(examined.identity))
}

/// The notes of all folders below `origins`; none where one does not hold.
fn ends(disk: &dyn Disk, findings: &mut Findings) -> Vec<Option<EndNote>> {
    let names = disk.list("origins").unwrap_or_default();
    let number = |name: &String| name.parse().ok().filter(|n: &usize| n.to_string() == *name);
    let count = names.iter().filter_map(number).max().map_or(0, |last| last.saturating_add(1));
    let count = count.min(names.len());
    for name in &names {
        if number(name).is_none_or(|number| number >= count) && *name != "moving" {
            let what = "an unknown file; it is not part of the ledger".to_owned();
            let file = format!("origins/{name}");
            findings.push(VerifyFinding::new(Severity::Notice, "unknown_file", &file, what));
        }
    }
    let mut end = |number| match EndNote::read(disk, &end_path(number)) {
        Ok(end) => Some(end),
        // The move that makes this folder is under way.
        Err(_) if disk.exists(MOVING).unwrap_or(false) && number + 1 == count => None,
        Err(why) => {
            let what = format!("where this origin ends cannot be read: {why}");
            findings.push(error("origin_end", &end_path(number), what));
            None
        }
    };
    (0..count).map(&mut end).collect()
}

/// Whether a new origin is about to begin: then the newest one has no rooms yet, or not all.
fn begins(world: &VerifyWorld, ends: &[Option<EndNote>], findings: &mut Findings) -> bool {
    let disk = world.disk.as_ref();
    let moving = disk.exists(MOVING).unwrap_or(false);
    let empty = disk.list("journal").is_ok_and(|names| names.iter().all(|n| !n.ends_with(".seg")));
    let last = ends.last().and_then(Option::as_ref);
    let head = world.head.as_ref().map(|head| HeadStore::new(Arc::clone(head)).note());
    let told = match (last, head) {
        (Some(end), Some(Ok(Some(note)))) => note == end.published.as_bytes(),
        (Some(_), None) => true,
        _ => false,
    };
    let begins = moving || (empty && told);
    if begins {
        let what = "a new origin is about to begin; the next start finishes it, verify then";
        let file = if moving { MOVING } else { "journal" };
        findings.push(VerifyFinding::new(Severity::Incomplete, "origin", file, what.to_owned()));
    }
    begins
}

/// Whether a GENESIS names the origin before it.
fn follows(
    named: Option<&PredecessorRef>,
    end: Option<&EndNote>,
    number: usize,
    findings: &mut Findings,
) {
    if named == end.map(PredecessorRef::of).as_ref() {
        return;
    }
    let what = match (named, end) {
        (Some(named), None) => format!(
            "the origin {:?}, which a GENESIS names as its predecessor, is not there or not \
             whole: restore its folder",
            named.origin
        ),
        (Some(named), Some(_)) => {
            format!("the GENESIS behind it names another predecessor, {:?}", named.origin)
        }
        (None, _) => "the GENESIS behind it names no predecessor".to_owned(),
    };
    findings.push(error("predecessor", &folder(number), what));
}

fn report(
    newest: Option<Examined>,
    predecessors: Vec<OlderReport>,
    findings: Findings,
) -> VerifyReport {
    let (verdict, findings, findings_dropped) = findings.finish();
    let counts = |one: &&VerifyFinding| one.severity < Severity::Notice && one.origin.is_none();
    let bad = findings.iter().filter(counts).filter_map(|one| one.first_bad_index).min();
    let of_older = || predecessors.iter().find_map(|one| one.first_bad_index);
    let first_bad_index = bad.or_else(of_older);
    let (size, root) = newest.as_ref().map_or((0, empty_root()), |one| (one.size, one.root));
    let origin = newest.as_ref().map(|one| one.identity.origin.to_string()).unwrap_or_default();
    let mut report = VerifyReport {
        verdict,
        size,
        root,
        origin,
        first_bad_index,
        checks: Vec::new(),
        predecessors,
        findings,
        findings_dropped,
        counts: Counts::default(),
        unverifiable: BTreeMap::new(),
        lifecycle_violations: BTreeMap::new(),
    };
    if let Some(Examined { checks, counts, unverifiable, violations, .. }) = newest {
        report.checks = checks;
        report.counts = counts;
        let all = report.predecessors.iter().map(|one| &one.counts).chain([&report.counts]);
        let (checked, kept) = all.fold((0, 0), |(checked, kept), one| {
            (checked + one.checkpoint_signatures, kept + one.kept_signatures)
        });
        let behind = report.checks.iter().position(|one| one.what == SIGNATURES_CHECK);
        let at = behind.map_or(report.checks.len(), |at| at + 1);
        report.checks.insert(at, every_signature(checked, kept));
        report.unverifiable = unverifiable;
        report.lifecycle_violations = violations;
    }
    report
}
