//! Findings as statements of the ledger, and back.

use ledgerline_proof::event_id::derived_event_id;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::own_statement::{OwnCause, OwnStatement};
use ledgerline_proof::statement::{MAX_STRING_BYTES, Statement};
use ledgerline_proof::vocabulary::{EventType, Moved, Strength, TargetKind};
use ledgerline_view::registry::LEDGER_SOURCE;
use uuid::Uuid;

use super::rules::{Cited, Finding, Rule, Severity};
use super::uses_gap::Gap;
use crate::reported::Reported;

/// Longest note.
pub const MAX_NOTE_BYTES: usize = MAX_STRING_BYTES;

/// What the follower wants recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A finding.
    Raised(Finding),
    /// A finding moved on.
    Moved(Move),
    /// A report of the verifier.
    Reported(Reported),
    /// Uses that a crash swallowed, perhaps.
    Missing(Gap),
}

impl Note {
    /// As a statement of the ledger.
    #[must_use]
    pub fn statement(&self) -> OwnStatement {
        let parts = NoteParts::of(self);
        let causes = parts.causes();
        let NoteParts { tenant, native_id, event_type, at, detail, .. } = parts;
        let chosen = match self {
            // Reconciliation names tokens that the ledger need not know.
            Self::Raised(finding) => vec![finding.target.clone()],
            Self::Moved(moved) if moved.by == LEDGER_SOURCE => vec![moved.note.clone()],
            Self::Moved(moved) => vec![moved.tenant.clone(), moved.by.clone(), moved.note.clone()],
            Self::Reported(_) | Self::Missing(_) => Vec::new(),
        };
        let own = OwnStatement::new(tenant, native_id, event_type);
        OwnStatement { detail, causes, at: Some(at), chosen, ..own }
    }
}

/// An event upon which the ledger itself moves a finding on, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upon {
    /// The event: the next act, the revocation, or the entry that arrived late.
    pub event: Cited,
    /// How many acts, or revocations, there are with it, where they are counted.
    pub count: Option<u64>,
}

/// A finding moved on, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Tenant of the finding.
    pub tenant: String,
    /// Its id.
    pub finding: Hash,
    /// Where to.
    pub to: Moved,
    /// The credential, or `ledger`.
    pub by: String,
    /// Why. At most [`MAX_NOTE_BYTES`], without control characters.
    pub note: String,
    /// When, Unix nanoseconds.
    pub at: i64,
    /// The event upon which it moves, when an event moves it.
    pub upon: Option<Upon>,
    /// How many times it was closed or reopened before: whoever moves it now moves it again.
    pub turn: u64,
}

/// A finding by its name, of a tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'n> {
    pub(super) tenant: &'n str,
    pub(super) finding: Hash,
}

/// A finding that the ledger moves on upon an event.
pub(super) fn moved_upon(of: Named<'_>, to: Moved, note: &str, upon: Upon, at: i64) -> Note {
    moved(of, to, note, Some(upon), at)
}

/// A finding that no longer holds.
#[must_use]
pub fn withdrawn(tenant: &str, finding: Hash, note: &str, at: i64) -> Note {
    moved(Named { tenant, finding }, Moved::Withdrawn, note, None, at)
}

fn moved(of: Named<'_>, to: Moved, note: &str, upon: Option<Upon>, at: i64) -> Note {
    let (tenant, finding) = (of.tenant.to_owned(), of.finding);
    let (by, note) = (LEDGER_SOURCE.to_owned(), note.to_owned());
    Note::Moved(Move { tenant, finding, to, by, note, at, upon, turn: 0 })
}

fn native_id(finding: &Hash) -> String {
    format!("finding/{}", finding.to_hex())
}

/// The event id of the FINDING_RAISED of a finding.
#[must_use]
pub fn raised_event_id(tenant: &str, finding: &Hash) -> [u8; 16] {
    derived_event_id(tenant, LEDGER_SOURCE, &native_id(finding), 0)
}

/// Whether a statement closes a finding.
pub(super) fn is_closing(statement: &Statement<'_>) -> bool {
    statement.event_type == EventType::FindingClosed
        && statement.source == LEDGER_SOURCE
        && statement.detail("state") == Some(Moved::Closed.word())
}

/// The event id of the first closing of a finding.
pub(super) fn closed_event_id(tenant: &str, finding: &Hash) -> [u8; 16] {
    let name = format!("{}/{}", native_id(finding), Moved::Closed.word());
    derived_event_id(tenant, LEDGER_SOURCE, &name, 0)
}

/// The parts of a statement that a note decides.
#[derive(Debug)]
struct NoteParts<'n> {
    /// Tenant.
    tenant: &'n str,
    /// Its name among the ledger's own statements.
    native_id: String,
    /// RAISED or CLOSED.
    event_type: EventType,
    /// Unix nanoseconds.
    at: i64,
    detail: Vec<(&'static str, String)>,
    token: Option<&'n str>,
    why: Option<&'static str>,
    events: Vec<(String, [u8; 16])>,
    /// An event that the ledger concludes to belong here.
    upon: Option<(&'n Cited, &'static str)>,
}

impl<'n> NoteParts<'n> {
    fn of(note: &'n Note) -> Self {
        match note {
            Note::Raised(finding) => Self::raised(finding),
            Note::Moved(moved) => Self::moved(moved),
            Note::Reported(reported) => Self::reported(reported),
            Note::Missing(gap) => Self::missing(gap),
        }
    }

