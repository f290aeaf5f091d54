//! Notes, checkpoints, cosignatures and one-entry proofs: malformed inputs, every changed bit, and
//! the `signed_note` crate as a second implementation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use ledgerline_proof::checkpoint::{self, Checkpoint, CheckpointError, SignError, Signer};
use ledgerline_proof::cosignature::{MAX_TIME, cosign, cosign_note};
use ledgerline_proof::hash::{Hash, empty_root, leaf_hash, node_hash};
use ledgerline_proof::note::{
    KeyKind, Note, NoteError, NoteSignature, SignedBy, SignerKey, VerifierKey,
};
use ledgerline_proof::tlog_proof::{TlogProof, TlogProofError};
use ledgerline_proof::tree::TreeError;
use signed_note::{StandardSigner, StandardVerifier, VerifierList};

const ORIGIN: &str = "ledger.example/log";

/// Key, note and text of the Go documentation of sumdb/note.
const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SKEY: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n";
const GO_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2p\
                       ZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
const ENOCH_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGr\
                          Q5ovTG01oOTGwnWLox33WWd1RvMc+QQ=";

fn log_key() -> SignerKey {
    SignerKey::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap()
}

fn witness_key() -> SignerKey {
    SignerKey::from_seed("witness.example/w1", KeyKind::CosignatureV1, &[2; 32]).unwrap()
}

fn public(key: &SignerKey) -> VerifierKey {
    key.verifier_key().clone()
}

fn signed_checkpoint() -> Note {
    Signer::new(log_key()).unwrap().sign(1, leaf_hash(b"entry")).unwrap().note
}

// ---- keys -------------------------------------------------------------------------------------

#[test]
fn keys_have_one_spelling() {
    let vkeys = ["example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", GO_VKEY];
    for vkey in vkeys {
        assert_eq!(VerifierKey::parse(vkey).unwrap().to_string(), vkey);
        StandardVerifier::new(vkey).unwrap();
    }
    assert_eq!(VerifierKey::parse(vkeys[0]).unwrap().id(), 0x530d_903a);
    assert_eq!(SignerKey::parse(GO_SKEY).unwrap().to_skey(), GO_SKEY);
    assert_eq!(SignerKey::parse(GO_SKEY).unwrap().verifier_key().to_string(), GO_VKEY);

    for key in [log_key(), witness_key()] {
        let again = SignerKey::parse(&key.to_skey()).unwrap();
        assert_eq!(again.verifier_key(), key.verifier_key());
        assert_eq!(VerifierKey::parse(&key.verifier_key().to_string()), Ok(public(&key)));
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
    // One key, two kinds: two ids, so neither signature passes for the other.
    let as_log = SignerKey::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap();
    let as_witness = SignerKey::from_seed(ORIGIN, KeyKind::CosignatureV1, &[1; 32]).unwrap();
    assert_ne!(as_log.verifier_key().id(), as_witness.verifier_key().id());
}

#[test]
fn malformed_keys_are_refused() {
    let (name, rest) = GO_VKEY.split_once('+').unwrap();
    let (_, key) = rest.split_once('+').unwrap();
    let vkey = |id: &str, key: &str| format!("{name}+{id}+{key}");
    let ecdsa = STANDARD.encode([&[0x02], [7; 32].as_slice()].concat());
    let weak = STANDARD.encode([&[0x01, 0x01], [0; 31].as_slice()].concat());
    let no_point = STANDARD.encode([&[0x01, 0x02], [0; 31].as_slice()].concat());
    let malformed = [
        String::new(),
        name.to_owned(),
        format!("{name}+c74f20a3"),
        vkey("c74f20a", key),
        vkey("C74F20A3", key),
        vkey("+74f20a3", key),
        vkey("c74f20a3", ""),
        vkey("c74f20a3", &key[..key.len() - 1]),
        vkey("c74f20a3", &format!("{key}\n")),
        vkey("c74f20a3", "AQ=="),
        vkey("c74f20a3", &ecdsa),
        vkey("c74f20a3", &weak),
        vkey("c74f20a3", &no_point),
    ];
    for text in &malformed {
        let got = VerifierKey::parse(text);
        assert!(matches!(got, Err(NoteError::MalformedKey(_))), "{text:?}: {got:?}");
    }
    assert_eq!(VerifierKey::parse(&vkey("c74f20a4", key)), Err(NoteError::KeyId));
    assert_eq!(VerifierKey::parse(&GO_VKEY.replace("Neu", "neu")), Err(NoteError::KeyId));
    let wrong_id = SignerKey::parse(&GO_SKEY.replace("c74f", "c74e"));
    assert_eq!(wrong_id.unwrap_err(), NoteError::KeyId);
    assert!(matches!(SignerKey::parse(GO_VKEY), Err(NoteError::MalformedKey(_))));
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\nb", "a\u{0}b", "\u{85}"] {
        let made = SignerKey::from_seed(name, KeyKind::Ed25519, &[1; 32]);
        assert_eq!(made.unwrap_err(), NoteError::KeyName, "{name:?}");
    }
}

