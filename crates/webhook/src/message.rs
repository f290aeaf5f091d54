//! From entries about findings to messages.
//!
//! ```text
//! {"type":"finding.raised" | "finding.acknowledged" | "finding.closed" | "finding.withdrawn" |
//!         "finding.again" | "finding.caused" | "finding.reopened",
//!  "timestamp":…,"data":{"origin":…,"tenant":…,"finding":{…}}}
//! {"type":"findings.repeated","timestamp":…,"data":{"origin":…,"tenant":…,"became":…,"rule":…,
//!  "severity":…,"source":…,"count":…,"first_index":…,"last_index":…,"examples":[{…}]}}
//! ```
//!
//! Promises: the message of the same entries is the same at every try. A finding is as it stood
//! behind its entry.

use ledgerline_answers::finding_json::finding;
use ledgerline_api::finding::{self as form, Finding, FindingNews, News, RepeatedFindings};
use ledgerline_api::uuid_text;
use ledgerline_api::values::Time;
use ledgerline_followers::findings::list;
use ledgerline_followers::findings::rules::Severity;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Moved};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::View;

use crate::queue::{Likeness, Telling, Waiting};

/// One message on its way.
pub struct Message {
    /// The same at every try.
    pub id: String,
    /// JSON.
    pub body: String,
}

/// What an entry says about a finding.
pub struct Named {
    /// Whose it is.
    pub tenant: String,
    /// Which one.
    pub finding: Hash,
    became: String,
    event_id: [u8; 16],
    recorded_at: i64,
    /// Rule, severity and first source, where the entry itself says it.
    own: Option<(String, Severity, String)>,
}

/// Something that waits, as a message; `None` when none of it is known to this version.
///
/// # Errors
/// Why the ledger could not be read.
pub fn message(view: &View, waiting: &Waiting) -> Result<Option<Message>, String> {
    let Some(named) = named_at(view, waiting.index)? else { return Ok(None) };
    let origin = &*view.identity().origin;
    let event_id = uuid_text::text(&named.event_id);
    let (id, kind, timestamp, data) = match &waiting.telling {
        Telling::One { .. } => {
            let Some(finding) = shown(view, waiting.index, &named)? else { return Ok(None) };
            let tenant = (&*named.tenant).into();
            let news = FindingNews { origin: origin.into(), tenant, finding };
            let kind = format!("finding.{}", named.became);
            (event_id, kind, named.recorded_at, News::One(Box::new(news)))
        }
        Telling::Many { likeness, count, last, examples: indexes } => {
            let mut examples = Vec::new();
            for index in indexes {
                if let Some(one) = named_at(view, *index)? {
                    examples.extend(shown(view, *index, &one)?);
                }
            }
            let newest = named_at(view, *last)?.map_or(named.recorded_at, |one| one.recorded_at);
            let news = RepeatedFindings {
                origin: origin.into(),
                tenant: (&*named.tenant).into(),
                became: (&*likeness.became).into(),
                rule: (&*likeness.rule).into(),
                severity: likeness.severity.word().into(),
                source: (&*likeness.source).into(),
                count: *count,
                first_index: waiting.index,
                last_index: *last,
                examples,
            };
            let id = format!("{event_id}-and-{}-more", count - 1);
            (id, "findings.repeated".to_owned(), newest, News::Many(news))
        }
    };
    let message = form::Message { kind: kind.into(), timestamp: Time(timestamp), data };
    let body = serde_json::to_string(&message).map_err(|error| error.to_string())?;
    Ok(Some(Message { id, body }))
}

/// What the entry at an index says about a finding; `None` when it is about none.
///
/// # Errors
/// Why the ledger could not be read.
pub fn named_at(view: &View, index: u64) -> Result<Option<Named>, String> {
    let leaf = view.leaf(index).map_err(|error| error.to_string())?;
    Ok(named(&leaf))
}

/// What a finding is a repeat of others by; `None` for one that this version does not know.
///
/// # Errors
/// Why the ledger could not be read.
pub fn likeness(view: &View, index: u64, named: &Named) -> Result<Option<Likeness>, String> {
    let own = match &named.own {
        Some(own) => Some(own.clone()),
        None => found(view, index, named)?.and_then(|found| found.raised.read(|_, one| own(one))),
    };
    let became = named.became.clone();
    Ok(own.map(|(rule, severity, source)| Likeness { became, rule, severity, source }))
}

fn own(statement: &Statement<'_>) -> Option<(String, Severity, String)> {
    let word = statement.detail("severity")?;
    let severity = Severity::ALL.into_iter().find(|one| one.word() == word)?;
    let source = statement.links.iter().find_map(|link| link.event.as_ref());
    let source = source.map(|event| event.source.to_owned()).unwrap_or_default();
    Some((statement.detail("rule")?.to_owned(), severity, source))
}

fn found(view: &View, index: u64, named: &Named) -> Result<Option<list::Found>, String> {
    let tenant = named.tenant.clone();
    let as_of = view.up_to(index + 1);
    let scope = Scope { tenant, as_of, at: None, judged_at: i64::MAX };
    let context = QueryContext::new(view, scope, Spending::default());
    let mut context = context.map_err(|error| error.to_string())?;
    list::finding(&mut context, &named.finding).map_err(|error| error.to_string())
}

/// The finding as it stood behind an entry; `None` for one that this version does not know.
fn shown(view: &View, index: u64, named: &Named) -> Result<Option<Finding<'static>>, String> {
    let Some(found) = found(view, index, named)? else { return Ok(None) };
    // That is of now; what is sent is the same at every try.
    Ok(Some(Finding { proof_state: None, ..finding(view, &found) }))
}

fn named(leaf: &[u8]) -> Option<Named> {
    let entry = decode_object::<Entry<'_>>(Kind::Entry, leaf).ok()?;
    // The source as it is encoded: most entries are done with here.
    let mark = [&[12], LEDGER_SOURCE.as_bytes()].concat();
    if !entry.statement.windows(mark.len()).any(|window| window == mark) {
        return None;
    }
    let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).ok()?;
    if statement.source != LEDGER_SOURCE {
        return None;
    }
    let became = match statement.event_type {
        EventType::FindingRaised => "raised",
        EventType::FindingClosed => statement.detail("state")?,
        _ => return None,
    };
    // Not each act that is counted to a finding: when they have doubled.
    let count = statement.detail("count").and_then(|count| count.parse::<u64>().ok());
    if became == Moved::Again.word() && !count.is_some_and(u64::is_power_of_two) {
        return None;
    }
    Some(Named {
        tenant: statement.tenant.to_owned(),
        finding: Hash::from_hex(statement.detail("finding")?).ok()?,
        became: became.to_owned(),
        event_id: statement.event_id,
        recorded_at: entry.recorded_at.nanos,
        own: own(&statement),
    })
}
