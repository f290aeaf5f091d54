//! Sources that are expected, and keys that grow old.
//!
//! ```text
//! source_never_seen   a source is expected, and nothing was recorded of it within
//!                     `expected_within` of that: since its key was registered (a credential with
//!                     the role producer, or a signing key), or since the settings name it.
//!                     Withdrawn when something comes, or when its key ends
//! key_overdue         a key was registered longer ago than `max_key_age`; about its source.
//!                     Withdrawn when the key ends
//! ```
//!
//! Promises: a source is missed once for each key and for the settings. Where its key is of all
//! tenants, an event of any tenant is one of it.
//!
//! Refuses: more than [`EXPECTED_MAX`] sources that are expected at a time and [`KEYS_MAX`] keys in
//! force: the log is told that there are more.

use ledgerline_followers::findings::record::{Note, withdrawn};
use ledgerline_followers::findings::rules::{Finding, Rule, Subject};
use ledgerline_proof::control::{KeyAdded, KeyEnded};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::vocabulary::{KeyPurpose, TargetKind};
use ledgerline_view::registry::{ALL_TENANTS, LEDGER_SOURCE};

use crate::memory::{Expected, KeyAge, Memory, SourceKey};

/// Sources that are expected at a time.
pub const EXPECTED_MAX: usize = 16_384;
/// Keys in force whose age is watched.
pub const KEYS_MAX: usize = 65_536;

/// What is expected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Sources that should report, beside those that have a key: tenant and name.
    pub expected: Vec<(String, String)>,
    /// Nanoseconds within which something must come of a source; 0 expects nobody.
    pub expected_within: i64,
    /// Nanoseconds after which a key is overdue; 0 for never.
    pub max_key_age: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { expected: Vec::new(), expected_within: 86_400_000_000_000, max_key_age: 0 }
    }
}

/// The tenant that a finding about a source is of.
fn tenant_of(tenant: &str) -> &str {
    if tenant == ALL_TENANTS { "" } else { tenant }
}

impl Memory {
    /// A key is registered.
    pub(crate) fn key_added(&mut self, added: &KeyAdded<'_>, at: i64) -> Result<(), &'static str> {
        if !matches!(added.purpose, KeyPurpose::Credential | KeyPurpose::Producer) {
            return Ok(());
        }
        let (tenant, source) = (added.tenant.to_owned(), added.source.to_owned());
        if self.keys.len() >= KEYS_MAX {
            return Err("more keys are in force than are watched for their age");
        }
        let age =
            KeyAge { tenant: tenant.clone(), source: source.clone(), added_at: at, told: None };
        self.keys.entry(added.key_id.to_owned()).or_insert(age);
        let produces =
            added.purpose == KeyPurpose::Producer || added.grant.roles.contains(&"producer");
        if !produces || source == LEDGER_SOURCE {
            return Ok(());
        }
        self.expect((tenant, source), Some(added.key_id.to_owned()))
    }

    /// Expects a source from now on, unless it is expected already.
    pub(crate) fn expect(
        &mut self,
        who: SourceKey,
        key: Option<String>,
    ) -> Result<(), &'static str> {
        if self.expected.len() >= EXPECTED_MAX && !self.expected.contains_key(&who) {
            return Err("more sources are expected than are watched");
        }
        let since = self.ran;
        self.expected.entry(who).or_insert(Expected { since, key, told: None });
        Ok(())
    }

    /// A key ended.
    pub(crate) fn key_ended(&mut self, ended: &KeyEnded<'_>, at: i64, notes: &mut Vec<Note>) {
        let Some(age) = self.keys.remove(ended.key_id) else { return };
        let tenant = tenant_of(&age.tenant);
        if let Some(finding) = age.told {
            notes.push(withdrawn(tenant, Hash(finding), "the key ended", at));
        }
        let who = (age.tenant.clone(), age.source.clone());
        let is_by_it = |one: &Expected| one.key.as_deref() == Some(ended.key_id);
        if self.expected.get(&who).is_some_and(is_by_it)
            && let Some(Expected { told: Some(finding), .. }) = self.expected.remove(&who)
        {
            notes.push(withdrawn(tenant, Hash(finding), "its key ended", at));
        }
    }

    /// Something came of a source.
    pub(crate) fn came(
        &mut self,
        policy: &Policy,
        (tenant, source): (&str, &str),
        at: i64,
        notes: &mut Vec<Note>,
    ) {
        if self.expected.is_empty() {
            return;
        }
        for of in [tenant, ALL_TENANTS] {
            let who = (of.to_owned(), source.to_owned());
            let Some(one) = self.expected.remove(&who) else { continue };
            if let Some(finding) = one.told {
                let note = "something came of it";
                notes.push(withdrawn(tenant_of(of), Hash(finding), note, at));
            }
            if policy.expected.contains(&who) {
                self.heard.push(who);
            }
        }
    }

    /// Raises what is late by now.
    pub(crate) fn late(&mut self, policy: &Policy, at: i64, notes: &mut Vec<Note>) {
        let ran = self.ran;
        for ((tenant, source), one) in &mut self.expected {
            let quiet = ran.saturating_sub(one.since);
            if policy.expected_within == 0 || quiet <= policy.expected_within || one.told.is_some()
            {
                continue;
            }
            let place = match &one.key {
                Some(key) => format!("expected since its key {key} was registered"),
                None => "expected by the settings".to_owned(),
            };
            let subject =
                Subject { tenant: tenant_of(tenant), kind: TargetKind::Source, target: source };
            let about = "nothing was recorded of it since".to_owned();
            let finding = Finding::about(Rule::SourceNeverSeen, subject, Vec::new(), at);
            let mut finding = finding.saying(place, about);
            finding.gap_ms = Some(quiet / 1_000_000);
            one.told = Some(finding.id().0);
            notes.push(Note::Raised(finding));
        }
        for (key_id, one) in &mut self.keys {
            let age = at.saturating_sub(one.added_at);
            if policy.max_key_age == 0 || age <= policy.max_key_age || one.told.is_some() {
                continue;
            }
            let (tenant, target) = (tenant_of(&one.tenant), &*one.source);
            let subject = Subject { tenant, kind: TargetKind::Source, target };
            let about = format!("{} days old", age / 86_400_000_000_000);
            let finding = Finding::about(Rule::KeyOverdue, subject, Vec::new(), at);
            let finding = finding.saying(format!("key {key_id}"), about);
            one.told = Some(finding.id().0);
            notes.push(Note::Raised(finding));
        }
    }
}