// ---- notes ------------------------------------------------------------------------------------

#[test]
fn the_go_example_is_reproduced_byte_for_byte() {
    let mut note = Note::unsigned(GO_TEXT).unwrap();
    note.sign(&SignerKey::parse(GO_SKEY).unwrap()).unwrap();
    let enoch = SignerKey::from_seed("EnochRoot", KeyKind::Ed25519, &[0; 32]).unwrap();
    note.sign(&enoch).unwrap();
    let expected = format!("{GO_TEXT}\n{GO_LINE}\n{ENOCH_LINE}\n");
    assert_eq!(String::from_utf8(note.to_bytes()).unwrap(), expected);

    let parsed = Note::parse(expected.as_bytes()).unwrap();
    assert_eq!(parsed, note);
    let known = [public(&enoch), VerifierKey::parse(GO_VKEY).unwrap()];
    let names: Vec<_> = parsed.check(&known).unwrap().into_iter().map(|by| by.key).collect();
    assert_eq!(names, [known[1].clone(), known[0].clone()]);
    // A signature by an unknown key is ignored.
    assert_eq!(parsed.check(&known[..1]).unwrap(), [SignedBy { key: public(&enoch), time: None }]);
    assert_eq!(parsed.check(&[]), Err(NoteError::Unsigned));
}

#[test]
fn signatures_begin_after_the_last_empty_line() {
    for text in ["a\n\nb\n", "\n", "\n\n\n", "a\n\n", "— fake AAAAAAA=\n\nb\n"] {
        let mut note = Note::unsigned(text).unwrap();
        note.sign(&log_key()).unwrap();
        let parsed = Note::parse(&note.to_bytes()).unwrap();
        assert_eq!((parsed.text(), parsed.signatures().len()), (text, 1));
        assert!(parsed.check(&[public(&log_key())]).is_ok());
        assert!(second_opinion(&note.to_bytes(), &[&log_key()]));
    }
}

#[test]
fn malformed_notes_are_refused() {
    let base64 = GO_LINE.rsplit(' ').next().unwrap();
    let with = |lines: &str| format!("{GO_TEXT}\n{lines}").into_bytes();
    let malformed = [
        Vec::new(),
        b"\n".to_vec(),
        b"\n\n".to_vec(),
        GO_TEXT.as_bytes().to_vec(),
        with(""),
        with("\n"),
        with(GO_LINE),
        with(&format!("{GO_LINE}\n\n")),
        with(&format!("{GO_LINE}\nx\n")),
        with(&format!("{GO_LINE} \n")),
        with(&format!(" {GO_LINE}\n")),
        with(&format!("{GO_LINE}\r\n")),
        with(&format!("- PeterNeumann {base64}\n")),
        with(&format!("—PeterNeumann {base64}\n")),
        with(&format!("—  {base64}\n")),
        with(&format!("— Peter Neumann {base64}\n")),
        with(&format!("— Peter+Neumann {base64}\n")),
        with(&format!("— Peter\u{a0}Neumann {base64}\n")),
        with("— PeterNeumann\n"),
        with("— PeterNeumann \n"),
        with("— PeterNeumann x08go/Z\n"),
        with("— PeterNeumann x08gow==\n"),
        with("— PeterNeumann x08go_Zw\n"),
        with(&format!("{GO_LINE}\n")).iter().map(|b| if *b == b',' { 9 } else { *b }).collect(),
        with(&format!("{GO_LINE}\n")).iter().map(|b| if *b == b',' { 0xff } else { *b }).collect(),
        with(&format!("{GO_LINE}\n").repeat(101)),
        [vec![b'a'; 1_000_000], with(&format!("{GO_LINE}\n"))].concat(),
    ];
    for bytes in &malformed {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]);
        assert!(Note::parse(bytes).is_err(), "{shown:?}");
        assert!(signed_note::Note::from_bytes(bytes).is_err(), "oracle: {shown:?}");
    }
    for text in ["", "no line feed", "tab\t\n", "cr\r\n", "nul\0\n"] {
        assert!(matches!(Note::unsigned(text), Err(NoteError::Malformed(_))), "{text:?}");
    }
}

