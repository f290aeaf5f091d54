//! `keys`: API keys (credentials) and producers' signing keys.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ledgerline_api::key::{AddedKey, Key, KeyStatus, Keys, NewKey, RecordedAt, RotateKey};
use ledgerline_client::{Client, segment};
use serde::Serialize;

use crate::ClientSettings;
use crate::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, facts, table};

/// Arguments of `keys`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline keys add --source idp-log --role producer --out producer.key
  ledgerline keys list
  ledgerline keys rotate k-7f3a --overlap 24h --out producer.key.new
  ledgerline keys retire k-7f3a --compromised --reason 'found in a public repository'")]
pub struct KeysArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(subcommand)]
    act: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Add a key; its secret is shown once.
    Add(AddArgs),
    /// List keys.
    List,
    /// End a key.
    Retire(RetireArgs),
    /// Add a key with the same grant, and end the old one, at once or after an overlap.
    Rotate(RotateArgs),
}

/// Every role, as the server knows them.
const ROLES: [&str; 8] =
    ["producer", "reader", "auditor", "privacy", "responder", "resource_server", "client", "admin"];

#[derive(Args)]
struct AddArgs {
    /// Name of the key; the ledger picks one without it.
    #[arg(long)]
    key_id: Option<String>,
    /// HMAC-SHA256 or Ed25519 for a signing key; an API key without it.
    #[arg(long)]
    alg: Option<String>,
    /// Base64 of an Ed25519 public key.
    #[arg(long)]
    public_key: Option<String>,
    /// Tenant; `*` for all.
    #[arg(long)]
    tenant: Option<String>,
    /// Source it writes for.
    #[arg(long, default_value = "api")]
    source: String,
    /// Role: producer, reader, auditor, privacy, responder, resource_server, client, admin.
    #[arg(long = "role", value_parser = ROLES)]
    roles: Vec<String>,
    /// Event type it may write; all without any.
    #[arg(long = "type")]
    types: Vec<String>,
    /// Issuer alias it may write for; all without any.
    #[arg(long = "issuer")]
    issuers: Vec<String>,
    /// Region it may write for; all without any.
    #[arg(long = "region")]
    regions: Vec<String>,
    /// Refuse statements that are not signed.
    #[arg(long)]
    signed_only: bool,
    /// Refuse events that break the lifecycle.
    #[arg(long)]
    strict: bool,
    /// RFC 3339 time after which it no longer authenticates.
    #[arg(long)]
    expires_at: Option<String>,
    /// File for the secret (mode 0600, must not exist); shown without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct RetireArgs {
    /// The key.
    key_id: String,
    /// It leaked: what it wrote from now on is not to be believed.
    #[arg(long)]
    compromised: bool,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Args)]
struct RotateArgs {
    /// The key to replace.
    key_id: String,
    /// Base64 of the new Ed25519 public key, for Ed25519 keys.
    #[arg(long)]
    public_key: Option<String>,
    /// How long the old key goes on: 90s, 30m, 24h or 7d [default: not at all].
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    overlap: Option<u64>,
    /// File for the secret (mode 0600, must not exist); shown without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Seconds of a time such as `24h`.
fn seconds(text: &str) -> Result<u64, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    found.ok_or_else(|| "say it as 90s, 30m, 24h or 7d".to_owned())
}

/// Does one act on keys.
///
/// # Errors
/// When the server refuses.
pub fn run(context: &mut Context, args: KeysArgs) -> CommandResult {
    let client = context.client(args.client)?;
    match args.act {
        KeysCommand::List => {
            let answer = client.get("/v1/keys")?;
            let Keys { keys } = answer.form()?;
            context.screen.show(&answer.raw, |_| key_table(&keys))?;
        }
        KeysCommand::Add(add) => {
            let out = add.out.clone();
            add_key(context, &client, "/v1/keys", &add.request(), out.as_deref())?;
        }
        KeysCommand::Retire(retire) => {
            let mut path =
                format!("/v1/keys/{}?compromised={}", segment(&retire.key_id), retire.compromised);
            if let Some(reason) = &retire.reason {
                path.push_str(&format!("&reason={}", segment(reason)));
            }
            let answer = client.delete(&path)?;
            let ended: RecordedAt = answer.form()?;
            let show = |_: &_| facts(&[("ended at index", cell(&ended.index))]);
            context.screen.show(&answer.raw, show)?;
        }
        KeysCommand::Rotate(rotate) => rotate_key(context, &client, &rotate)?,
    }
    Ok(Exit::Ok)
}

