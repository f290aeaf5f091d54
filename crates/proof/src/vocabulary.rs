//! The closed word lists of the ledger: what can be a target, an act, an outcome.
//!
//! Each list is an Avro enum. Its wire position is part of the format: position 0 is `OTHER`, the
//! Avro default that an older reader sees for a symbol added later, and symbols are only ever
//! appended.

use crate::wire::wire_enum;

wire_enum! {
    /// What an event is about. The position is also the `u8 kind` of chain starts.
    pub enum TargetKind {
        /// A kind this reader does not know.
        Other = 0 "OTHER",
        /// A bearer token, by token id.
        Token = 1 "TOKEN",
        /// A login session at an issuer.
        Session = 2 "SESSION",
        /// A grant: one consent or authorisation from which tokens are minted.
        Grant = 3 "GRANT",
        /// A person; the id is empty and the handle is the key.
        Subject = 4 "SUBJECT",
        /// An OAuth client.
        Client = 5 "CLIENT",
        /// A signing key of an issuer.
        Key = 6 "KEY",
        /// An issuer.
        Issuer = 7 "ISSUER",
        /// An access policy.
        Policy = 8 "POLICY",
        /// An authenticated producer.
        Source = 9 "SOURCE",
        /// The ledger itself.
        Ledger = 10 "LEDGER",
    }
}

wire_enum! {
    /// The act that an event records.
    pub enum EventType {
        /// A type this reader does not know.
        Other = 0 "OTHER",
        /// The token came into being.
        Issued = 1 "ISSUED",
        /// A pending token became usable.
        Activated = 2 "ACTIVATED",
        /// The token was presented.
        Used = 3 "USED",
        /// The token was presented for a named resource.
        ResourceAccessed = 4 "RESOURCE_ACCESSED",
        /// The token was exercised for new tokens, or its expiry moved.
        Refreshed = 5 "REFRESHED",
        /// The token was replaced by another.
        Rotated = 6 "ROTATED",
        /// The token is on hold.
        Suspended = 7 "SUSPENDED",
        /// A hold ended.
        Reinstated = 8 "REINSTATED",
        /// The token reached its expiry; derived by the ledger.
        Expired = 9 "EXPIRED",
        /// The token, or all that a wider target covers, was revoked.
        Revoked = 10 "REVOKED",
        /// A token older than the ledger, with its asserted state.
        Origin = 11 "ORIGIN",
        /// A policy took a new version.
        PolicyChanged = 12 "POLICY_CHANGED",
        /// An issuer's key changed.
        KeyChanged = 13 "KEY_CHANGED",
        /// A producer is alive.
        Heartbeat = 14 "HEARTBEAT",
        /// Submissions were refused; one per block, credential and code.
        Refused = 15 "REFUSED",
        /// A handle's personal data was erased.
        Erased = 16 "ERASED",
        /// Personal data was read.
        Disclosed = 17 "DISCLOSED",
        /// A bundle or export left the ledger.
        Exported = 18 "EXPORTED",
        /// An administrative act.
        AdminAct = 19 "ADMIN_ACT",
        /// Erasure is on hold.
        Hold = 20 "HOLD",
        /// A rule noticed something.
        FindingRaised = 21 "FINDING_RAISED",
        /// A finding was closed.
        FindingClosed = 22 "FINDING_CLOSED",
        /// The event verifier's report.
        VerifyReport = 23 "VERIFY_REPORT",
        /// The ledger recovered from a crash.
        Recovered = 24 "RECOVERED",
        /// A witness cosigned a checkpoint.
        CheckpointCosigned = 25 "CHECKPOINT_COSIGNED",
    }
}

wire_enum! {
    /// How the act ended. Only ALLOW changes a state.
    pub enum Outcome {
        /// An outcome this reader does not know.
        Other = 0 "OTHER",
        /// Permitted and done.
        Allow = 1 "ALLOW",
        /// Refused.
        Deny = 2 "DENY",
        /// Failed for another reason.
        Error = 3 "ERROR",
        /// Not a decision.
        None = 4 "NONE",
    }
}

