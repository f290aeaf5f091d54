//! Signed notes, checkpoints, their keys, and proofs of one entry.
//!
//! The seeds are signed by the keys below, whose seeds are known. The fuzzer cannot sign, so a note
//! that opens must carry a text that was signed.

use std::sync::OnceLock;

use ledgerline_proof::checkpoint::{self, Checkpoint, Signer};
use ledgerline_proof::cosignature::cosign_note;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::note::{KeyKind, Note, NoteSignature, SignerKey, VerifierKey};
use ledgerline_proof::tlog_proof::TlogProof;

/// Origin of the log whose checkpoints the seeds hold.
pub const ORIGIN: &str = "ledger.example/fuzz";

/// The log's key and a witness's.
pub struct Keys {
    /// Of the log.
    pub log: SignerKey,
    /// Of a witness.
    pub witness: SignerKey,
}

/// The keys of the seeds.
pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        log: SignerKey::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).expect("a good name"),
        witness: SignerKey::from_seed("witness.example/w", KeyKind::CosignatureV1, &[2; 32])
            .expect("a good name"),
    })
}

fn known() -> [VerifierKey; 2] {
    let Keys { log, witness } = keys();
    [log.verifier_key().clone(), witness.verifier_key().clone()]
}

/// Leaves of the seeds' log.
pub const LEAVES: [&[u8]; 2] = [b"first", b"second"];

/// Every checkpoint that the log of the seeds ever signed.
#[must_use]
pub fn signed_checkpoints() -> Vec<Note> {
    let mut signer = Signer::new(keys().log.clone()).expect("a log key");
    let first = leaf_hash(LEAVES[0]);
    let second = ledgerline_proof::hash::node_hash(&first, &leaf_hash(LEAVES[1]));
    let mut notes = Vec::new();
    for (size, root) in [(1, first), (2, second)] {
        let mut note = signer.sign(size, root).expect("it grows").note;
        cosign_note(&mut note, &keys().witness, 1_763_000_000 + size).expect("a checkpoint");
        notes.push(note);
    }
    notes
}

fn signed_texts() -> &'static [String] {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    TEXTS.get_or_init(|| signed_checkpoints().iter().map(|note| note.text().to_owned()).collect())
}

/// A signed note.
pub fn note(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(line) = NoteSignature::parse(text)
    {
        assert_eq!(line.to_string(), text, "a signature line with a second spelling");
    }
    let Ok(note) = Note::parse(data) else { return };
    assert_eq!(note.to_bytes(), data, "a note with a second spelling");
    if note.check(&known()).is_ok() {
        assert!(signed_texts().iter().any(|text| text == note.text()), "a forged note");
    }
}

/// A checkpoint's text, and the signed note around it.
pub fn checkpoint(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(checkpoint) = Checkpoint::parse(text)
    {
        assert_eq!(checkpoint.text(), text, "a checkpoint with a second spelling");
    }
    if let Ok(opened) = checkpoint::open(data, &known()) {
        let text = opened.checkpoint.text();
        assert!(signed_texts().contains(&text), "a forged checkpoint");
        assert_eq!(opened.checkpoint.origin(), ORIGIN);
        for (key, time) in opened.cosigners() {
            assert_eq!(key, keys().witness.verifier_key());
            assert_eq!(time, 1_763_000_000 + opened.checkpoint.size(), "a forged cosignature");
        }
    }
}

/// A verifier key or a signer key.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text, "a vkey with a second spelling");
        let again = VerifierKey::new(key.name(), key.kind(), key.public_bytes());
        assert_eq!(again, Ok(key));
    }
    if let Ok(key) = SignerKey::parse(text) {
        assert_eq!(key.to_skey(), text, "an skey with a second spelling");
        assert!(!format!("{key:?}").contains("PRIVATE"), "Debug shows a private key");
        let public = key.verifier_key();
        assert_eq!(VerifierKey::parse(&public.to_string()).as_ref(), Ok(public));
        if public.kind() == KeyKind::Ed25519 {
            let mut note = Note::unsigned("text\n").expect("a text");
            note.sign(&key).expect("an Ed25519 key signs");
            let read = Note::parse(&note.to_bytes()).expect("a key name can stand in a note");
            assert!(read.check(std::slice::from_ref(public)).is_ok());
        }
    }
}

/// A proof of one entry.
pub fn tlog_proof(data: &[u8]) {
    let Ok(proof) = TlogProof::parse(data) else { return };
    assert_eq!(proof.to_bytes(), data, "a proof with a second spelling");
    for (index, leaf) in (0..).zip(LEAVES) {
        if proof.check(&leaf_hash(leaf), &known()).is_ok() {
            assert_eq!(proof.index, index, "an entry proven at another index");
        }
    }
    assert!(proof.check(&Hash::ZERO, &known()).is_err(), "an entry that is not in the log");
}