impl AddArgs {
    fn request(self) -> NewKey {
        NewKey {
            key_id: self.key_id,
            alg: self.alg,
            tenant: self.tenant,
            source: Some(self.source),
            roles: self.roles,
            types: self.types,
            issuers: self.issuers,
            regions: self.regions,
            signed_only: self.signed_only,
            strict: self.strict,
            expires_at: self.expires_at,
            public_key: self.public_key,
        }
    }
}

fn key_table(keys: &[Key<'_>]) -> String {
    let status = |key: &Key<'_>| match key.status {
        // A word that nobody may overlook.
        KeyStatus::Compromised => "COMPROMISED".to_owned(),
        other => cell(&other),
    };
    let row = |key: &Key<'_>| {
        vec![
            cell(&key.key_id),
            status(key),
            cell(&key.ends_at),
            cell(&key.successor),
            cell(&key.purpose),
            cell(&key.alg),
            cell(&key.tenant),
            cell(&key.source),
            cell(&key.roles),
            cell(&key.valid_from),
            cell(&key.valid_until),
            cell(&key.expires_at),
        ]
    };
    let head = [
        "KEY_ID",
        "STATUS",
        "ENDS_AT",
        "SUCCESSOR",
        "PURPOSE",
        "ALG",
        "TENANT",
        "SOURCE",
        "ROLES",
        "VALID_FROM",
        "VALID_UNTIL",
        "EXPIRES_AT",
    ];
    table(&head, &keys.iter().map(row).collect::<Vec<_>>())
}

fn add_key(
    context: &mut Context,
    client: &Client,
    path: &str,
    request: &impl Serialize,
    out: Option<&Path>,
) -> Result<(), Failure> {
    // Made first: a secret that cannot be kept must not be created.
    let file = out.map(create_private).transpose()?;
    let added = client.post_json(path, request).and_then(|answer| {
        let added: AddedKey = answer.form()?;
        Ok((answer, added))
    });
    let (mut answer, mut added) = match (added, out) {
        (Err(error), Some(out)) => {
            // Empty, and in the way of another try.
            let _ = std::fs::remove_file(out);
            return Err(error.into());
        }
        (added, _) => added?,
    };
    if let Some(mut file) = file
        && let Some(secret) = added.secret.take()
    {
        writeln!(file, "{secret}")?;
        file.sync_all()?;
        if let Some(members) = answer.raw.as_object_mut() {
            members.remove("secret");
        }
    }
    context.screen.show(&answer.raw, |_| {
        let mut lines = vec![
            ("key id", cell(&added.key_id)),
            ("valid from index", (added.index + 1).to_string()),
        ];
        if let Some(old) = &added.replaces {
            let (old, end) = (cell(old), cell(&added.old_key_ends_at));
            lines.push(("instead of", format!("{old}, which is valid until {end}")));
        }
        if let Some(secret) = &added.secret {
            lines.push(("secret (shown once)", cell(secret)));
        }
        facts(&lines)
    })?;
    Ok(())
}

/// A new file that only its owner can read.
///
/// # Errors
/// When it exists or cannot be made.
pub fn create_private(path: &Path) -> Result<std::fs::File, Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    Ok(file.with_context(|| format!("{}", path.display()))?)
}

/// The server looks whether the old key may be replaced before it makes the new one.
fn rotate_key(context: &mut Context, client: &Client, args: &RotateArgs) -> Result<(), Failure> {
    let path = format!("/v1/keys/{}/rotate", segment(&args.key_id));
    let overlap_seconds = args.overlap.unwrap_or(0);
    let request = RotateKey { public_key: args.public_key.clone(), overlap_seconds };
    add_key(context, client, &path, &request, args.out.as_deref())
}
