//! What the records so far have shown of each session: its clients and their newest tokens.
//!
//! Two things are concluded from it, and from nothing else: which token was exchanged (the newest
//! access token of the session and client that the record names), and whether a session has lost
//! its last client. The book is bounded; what falls out is counted, and then nothing is concluded.

use std::collections::BTreeSet;

use ledgerline_adapter::Millis;
use ledgerline_adapter::memory::Remembered;

const SESSIONS_MAX: usize = 1 << 18;
/// Clients of a session, and access tokens of a client in a session, that are kept; newest last.
const CLIENTS_MAX: usize = 32;
const TOKENS_MAX: usize = 8;
const PERSON_SESSIONS_MAX: usize = 8;
const REVOKED_MAX: usize = 1 << 16;
/// Clients of the realm.
const KNOWN_MAX: usize = 1 << 12;

/// An access token.
struct Access {
    id: String,
    at: Millis,
    expires: Option<Millis>,
}

struct Client {
    id: String,
    /// Whether it has a part of the session. An exchange may leave none behind.
    is_lasting: bool,
    access: Vec<Access>,
}

#[derive(Default)]
struct Session {
    clients: Vec<Client>,
}

/// The sessions of the log.
pub(super) struct Sessions {
    sessions: Remembered<Session>,
    revoked: Remembered<()>,
    /// The newest sessions of a person; newest last.
    persons: Remembered<Vec<String>>,
    clients: BTreeSet<String>,
    pub forgotten: u64,
}

/// A token and where it was given out.
pub(super) struct Found {
    pub session: String,
    pub token: String,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            sessions: Remembered::new(SESSIONS_MAX),
            revoked: Remembered::new(REVOKED_MAX),
            persons: Remembered::new(SESSIONS_MAX),
            clients: BTreeSet::new(),
            forgotten: 0,
        }
    }
}

impl Sessions {
    /// Notes that a client got something in a session. Returns whether the session is new.
    pub(super) fn enter(&mut self, session: &str, client: &str, is_lasting: bool) -> bool {
        let is_new = self.sessions.get(session).is_none();
        self.client(session, client, is_lasting);
        is_new
    }

    /// Notes an access token.
    pub(super) fn issued(
        &mut self,
        session: &str,
        client: &str,
        id: &str,
        at: Millis,
        expires: Option<Millis>,
    ) {
        let is_lasting = !is_of_no_client_session(id);
        let access = &mut self.client(session, client, is_lasting).access;
        if access.len() >= TOKENS_MAX {
            access.remove(0);
        }
        access.push(Access { id: id.to_owned(), at, expires });
    }

    fn client(&mut self, session: &str, client: &str, is_lasting: bool) -> &mut Client {
        if self.sessions.get(session).is_none() {
            let room = self.sessions.insert(session, Session::default());
            self.forgotten += u64::from(room.is_some());
        }
        let clients = &mut self.sessions.get_mut(session).expect("it is there").clients;
        let place = clients.iter().position(|known| known.id == client).unwrap_or_else(|| {
            if clients.len() >= CLIENTS_MAX {
                clients.remove(0);
                self.forgotten += 1;
            }
            clients.push(Client { id: client.to_owned(), is_lasting, access: Vec::new() });
            clients.len() - 1
        });
        clients[place].is_lasting |= is_lasting;
        &mut clients[place]
    }

    /// The newest access token that the client had in the session at `at`.
    pub(super) fn newest(&self, session: &str, client: &str, at: Millis) -> Option<&str> {
        self.access(session, client, at).map(|access| access.id.as_str())
    }

    fn access(&self, session: &str, client: &str, at: Millis) -> Option<&Access> {
        let clients = &self.sessions.get(session)?.clients;
        let access = &clients.iter().find(|known| known.id == client)?.access;
        let lives = |one: &&Access| {
            one.at <= at
                && one.expires.is_none_or(|expires| at < expires)
                && self.revoked.get(&one.id).is_none()
        };
        access.iter().rev().find(lives)
    }