#[test]
fn a_hundred_signatures_are_read() {
    let bytes = format!("{GO_TEXT}\n{}", format!("{GO_LINE}\n").repeat(100));
    let note = Note::parse(bytes.as_bytes()).unwrap();
    assert_eq!(note.signatures().len(), 100);
    let known = VerifierKey::parse(GO_VKEY).unwrap();
    // The same key counts once.
    assert_eq!(
        note.check(std::slice::from_ref(&known)),
        Ok(vec![SignedBy { key: known, time: None }])
    );
}

#[test]
fn a_bad_signature_by_a_known_key_spoils_the_note() {
    let log = log_key();
    let mut note = signed_checkpoint();
    let bad = || NoteSignature::by(log.verifier_key(), vec![0; 64]);
    let unknown = NoteSignature::by(witness_key().verifier_key(), vec![1; 9]);
    note.add(unknown);
    assert!(note.check(&[public(&log)]).is_ok());
    note.add(bad());
    let error = NoteError::BadSignature { name: ORIGIN.to_owned(), id: log.verifier_key().id() };
    assert_eq!(note.check(&[public(&log)]), Err(error));

    let mut wrong_length = signed_checkpoint();
    wrong_length.add(NoteSignature::by(log.verifier_key(), vec![1; 65]));
    assert!(matches!(wrong_length.check(&[public(&log)]), Err(NoteError::BadSignature { .. })));
}

#[test]
fn a_key_given_twice_is_one_key() {
    let key = public(&log_key());
    assert_eq!(signed_checkpoint().check(&[key.clone(), key]).unwrap().len(), 1);
}

/// What the `signed_note` crate says: parsed, and at least one signature by a known key is valid
/// and none is bad.
fn second_opinion(bytes: &[u8], keys: &[&SignerKey]) -> bool {
    let verifier = |key: &&SignerKey| {
        let key = StandardVerifier::new(&key.verifier_key().to_string()).unwrap();
        Box::new(key) as Box<dyn signed_note::Verifier>
    };
    let known = VerifierList::new(keys.iter().map(verifier).collect());
    signed_note::Note::from_bytes(bytes).is_ok_and(|note| note.verify(&known).is_ok())
}

#[test]
fn the_second_implementation_signs_what_we_accept() {
    let log = log_key();
    let text = Checkpoint::new(ORIGIN, 1, leaf_hash(b"entry")).unwrap().text();
    let mut theirs = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
    theirs.add_sigs(&[&StandardSigner::new(&log.to_skey()).unwrap()]).unwrap();
    assert_eq!(theirs.to_bytes(), signed_checkpoint().to_bytes());
}

#[test]
fn every_changed_bit_is_judged_alike_by_both_implementations() {
    let log = log_key();
    let bytes = signed_checkpoint().to_bytes();
    assert!(second_opinion(&bytes, &[&log]));
    let known = [public(&log)];
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let ours = Note::parse(&changed).is_ok_and(|note| note.check(&known).is_ok());
        assert!(!ours, "bit {bit}");
        assert!(!second_opinion(&changed, &[&log]), "bit {bit}");
        assert!(checkpoint::open(&changed, &known).is_err(), "bit {bit}");
    }
}

// ---- checkpoints ------------------------------------------------------------------------------

