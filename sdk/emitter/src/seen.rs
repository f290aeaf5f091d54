//! The last checkpoint that this producer verified, which its heartbeats carry, signed.
//!
//! Promises: a checkpoint is accepted only when the configured key signed it and it continues the
//! one accepted before (RFC 6962 consistency, computed from the log's tiles and checked against
//! both roots). One that the log signed and that does not follow is an alarm, for good: it is kept
//! as evidence and never accepted. With an Ed25519 key of the producer, history before an accepted
//! checkpoint cannot be rewritten without that key.
//!
//! Assumes: the tiles' server may lie; what it sends is believed only as far as the roots hold it.
//!
//! Refuses: to judge when the log cannot be read: nothing is accepted then, and nothing accused.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use ledgerline_proof::checkpoint::{self, Checkpoint};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::tile::{TileAddress, decode_tile};
use ledgerline_proof::tree::{HashAt, HashReader, ProveError, check_consistency, consistency_path};

use crate::transport::Word;

/// Reads what a log publishes as C2SP tlog-tiles.
pub trait LogReader: Send {
    /// The bytes under a path: `checkpoint`, or `tile/…`.
    ///
    /// # Errors
    /// [`ReadError::Missing`] only when the log answered that it has no such thing.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError>;
}

/// Why something of the log was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The log says that it does not have it.
    Missing,
    /// No answer, or none that means anything.
    Unreachable(Word),
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => out.write_str("missing"),
            Self::Unreachable(why) => write!(out, "unreachable: {why}"),
        }
    }
}

/// What came of looking at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It continues what was accepted, and is accepted itself.
    Accepted,
    /// It is a part of what was accepted.
    Older,
    /// The log could not be read, so nothing is known.
    Unknown(Word),
    /// The note is not signed by the configured key, or is none.
    NotSigned,
    /// The log signed it, and it does not follow from what was accepted.
    Alarm,
}

/// Whoever watches a log.
pub(crate) struct Watch {
    key: VerifierKey,
    reader: Box<dyn LogReader>,
    last: Option<Checkpoint>,
    /// Where the last one is kept across restarts.
    file: Option<PathBuf>,
    alarm: bool,
}

impl Watch {
    /// A watch by a verifier key; goes on from the note in a file, if it is there and of that key.
    pub fn new(key: VerifierKey, reader: Box<dyn LogReader>, file: Option<PathBuf>) -> Self {
        let kept = file.as_ref().and_then(|file| fs::read(file).ok());
        let known = std::slice::from_ref(&key);
        let last = kept.and_then(|note| checkpoint::open(&note, known).ok());
        let alarm = file.as_ref().is_some_and(|file| evidence(file).exists());
        Self { key, reader, last: last.map(|opened| opened.checkpoint), file, alarm }
    }

    /// The last one that was accepted.
    pub fn last(&self) -> Option<&Checkpoint> {
        self.last.as_ref()
    }

    /// Whether a checkpoint did not follow, now or in an earlier run.
    pub fn alarm(&self) -> bool {
        self.alarm
    }

    /// Looks at the published checkpoint.
    pub fn look_at_published(&mut self) -> Looked {
        match self.reader.read("checkpoint") {
            Ok(note) => self.look(&note),
            Err(ReadError::Missing) => Looked::Unknown(Word::Borrowed("missing")),
            Err(ReadError::Unreachable(why)) => Looked::Unknown(why),
        }
    }

    /// Looks at a checkpoint: a receipt, or the published one.
    pub fn look(&mut self, note: &[u8]) -> Looked {
        let opened = checkpoint::open(note, std::slice::from_ref(&self.key));
        let Ok(opened) = opened else { return Looked::NotSigned };
        let new = opened.checkpoint;
        let looked = match &self.last {
            None => Looked::Accepted,
            Some(last) => self.compare(last, &new),
        };
        match looked {
            Looked::Accepted => {
                self.keep(note);
                self.last = Some(new);
            }
            Looked::Alarm => self.keep_evidence(note),
            _ => {}
        }
        looked
    }

