//! Disclosure: which sealed records a question reaches, and opening them once that is recorded.
//!
//! Promises: [`select`] opens nothing. Records are opened by the node's `disclose` alone,
//! after the DISCLOSED entry that counts them is durable. A record counts as open only when it is
//! the one its statement commits to. Of a person asked for by handle only the person's own records
//! are opened: what the same events hold about somebody else is withheld.
//!
//! Assumes: the caller checked who may see the tenant.
//!
//! Refuses: more than [`MAX_EVENTS`] events, [`MAX_RECORDS`] records or 8 MiB of them at a time,
//! but for a single event, which comes whole: the rest is another page, and another entry.

use ledgerline_index::terms::chain_term;
use ledgerline_journal::format::SealedRecord;
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::{Entry, Handle};
use ledgerline_proof::hash::sha256;
use ledgerline_proof::own_statement::{Named, OwnCause, OwnStatement};
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::vocabulary::{EventType, HandleKind, PersonalRole, Strength, TargetKind};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_questions::{Pivot, pivot};
use ledgerline_vault::{OpenError, Vault};
use ledgerline_view::address::{AsOf, EntryRef};
use ledgerline_view::view::{EventView, QueryError, View};
use zeroize::Zeroizing;

/// Events of one disclosure: so many links its entry may have.
pub const MAX_EVENTS: usize = 256;
/// Records of one disclosure.
pub const MAX_RECORDS: usize = 1000;
/// Bytes of sealed records of one disclosure.
const MAX_BYTES: usize = 8 << 20;

/// Whose or which records are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Those of one event.
    Event {
        /// Who told it.
        source: String,
        /// Its id.
        event_id: [u8; 16],
    },
    /// Those of all events of a token's life.
    Token(String),
    /// Those of all events that carry a handle.
    Handle([u8; 16]),
}

/// A part of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub from: EntryRef,
    /// What is looked at.
    pub as_of: AsOf,
    /// Events at most; more than [`MAX_EVENTS`] are never taken.
    pub limit: usize,
}

/// What becomes of a record.
#[derive(Debug)]
pub enum Content {
    /// It is opened: its bytes, which decode as a [`PersonalRecord`].
    Open(Zeroizing<Vec<u8>>),
    /// Its key or its bytes were erased.
    Erased,
    /// It is about somebody else than the person asked for.
    Withheld,
    /// It is there and does not open, or is not what was committed to. `verify` says more.
    Closed,
}

/// A record of an event.
#[derive(Debug)]
pub struct DisclosedRecord {
    /// Which commitment of the statement it opens.
    pub n: u8,
    /// Whom it is about.
    pub role: PersonalRole,
    /// The handle of the person whose key sealed it.
    pub slot: [u8; 16],
    /// What it says.
    pub content: Content,
}

/// An event with its records.
#[derive(Debug)]
pub struct DisclosedEvent {
    /// The event.
    pub event: EventView,
    /// Its records.
    pub records: Vec<DisclosedRecord>,
}

/// An event that a question reaches, its records still sealed.
struct Reached {
    view: View,
    event: EventView,
    sealed: Vec<SealedRecord>,
}

/// What a question reaches, sealed.
pub struct Selection {
    tenant: String,
    about: About,
    /// The person asked for, when the handle is one's.
    person: Option<[u8; 16]>,
    /// The handle asked for, as the events have it.
    asked: Option<Handle>,
    reached: Vec<Reached>,
    next: Option<EntryRef>,
}

/// Finds the events of a part of what is wanted, and where the next part begins. Opens nothing.
///
/// # Errors
/// [`QueryError`].
pub fn select(
    view: &View,
    tenant: &str,
    about: About,
    part: Part,
) -> Result<Selection, QueryError> {
    let scope = Scope { tenant: tenant.to_owned(), as_of: part.as_of, at: None, judged_at: 0 };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    let limit = part.limit.clamp(1, MAX_EVENTS);
    let (entries, next) = match &about {
        About::Event { source, event_id } => {
            (context.find_event(source, event_id)?.into_iter().collect(), None)
        }
        About::Token(id) => life(&mut context, tenant, id, part.from, limit)?,
        About::Handle(id) => {
            let by = Pivot::Handle(*id);
            let (records, next) = pivot(&mut context, &by, part.from, limit)?;
            (records.iter().map(|record| record.at).collect(), next)
        }
    };
    let mut selection = Selection {
        tenant: tenant.to_owned(),
        about,
        person: None,
        asked: None,
        reached: Vec::new(),
        next,
    };
    selection.read(view, &entries)?;
    Ok(selection)
}