#[test]
fn checkpoint_texts_have_one_spelling() {
    let root = leaf_hash(b"entry").to_base64();
    let empty = empty_root().to_base64();
    let good = [
        format!("{ORIGIN}\n0\n{empty}\n"),
        format!("{ORIGIN}\n18446744073709551615\n{root}\n"),
        format!("an odd + origin\n7\n{root}\nextension\nanother\n"),
    ];
    for text in &good {
        assert_eq!(Checkpoint::parse(text).unwrap().text(), *text);
    }
    assert_eq!(Checkpoint::parse(&good[2]).unwrap().extensions(), ["extension", "another"]);

    let bad = [
        String::new(),
        "\n".to_owned(),
        format!("{ORIGIN}\n7\n"),
        format!("{ORIGIN}\n7\n{root}"),
        format!("\n7\n{root}\n"),
        format!("{ORIGIN}\n\n{root}\n"),
        format!("{ORIGIN}\n07\n{root}\n"),
        format!("{ORIGIN}\n+7\n{root}\n"),
        format!("{ORIGIN}\n-7\n{root}\n"),
        format!("{ORIGIN}\n7 \n{root}\n"),
        format!("{ORIGIN}\n0x7\n{root}\n"),
        format!("{ORIGIN}\n٧\n{root}\n"),
        format!("{ORIGIN}\n18446744073709551616\n{root}\n"),
        format!("{ORIGIN}\n7\n{}\n", &root[..43]),
        format!("{ORIGIN}\n7\n{root}=\n"),
        format!("{ORIGIN}\n7\nAAAA\n"),
        format!("{ORIGIN}\n7\n{root}\n\n"),
        format!("{ORIGIN}\n7\n{root}\nextension\n\nanother\n"),
    ];
    for text in &bad {
        let got = Checkpoint::parse(text);
        assert!(matches!(got, Err(CheckpointError::Malformed(_))), "{text:?}: {got:?}");
    }
    let wrong_empty = format!("{ORIGIN}\n0\n{root}\n");
    assert_eq!(Checkpoint::parse(&wrong_empty), Err(CheckpointError::EmptyRoot));
    assert_eq!(Checkpoint::new(ORIGIN, 0, Hash::ZERO), Err(CheckpointError::EmptyRoot));
    assert!(Checkpoint::new(ORIGIN, 1, Hash::ZERO).is_ok());
    for origin in ["", "a b", "a+b", &"a".repeat(256)] {
        let made = Checkpoint::new(origin, 1, leaf_hash(b""));
        assert_eq!(made, Err(CheckpointError::Origin), "{origin:?}");
    }
    assert!(Checkpoint::new(&"a".repeat(255), 1, leaf_hash(b"")).is_ok());
}

#[test]
fn a_signer_never_contradicts_itself() {
    let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
    let mut signer = Signer::new(log_key()).unwrap();
    assert_eq!(signer.sign(0, a), Err(SignError::EmptyRoot));
    assert_eq!(signer.last(), None);
    signer.sign(0, empty_root()).unwrap();
    let first = signer.sign(5, a).unwrap();
    assert_eq!(signer.sign(5, a), Ok(first));
    assert_eq!(signer.sign(5, b), Err(SignError::OtherRoot { size: 5 }));
    assert_eq!(signer.sign(4, a), Err(SignError::Smaller { size: 4, last: 5 }));
    assert_eq!(signer.sign(0, empty_root()), Err(SignError::Smaller { size: 0, last: 5 }));
    assert_eq!(signer.last(), Some((5, a)));
    signer.sign(6, b).unwrap();

    let mut resumed = Signer::resume(log_key(), 5, a).unwrap();
    assert_eq!(resumed.sign(4, a), Err(SignError::Smaller { size: 4, last: 5 }));
    assert_eq!(resumed.sign(5, b), Err(SignError::OtherRoot { size: 5 }));
    resumed.sign(5, a).unwrap();

    assert_eq!(Signer::new(witness_key()).unwrap_err(), SignError::Key);
    let long = SignerKey::from_seed(&"a".repeat(256), KeyKind::Ed25519, &[1; 32]).unwrap();
    assert_eq!(Signer::new(long).unwrap_err(), SignError::Key);
}