    fn compare(&self, last: &Checkpoint, new: &Checkpoint) -> Looked {
        let (old, young) = if new.size() < last.size() { (new, last) } else { (last, new) };
        let tiles = Tiles { reader: self.reader.as_ref(), size: young.size() };
        let path = match consistency_path(old.size(), young.size(), &tiles) {
            Ok(path) => path,
            // The log has signed that size: that it does not have its tiles is what is wrong.
            Err(ProveError::Read(ReadError::Missing)) => return Looked::Alarm,
            Err(ProveError::Read(ReadError::Unreachable(why))) => return Looked::Unknown(why),
            Err(ProveError::Tree(_)) => return Looked::Unknown(Word::Borrowed("garbled_tiles")),
        };
        let (old_root, young_root) = (old.root(), young.root());
        let follows =
            check_consistency(old.size(), young.size(), &old_root, &young_root, &path).is_ok();
        match follows {
            true if new.size() < last.size() => Looked::Older,
            true => Looked::Accepted,
            false => Looked::Alarm,
        }
    }

    /// Losing it costs a comparison after the next start, so a failure is no reason to stop.
    fn keep(&self, note: &[u8]) {
        let Some(file) = &self.file else { return };
        let new = file.with_extension("new");
        let written = write_private(&new, note).and_then(|()| fs::rename(&new, file));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
    }

    fn keep_evidence(&mut self, note: &[u8]) {
        self.alarm = true;
        if let Some(file) = &self.file
            && !evidence(file).exists()
        {
            let _ = write_private(&evidence(file), note);
        }
    }
}

/// Where a checkpoint that does not follow is kept.
fn evidence(file: &std::path::Path) -> PathBuf {
    file.with_extension("alarm")
}

fn write_private(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Stored hashes out of tiles.
struct Tiles<'r> {
    reader: &'r dyn LogReader,
    size: u64,
}

impl Tiles<'_> {
    fn tile(&self, address: &TileAddress) -> Result<Vec<Hash>, ReadError> {
        let garbled = || ReadError::Unreachable(Word::Borrowed("garbled_tiles"));
        let width = usize::from(address.width());
        let mut bytes = match self.reader.read(&address.to_string()) {
            // A partial tile may be gone once the full one is there.
            Err(ReadError::Missing) => self.reader.read(&address.full().to_string())?,
            read => read?,
        };
        if bytes.len() < width * 32 {
            return Err(garbled());
        }
        bytes.truncate(width * 32);
        decode_tile(&bytes, address.width()).map_err(|_| garbled())
    }
}

