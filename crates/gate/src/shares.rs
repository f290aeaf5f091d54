//! Shares: how much of the server one credential, one tenant and strangers may have at a time.
//!
//! ```text
//!        whole server     tenant         credential         strangers together
//! room   as configured    tenant_share   credential_share   a sixteenth
//! ```
//!
//! Promises: nobody fills a room for others. What is taken is given back when its [`Hold`] is
//! dropped, also when a request is cut off. Taking is three atomic additions: no lock.
//!
//! Assumes: a party is found once for each connection and credential ([`Shares::party`] locks).
//! Refuses: by saying whose share is used up, so that callers know whether waiting for their own
//! answers helps.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::http::StatusCode;
use ledgerline_answers::problem::Problem;
use ledgerline_view::registry::Caller;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;

/// What is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Connections that presented a valid credential.
    Connections,
    /// Requests being answered.
    Requests,
    /// Introspections and revocations being answered: a room that nothing else can fill.
    Vital,
    /// Requests that wait for revocations.
    Polls,
    /// Requests that wait for a reader behind the head.
    Waits,
    /// Streams of findings.
    Streams,
    /// Bytes of bodies that have come and are not taken over yet.
    Bodies,
    /// Bytes of large bodies that wait to be taken apart.
    Line,
    /// Bytes of large answers that are not sent yet.
    Unsent,
}

impl Room {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Connections,
        Self::Requests,
        Self::Vital,
        Self::Polls,
        Self::Waits,
        Self::Streams,
        Self::Bodies,
        Self::Line,
        Self::Unsent,
    ];

    /// Its word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::Vital => "vital_requests",
            Self::Polls => "polls",
            Self::Waits => "waits",
            Self::Streams => "streams",
            Self::Bodies => "body_bytes",
            Self::Line => "line_bytes",
            Self::Unsent => "unsent_bytes",
        }
    }

    const fn wants(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests | Self::Vital => "requests at a time",
            Self::Polls => "requests that wait for revocations",
            Self::Waits => "requests that wait for what follows the ledger",
            Self::Streams => "streams of findings",
            Self::Bodies => "memory for bodies on their way",
            Self::Line => "large bodies that wait to be taken apart",
            Self::Unsent => "memory for answers that are not read",
        }
    }
}

/// Whose share is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The credential's.
    Credential,
    /// The tenant's.
    Tenant,
    /// That of all who present no valid credential.
    Strangers,
    /// There is no more at all.
    Server,
}

impl Whose {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Credential, Self::Tenant, Self::Strangers, Self::Server];

    /// Its word in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Tenant => "tenant",
            Self::Strangers => "strangers",
            Self::Server => "server",
        }
    }
}

/// A refusal for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Of what.
    pub room: Room,
    /// Whose.
    pub whose: Whose,
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        let wants = full.room.wants();
        let (whose, advice) = match full.whose {
            Whose::Credential => ("this credential", "wait for your own answers, then try again"),
            Whose::Tenant => ("this tenant", "wait for the tenant's own answers, then try again"),
            Whose::Strangers => ("whoever presents no valid credential", "try again shortly"),
            Whose::Server if full.room == Room::Requests || full.room == Room::Vital => {
                return Self::unavailable("too_many_requests_open", "try again shortly");
            }
            Whose::Server => return Self::busy(1000),
        };
        let detail = format!("{whose} has its share of {wants}: {advice}");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "share_used_up", detail);
        Self { retry_after_ms: Some(1000), ..problem }
    }
}

const ROOMS: usize = Room::ALL.len();
/// Strangers together have one part in so many.
const STRANGERS_PART: usize = 16;

#[derive(Default)]
struct Taken([AtomicUsize; ROOMS]);

impl Taken {
    fn take(&self, room: Room, amount: usize, most: usize, alone: bool) -> bool {
        let before = self.0[room as usize].fetch_add(amount, Ordering::Relaxed);
        // One piece is always taken, however large, so that a large one cannot starve.
        let fits = before + amount <= most || (alone && before == 0);
        if !fits {
            self.give(room, amount);
        }
        fits
    }

    fn give(&self, room: Room, amount: usize) {
        self.0[room as usize].fetch_sub(amount, Ordering::Relaxed);
    }