#[test]
fn a_note_is_written_again_from_its_kept_signature() {
    let mut signer = Signer::new(log_key()).unwrap();
    let signed = signer.sign(3, leaf_hash(b"root")).unwrap();
    let again = Checkpoint::new(ORIGIN, 3, leaf_hash(b"root")).unwrap();
    let note = again.with_signature(signer.verifier_key(), &signed.signature).unwrap();
    assert_eq!(note.to_bytes(), signed.note.to_bytes());
    let opened = checkpoint::open(&note.to_bytes(), &[public(&log_key())]).unwrap();
    assert_eq!(opened.checkpoint, signed.checkpoint);
}

#[test]
fn only_the_log_itself_vouches_for_a_checkpoint() {
    let (log, witness) = (log_key(), witness_key());
    let other = SignerKey::from_seed("other.example/log", KeyKind::Ed25519, &[3; 32]).unwrap();
    let mut note = signed_checkpoint();
    note.sign(&other).unwrap();
    cosign_note(&mut note, &witness, 1_679_315_147).unwrap();
    let bytes = note.to_bytes();

    let opened = checkpoint::open(&bytes, &[public(&log), public(&witness)]).unwrap();
    let cosigners: Vec<_> = opened.cosigners().collect();
    assert_eq!(cosigners, [(witness.verifier_key(), 1_679_315_147)]);
    let not_log = CheckpointError::NotSignedByLog { origin: ORIGIN.to_owned() };
    for known in
        [vec![public(&witness)], vec![public(&other)], vec![public(&other), public(&witness)]]
    {
        assert_eq!(checkpoint::open(&bytes, &known), Err(not_log.clone()));
    }
    assert_eq!(checkpoint::open(&bytes, &[]), Err(CheckpointError::Note(NoteError::Unsigned)));
}

// ---- cosignatures -----------------------------------------------------------------------------

#[test]
fn a_cosignature_is_drawn_as_c2sp_says() {
    let witness = witness_key();
    let checkpoint =
        Checkpoint::new("example.com/behind-the-sofa", 20_852_163, leaf_hash(b"")).unwrap();
    let line = cosign(&witness, &checkpoint, 1_679_315_147).unwrap();
    let message = format!(
        "cosignature/v1\ntime 1679315147\nexample.com/behind-the-sofa\n20852163\n{}\n",
        leaf_hash(b"").to_base64()
    );
    let signature = SigningKey::from_bytes(&[2; 32]).sign(message.as_bytes()).to_bytes();
    let field = [1_679_315_147_u64.to_be_bytes().as_slice(), &signature].concat();
    assert_eq!(line.bytes(), field);
    assert_eq!(line.id(), witness.verifier_key().id());
    assert_eq!(NoteSignature::parse(&line.to_string()), Ok(line));
}

#[test]
fn changed_cosignatures_are_refused() {
    let (log, witness) = (log_key(), witness_key());
    let known = [public(&log), public(&witness)];
    let checkpoint = Checkpoint::parse(signed_checkpoint().text()).unwrap();
    let field = cosign(&witness, &checkpoint, 7).unwrap().bytes().to_vec();
    let open = |field: Vec<u8>| {
        let mut note = signed_checkpoint();
        note.add(NoteSignature::by(witness.verifier_key(), field));
        checkpoint::open(&note.to_bytes(), &known)
    };
    assert_eq!(open(field.clone()).unwrap().cosigners().count(), 1);
    for bit in 0..field.len() * 8 {
        let mut changed = field.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(changed).is_err(), "bit {bit}");
    }
    for length in [1, 8, 63, 64, 71] {
        assert!(open(field[..length].to_vec()).is_err(), "{length} bytes");
    }
    assert!(cosign(&witness, &checkpoint, MAX_TIME).is_ok());
    let late = cosign(&witness, &checkpoint, MAX_TIME + 1);
    assert!(matches!(late, Err(NoteError::Malformed(_))));
    assert!(matches!(cosign(&log, &checkpoint, 7), Err(NoteError::MalformedKey(_))));
    assert!(matches!(signed_checkpoint().sign(&witness), Err(NoteError::MalformedKey(_))));
    let mut no_checkpoint = Note::unsigned("hello\n").unwrap();
    assert!(cosign_note(&mut no_checkpoint, &witness, 7).is_err());
}

