//! Control records: leaves in which the ledger speaks of itself — its genesis, its schemas, its
//! keys and its recoveries.
//!
//! A control leaf is `C3 01 ‖ fingerprint(Control) ‖ body`; the body is one record whose kind says
//! which of its parts is set. Exactly that part is set.
//!
//! Version 2 adds the kind CUT and its part. A record is of version 2 exactly when it is one, so
//! that no value has two encodings; every other control record keeps the bytes it always had.

use crate::cut::Cut;
use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::vocabulary::{EventType, KeyPurpose};
use crate::wire::{FIRST_VERSION, Reader, Refused, Wire, wire_enum, wire_record};

wire_enum! {
    /// Which part of a control record is set.
    pub enum ControlKind {
        /// A kind this reader does not know.
        Other = 0 "OTHER",
        /// Index 0.
        Genesis = 1 "GENESIS",
        /// A schema, before its first use.
        Schema = 2 "SCHEMA",
        /// A key becomes valid.
        KeyAdded = 3 "KEY_ADDED",
        /// A key ends.
        KeyRetired = 4 "KEY_RETIRED",
        /// A key ended because it leaked.
        KeyCompromised = 5 "KEY_COMPROMISED",
        /// The ledger recovered from a crash.
        Recovered = 6 "RECOVERED",
        /// How far other ledgers were, at one time.
        Cut = 7 "CUT",
    }
}

wire_record! {
    /// The origin that this ledger continues.
    pub struct Predecessor<'a> {
        /// Its origin.
        pub origin: &'a str,
        /// Its last published checkpoint, a signed note.
        pub checkpoint: &'a str,
    }
}

wire_record! {
    /// The first leaf of a ledger.
    pub struct Genesis<'a> {
        /// Random id of the ledger.
        pub ledger_id: [u8; 16],
        /// The deployment that signatures name.
        pub deployment: &'a str,
        /// The checkpoint origin, at most 255 bytes.
        pub origin: &'a str,
        /// The log's verifier key (vkey).
        pub log_key: &'a str,
        /// This shard's number.
        pub shard: i32,
        /// How many shards the deployment has.
        pub shard_count: i32,
        /// How chains are dealt to shards.
        pub shard_hash: &'a str,
        /// The origin this one continues.
        pub predecessor: Option<Predecessor<'a>>,
    }
}

wire_record! {
    /// A schema in full, announced before its first use.
    pub struct SchemaText<'a> {
        /// Full name, such as `dev.ledgerline.Statement`.
        pub name: &'a str,
        /// CRC-64-AVRO fingerprint of its parsing canonical form.
        pub fingerprint: [u8; 8],
        /// SHA-256 of the exact text.
        pub sha256: Hash,
        /// The exact text.
        pub text: &'a str,
    }
}

wire_record! {
    /// What a producer's credential or key may write. An empty list allows everything of its sort.
    pub struct Grant<'a> {
        /// Event types.
        pub types: Vec<EventType>,
        /// Issuer aliases.
        pub issuers: Vec<&'a str>,
        /// Regions of token ids.
        pub regions: Vec<&'a str>,
        /// Roles, for credentials of the interface.
        pub roles: Vec<&'a str>,
        /// Whether every statement must be signed.
        pub signed_only: bool,
        /// Whether lifecycle violations are refused rather than recorded.
        pub strict: bool,
        /// Unix nanoseconds after which a credential no longer authenticates.
        pub expires_at: Option<i64>,
    }
}

wire_record! {
    /// A key becomes valid, from this leaf's index + 1.
    pub struct KeyAdded<'a> {
        /// Names the key for ever.
        pub key_id: &'a str,
        /// What it is for.
        pub purpose: KeyPurpose,
        /// 1 = HMAC-SHA256, 2 = Ed25519; 0 for a bearer credential.
        pub alg: i32,
        /// Its tenant; `*` for all.
        pub tenant: &'a str,
        /// The source it writes for.
        pub source: &'a str,
        /// What it may do.
        pub grant: Grant<'a>,
        /// An asymmetric key in full.
        pub public_key: Option<&'a [u8]>,
        /// SHA-256 over the domain string and a symmetric secret.
        pub secret_hash: Option<Hash>,
    }
}

wire_record! {
    /// A key ends: it is valid up to and including this leaf's index.
    pub struct KeyEnded<'a> {
        /// The key.
        pub key_id: &'a str,
        /// Why.
        pub reason: Option<&'a str>,
    }
}

wire_record! {
    /// The ledger came back after a crash.
    pub struct Recovered {
        /// Size at which it resumed.
        pub size: i64,
        /// Bytes of an unfinished batch that were cut off.
        pub torn_bytes: i64,
        /// SHA-256 of those bytes, kept in `torn/`.
        pub torn_digest: Option<Hash>,
        /// Whether refusals counted since the last block may be lost.
        pub refusals_lost: bool,
        /// The writer's epoch from here on.
        pub epoch: i64,
    }
}

/// A leaf about the ledger itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control<'a> {
    /// Which of the parts below is set.
    pub kind: ControlKind,
    /// When it was recorded.
    pub recorded_at: Hlc,
    /// Set for GENESIS.
    pub genesis: Option<Genesis<'a>>,
    /// Set for SCHEMA.
    pub schema: Option<SchemaText<'a>>,
    /// Set for KEY_ADDED.
    pub key_added: Option<KeyAdded<'a>>,
    /// Set for KEY_RETIRED and KEY_COMPROMISED.
    pub key_ended: Option<KeyEnded<'a>>,
    /// Set for RECOVERED.
    pub recovered: Option<Recovered>,
    /// 16 random bytes: a leaf must not be guessable from its hash.
    pub blind: [u8; 16],
    /// Set for CUT; from version 2 on.
    pub cut: Option<Cut<'a>>,
}

/// Control records of kind CUT are of this version.
const WITH_CUT: u8 = 2;

impl<'a> Wire<'a> for Control<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        self.kind.put(out);
        self.recorded_at.put(out);
        self.genesis.put(out);
        self.schema.put(out);
        self.key_added.put(out);
        self.key_ended.put(out);
        self.recovered.put(out);
        self.blind.put(out);
        if self.version() >= WITH_CUT {
            self.cut.put(out);
        }
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        let has_cut = reader.version() >= WITH_CUT;
        let kind = ControlKind::take(reader)?;
        if kind == ControlKind::Cut && !has_cut {
            return Err(reader.out_of_range("enum ControlKind"));
        }
        Ok(Self {
            kind,
            recorded_at: Wire::take(reader)?,
            genesis: Wire::take(reader)?,
            schema: Wire::take(reader)?,
            key_added: Wire::take(reader)?,
            key_ended: Wire::take(reader)?,
            recovered: Wire::take(reader)?,
            blind: Wire::take(reader)?,
            cut: if has_cut { Wire::take(reader)? } else { None },
        })
    }
    fn version(&self) -> u8 {
        let is_cut = self.kind == ControlKind::Cut || self.cut.is_some();
        if is_cut { WITH_CUT } else { FIRST_VERSION }
    }
}