    fn get(&self, room: Room) -> usize {
        self.0[room as usize].load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    whole: usize,
    tenant: usize,
    credential: usize,
    strangers: usize,
}

struct Common {
    bounds: [Bounds; ROOMS],
    whole: Taken,
    refused: [[AtomicU64; 4]; ROOMS],
    turns: Turns,
}

/// Turns that are waited for, not refused: whoever waits has a place in its tenant's line first.
struct Turns {
    readers: Arc<Semaphore>,
    vital: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    provers: Arc<Semaphore>,
    parsers: Arc<Semaphore>,
}

impl Turns {
    fn new(cores: usize, is_tenant: bool) -> Self {
        let of = |whole: usize, tenant: usize| {
            Arc::new(Semaphore::new(if is_tenant { tenant } else { whole }))
        };
        let readers = (READERS_A_CORE * cores).min(READERS_MAX);
        Self {
            readers: of(readers, readers / 2),
            vital: of(VITAL_WAITS, VITAL_WAITS / 2),
            lookups: of(3 * cores, 2 * cores),
            provers: of(PROVERS, TENANT_PROVERS),
            // A body taken apart is many times its size: more of them at a time than there are
            // cores would cost memory and gain nothing.
            parsers: of(cores, cores),
        }
    }

    fn line(&self, kind: Kind) -> Arc<Semaphore> {
        Arc::clone(match kind {
            Kind::Read => &self.readers,
            Kind::Vital => &self.vital,
            Kind::LookUp => &self.lookups,
            Kind::Prove => &self.provers,
            Kind::Parse => &self.parsers,
        })
    }
}

/// Questions read at a time: more threads than that would only share the same disk and cores.
const READERS_A_CORE: usize = 8;
const READERS_MAX: usize = 128;
/// Introspections and revocations that wait for the disk at a time.
const VITAL_WAITS: usize = 96;
/// Bundles made at a time: one may take some hundred MiB.
const PROVERS: usize = 3;
const TENANT_PROVERS: usize = 2;

/// A kind of work that has a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A question to the ledger.
    Read,
    /// What an introspection or a revocation waits for.
    Vital,
    /// The look-up of a presented token.
    LookUp,
    /// The making of a bundle.
    Prove,
    /// The taking apart of a large body.
    Parse,
}

/// A turn; given back when dropped.
pub struct Turn {
    _whole: OwnedSemaphorePermit,
    _tenant: OwnedSemaphorePermit,
}

struct Tenant {
    taken: Taken,
    turns: Turns,
}

/// Somebody with a share: a credential of a tenant, or all strangers.
pub struct Party {
    common: Arc<Common>,
    tenant: Arc<Tenant>,
    own: Taken,
    is_stranger: bool,
}

impl Party {
    /// Takes room.
    ///
    /// # Errors
    /// Whose share is used up.
    pub fn take(self: &Arc<Self>, room: Room, amount: usize) -> Result<Hold, Full> {
        self.claim(room, amount, false)?;
        Ok(Hold { party: Arc::clone(self), room, amount })
    }

    /// The same; a single piece is let in also when it is larger than the share.
    ///
    /// # Errors
    /// Whose share is used up.
    pub fn take_or_alone(self: &Arc<Self>, room: Room, amount: usize) -> Result<Hold, Full> {
        self.claim(room, amount, true)?;
        Ok(Hold { party: Arc::clone(self), room, amount })
    }

    fn claim(&self, room: Room, amount: usize, alone: bool) -> Result<(), Full> {
        let bounds = &self.common.bounds[room as usize];
        let (own, tenant) = match self.is_stranger {
            true => (bounds.strangers, bounds.strangers),
            false => (bounds.credential, bounds.tenant),
        };
        if !self.own.take(room, amount, own, alone) {
            let whose = if self.is_stranger { Whose::Strangers } else { Whose::Credential };
            return Err(self.refuse(room, whose));
        }
        if !self.tenant.taken.take(room, amount, tenant, alone) {
            self.own.give(room, amount);
            let whose = if self.is_stranger { Whose::Strangers } else { Whose::Tenant };
            return Err(self.refuse(room, whose));
        }
        if !self.common.whole.take(room, amount, bounds.whole, alone) {
            self.own.give(room, amount);
            self.tenant.taken.give(room, amount);
            return Err(self.refuse(room, Whose::Server));
        }
        Ok(())
    }