wire_enum! {
    /// From where the producer saw the act.
    pub enum Vantage {
        /// Not said, or not known to this reader.
        Other = 0 "OTHER",
        /// The issuer itself.
        Issuer = 1 "ISSUER",
        /// A gateway in front of resources.
        Gateway = 2 "GATEWAY",
        /// The resource server.
        Resource = 3 "RESOURCE",
        /// The client that holds the token.
        Client = 4 "CLIENT",
        /// The introspection endpoint.
        Introspection = 5 "INTROSPECTION",
        /// A third party.
        Observer = 6 "OBSERVER",
    }
}

wire_enum! {
    /// What sort of token the target is.
    pub enum TokenKind {
        /// Another sort.
        Other = 0 "OTHER",
        /// An OAuth access token.
        Access = 1 "ACCESS",
        /// An OAuth refresh token.
        Refresh = 2 "REFRESH",
        /// An OpenID Connect ID token.
        Id = 3 "ID",
        /// A session cookie or handle.
        Session = 4 "SESSION",
        /// An authorization code.
        AuthCode = 5 "AUTH_CODE",
        /// A device code (RFC 8628).
        DeviceCode = 6 "DEVICE_CODE",
        /// A long-lived API key.
        ApiKey = 7 "API_KEY",
        /// A cloud credential.
        Credential = 8 "CREDENTIAL",
        /// A certificate used as a credential.
        Certificate = 9 "CERTIFICATE",
        /// An assertion (RFC 7521).
        Assertion = 10 "ASSERTION",
        /// A ticket.
        Ticket = 11 "TICKET",
    }
}

impl TokenKind {
    /// Codes are spent by one use.
    #[must_use]
    pub const fn is_code(self) -> bool {
        matches!(self, Self::AuthCode | Self::DeviceCode)
    }

    /// Whether presenting it can open a resource. Codes and assertions are for exchange, ID tokens
    /// tell a client who signed in (OpenID Connect Core section 2; RFC 9068 section 5).
    #[must_use]
    pub const fn opens_resources(self) -> bool {
        !self.is_code() && !matches!(self, Self::Id | Self::Assertion)
    }
}

wire_enum! {
    /// The typed edge from the event's target to another token or event.
    pub enum Relation {
        /// A relation this reader does not know.
        Other = 0 "OTHER",
        /// The target was exercised and this token came of it.
        Produced = 1 "PRODUCED",
        /// The target was minted by presenting this refresh token.
        RefreshedFrom = 2 "REFRESHED_FROM",
        /// The target replaces this token.
        RotatedFrom = 3 "ROTATED_FROM",
        /// The target was replaced by this token.
        RotatedTo = 4 "ROTATED_TO",
        /// The target was exchanged for this subject token (RFC 8693).
        ExchangedFrom = 5 "EXCHANGED_FROM",
        /// The target was minted by this credential.
        MintedBy = 6 "MINTED_BY",
        /// The target was minted from this code.
        FromCode = 7 "FROM_CODE",
        /// This event or token is the cause of the act.
        CausedBy = 8 "CAUSED_BY",
        /// This token acted for the target (the `act` chain).
        ActedBy = 9 "ACTED_BY",
    }
}

wire_enum! {
    /// How well an edge is known.
    pub enum Strength {
        /// A strength this reader does not know.
        Other = 0 "OTHER",
        /// The source named both ids.
        Asserted = 1 "ASSERTED",
        /// Joined over ids that the source gave in two places.
        Joined = 2 "JOINED",
        /// Concluded; `why` says from what.
        Inferred = 3 "INFERRED",
    }
}

