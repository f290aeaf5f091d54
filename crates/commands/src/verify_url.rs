//! `verify --url`: a stranger's check of a server, over public tiles and, with an auditor's key,
//! over every entry.
//!
//! Promises: the whole tree is recomputed from leaf hashes and must give the signed root; every
//! inner tile must be what the leaves make it. With entry bundles, each entry must hash to its
//! leaf, decode canonically, and continue its chain; each block must close what lies before it.
//! Memory grows with the number of chains, not of entries.
//!
//! What it cannot see: whether the server shows others the same log. Keep checkpoints and use
//! `--since`.
//!
//! Without a key from elsewhere the server vouches for itself: the verdict is then "consistent, not
//! authenticated", never "verified".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::ProgressBar;
use ledgerline_api::status::ServerStatus;
use ledgerline_api::values::Time;
use ledgerline_client::remote_log::RemoteLog;
use ledgerline_client::{Client, ClientError};
use ledgerline_proof::block::Block;
use ledgerline_proof::chain::{ChainTip, chain_key, check_link};
use ledgerline_proof::checkpoint::{self, Checkpoint};
use ledgerline_proof::control::Control;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::tile::{TileAddress, TileKind, decode_tile, tiles};
use ledgerline_proof::tree::Frontier;
use ledgerline_world::clock::{Clock as _, SystemClock};
use serde::Serialize;
use serde_with::skip_serializing_none;

use ledgerline_terminal::evidence::kept_checkpoint;
use ledgerline_terminal::exit::{Exit, Failure};

/// What to check, and against what.
pub struct Question<'a> {
    /// The log's key, from somewhere the caller trusts.
    pub key: Option<&'a str>,
    /// An older checkpoint of the same log.
    pub since: Option<&'a Path>,
    /// Leaves entries alone.
    pub tree_only: bool,
}

/// What was found.
pub struct Report {
    /// The verdict as an exit code.
    pub exit: Exit,
    /// The report.
    pub document: Document,
}

/// The report, for programs.
#[skip_serializing_none]
#[derive(Debug, Serialize)]
pub struct Document {
    #[serialize_always]
    origin: Option<String>,
    /// Entries of what was checked.
    #[serialize_always]
    pub size: Option<u64>,
    #[serialize_always]
    root: Option<Hash>,
    notes: Vec<String>,
    /// The verdict in a word.
    pub verdict: &'static str,
    #[serde(flatten)]
    broken: Option<Broken>,
    entries_checked: Option<bool>,
    newer_entries: Option<u64>,
    since: Option<Since>,
}

const VERIFIED: &str = "verified";
const NOT_VERIFIED: &str = "not_verified";

/// What is wrong, and where.
#[derive(Debug, Serialize)]
struct Broken {
    #[serde(rename = "first_bad_index")]
    index: Option<u64>,
    what: String,
    #[serde(rename = "affected_token")]
    token: Option<String>,
}

impl Broken {
    fn at(index: u64, what: impl Into<String>) -> Self {
        Self { index: Some(index), what: what.into(), token: None }
    }

    fn whole(what: impl Into<String>) -> Self {
        Self { index: None, what: what.into(), token: None }
    }
}