    fn refuse(&self, room: Room, whose: Whose) -> Full {
        self.common.refused[room as usize][whose as usize].fetch_add(1, Ordering::Relaxed);
        Full { room, whose }
    }

    fn give(&self, room: Room, amount: usize) {
        self.own.give(room, amount);
        self.tenant.taken.give(room, amount);
        self.common.whole.give(room, amount);
    }

    /// Whether the party has used up its share of a room.
    ///
    /// # Errors
    /// Whose share is used up.
    pub fn has_room(&self, room: Room) -> Result<(), Full> {
        self.claim(room, 1, false)?;
        self.give(room, 1);
        Ok(())
    }

    /// Waits for a turn: in the tenant's line, then in the server's.
    ///
    /// # Errors
    /// 500 when the server is gone.
    pub async fn turn(&self, kind: Kind) -> Result<Turn, Problem> {
        let gone = |_| Problem::internal();
        let tenant = self.tenant.turns.line(kind).acquire_owned().await.map_err(gone)?;
        let whole = self.common.turns.line(kind).acquire_owned().await.map_err(gone)?;
        Ok(Turn { _whole: whole, _tenant: tenant })
    }

    /// How much its tenant has of a room.
    #[must_use]
    pub fn of_tenant(&self, room: Room) -> usize {
        self.tenant.taken.get(room)
    }
}

/// Room that is taken; given back when dropped.
pub struct Hold {
    party: Arc<Party>,
    room: Room,
    amount: usize,
}

impl Hold {
    /// How much it is.
    #[must_use]
    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Takes more of the same.
    ///
    /// # Errors
    /// Whose share is used up; what is held stays so.
    pub fn grow(&mut self, more: usize) -> Result<(), Full> {
        self.party.claim(self.room, more, false)?;
        self.amount += more;
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.party.give(self.room, self.amount);
    }
}

#[derive(Default)]
struct Parties {
    tenants: BTreeMap<String, Weak<Tenant>>,
    credentials: BTreeMap<String, Weak<Party>>,
}

/// All shares.
pub struct Shares {
    common: Arc<Common>,
    parties: Mutex<Parties>,
    strangers: Arc<Party>,
    cores: usize,
}

/// Parties that are forgotten from time to time, when nobody holds them.
const FORGOTTEN_AT: usize = 1024;

impl Shares {
    /// By the limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let bounds = Room::ALL.map(|room| bounds(limits, room));
        let (whole, refused) = Default::default();
        let common = Arc::new(Common { bounds, whole, refused, turns: Turns::new(cores, false) });
        let strangers = Arc::new(Party {
            common: Arc::clone(&common),
            tenant: tenant(cores),
            own: Taken::default(),
            is_stranger: true,
        });
        Self { common, parties: Mutex::default(), strangers, cores }
    }

    /// All who present no valid credential.
    #[must_use]
    pub fn strangers(&self) -> &Arc<Party> {
        &self.strangers
    }

    /// The party of a credential.
    #[must_use]
    pub fn party(&self, caller: &Caller) -> Arc<Party> {
        let mut parties = self.parties.lock().unwrap_or_else(PoisonError::into_inner);
        let key_id: &str = caller.key_id();
        if let Some(party) = parties.credentials.get(key_id).and_then(Weak::upgrade) {
            return party;
        }
        if parties.credentials.len() >= FORGOTTEN_AT {
            parties.credentials.retain(|_, party| party.strong_count() > 0);
            parties.tenants.retain(|_, tenant| tenant.strong_count() > 0);
        }
        let name = caller.tenant();
        let known = parties.tenants.get(name).and_then(Weak::upgrade);
        let of = known.unwrap_or_else(|| {
            let new = tenant(self.cores);
            parties.tenants.insert(name.to_owned(), Arc::downgrade(&new));
            new
        });
        let party = Arc::new(Party {
            common: Arc::clone(&self.common),
            tenant: of,
            own: Taken::default(),
            is_stranger: false,
        });
        parties.credentials.insert(key_id.to_owned(), Arc::downgrade(&party));
        party
    }

    /// How much of a room is taken, and how much there is.
    #[must_use]
    pub fn taken(&self, room: Room) -> (usize, usize) {
        (self.common.whole.get(room), self.common.bounds[room as usize].whole)
    }

    /// Refusals for want of room since start.
    #[must_use]
    pub fn refused(&self, room: Room, whose: Whose) -> u64 {
        self.common.refused[room as usize][whose as usize].load(Ordering::Relaxed)
    }
}