wire_enum! {
    /// The part a policy played in an act.
    pub enum PolicyRole {
        /// A role this reader does not know.
        Other = 0 "OTHER",
        /// It decided the issuance.
        Grant = 1 "GRANT",
        /// It decided the access.
        Access = 2 "ACCESS",
        /// It demanded factors.
        Mfa = 3 "MFA",
        /// It decided the revocation.
        Revocation = 4 "REVOCATION",
        /// It bounds what may be granted.
        Boundary = 5 "BOUNDARY",
    }
}

wire_enum! {
    /// What an actor of a delegation is. Persons are personal records, never actors.
    pub enum ActorKind {
        /// Another sort.
        Other = 0 "OTHER",
        /// An OAuth client.
        Client = 1 "CLIENT",
        /// A service.
        Service = 2 "SERVICE",
    }
}

wire_enum! {
    /// Whether the token acts in someone else's name (RFC 8693 section 1.1).
    pub enum Delegation {
        /// A form this reader does not know.
        Other = 0 "OTHER",
        /// No.
        None = 1 "NONE",
        /// The actor is invisible downstream.
        Impersonation = 2 "IMPERSONATION",
        /// The actor is named.
        Delegation = 3 "DELEGATION",
    }
}

wire_enum! {
    /// Whom or what a personal record is about.
    pub enum PersonalRole {
        /// A role this reader does not know.
        Other = 0 "OTHER",
        /// The person the token speaks for.
        Subject = 1 "SUBJECT",
        /// The person acting.
        Actor = 2 "ACTOR",
        /// The person who started the act.
        Initiator = 3 "INITIATOR",
        /// The owner of the resource.
        Owner = 4 "OWNER",
        /// The request's circumstances.
        Request = 5 "REQUEST",
    }
}

wire_enum! {
    /// What a handle stands for.
    pub enum HandleKind {
        /// A kind this reader does not know.
        Other = 0 "OTHER",
        /// A person.
        Person = 1 "PERSON",
        /// A network address.
        Addr = 2 "ADDR",
        /// A network prefix.
        Net = 3 "NET",
        /// A device.
        Device = 4 "DEVICE",
        /// A user agent.
        Agent = 5 "AGENT",
        /// A concrete resource.
        Resource = 6 "RESOURCE",
    }
}

wire_enum! {
    /// What a key registered in the ledger is for. One key, one purpose.
    pub enum KeyPurpose {
        /// A purpose this reader does not know.
        Other = 0 "OTHER",
        /// Signs statements of one producer.
        Producer = 1 "PRODUCER",
        /// Signs checkpoints.
        Log = 2 "LOG",
        /// Authenticates callers of the interface.
        Credential = 3 "CREDENTIAL",
    }
}

impl EventType {
    /// Whether the type drives the lifecycle of a token (the `outcome` default is ALLOW for these).
    #[must_use]
    pub const fn is_lifecycle(self) -> bool {
        let position = self.position();
        position >= Self::Issued.position() && position <= Self::Origin.position()
    }
}

/// Where a finding moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moved {
    /// Somebody looks at it.
    Acknowledged,
    /// Somebody closed it.
    Closed,
    /// The ledger itself: a late entry explains it.
    Withdrawn,
    /// It goes on: another act of the same kind. No state.
    Again,
    /// The ledger itself: what the issuer revoked upon it. No state.
    Caused,
    /// The ledger itself: it was withdrawn, and another late entry makes it hold again. Open.
    Reopened,
}

impl Moved {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Acknowledged,
        Self::Closed,
        Self::Withdrawn,
        Self::Again,
        Self::Caused,
        Self::Reopened,
    ];

    /// Those that say where a finding stands.
    pub const STATES: [Self; 3] = [Self::Acknowledged, Self::Closed, Self::Withdrawn];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
            Self::Withdrawn => "withdrawn",
            Self::Again => "again",
            Self::Caused => "caused",
            Self::Reopened => "reopened",
        }
    }
}