/// The entries of the chains of a token, those of all its ids, and where to go on.
fn life(
    context: &mut QueryContext<'_>,
    tenant: &str,
    id: &str,
    mut from: EntryRef,
    limit: usize,
) -> Result<(Vec<EntryRef>, Option<EntryRef>), QueryError> {
    let ids = context.ids_of(id)?;
    let chain = |id| ChainKey { kind: TargetKind::Token, tenant, id };
    let terms: Vec<_> =
        ids.iter().map(|id| chain_term(context.view().terms(), &chain(id.as_bytes()))).collect();
    let mut found = Vec::new();
    loop {
        let (entries, next) = context.postings_of_any(&terms, from, limit + 1)?;
        for at in entries {
            let Some(record) = context.record(at)? else {
                if context.is_spent() {
                    return Ok((found, Some(at)));
                }
                continue;
            };
            let is_its = record.read(|_, one| {
                let token = one.tenant == tenant && one.target.kind == TargetKind::Token;
                token && ids.contains(one.target.id)
            });
            if !is_its {
                continue;
            }
            if found.len() >= limit {
                return Ok((found, Some(at)));
            }
            found.push(at);
        }
        match next {
            Some(next) if !context.is_spent() => from = next,
            next => return Ok((found, next)),
        }
    }
}

impl Selection {
    /// Reads the events with their sealed records, as many as one disclosure may have.
    fn read(&mut self, view: &View, entries: &[EntryRef]) -> Result<(), QueryError> {
        let (mut records, mut bytes) = (0, 0);
        for &at in entries {
            let origin = view.of_log(at.log);
            let Some(stored) = origin.stored(&[at.index])?.pop() else { continue };
            let sealed = stored.sealed.clone();
            let Some(event) = origin.event_view(at.index, stored) else { continue };
            records += sealed.len();
            bytes += sealed.iter().map(|one| one.sealed.len()).sum::<usize>();
            if !self.reached.is_empty() && (records > MAX_RECORDS || bytes > MAX_BYTES) {
                self.next = Some(at);
                return Ok(());
            }
            if let (About::Handle(id), None) = (&self.about, &self.asked) {
                let named =
                    |entry: &Entry<'_>| entry.handles.iter().find(|one| one.id == *id).cloned();
                self.asked = read_event(&event.leaf, |entry, _| named(entry)).flatten();
                let person = |one: &&Handle| one.kind == HandleKind::Person;
                self.person = self.asked.as_ref().filter(person).map(|one| one.id);
            }
            self.reached.push(Reached { view: origin.into_owned(), event, sealed });
        }
        Ok(())
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reached.is_empty()
    }

