//! Tokens of users at resources: what the questions and introspection are measured on.
//!
//! ```text
//! event n   token n / per_token   its first event is ISSUED (with a personal record: the user),
//!                                 the others RESOURCE_ACCESSED, each of one of the resources
//! ```
//!
//! Tokens are opaque values, known by their `t1` ids, so that they can be presented. They expire a
//! day after the maker was made. Numbers are spread by a multiplicative hash: no order of users or
//! resources follows that of tokens. The same number gives the same event.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Personal, PolicyRef, Statement, Target};
use ledgerline_proof::token_id::from_presented;
use ledgerline_proof::vocabulary::{
    EventType, Outcome, PersonalRole, PolicyRole, TargetKind, TokenKind,
};

use crate::bulk::Batches;
use crate::events::{Payload, Signing, hmac_signer, put_submission};
use crate::http::put_post;
use crate::server::{PRODUCER, SOURCE, Server};

/// The shape of the population that the figures name: 5 M tokens, 200 k users and 50 k resources at
/// 100 M events.
pub const EVENTS_PER_TOKEN: u64 = 20;
const EVENTS_PER_USER: u64 = 500;
const EVENTS_PER_RESOURCE: u64 = 2000;
const CLIENTS: u64 = 50;
const POLICIES: u64 = 20;
/// Of all tokens.
pub const REGION: &str = "eu-west-1";
/// The alias of their issuer.
pub const ISSUER: &str = "idp";
/// A day.
pub const DAY_NANOS: i64 = 86_400_000_000_000;
/// An hour.
pub const HOUR_NANOS: i64 = DAY_NANOS / 24;

/// In which order the events of tokens come, and when they occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Token by token, as of now.
    SideBySide,
    /// By turns of so many tokens that are alive at once; the history of some time, told now.
    Interleaved {
        /// Tokens alive at once.
        alive: u64,
        /// Events in all.
        events: u64,
        /// The time that they take, which ends when the maker was made.
        nanos: i64,
    },
}

/// Makes the events of a population.
pub struct Population {
    key: String,
    signer: StatementSigner,
    born: i64,
    per_token: u64,
    users: u64,
    resources: u64,
    /// Events after which the users are others.
    wave: Option<u64>,
    order: Order,
    name: fn(u64) -> String,
    /// In front of the numbers of its event ids.
    part: u64,
}

impl Population {
    /// A population of `events` events.
    ///
    /// # Errors
    /// When the server refuses the producer's key.
    pub fn new(server: &Server, events: u64, per_token: u64) -> Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        Ok(Self {
            key: server.key.clone(),
            signer: hmac_signer(server, SOURCE, PRODUCER)?,
            born: i64::try_from(since)?,
            per_token,
            users: (events / EVENTS_PER_USER).max(10),
            resources: (events / EVENTS_PER_RESOURCE).max(10),
            wave: None,
            order: Order::SideBySide,
            name: token_id,
            part: 0,
        })
    }

    /// The same in another order.
    pub fn in_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// The same of a ledger that is asked about while it grows: as many resources at any size, and
    /// with each `wave` of events other users.
    pub fn growing(self, wave: u64, resources: u64) -> Self {
        let users = (wave / EVENTS_PER_USER).max(1);
        Self { wave: Some(wave), users, resources, ..self }
    }

    /// When it was made, Unix nanoseconds.
    pub fn born(&self) -> i64 {
        self.born
    }

    /// The same of tokens that are JWTs, known by their jti.
    pub fn of_jwts(self) -> Self {
        Self {
            name: |token| format!("{REGION}:{ISSUER}:jti:{}", jti(token)),
            part: 1 << 40,
            ..self
        }
    }

    /// Gives the ids of its tokens by their numbers.
    pub fn token_ids(&self) -> fn(u64) -> String {
        self.name
    }

    /// How many resources there are.
    pub fn resources(&self) -> u64 {
        self.resources
    }

    /// How many users there are; in a wave, when they come in waves.
    pub fn users(&self) -> u64 {
        self.users
    }

    /// The `n`th event.
    pub fn act(&self, n: u64) -> Act {
        let (token, is_first) = self.token(n);
        let user = match self.wave {
            None => spread(token) % self.users,
            Some(wave) => token * self.per_token / wave * self.users + spread(token) % self.users,
        };
        Act {
            n,
            is_first,
            token: (self.name)(token),
            user: user_name(user),
            session: format!("s-{token}"),
            client: format!("client-{}", spread(token) % CLIENTS),
            policy: format!("policy-{}", spread(token) % POLICIES),
            resource: resource(spread(n) % self.resources),
            occurred: self.occurred(n),
            expires: self.born + DAY_NANOS,
        }
    }

    fn put(&self, n: u64, out: &mut Vec<u8>) -> Result<Payload> {
        let act = self.act(n);
        let target = Target { kind: TargetKind::Token, id: &act.token };
        let (id, occurred) = (act.event_id(self.part), Hlc::at(act.occurred));
        let mut statement = Statement::new(id, SOURCE, target, act.kind(), occurred);
        statement.outcome = Outcome::Allow;
        statement.issuer = Some(ISSUER);
        statement.client_id = Some(&act.client);
        statement.session_id = Some(&act.session);
        let record = act.is_first.then(|| personal_record(n, &act.user));
        if let Some(record) = &record {
            let commitment = commitment(record);
            statement.personal = vec![Personal { role: PersonalRole::Subject, commitment }];
            statement.token_kind = Some(TokenKind::Access);
            statement.scopes = vec!["read:finance"];
            statement.expires_at = Some(act.expires);
            statement.policies = vec![PolicyRef {
                id: &act.policy,
                version: "v2",
                digest: None,
                role: PolicyRole::Grant,
                effect: None,
            }];
        } else {
            statement.resource = Some(&act.resource);
        }
        let signing = Some(Signing { signer: &self.signer, alg: 1, key_id: PRODUCER });
        put_submission(out, &statement, signing, record.as_deref())
    }
}

