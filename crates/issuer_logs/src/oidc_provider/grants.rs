//! The living tokens of each grant, as far as this log has shown them, and the grants that died.
//!
//! `grant.revoked` names a grant and never its tokens; this book expands it. A token whose request
//! closes after that is found among the dead: it is revoked too, whenever its own lines came. The
//! book is bounded: what falls out is counted, and its tokens get no entry of their own when the
//! grant is revoked. The revocation of the grant itself is still recorded, and covers them.

use ledgerline_proof::vocabulary::TokenKind;

use crate::oidc_provider::drafts::EventName;
use ledgerline_adapter::Millis;
use ledgerline_adapter::memory::Remembered;

const GRANTS_MAX: usize = 1 << 18;
const MEMBERS_MAX: usize = 1 << 12;

/// A token of a grant.
pub(super) struct Member {
    pub id: String,
    pub kind: TokenKind,
    pub expires: Option<Millis>,
    pub family: Option<String>,
    /// When its line was written.
    pub minted: Millis,
}

/// A revocation of a grant, for the tokens of it that are heard of later.
#[derive(Clone)]
pub(super) struct Death {
    pub at: Millis,
    pub reason: &'static str,
    pub client: Option<String>,
    /// The REVOKED of the grant.
    pub event: EventName,
    /// When the grant was given anew: what was minted from then on is of another life.
    reopened: Option<Millis>,
}

impl Death {
    pub(super) fn new(
        at: Millis,
        reason: &'static str,
        client: Option<String>,
        event: EventName,
    ) -> Self {
        Self { at, reason, client, event, reopened: None }
    }
}

struct Grant {
    client: Option<String>,
    members: Vec<Member>,
}

/// All grants of the log that are not revoked.
pub(super) struct Grants {
    grants: Remembered<Grant>,
    dead: Remembered<Death>,
    pub forgotten: u64,
}

impl Grants {
    pub(super) fn new() -> Self {
        let (grants, dead) = (Remembered::new(GRANTS_MAX), Remembered::new(GRANTS_MAX));
        Self { grants, dead, forgotten: 0 }
    }

    /// Notes a grant. Returns whether it is new.
    pub(super) fn open(&mut self, grant: &str, client: Option<&str>) -> bool {
        if self.grants.get(grant).is_some() {
            return false;
        }
        let client = client.map(ToOwned::to_owned);
        let room = self.grants.insert(grant, Grant { client, members: Vec::new() });
        self.forgotten += u64::from(room.is_some());
        true
    }

    /// Notes that a grant was given at `at`: after its death, what is minted from then on lives.
    pub(super) fn reopen(&mut self, grant: &str, at: Millis) {
        // A line that only comes late gives nothing anew.
        if let Some(death) = self.dead.get_mut(grant).filter(|death| death.at < at) {
            death.reopened.get_or_insert(at);
        }
    }

    /// Notes that a grant died. It can die again: the last time counts.
    pub(super) fn bury(&mut self, grant: &str, death: Death) {
        // The grants that died longest ago: their tokens have expired.
        self.dead.insert(grant, death);
    }

    /// How the grant of a token died, if that is the token's end too.
    pub(super) fn death_of(&self, grant: &str, member: &Member) -> Option<Death> {
        let death = self.dead.get(grant)?;
        let is_of_it = death.reopened.is_none_or(|again| member.minted < again);
        (is_of_it && is_alive(member, death.at)).then(|| death.clone())
    }

    /// Adds a token minted at `at`, and drops those expired by then.
    pub(super) fn add(&mut self, grant: &str, client: Option<&str>, member: Member, at: Millis) {
        self.open(grant, client);
        let Some(grant) = self.grants.get_mut(grant) else { return };
        grant.members.retain(|member| is_alive(member, at));
        if grant.members.len() >= MEMBERS_MAX {
            grant.members.remove(0);
            self.forgotten += 1;
        }
        grant.members.push(member);
    }

    /// Takes a single token out: it was revoked or spent.
    pub(super) fn forget(&mut self, grant: &str, id: &str) {
        if let Some(grant) = self.grants.get_mut(grant) {
            grant.members.retain(|member| member.id != id);
        }
    }

    /// Takes a grant out with its client and its tokens that had not expired at `at`.
    pub(super) fn take(&mut self, grant: &str, at: Millis) -> (Option<String>, Vec<Member>) {
        let Some(mut grant) = self.grants.remove(grant) else { return (None, Vec::new()) };
        grant.members.retain(|member| is_alive(member, at));
        (grant.client, grant.members)
    }

    /// The rotation family of a refresh token.
    pub(super) fn family(&self, grant: &str, id: &str) -> Option<String> {
        let members = &self.grants.get(grant)?.members;
        members.iter().find(|member| member.id == id)?.family.clone()
    }
}

fn is_alive(member: &Member, at: Millis) -> bool {
    member.expires.is_none_or(|expires| at < expires)
}