/// Verifies a server.
///
/// # Errors
/// When the server cannot be read: then nothing is known.
pub fn verify(
    client: &Client,
    question: &Question<'_>,
    bar: &ProgressBar,
) -> Result<Report, Failure> {
    let (key, key_is_given) = log_key(client, question.key)?;
    let size = recorded(client)?;
    let log = RemoteLog::new(client);
    let note = log.checkpoint()?;
    let opened = match checkpoint::open(&note, std::slice::from_ref(&key)) {
        Ok(opened) => opened.checkpoint,
        Err(error) => return Ok(report(None, Err(Broken::whole(error.to_string())), Vec::new())),
    };
    let mut notes = Vec::new();
    let newer = size.and_then(|size| size.checked_sub(opened.size()));
    if let Some(newer @ 1..) = newer {
        let size = opened.size();
        notes.push(format!(
            "as of entry {size}: {newer} newer entries are not covered; the next block covers them"
        ));
    }
    if !key_is_given {
        notes.push("the log key came from the server itself: give it with --log-key".to_owned());
    }
    let since = match question.since {
        None => None,
        Some(path) => match older(path, &key)? {
            Ok(since) => Some(since),
            Err(error) => return Ok(report(Some(&opened), Err(Broken::whole(error)), notes)),
        },
    };
    let with_entries = client.has_key() && !question.tree_only;
    let mut run = Run::new(&log, &opened, since.as_ref(), with_entries);
    bar.set_length(opened.size());
    let found = run.leaves(bar)?;
    let found = match found {
        Ok(()) => run.inner_tiles()?,
        broken => broken,
    };
    if !run.with_entries {
        notes.push("entries were not checked: that needs an auditor of all tenants".to_owned());
    }
    let mut report = report(Some(&opened), found, notes);
    report.document.entries_checked = Some(run.with_entries);
    report.document.newer_entries = newer;
    if report.exit == Exit::Ok && !run.with_entries && !question.tree_only {
        report.exit = Exit::Incomplete;
        report.document.verdict = "incomplete";
    }
    if let (Some(path), Some(since)) = (question.since, &since) {
        let same = report.exit != Exit::NotVerified;
        let since = Since::new(path, since, opened.size(), same);
        let sealed_at = run.since_sealed_at.map(Time);
        report.document.since = Some(Since { sealed_at, ..since });
    }
    if report.exit != Exit::NotVerified && !key_is_given {
        report.exit = Exit::Incomplete;
        report.document.verdict = NOT_AUTHENTICATED;
    }
    Ok(report)
}

