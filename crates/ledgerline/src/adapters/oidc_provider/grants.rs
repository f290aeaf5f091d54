//! The living tokens of each grant, as far as this log has shown them.
//!
//! `grant.revoked` names a grant and never its tokens; this book expands it. It is bounded: what
//! falls out is counted, and its tokens get no entry of their own when the grant is revoked. The
//! revocation of the grant itself is still recorded, and covers them.

use crate::adapters::Millis;
use crate::adapters::event::TokenKind;
use crate::adapters::memory::Remembered;

const GRANTS_MAX: usize = 1 << 18;
const MEMBERS_MAX: usize = 1 << 12;

/// A token of a grant.
pub(super) struct Member {
    pub id: String,
    pub kind: TokenKind,
    pub expires: Option<Millis>,
    pub family: Option<String>,
}

struct Grant {
    client: Option<String>,
    members: Vec<Member>,
}

/// All grants of the log that are not revoked.
pub(super) struct Grants {
    grants: Remembered<Grant>,
    pub forgotten: u64,
}

impl Grants {
    pub(super) fn new() -> Self {
        Self { grants: Remembered::new(GRANTS_MAX), forgotten: 0 }
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