    /// Notes whose session it is.
    pub(super) fn belongs(&mut self, session: &str, user: &str) {
        if self.persons.get(user).is_none() {
            let room = self.persons.insert(user, Vec::new());
            self.forgotten += u64::from(room.is_some());
        }
        let sessions = self.persons.get_mut(user).expect("it is there");
        if sessions.iter().any(|known| known == session) {
            return;
        }
        if sessions.len() >= PERSON_SESSIONS_MAX {
            sessions.remove(0);
        }
        sessions.push(session.to_owned());
    }

    /// The newest access token that the client had in any of the person's sessions at `at`.
    pub(super) fn newest_of(&self, user: &str, client: &str, at: Millis) -> Option<Found> {
        let sessions = self.persons.get(user)?.iter();
        let found =
            sessions.filter_map(|session| Some((session, self.access(session, client, at)?)));
        let (session, access) = found.max_by_key(|(_, access)| access.at)?;
        Some(Found { session: session.clone(), token: access.id.clone() })
    }

    /// Notes that a token was revoked by itself.
    pub(super) fn revoke(&mut self, id: &str) {
        // The oldest to fall out have long expired.
        self.revoked.insert(id, ());
    }

    /// Takes a client out of a session. Returns whether it was the last one that has a part of it:
    /// `false` when the session was not seen from its beginning.
    pub(super) fn leave(&mut self, session: &str, client: &str) -> bool {
        let Some(session) = self.sessions.get_mut(session) else { return false };
        let before = session.clients.len();
        session.clients.retain(|known| known.id != client);
        before > session.clients.len() && !session.clients.iter().any(|known| known.is_lasting)
    }

    /// Forgets a session that ended.
    pub(super) fn end(&mut self, session: &str) {
        self.sessions.remove(session);
    }

    /// Notes a client of the realm.
    pub(super) fn know(&mut self, client: &str) {
        if self.clients.contains(client) {
            return;
        }
        if self.clients.len() < KNOWN_MAX {
            self.clients.insert(client.to_owned());
        } else {
            self.forgotten += 1;
        }
    }

    /// The clients of the realm that the log has shown, in the order of their names.
    pub(super) fn clients(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().map(String::as_str)
    }
}

/// Whether the id of an access token says that its client has no session of its own: `nt` online,
/// `ft` offline, as the first two letters of the prefix (since Keycloak 26.2).
fn is_of_no_client_session(id: &str) -> bool {
    let Some((front, _)) = id.rsplit_once(':') else { return false };
    let prefix = front.rsplit(':').next().unwrap_or_default();
    prefix.len() == 6 && (prefix.starts_with("nt") || prefix.starts_with("ft"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Millis {
        Millis::from_seconds(second).expect("a year of ours")
    }

    #[test]
    fn the_newest_token_is_one_that_lives() {
        let mut sessions = Sessions::default();
        sessions.issued("s", "web", "a", at(1), None);
        sessions.issued("s", "web", "b", at(2), Some(at(5)));
        sessions.issued("s", "cli", "c", at(3), None);
        assert_eq!(sessions.newest("s", "web", at(0)), None);
        assert_eq!(sessions.newest("s", "web", at(1)), Some("a"));
        assert_eq!(sessions.newest("s", "web", at(4)), Some("b"));
        assert_eq!(sessions.newest("s", "web", at(5)), Some("a"));
        sessions.revoke("a");
        assert_eq!(sessions.newest("s", "web", at(5)), None);
        assert_eq!(sessions.newest("other", "web", at(5)), None);
    }

    #[test]
    fn a_session_ends_with_its_last_client_and_not_before() {
        let mut sessions = Sessions::default();
        sessions.issued("s", "web", "eu:kc:jti:onrtro:1", at(1), None);
        sessions.issued("s", "api", "eu:kc:jti:ntrtte:2", at(1), None);
        assert!(sessions.leave("s", "web"), "the exchange left nothing behind");
        sessions.issued("t", "web", "eu:kc:jti:onrtro:3", at(1), None);
        sessions.issued("t", "cli", "eu:kc:jti:onrtac:4", at(1), None);
        assert!(!sessions.leave("t", "web"));
        assert!(!sessions.leave("t", "web"), "it has left");
        assert!(sessions.leave("t", "cli"));
        assert!(!sessions.leave("never seen", "web"));
    }
}