    fn raised(finding: &'n Finding) -> Self {
        let id = finding.id();
        let mut detail = Vec::with_capacity(12);
        let is_token = finding.kind == TargetKind::Token;
        detail.extend(finding.about.clone().map(|about| ("about", about)));
        detail.extend(finding.explained.map(|one| ("explained", one.word().to_owned())));
        detail.push(("finding", id.to_hex()));
        detail.extend(finding.gap_ms.map(|gap| ("gap_ms", gap.to_string())));
        detail.extend(finding.parent.clone().map(|parent| ("parent", parent)));
        detail.extend(finding.place.clone().map(|place| ("place", place)));
        detail.push(("rule", finding.rule.code().to_owned()));
        detail.push(("severity", finding.severity.word().to_owned()));
        if is_token {
            detail.push(("token", finding.target.clone()));
        } else {
            detail.push(("target", finding.target.clone()));
            detail.push(("target_kind", finding.kind.symbol().to_owned()));
        }
        detail.push(("version", finding.rule.version().to_string()));
        Self {
            tenant: &finding.tenant,
            native_id: native_id(&id),
            event_type: EventType::FindingRaised,
            at: finding.noticed_at,
            detail,
            token: is_token.then_some(&*finding.target),
            why: Some(finding.rule.code()),
            events: finding.events.iter().map(|one| (one.source.clone(), one.event_id)).collect(),
            upon: None,
        }
    }

    fn moved(moved: &'n Move) -> Self {
        let raised = raised_event_id(&moved.tenant, &moved.finding);
        let upon = moved.upon.as_ref();
        let mut detail = vec![("by", moved.by.clone())];
        let count = upon.and_then(|one| one.count);
        detail.extend(count.map(|count| ("count", count.to_string())));
        detail.push(("finding", moved.finding.to_hex()));
        detail.push(("note", moved.note.clone()));
        detail.push(("state", moved.to.word().to_owned()));
        // It moves upon each event once.
        let of = upon.map(|one| format!("/{}", Uuid::from_bytes(one.event.event_id)));
        let turn = || if moved.turn > 0 { format!("/{}", moved.turn) } else { String::new() };
        let of = of.unwrap_or_else(turn);
        Self {
            tenant: &moved.tenant,
            native_id: format!("{}/{}{of}", native_id(&moved.finding), moved.to.word()),
            event_type: EventType::FindingClosed,
            at: moved.at,
            detail,
            token: None,
            why: None,
            events: vec![(LEDGER_SOURCE.to_owned(), raised)],
            upon: upon.map(|one| (&one.event, moved.to.word())),
        }
    }

    fn reported(reported: &'n Reported) -> Self {
        Self {
            tenant: "",
            native_id: reported.native_id.clone(),
            event_type: EventType::VerifyReport,
            at: reported.at,
            detail: reported.detail.clone(),
            token: None,
            why: None,
            events: Vec::new(),
            upon: None,
        }
    }

    fn missing(gap: &'n Gap) -> Self {
        let (id, rule) = (gap.id(), Rule::SourceGap);
        let (from, to) = (gap.from, gap.to);
        let detail = vec![
            ("about", "introspection uses of at most one window may be missing".to_owned()),
            ("finding", id.to_hex()),
            ("from", from.to_string()),
            ("rule", rule.code().to_owned()),
            ("severity", rule.severity().word().to_owned()),
            ("target_kind", TargetKind::Ledger.symbol().to_owned()),
            ("to", to.to_string()),
            ("version", rule.version().to_string()),
            ("window_ms", (gap.window / 1_000_000).to_string()),
        ];
        Self {
            tenant: &gap.tenant,
            native_id: native_id(&id),
            event_type: EventType::FindingRaised,
            at: to,
            detail,
            token: None,
            why: Some(rule.code()),
            events: Vec::new(),
            upon: None,
        }
    }

    /// What it follows from.
    fn causes(&self) -> Vec<OwnCause> {
        let strength = if self.why.is_some() { Strength::Inferred } else { Strength::Asserted };
        let cause = |token, event| OwnCause { token, event, strength, why: self.why };
        let token = self.token.map(|token| cause(Some(token.to_owned()), None));
        let events = self.events.iter().map(|event| cause(None, Some(event.clone())));
        let upon = self.upon.map(|(one, why)| OwnCause {
            token: None,
            event: Some((one.source.clone(), one.event_id)),
            strength: Strength::Inferred,
            why: Some(why),
        });
        token.into_iter().chain(events).chain(upon).collect()
    }
}

/// Rule and severity of a FINDING_RAISED; `None` when it is none that this version knows.
#[must_use]
pub fn kind_of(statement: &Statement<'_>) -> Option<(Rule, Severity)> {
    kind_by(|key| statement.detail(key))
}

/// As [`kind_of`], of one that is to be recorded.
#[must_use]
pub fn raised_by(own: &OwnStatement) -> Option<(Rule, Severity)> {
    let detail = |key: &str| own.detail.iter().find(|one| one.0 == key).map(|one| &*one.1);
    (own.event_type == EventType::FindingRaised).then(|| kind_by(detail)).flatten()
}

fn kind_by<'d>(detail: impl Fn(&str) -> Option<&'d str>) -> Option<(Rule, Severity)> {
    let rule = Rule::from_code(detail("rule")?)?;
    let word = detail("severity")?;
    let severity = Severity::ALL.into_iter().find(|one| one.word() == word)?;
    Some((rule, severity))
}
