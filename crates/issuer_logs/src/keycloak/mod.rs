//! The adapter for Keycloak: its user events and its admin events, in every form it gives them.
//!
//! ```text
//! user events    Admin REST GET …/events, and listeners that write the same JSON
//! admin events   Admin REST GET …/admin-events
//! log lines      the jboss-logging listener, as text or as `message` of a JSON console (also ECS)
//! webhook        the body of p2-inc's keycloak-events: access.<TYPE>, admin.<RESOURCE>-<OPERATION>
//! ```
//!
//! The forms are told apart by themselves, record by record ([`forms`]). What each kind becomes
//! stands in [`TABLE`] and, for people, in docs/reference/adapters/keycloak.md.
//!
//! Promises
//! - The act of one record (a refresh: REFRESHED, ROTATED, two ISSUED) is one act.
//! - What the server does without a record is told where it follows from one: a replayed refresh
//!   token or code ends the client's part of the session, and the revocation of the last client the
//!   session. Such events have `strength` = `INFERRED` and `why` in their details.
//! - An exchanged token is joined to the newest access token of the session and client that the
//!   record names, as INFERRED with why; where there is none it says `exchanged_from` = `unknown`.
//! - A refused introspection, refresh or call changes no state.
//! - Order: a run of records that descends in time, as pages of the Admin REST interface do, is
//!   turned round ([`order`]).
//! - The same record has the same name in REST, listener and webhook (its `id`): told twice, it is
//!   a duplicate or refused as a conflict, never recorded twice.
//!
//! Assumes
//! - One issuer alias is one realm. Records of several realms are all recorded under the alias;
//!   each says its realm in its details.
//! - A log line has no id: its name is a digest of its time, its thread and what in it is neither
//!   personal nor secret. Lines that are equal in all that are one.
//!
//! Refuses: a record without id, time or the ids its kind needs, an id of an odd form, a kind it
//! does not know, and a log line with a key twice.

mod admin_events;
mod facts;
mod forms;
mod order;
mod sessions;
mod text_line;
mod user_events;

use std::borrow::Cow;

use self::forms::OTHER_LINE;
use self::order::{Step, Waiting, Window};
use self::sessions::Sessions;
use ledgerline_adapter::record::{
    Evidence, Identifier, Identity, Record, Records, Row, Rule, Table, listed, nothing_held, shown,
};
use ledgerline_adapter::{
    Act, Adapter, AdapterError, Choice, Millis, Options, Problem, Quarantined, Report,
};

/// How it is chosen.
pub const CHOICE: Choice = Choice {
    name: "keycloak",
    about: "Events of Keycloak: Admin REST, log lines, listeners, webhook of p2-inc",
    evidence: Evidence::Recording,
    detects,
    rows: || shown(&TABLE),
    identifiers: IDENTIFIERS,
    open: |options| Box::new(Keycloak::new(options)),
};

/// Longest line: a page of the Admin REST interface may stand in one.
const LINE_BYTES_MAX: usize = 16 << 20;

static TABLE: Table<Sessions> = Table {
    name: "keycloak",
    version: "1",
    line_bytes_max: LINE_BYTES_MAX,
    read: forms::read,
    unpack: |value| listed(value, &[]),
    kind: |record| record.safe("/type").map(Cow::Borrowed),
    identity,
    identifiers: IDENTIFIERS,
    rows: ROWS,
    finish: nothing_held,
};

const fn safe(at: &'static str) -> Identifier {
    Identifier { at, rule: Rule::Safe }
}

const fn personal(at: &'static str) -> Identifier {
    Identifier { at, rule: Rule::Personal }
}

const fn dropped(at: &'static str) -> Identifier {
    Identifier { at, rule: Rule::Drop }
}