/// How many entries there are, when the server tells whoever asks.
fn recorded(client: &Client) -> Result<Option<u64>, ClientError> {
    if !client.has_key() {
        return Ok(None);
    }
    match client.get("/v1/status") {
        Ok(answer) => Ok(Some(answer.form::<ServerStatus<'_>>()?.size)),
        Err(_) => Ok(None),
    }
}

fn log_key(client: &Client, given: Option<&str>) -> Result<(VerifierKey, bool), Failure> {
    if let Some(text) = given {
        let key = VerifierKey::parse(text).map_err(Failure::usage)?;
        return Ok((key, true));
    }
    if !client.has_key() {
        return Err(Failure::usage("name the log's key with --log-key"));
    }
    let answer = client.get("/v1/status")?;
    let text = answer.form::<ServerStatus<'_>>()?.log_key;
    let key = VerifierKey::parse(&text).map_err(|_| answer.garbled("`log_key` is no key"))?;
    Ok((key, false))
}

/// The verdict about what is consistent in itself and has no word of anybody trusted.
pub const NOT_AUTHENTICATED: &str = "consistent_not_authenticated";

/// The older checkpoint. What cannot be read is an error and no verdict about the log; what the
/// log's key did not sign is of another log, or was changed.
fn older(path: &Path, key: &VerifierKey) -> Result<Result<Checkpoint, String>, Failure> {
    let name = path.display();
    let note = std::fs::read(path).with_context(|| format!("{name}"))?;
    kept_checkpoint(path, &note)?;
    let opened = checkpoint::open(&note, std::slice::from_ref(key));
    Ok(opened.map(|opened| opened.checkpoint).map_err(|error| format!("{name}: {error}")))
}

/// What was compared with an older checkpoint, and when.
#[derive(Debug, Serialize)]
pub struct Since {
    file: PathBuf,
    origin: String,
    size: u64,
    root: Hash,
    /// When it was closed, where that is known.
    sealed_at: Option<Time>,
    size_now: u64,
    compared_at: Time,
    result: &'static str,
}

impl Since {
    /// Of the checkpoint in a file, and a log of so many entries that continues it, or does not.
    #[must_use]
    pub fn new(path: &Path, since: &Checkpoint, size_now: u64, same: bool) -> Self {
        Self {
            file: path.to_owned(),
            origin: since.origin().to_owned(),
            size: since.size(),
            root: since.root(),
            sealed_at: None,
            size_now,
            compared_at: Time(SystemClock::default().wall_nanos()),
            result: if same { "same_log" } else { "not_the_same_log" },
        }
    }
}

fn report(checked: Option<&Checkpoint>, found: Result<(), Broken>, notes: Vec<String>) -> Report {
    let (exit, verdict, broken) = match found {
        Ok(()) => (Exit::Ok, VERIFIED, None),
        Err(broken) => (Exit::NotVerified, NOT_VERIFIED, Some(broken)),
    };
    let document = Document {
        origin: checked.map(|checked| checked.origin().to_owned()),
        size: checked.map(Checkpoint::size),
        root: checked.map(Checkpoint::root),
        notes,
        verdict,
        broken,
        entries_checked: None,
        newer_entries: None,
        since: None,
    };
    Report { exit, document }
}

/// One pass over the log.
struct Run<'r> {
    log: &'r RemoteLog<'r>,
    checkpoint: &'r Checkpoint,
    since: Option<&'r Checkpoint>,
    with_entries: bool,
    frontier: Frontier,
    /// Hashes of inner tiles, as the leaves make them: (level, index).
    inner: BTreeMap<(u8, u64), Hash>,
    chains: Chains,
    /// When the older tree was closed, where its last leaf is a block that was read.
    since_sealed_at: Option<i64>,
}

/// What continues where.
#[derive(Default)]
struct Chains {
    genesis: Option<Hash>,
    tips: BTreeMap<Vec<u8>, ChainTip>,
    last_block: Option<(u64, i64, Hash)>,
}

impl<'r> Run<'r> {
    fn new(
        log: &'r RemoteLog<'r>,
        checkpoint: &'r Checkpoint,
        since: Option<&'r Checkpoint>,
        with_entries: bool,
    ) -> Self {
        let (frontier, inner, chains) = Default::default();
        let since_sealed_at = None;
        Self { log, checkpoint, since, with_entries, frontier, inner, chains, since_sealed_at }
    }

    fn leaves(&mut self, bar: &ProgressBar) -> Result<Result<(), Broken>, Failure> {
        let size = self.checkpoint.size();
        if let Some(since) = self.since
            && (since.origin() != self.checkpoint.origin() || since.size() > size)
        {
            let what = "the older checkpoint is of another log, or larger than this one";
            return Ok(Err(Broken::whole(what)));
        }
        for number in 0..size.div_ceil(256) {
            let hashes = self.log.leaf_hashes(number, size)?;
            let leaves = if self.with_entries { self.bundle(number)? } else { None };
            for (at, hash) in hashes.iter().enumerate() {
                let index = number * 256 + at as u64;
                if let Some(leaf) = leaves.as_ref().map(|leaves| &leaves[at]) {
                    let checked = self.chains.check(index, leaf, hash, &self.frontier);
                    if checked.is_err() {
                        return Ok(checked);
                    }
                    if self.since.is_some_and(|since| since.size() == index + 1)
                        && let Ok(Leaf::Block(block)) = Leaf::decode(leaf)
                    {
                        self.since_sealed_at = Some(block.sealed_at.nanos);
                    }
                }
                let inner = &mut self.inner;
                self.frontier.push_stored(*hash, |place, hash| {
                    if place.level > 0 {
                        inner.insert((place.level, place.index), hash);
                    }
                });
                let due = self.since.filter(|since| since.size() == index + 1);
                if due.is_some_and(|since| since.root() != self.frontier.root()) {
                    let what = "the log was rewritten below the older checkpoint";
                    return Ok(Err(Broken::at(index, what)));
                }
            }
            bar.inc(hashes.len() as u64);
        }
        let same = self.frontier.root() == self.checkpoint.root();
        let broken = || Broken::whole("the leaves do not give the signed root");
        Ok(if same { Ok(()) } else { Err(broken()) })
    }

    /// The leaves of a bundle; `None` from the moment the key turns out to be no auditor's.
    fn bundle(&mut self, number: u64) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        match self.log.leaves(number, self.checkpoint.size()) {
            Ok(leaves) => Ok(Some(leaves)),
            Err(error) if error.code() == Some("forbidden") => {
                self.with_entries = false;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn inner_tiles(&self) -> Result<Result<(), Broken>, Failure> {
        let is_inner =
            |address: &TileAddress| matches!(address.kind(), TileKind::Hashes(level) if level > 0);
        for address in tiles(self.checkpoint.size()).filter(is_inner) {
            let TileKind::Hashes(level) = address.kind() else { continue };
            let bytes = self.log.tile(&address)?;
            let hashes = decode_tile(&bytes, address.width()).unwrap_or_default();
            let mut expected = (address.first()..).map(|index| self.inner.get(&(level, index)));
            if hashes.iter().any(|hash| expected.next().flatten() != Some(hash)) {
                return Ok(Err(Broken::whole(format!("{address} is not what its leaves make it"))));
            }
        }
        Ok(Ok(()))
    }
}

impl Chains {
    fn check(
        &mut self,
        index: u64,
        bytes: &[u8],
        expected: &Hash,
        before: &Frontier,
    ) -> Result<(), Broken> {
        let hash = leaf_hash(bytes);
        if hash != *expected {
            return Err(Broken::at(index, "the entry does not hash to its leaf"));
        }
        let leaf = Leaf::decode(bytes).map_err(|error| Broken::at(index, error.to_string()))?;
        if index == 0 {
            self.genesis = Some(hash);
        }
        match leaf {
            // As `verify` does: no ledger is a top ledger yet.
            Leaf::Control(Control { cut: Some(_), .. }) => {
                Err(Broken::at(index, "it is a CUT, which only a top ledger may hold"))
            }
            Leaf::Control(_) => Ok(()),
            Leaf::Block(block) => self.block(index, &block, hash, before),
            Leaf::Entry(entry) => {
                let statement: Statement<'_> = decode_object(Kind::Statement, entry.statement)
                    .map_err(|error| Broken::at(index, error.to_string()))?;
                let token = statement.target.id.to_owned();
                let chain = chain_key(&statement, &entry.handles)
                    .ok_or_else(|| Broken::at(index, "the entry names no chain"))?;
                let mut key = vec![chain.kind.position()];
                key.extend_from_slice(chain.tenant.as_bytes());
                key.push(0);
                key.extend_from_slice(chain.id);
                let genesis = self.genesis.unwrap_or(Hash::ZERO);
                let tip = self.tips.get(&key);
                check_link(&entry, tip, || chain.start(&genesis)).map_err(|broken| Broken {
                    index: Some(index),
                    what: broken.to_string(),
                    token: Some(token),
                })?;
                let sequence = tip.map_or(0, |tip| tip.sequence + 1);
                self.tips.insert(key, ChainTip { index, event_hash: hash, sequence });
                Ok(())
            }
        }
    }

    fn block(
        &mut self,
        index: u64,
        block: &Block,
        hash: Hash,
        before: &Frontier,
    ) -> Result<(), Broken> {
        let (first, height, previous) = match self.last_block {
            None => (0, 0, Hash::ZERO),
            Some((index, height, hash)) => (index + 1, height + 1, hash),
        };
        let covers = u64::try_from(block.first_index) == Ok(first)
            && u64::try_from(block.count) == Ok(index - first);
        if !covers || block.height != height || block.previous != previous {
            return Err(Broken::at(index, "the block does not continue the previous one"));
        }
        if block.tree_root != before.root() {
            return Err(Broken::at(index, "the block does not carry the root before it"));
        }
        self.last_block = Some((index, height, hash));
        Ok(())
    }
}