/// What one event says.
pub struct Act {
    n: u64,
    /// ISSUED, with the user and the policy; otherwise an access of the resource.
    pub is_first: bool,
    /// Id of the token.
    pub token: String,
    /// Name at the issuer.
    pub user: String,
    /// Of the token.
    pub session: String,
    /// Of the token.
    pub client: String,
    /// By which it was granted.
    pub policy: String,
    /// That was accessed.
    pub resource: String,
    /// Unix nanoseconds.
    pub occurred: i64,
    /// Unix nanoseconds.
    pub expires: i64,
}

impl Act {
    /// Its type.
    pub fn kind(&self) -> EventType {
        if self.is_first { EventType::Issued } else { EventType::ResourceAccessed }
    }

    /// A UUIDv7 of the time at which it occurred.
    pub fn event_id(&self, part: u64) -> [u8; 16] {
        event_id(Hlc::at(self.occurred), part + self.n)
    }
}

impl Population {
    /// Whose event the `n`th one is, and whether it is its first.
    fn token(&self, n: u64) -> (u64, bool) {
        match self.order {
            Order::SideBySide => (n / self.per_token, n.is_multiple_of(self.per_token)),
            Order::Interleaved { alive, .. } => {
                let (turn, at) = (n / (alive * self.per_token), n % (alive * self.per_token));
                (turn * alive + at % alive, at < alive)
            }
        }
    }

    /// When event `n` occurred, Unix nanoseconds.
    pub fn occurred(&self, n: u64) -> i64 {
        match self.order {
            // Times go on by a microsecond, so that nothing is ahead of the clock.
            Order::SideBySide => self.born.saturating_add_unsigned(n * 1000).min(now()),
            Order::Interleaved { events, nanos, .. } => {
                let passed = i128::from(nanos) * i128::from(n) / i128::from(events.max(1));
                self.born - nanos + i64::try_from(passed).unwrap_or(nanos)
            }
        }
    }
}

impl Batches for Population {
    fn batch(&self, first: u64, count: u64) -> Result<(Vec<u8>, Payload)> {
        let (mut body, mut payload) = (Vec::new(), Payload::default());
        for n in first..first + count {
            payload.add(&self.put(n, &mut body)?);
        }
        let mut request = Vec::with_capacity(body.len() + 512);
        put_post(&mut request, &self.key, "application/vnd.ledgerline.batch", body.len());
        request.extend_from_slice(&body);
        Ok((request, payload))
    }
}

/// The opaque value of a token.
pub fn token_value(token: u64) -> String {
    format!("opaque-{:016x}-{token:016x}", spread(token))
}

/// Its id.
pub fn token_id(token: u64) -> String {
    from_presented(REGION, ISSUER, token_value(token).as_bytes()).expect("long enough a value")
}

/// The jti of a token that is a JWT.
pub fn jti(token: u64) -> String {
    format!("j-{token:x}")
}

/// A user's name at the issuer.
pub fn user_name(user: u64) -> String {
    format!("user-{user}")
}

/// A resource.
pub fn resource(resource: u64) -> String {
    format!("/accounts/{resource}/statements")
}

/// The `n`th of some numbers without order (Fibonacci hashing, with the high bits brought down).
pub fn spread(n: u64) -> u64 {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    i64::try_from(since).unwrap_or(i64::MAX)
}

fn event_id(occurred: Hlc, n: u64) -> [u8; 16] {
    let millis = occurred.nanos.cast_unsigned() / 1_000_000;
    let mut id = [0u8; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    id[6] = 0x70;
    id[8..].copy_from_slice(&n.to_be_bytes());
    id[8] = 0x80;
    id
}

fn personal_record(n: u64, user: &str) -> Vec<u8> {
    let salt = ledgerline_proof::hash::sha256(&n.to_le_bytes()).0;
    let record = PersonalRecord {
        salt,
        user_id: Some(user),
        ip: None,
        user_agent: None,
        device: None,
        resource: None,
        attributes: Vec::new(),
    };
    encode_object(Kind::Personal, &record)
}