fn tenant(cores: usize) -> Arc<Tenant> {
    Arc::new(Tenant { taken: Taken::default(), turns: Turns::new(cores, true) })
}

/// Streams of findings at a time.
const STREAMS_MAX: usize = 256;
/// Bytes of bodies on their way: what bounds the memory that clients can claim before the ledger's
/// own queue has taken them over.
const BODY_BYTES: usize = 96 << 20;
/// Bytes of large answers on their way.
const UNSENT_BYTES: usize = 256 << 20;

fn bounds(limits: &Limits, room: Room) -> Bounds {
    let whole = match room {
        // A sixteenth is left to those who have not said yet who they are.
        Room::Connections => limits.max_connections - limits.max_connections / STRANGERS_PART,
        Room::Requests | Room::Vital => limits.max_requests,
        Room::Polls | Room::Waits => limits.max_connections / 2,
        Room::Streams => STREAMS_MAX,
        Room::Bodies => BODY_BYTES,
        Room::Line => limits.max_line_bytes,
        Room::Unsent => UNSENT_BYTES,
    };
    let part = |percent: usize| (whole.saturating_mul(percent) / 100).max(1);
    let tenant = part(limits.tenant_share_percent);
    let credential = part(limits.credential_share_percent).min(tenant);
    Bounds { whole, tenant, credential, strangers: (whole / STRANGERS_PART).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(shares: &Shares, of: &Arc<Tenant>) -> Arc<Party> {
        Arc::new(Party {
            common: Arc::clone(&shares.common),
            tenant: Arc::clone(of),
            own: Taken::default(),
            is_stranger: false,
        })
    }

    #[test]
    fn a_credential_a_tenant_and_strangers_have_their_shares_and_no_more() {
        let shares = Shares::new(&Limits { max_requests: 64, ..Limits::default() });
        let [first, second, third] = [tenant(1), tenant(1), tenant(1)];
        let fill = |one: &Arc<Party>| {
            let mut held = Vec::new();
            loop {
                match one.take(Room::Requests, 1) {
                    Ok(hold) => held.push(hold),
                    Err(full) => return (held, full.whose),
                }
            }
        };
        let [a, b, c] = [&first; 3].map(|of| party(&shares, of));
        let ((of_a, whose_a), (of_b, whose_b)) = (fill(&a), fill(&b));
        assert_eq!((of_a.len(), whose_a), (16, Whose::Credential));
        assert_eq!((of_b.len(), whose_b), (16, Whose::Credential));
        assert_eq!(fill(&c).1, Whose::Tenant);
        assert_eq!(fill(shares.strangers()).0.len(), 4);
        let other = [&second, &second].map(|of| fill(&party(&shares, of)).0);
        assert_eq!(other.iter().map(Vec::len).sum::<usize>(), 32);
        assert_eq!(fill(&party(&shares, &third)).1, Whose::Server);
        assert_eq!(shares.taken(Room::Requests), (64, 64));
        assert!(a.take(Room::Vital, 1).is_ok(), "another room");
        drop((of_a, of_b, other));
        assert_eq!(shares.taken(Room::Requests).0, 0, "nothing is lost");
        assert_eq!(fill(&c).0.len(), 16);
        assert_eq!(shares.refused(Room::Requests, Whose::Tenant), 1);
    }

    #[test]
    fn one_piece_is_let_in_however_large() {
        let shares = Shares::new(&Limits::default());
        let one = party(&shares, &tenant(1));
        let large = one.take_or_alone(Room::Unsent, 100 << 20).expect("nothing else waits");
        assert!(one.take_or_alone(Room::Unsent, 1).is_err());
        assert!(one.has_room(Room::Unsent).is_err());
        drop(large);
        assert!(one.has_room(Room::Unsent).is_ok());
    }
}
