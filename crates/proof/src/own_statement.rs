//! Statements of the ledger itself, as whoever states something hands them in.
//!
//! Promises: what a statement says is all here; who gives it its place need not know what it is
//! about. Its event id follows from its native id, so that it is recorded once for ever.
//!
//! Assumes: texts that somebody outside chose are named in [`OwnStatement::chosen`].

use crate::entry::Handle;
use crate::statement::{Detail, EventRef, Link};
use crate::vocabulary::{EventType, Relation, Strength, TargetKind};

/// A statement of the ledger itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnStatement {
    /// Tenant.
    pub tenant: String,
    /// Its name among the ledger's own statements.
    pub native_id: String,
    /// What that name is of.
    pub named: Named,
    /// What happened.
    pub event_type: EventType,
    /// What it is about; `None` for the ledger as a whole.
    pub target: Option<(TargetKind, String)>,
    /// Keys and values, in the order that statements ask for.
    pub detail: Vec<(&'static str, String)>,
    /// What it follows from.
    pub causes: Vec<OwnCause>,
    /// The persons it names.
    pub handles: Vec<Handle>,
    /// When, Unix nanoseconds; `None` for when it is recorded.
    pub at: Option<i64>,
    /// Texts in it that somebody outside chose, which must hold no secret.
    pub chosen: Vec<String>,
}

/// What the name of a statement is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Of the ledger, for ever: it is recorded once in all origins.
    Ever,
    /// Of one origin: it is recorded once there.
    InOrigin,
    /// Of one entry: it is recorded each time that it is stated. The entry's index goes behind it.
    EachTime,
}

/// A token or an event that a statement of the ledger follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCause {
    /// The token.
    pub token: Option<String>,
    /// The event: source and id.
    pub event: Option<(String, [u8; 16])>,
    /// How sure that is.
    pub strength: Strength,
    /// By which rule.
    pub why: Option<&'static str>,
}

impl OwnStatement {
    /// One about the ledger as a whole, as of when it is recorded, with nothing said yet.
    #[must_use]
    pub fn new(tenant: &str, native_id: String, event_type: EventType) -> Self {
        Self {
            tenant: tenant.to_owned(),
            native_id,
            named: Named::Ever,
            event_type,
            target: None,
            detail: Vec::new(),
            causes: Vec::new(),
            handles: Vec::new(),
            at: None,
            chosen: Vec::new(),
        }
    }

    /// The detail of the statement.
    #[must_use]
    pub fn details(&self) -> Vec<Detail<'_>> {
        self.detail.iter().map(|(key, value)| Detail { key, value }).collect()
    }

    /// The links of the statement.
    #[must_use]
    pub fn links(&self) -> Vec<Link<'_>> {
        fn link(one: &OwnCause) -> Link<'_> {
            let event = one.event.as_ref();
            Link {
                token: one.token.as_deref(),
                event: event.map(|(source, event_id)| EventRef { source, event_id: *event_id }),
                relation: Relation::CausedBy,
                strength: one.strength,
                why: one.why,
            }
        }
        self.causes.iter().map(link).collect()
    }
}