/// `derived` is what [`forms`] makes of the free texts.
const IDENTIFIERS: &[Identifier] = &[
    safe("/id"),
    safe("/uid"),
    safe("/time"),
    safe("/type"),
    safe("/realmId"),
    safe("/realmName"),
    safe("/clientId"),
    safe("/sessionId"),
    safe("/error"),
    safe("/operationType"),
    safe("/resourceType"),
    safe("/details/token_id"),
    safe("/details/token_type"),
    safe("/details/token_issued_for"),
    safe("/details/refresh_token_id"),
    safe("/details/refresh_token_type"),
    safe("/details/updated_refresh_token_id"),
    safe("/details/access_token_expiration_time"),
    safe("/details/age_of_refresh_token"),
    safe("/details/grant_type"),
    safe("/details/scope"),
    safe("/details/audience"),
    safe("/details/subject_token_client_id"),
    safe("/details/requested_token_type"),
    safe("/details/revoked_client"),
    safe("/details/token_exchange_revoked_clients"),
    safe("/details/client_auth_method"),
    safe("/details/auth_method"),
    safe("/derived/why"),
    safe("/derived/path"),
    safe("/derived/session"),
    safe("/derived/enabled"),
    safe("/derived/not_before"),
    safe("/derived/client"),
    safe("/derived/represented"),
    safe("/derived/line"),
    safe("/derived/logged"),
    Identifier { at: "/details/code_id", rule: Rule::Hash },
    personal("/userId"),
    personal("/ipAddress"),
    personal("/details/username"),
    personal("/details/refresh_token_sub"),
    personal("/details/impersonator"),
    personal("/details/actor_id"),
    safe("/authDetails/clientId"),
    safe("/authDetails/realmId"),
    safe("/authDetails/sessionId"),
    personal("/authDetails/userId"),
    personal("/authDetails/ipAddress"),
    personal("/authDetails/username"),
    personal("/derived/user"),
    dropped("/details/reason"),
    dropped("/details/redirect_uri"),
    dropped("/details/email"),
    dropped("/details/identity_provider_identity"),
    dropped("/representation"),
    dropped("/resourcePath"),
];