// ---- one-entry proofs -------------------------------------------------------------------------

/// A log of two entries, and the proof of the second.
fn proof(extra: Option<&[u8]>) -> TlogProof {
    let (first, second) = (leaf_hash(b"first"), leaf_hash(b"second"));
    let mut signer = Signer::new(log_key()).unwrap();
    let checkpoint = signer.sign(2, node_hash(&first, &second)).unwrap().note;
    TlogProof { extra: extra.map(<[u8]>::to_vec), index: 1, path: vec![first], checkpoint }
}

#[test]
fn a_proof_is_written_read_and_checked() {
    let known = [public(&log_key())];
    for extra in [None, Some(&b""[..]), Some(b"anything")] {
        let proof = proof(extra);
        let again = TlogProof::parse(&proof.to_bytes()).unwrap();
        assert_eq!(again, proof);
        let opened = again.check(&leaf_hash(b"second"), &known).unwrap();
        assert_eq!(opened.checkpoint.size(), 2);
    }
    let drawn = format!(
        "c2sp.org/tlog-proof@v1\nextra YW55dGhpbmc=\nindex 1\n{}\n\n{}",
        leaf_hash(b"first").to_base64(),
        String::from_utf8(proof(None).checkpoint.to_bytes()).unwrap(),
    );
    assert_eq!(String::from_utf8(proof(Some(b"anything")).to_bytes()).unwrap(), drawn);

    let wrong = proof(None).check(&leaf_hash(b"first"), &known);
    assert_eq!(wrong, Err(TlogProofError::Tree(TreeError::RootMismatch)));
    let outside = TlogProof { index: 2, ..proof(None) };
    let outside = outside.check(&leaf_hash(b"second"), &known);
    assert!(matches!(outside, Err(TlogProofError::Tree(TreeError::IndexOutside { .. }))));
    let unsigned = proof(None).check(&leaf_hash(b"second"), &[]);
    assert!(matches!(unsigned, Err(TlogProofError::Checkpoint(_))));
}

#[test]
fn malformed_proofs_are_refused() {
    let good = String::from_utf8(proof(Some(b"anything")).to_bytes()).unwrap();
    let hash = leaf_hash(b"first").to_base64();
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let bad = [
        String::new(),
        change("@v1", "@v2"),
        change("c2sp.org/tlog-proof@v1\n", ""),
        change("extra YW55dGhpbmc=", "extra YW55dGhpbmc"),
        change("extra YW55dGhpbmc=", "extra"),
        change("extra YW55dGhpbmc=\nindex 1", "index 1\nextra YW55dGhpbmc="),
        change("index 1\n", ""),
        change("index 1", "index 01"),
        change("index 1", "index +1"),
        change("index 1", "index -1"),
        change("index 1", "index 18446744073709551616"),
        change("index 1", "Index 1"),
        change(&hash, &hash[1..]),
        change(&hash, &hash.repeat(2)),
        change(&format!("{hash}\n\n"), &format!("{hash}\n")),
        change(&format!("{hash}\n\n"), &format!("{hash}\n\n\n\n")),
        change(&hash, &[hash.as_str(); 65].join("\n")),
        change(ORIGIN, "a\tb"),
        good[..good.len() - 1].to_owned(),
    ];
    let known = [public(&log_key())];
    for text in &bad {
        let got = TlogProof::parse(text.as_bytes())
            .and_then(|proof| proof.check(&leaf_hash(b"second"), &known));
        assert!(got.is_err(), "{text}");
    }
    assert!(TlogProof::parse(b"\xff").is_err());
}

#[test]
fn every_changed_bit_of_a_proof_is_refused() {
    let bytes = proof(None).to_bytes();
    let known = [public(&log_key())];
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let got =
            TlogProof::parse(&changed).and_then(|proof| proof.check(&leaf_hash(b"second"), &known));
        assert!(got.is_err(), "bit {bit}");
    }
}