    /// Where the next part begins, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<EntryRef> {
        self.next
    }

    /// Whether the entry at an index of an origin is among the events found.
    #[must_use]
    pub fn holds(&self, origin: &str, index: u64) -> bool {
        self.reached.iter().any(|one| one.event.index == index && *one.event.origin == *origin)
    }

    /// The records that will be opened, with the event of each.
    fn to_open(&self) -> impl Iterator<Item = (&Reached, &SealedRecord)> {
        let wanted = |one: &SealedRecord| self.person.is_none_or(|person| person == one.slot);
        let pairs = self.reached.iter().flat_map(|one| one.sealed.iter().map(move |of| (one, of)));
        pairs.filter(move |(reached, one)| {
            let vault = &reached.view.rooms().vault;
            wanted(one) && !one.erased && !vault.is_erased(&one.slot)
        })
    }

    /// How many records will be opened.
    #[must_use]
    pub fn records(&self) -> usize {
        self.to_open().count()
    }

    /// What the entry about it says.
    #[must_use]
    pub fn disclosing(&self, by: &str, purpose: &str) -> OwnStatement {
        let mut handles: Vec<Handle> = self.asked.iter().cloned().collect();
        let mut events: Vec<(String, [u8; 16])> = Vec::new();
        let mut records = 0;
        for (reached, record) in self.to_open() {
            records += 1;
            let told = read_event(&reached.event.leaf, |_, statement| {
                let personal = statement.personal.get(usize::from(record.n));
                let role = personal.map_or(PersonalRole::Other, |one| one.role);
                (role, (statement.source.to_owned(), statement.event_id))
            });
            let Some((role, event)) = told else { continue };
            if events.last() != Some(&event) {
                events.push(event);
            }
            let slot = Handle { role, kind: HandleKind::Person, id: record.slot };
            let known = |one: &Handle| one.kind == slot.kind && one.id == slot.id;
            if !handles.iter().any(known) {
                handles.push(slot);
            }
        }
        let target = match &self.about {
            // The chain of a person is named by exactly this handle.
            About::Handle(id) if self.person.is_some() => {
                let (role, kind) = (PersonalRole::Subject, HandleKind::Person);
                handles = vec![Handle { role, kind, id: *id }];
                Some((TargetKind::Subject, String::new()))
            }
            About::Handle(_) => None,
            About::Token(id) => Some((TargetKind::Token, id.clone())),
            About::Event { .. } => self.reached.first().and_then(|one| {
                read_event(&one.event.leaf, |_, statement| {
                    let target = &statement.target;
                    (target.kind == TargetKind::Token).then(|| (target.kind, target.id.to_owned()))
                })?
            }),
        };
        let cause = |event| OwnCause {
            token: None,
            event: Some(event),
            strength: Strength::Asserted,
            why: None,
        };
        let (by, purpose) = (by.to_owned(), purpose.to_owned());
        let (chosen, records) =
            (vec![self.tenant.clone(), by.clone(), purpose.clone()], records.to_string());
        OwnStatement {
            named: Named::EachTime,
            target,
            detail: vec![("by", by), ("purpose", purpose), ("records", records)],
            causes: events.into_iter().map(cause).collect(),
            handles,
            chosen,
            ..OwnStatement::new(&self.tenant, "disclosed/".to_owned(), EventType::Disclosed)
        }
    }

    /// Opens the records. Only once that is recorded.
    #[must_use]
    pub fn open(self) -> Vec<DisclosedEvent> {
        let person = self.person;
        self.reached.into_iter().map(|one| one.open(person)).collect()
    }
}

impl Reached {
    fn open(self, person: Option<[u8; 16]>) -> DisclosedEvent {
        let Self { view, event, sealed } = self;
        let vault = &view.rooms().vault;
        let records = read_event(&event.leaf, |entry, statement| {
            let hash = sha256(entry.statement);
            let open = |one: &SealedRecord| {
                let personal = statement.personal.get(usize::from(one.n));
                let content = match personal {
                    _ if person.is_some_and(|person| person != one.slot) => Content::Withheld,
                    Some(personal) => content(vault, one, &hash, personal.commitment),
                    None => Content::Closed,
                };
                let role = personal.map_or(PersonalRole::Other, |personal| personal.role);
                DisclosedRecord { n: one.n, role, slot: one.slot, content }
            };
            sealed.iter().map(open).collect()
        });
        DisclosedEvent { event, records: records.unwrap_or_default() }
    }
}

fn content(
    vault: &Vault,
    record: &SealedRecord,
    statement: &ledgerline_proof::hash::Hash,
    committed: ledgerline_proof::hash::Hash,
) -> Content {
    if record.erased {
        return Content::Erased;
    }
    let plain = match vault.open_sealed(&record.slot, record.n, statement, &record.sealed) {
        Ok(plain) => Zeroizing::new(plain),
        Err(OpenError::Erased) => return Content::Erased,
        Err(_) => return Content::Closed,
    };
    let reads = decode_object::<PersonalRecord<'_>>(Kind::Personal, &plain).is_ok();
    if reads && commitment(&plain) == committed { Content::Open(plain) } else { Content::Closed }
}