const ROWS: &[Row<Sessions>] = &[
    Row {
        kinds: &["REFRESH_TOKEN"],
        becomes: "REFRESHED and ROTATED of the old refresh token, ISSUED of the new one and of the \
                  access token (edges ASSERTED)",
        act: user_events::refresh,
    },
    Row {
        kinds: &["INTROSPECT_TOKEN", "INTROSPECT_TOKEN_ERROR"],
        becomes: "USED of the token, seen from INTROSPECTION; an error is a DENY and ends nothing",
        act: user_events::introspect,
    },
    Row {
        kinds: &["USER_INFO_REQUEST", "USER_INFO_REQUEST_ERROR"],
        becomes: "USED of the session: the record does not name the token",
        act: user_events::userinfo,
    },
    Row {
        kinds: &["LOGIN", "IMPERSONATE"],
        becomes: "ISSUED of the access and the refresh token; where tokens follow later, ISSUED or \
                  USED of the session",
        act: user_events::login,
    },
    Row {
        kinds: &[
            "CODE_TO_TOKEN",
            "CLIENT_LOGIN",
            "OAUTH2_DEVICE_CODE_TO_TOKEN",
            "AUTHREQID_TO_TOKEN",
            "JWT_BEARER",
            "JWT_AUTHORIZATION_GRANT",
            "OAUTH2_EXTENSION_GRANT",
        ],
        becomes: "ISSUED of the access and the refresh token",
        act: user_events::issue,
    },
    Row {
        kinds: &["PERMISSION_TOKEN"],
        becomes: "ISSUED of the token, if there is one",
        act: user_events::permission,
    },
    Row {
        kinds: &["TOKEN_EXCHANGE"],
        becomes: "ISSUED, with EXCHANGED_FROM to the newest access token of the subject's client \
                  in the session (INFERRED)",
        act: user_events::exchange,
    },
    Row {
        kinds: &["REFRESH_TOKEN_ERROR"],
        becomes: "REFRESHED as a DENY; for a replay also REVOKED of the client's part of the \
                  session (INFERRED)",
        act: user_events::refresh_refused,
    },
    Row {
        kinds: &["CODE_TO_TOKEN_ERROR"],
        becomes: "USED of the client as a DENY; for a used code also REVOKED of the client's part \
                  of the session (INFERRED)",
        act: user_events::code_refused,
    },
    Row {
        kinds: &["REVOKE_GRANT"],
        becomes: "REVOKED of the access token; or of the refresh token and of the client's part of \
                  the session, and of the session with its last client (INFERRED); or of all the \
                  person's tokens for the client",
        act: user_events::revoke,
    },
    Row {
        kinds: &["REVOKE_GRANT_ERROR"],
        becomes: "REVOKED as a DENY",
        act: user_events::revoke_refused,
    },
    Row {
        kinds: &["LOGOUT", "USER_SESSION_DELETED"],
        becomes: "REVOKED of the session",
        act: user_events::logout,
    },
    Row {
        kinds: &["DELETE_ACCOUNT", "USER_DISABLED_BY_PERMANENT_LOCKOUT"],
        becomes: "REVOKED of all the person's tokens",
        act: user_events::account_ended,
    },
    Row {
        kinds: &["CLIENT_DELETE"],
        becomes: "REVOKED of all the client's tokens",
        act: user_events::client_removed,
    },
    Row {
        kinds: &["CLIENT_REGISTER", "CLIENT_UPDATE", "GRANT_CONSENT", "UPDATE_CONSENT"],
        becomes: "POLICY_CHANGED",
        act: user_events::changed,
    },
    Row {
        kinds: &[
            "LOGIN_ERROR",
            "LOGOUT_ERROR",
            "CLIENT_LOGIN_ERROR",
            "TOKEN_EXCHANGE_ERROR",
            "OAUTH2_DEVICE_CODE_TO_TOKEN_ERROR",
            "AUTHREQID_TO_TOKEN_ERROR",
            "JWT_BEARER_ERROR",
            "JWT_AUTHORIZATION_GRANT_ERROR",
            "OAUTH2_EXTENSION_GRANT_ERROR",
            "PERMISSION_TOKEN_ERROR",
            "IMPERSONATE_ERROR",
            "INVALID_SIGNATURE_ERROR",
            "CLIENT_REGISTER_ERROR",
            "CLIENT_UPDATE_ERROR",
            "CLIENT_DELETE_ERROR",
            "GRANT_CONSENT_ERROR",
            "UPDATE_CONSENT_ERROR",
            "DELETE_ACCOUNT_ERROR",
        ],
        becomes: "USED of the client as a DENY",
        act: user_events::refused,
    },
    Row {
        kinds: &["admin.USER-*"],
        becomes: "REVOKED of all the person's tokens for logout, removal and `enabled: false`; \
                  else ADMIN_ACT",
        act: admin_events::user,
    },
    Row {
        kinds: &["admin.USER_SESSION-*"],
        becomes: "REVOKED of the session",
        act: admin_events::session,
    },
    Row {
        kinds: &["admin.REALM-*"],
        becomes: "POLICY_CHANGED; with a `notBefore`, and for logout-all, REVOKED of every client \
                  seen; else ADMIN_ACT",
        act: admin_events::realm,
    },
    Row {
        kinds: &["admin.CLIENT-*"],
        becomes: "POLICY_CHANGED; for a removal also REVOKED of all the client's tokens",
        act: admin_events::client,
    },
    Row {
        kinds: &[
            "admin.REALM_ROLE-*",
            "admin.REALM_ROLE_MAPPING-*",
            "admin.REALM_SCOPE_MAPPING-*",
            "admin.CLIENT_ROLE-*",
            "admin.CLIENT_ROLE_MAPPING-*",
            "admin.CLIENT_SCOPE-*",
            "admin.CLIENT_SCOPE_MAPPING-*",
            "admin.CLIENT_SCOPE_CLIENT_MAPPING-*",
            "admin.GROUP-*",
            "admin.GROUP_MEMBERSHIP-*",
            "admin.ORGANIZATION-*",
            "admin.ORGANIZATION_MEMBERSHIP-*",
            "admin.ORGANIZATION_GROUP-*",
            "admin.ORGANIZATION_GROUP_MEMBERSHIP-*",
            "admin.PROTOCOL_MAPPER-*",
            "admin.AUTHORIZATION_RESOURCE_SERVER-*",
            "admin.AUTHORIZATION_RESOURCE-*",
            "admin.AUTHORIZATION_SCOPE-*",
            "admin.AUTHORIZATION_POLICY-*",
            "admin.AUTH_FLOW-*",
            "admin.AUTH_EXECUTION_FLOW-*",
            "admin.AUTH_EXECUTION-*",
            "admin.AUTHENTICATOR_CONFIG-*",
            "admin.REQUIRED_ACTION-*",
            "admin.REQUIRED_ACTION_CONFIG-*",
            "admin.IDENTITY_PROVIDER-*",
            "admin.IDENTITY_PROVIDER_MAPPER-*",
            "admin.USER_FEDERATION_PROVIDER-*",
            "admin.USER_FEDERATION_MAPPER-*",
            "admin.USER_PROFILE-*",
            "admin.COMPONENT-*",
        ],
        becomes: "POLICY_CHANGED",
        act: admin_events::grants,
    },
    Row {
        kinds: &[
            "admin.CLIENT_INITIAL_ACCESS_MODEL-*",
            "admin.USER_LOGIN_FAILURE-*",
            "admin.CLUSTER_NODE-*",
            "admin.CUSTOM-*",
        ],
        becomes: "ADMIN_ACT",
        act: admin_events::other,
    },
    Row {
        kinds: &[
            OTHER_LINE,
            "REGISTER*",
            "UPDATE_EMAIL*",
            "UPDATE_PROFILE*",
            "UPDATE_PASSWORD*",
            "UPDATE_TOTP*",
            "UPDATE_CREDENTIAL*",
            "REMOVE_TOTP*",
            "REMOVE_CREDENTIAL*",
            "VERIFY_EMAIL*",
            "VERIFY_PROFILE*",
            "SEND_*",
            "RESET_PASSWORD*",
            "RESTART_AUTHENTICATION*",
            "CUSTOM_REQUIRED_ACTION*",
            "EXECUTE_ACTION*",
            "FEDERATED_IDENTITY_*",
            "REMOVE_FEDERATED_IDENTITY*",
            "IDENTITY_PROVIDER_*",
            "CLIENT_INITIATED_ACCOUNT_LINKING*",
            "CLIENT_INFO*",
            "UNREGISTER_NODE*",
            "INVITE_ORG*",
            "PUSHED_AUTHORIZATION_REQUEST*",
            "OAUTH2_DEVICE_AUTH",
            "OAUTH2_DEVICE_AUTH_ERROR",
            "OAUTH2_DEVICE_VERIFY_USER_CODE*",
            "USER_DISABLED_BY_TEMPORARY_LOCKOUT*",
            "USER_DISABLED_BY_PERMANENT_LOCKOUT_ERROR",
            "USER_SESSION_DELETED_ERROR",
            "VALIDATE_ACCESS_TOKEN*",
            "INVALID_SIGNATURE",
        ],
        becomes: "nothing: it is about no token, and counted as skipped",
        act: user_events::skip,
    },
];