impl HashReader for Tiles<'_> {
    type Error = ReadError;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, ReadError> {
        let mut hashes = Vec::with_capacity(wanted.len());
        let mut at_hand: Option<(TileAddress, Vec<Hash>)> = None;
        for at in wanted {
            let Some((address, position)) = TileAddress::holding(*at, self.size) else {
                return Err(ReadError::Unreachable(Word::Borrowed("garbled_tiles")));
            };
            if at_hand.as_ref().is_none_or(|(known, _)| *known != address) {
                at_hand = Some((address, self.tile(&address)?));
            }
            hashes.extend(at_hand.as_ref().and_then(|(_, tile)| tile.get(position)));
        }
        Ok(hashes)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use ledgerline_proof::checkpoint::Signer;
    use ledgerline_proof::hash::leaf_hash;
    use ledgerline_proof::note::{KeyKind, SignerKey};
    use ledgerline_proof::tree::Frontier;

    use super::*;

    /// A log whose leaves are known, and that may lie.
    struct Log {
        leaves: Vec<Hash>,
        files: RefCell<BTreeMap<String, Vec<u8>>>,
    }

    struct Owned(BTreeMap<String, Vec<u8>>);

    impl LogReader for Owned {
        fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
            self.0.get(path).cloned().ok_or(ReadError::Missing)
        }
    }

    const SEED: [u8; 32] = [3; 32];

    impl Log {
        fn new(leaves: usize, salt: u8) -> Self {
            let leaves =
                (0..leaves).map(|n| leaf_hash(&[&[salt][..], &(n as u64).to_be_bytes()].concat()));
            Self { leaves: leaves.collect(), files: RefCell::default() }
        }

        fn note(&self, size: usize) -> Vec<u8> {
            let mut frontier = Frontier::new();
            self.leaves[..size].iter().for_each(|leaf| frontier.push(*leaf));
            let key = SignerKey::from_seed("log.example", KeyKind::Ed25519, &SEED).expect("a key");
            let mut signer = Signer::new(key).expect("a signer");
            let signed = signer.sign(size as u64, frontier.root()).expect("signed");
            signed.note.to_bytes()
        }

        /// Publishes the level-0 tiles of a tree of this size.
        fn publish(&self, size: usize) {
            let mut files = self.files.borrow_mut();
            files.clear();
            for (n, leaves) in self.leaves[..size].chunks(256).enumerate() {
                let width = u16::try_from(leaves.len()).expect("at most 256");
                let kind = ledgerline_proof::tile::TileKind::Hashes(0);
                let address = TileAddress::new(kind, n as u64, width).expect("an address");
                files.insert(address.to_string(), leaves.iter().flat_map(|one| one.0).collect());
            }
        }

        fn watch(&self, file: Option<PathBuf>) -> Watch {
            let key = VerifierKey::of_seed("log.example", KeyKind::Ed25519, &SEED).expect("a key");
            Watch::new(key, Box::new(Owned(self.files.borrow().clone())), file)
        }
    }

    #[test]
    fn only_what_follows_is_accepted() {
        let check = |old: usize, new: usize, expected: Looked| {
            let log = Log::new(300, 0);
            log.publish(old.max(new));
            let mut watch = log.watch(None);
            assert_eq!(watch.look(&log.note(old)), Looked::Accepted);
            assert_eq!(watch.look(&log.note(new)), expected, "{old} to {new}");
            let size = watch.last().map(Checkpoint::size);
            assert_eq!(size, Some(old.max(new) as u64));
            assert!(!watch.alarm());
        };
        check(1, 2, Looked::Accepted);
        check(7, 200, Looked::Accepted);
        check(100, 300, Looked::Accepted);
        check(200, 200, Looked::Accepted);
        check(200, 100, Looked::Older);
    }

    #[test]
    fn a_fork_is_an_alarm_and_never_accepted() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("seen");
        let (log, fork) = (Log::new(120, 0), Log::new(120, 1));
        for size in [50, 80, 120] {
            log.publish(120);
            let mut watch = log.watch(Some(file.clone()));
            watch.look(&log.note(80));
            let looked = watch.look(&fork.note(size));
            assert_eq!(looked, Looked::Alarm, "{size}");
            assert_eq!(watch.last().map(Checkpoint::size), Some(80));
            assert!(watch.alarm());
            // It is remembered across a restart, and so is what was accepted.
            let again = log.watch(Some(file.clone()));
            assert!(again.alarm());
            assert_eq!(again.last().map(Checkpoint::size), Some(80));
        }
    }

    #[test]
    fn what_cannot_be_judged_is_neither_accepted_nor_accused() {
        struct Dead;
        impl LogReader for Dead {
            fn read(&self, _: &str) -> Result<Vec<u8>, ReadError> {
                Err(ReadError::Unreachable(Word::Borrowed("timeout")))
            }
        }
        let log = Log::new(20, 0);
        let mut watch = log.watch(None);
        watch.reader = Box::new(Dead);
        assert_eq!(watch.look(&log.note(10)), Looked::Accepted);
        assert_eq!(watch.look(&log.note(20)), Looked::Unknown(Word::Borrowed("timeout")));
        assert_eq!(watch.last().map(Checkpoint::size), Some(10));
        assert!(!watch.alarm());
        let other = SignerKey::from_seed("log.example", KeyKind::Ed25519, &[4; 32]).expect("a key");
        let mut signer = Signer::new(other).expect("a signer");
        let forged = signer.sign(20, Hash::ZERO).expect("signed").note.to_bytes();
        assert_eq!(watch.look(&forged), Looked::NotSigned);
        assert_eq!(watch.look(b"nonsense"), Looked::NotSigned);
        // A log that says it has no such tiles has lost what it signed.
        watch.reader = Box::new(Owned(BTreeMap::new()));
        assert_eq!(watch.look(&log.note(20)), Looked::Alarm);
    }
}