/// A record by its own id, a log line by what it says.
fn identity(record: &Record<'_>) -> Result<Identity, Problem> {
    let kind = record.safe("/type").unwrap_or_default();
    if kind == OTHER_LINE {
        return Ok(Identity { native_id: "-".to_owned(), at: Millis::default() });
    }
    if let Some(line) = record.safe("/derived/line") {
        let at = record.safe("/derived/logged").and_then(Millis::parse);
        let at = at.ok_or(Problem::Malformed("time"))?;
        return Ok(Identity { native_id: format!("log/{line}"), at });
    }
    let id = match (record.safe("/id"), record.safe("/uid")) {
        (Some(id), _) if kind.starts_with("admin.") => ("admin", id),
        (Some(id), _) => ("user", id),
        (None, Some(uid)) => ("webhook", uid),
        (None, None) => return Err(Problem::Missing("/id")),
    };
    if !facts::is_word(id.1) {
        return Err(Problem::Malformed("/id"));
    }
    if !record.has("/time") {
        return Err(Problem::Missing("/time"));
    }
    let millis = record.number("/time").ok_or(Problem::Malformed("/time"))?;
    let second =
        Millis::from_seconds(millis.div_euclid(1000)).ok_or(Problem::Malformed("/time"))?;
    let at = second.plus(millis.rem_euclid(1000));
    Ok(Identity { native_id: format!("{}/{}", id.0, id.1), at })
}

fn detects(line: &str) -> bool {
    let line = line.trim_start();
    if !line.starts_with('{') {
        return text_line::is_event(line);
    }
    let has = |name: &str| line.contains(name);
    let is_admin = has("\"operationType\"") && has("\"resourceType\"");
    let is_user = has("\"realmId\"") && has("\"type\"") && has("\"ipAddress\"");
    is_admin || is_user || has("\"org.keycloak.events\"")
}

/// The adapter: the table, behind a window that restores the order of pages.
pub struct Keycloak {
    records: Records<Sessions>,
    window: Window,
}

impl Keycloak {
    /// An adapter that has read nothing.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { records: Records::new(&TABLE, options), window: Window::default() }
    }

    fn read(&mut self, waiting: Vec<Waiting>, out: &mut Vec<Act>) {
        for one in waiting {
            // A line that cannot be read never waits; what is wrong with its record is in the
            // quarantine, with its line.
            let read = self.records.line(one.number, &one.line, out);
            debug_assert!(read.is_ok(), "it was read before it waited");
        }
    }

    fn count(&mut self) {
        let forgotten = self.records.state().forgotten + self.window.cut;
        self.records.set_forgotten(forgotten);
    }
}

impl Adapter for Keycloak {
    fn name(&self) -> &'static str {
        self.records.name()
    }

    fn line(&mut self, number: u64, line: &str, out: &mut Vec<Act>) -> Result<(), AdapterError> {
        let line = line.trim_matches(['\r', '\n', ' ', '\t', '\u{feff}']);
        let may_wait = line.len() <= LINE_BYTES_MAX;
        let step = if may_wait { self.window.next(number, line) } else { Step::Passes(Vec::new()) };
        let read = match step {
            Step::Waits(before) => {
                self.read(before, out);
                Ok(())
            }
            Step::Passes(before) => {
                self.read(before, out);
                self.records.line(number, line, out)
            }
        };
        self.count();
        read
    }

    fn refuse(&mut self, number: u64, problem: Problem) -> AdapterError {
        self.records.refuse(number, problem)
    }

    fn finish(&mut self, out: &mut Vec<Act>) {
        let rest = self.window.take();
        self.read(rest, out);
        self.records.finish(out);
        self.count();
    }

    fn report(&self) -> &Report {
        self.records.report()
    }

    fn take_quarantined(&mut self) -> Vec<Quarantined> {
        self.records.take_quarantined()
    }
}
