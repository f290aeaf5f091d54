//! The published vectors of tree, tiles, notes and checkpoints.
//!
//! The files in `vectors/` are written from the cases here, so that another language can run them.
//! The test writes them again in memory and compares byte for byte; `UPDATE_VECTORS=1` rewrites the
//! files. Every case is also run against the kernel: what it should give stands in the case and
//! never comes from the function under test alone. `reason` is for people; only `result` counts.

use std::convert::Infallible;
use std::fmt::Debug;
use std::path::Path;

use ledgerline_proof::checkpoint::{self, Checkpoint, Signer};
use ledgerline_proof::cosignature::cosign_note;
use ledgerline_proof::hash::{Hash, empty_root, leaf_hash, node_hash, sha256};
use ledgerline_proof::note::{KeyKind, Note, NoteSignature, SignerKey, VerifierKey};
use ledgerline_proof::tile::{TileAddress, TileKind, encode_bundle, encode_tile, tiles};
use ledgerline_proof::tlog_proof::TlogProof;
use ledgerline_proof::tree::{
    Frontier, HashAt, HashReader, check_consistency, check_inclusion, consistency_path,
    inclusion_path, tree_root,
};
use serde::Serialize;

/// Writes or compares one vector file.
fn publish(file: &str, vectors: &impl Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    let text = serde_json::to_string_pretty(vectors).unwrap() + "\n";
    if std::env::var_os("UPDATE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "{file} differs from the code; see it with UPDATE_VECTORS=1 and git diff"
    );
}

/// What a vector expects: `ok`, or `refused` and a word why.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
struct Expected {
    result: &'static str,
    reason: &'static str,
}

const OK: Expected = Expected { result: "ok", reason: "" };

fn refused(reason: &'static str) -> Expected {
    Expected { result: "refused", reason }
}

/// Compares an outcome with the expectation: the reason must stand in the error's debug form.
fn check<T: Debug, E: Debug>(what: &str, outcome: &Result<T, E>, expected: &Expected) {
    match (outcome, expected.result) {
        (Ok(_), "ok") => {}
        (Err(error), "refused") => {
            let shown = format!("{error:?}");
            assert!(shown.contains(expected.reason), "{what}: {shown}, not {}", expected.reason);
        }
        _ => panic!("{what}: {outcome:?}, expected {expected:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// ---- tree.json --------------------------------------------------------------------------------

/// Leaves that Certificate Transparency implementations share, and roots of some of their prefixes.
const CT_LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];
const CT_ROOTS: [(u64, &str); 6] = [
    (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
];

#[derive(Serialize)]
struct TreeVectors {
    about: &'static str,
    leaves_hex: Vec<String>,
    roots: Vec<RootVector>,
    inclusion: Vec<InclusionVector>,
    consistency: Vec<ConsistencyVector>,
}

#[derive(Serialize)]
struct RootVector {
    size: u64,
    root: Hash,
}

#[derive(Serialize)]
struct InclusionVector {
    name: String,
    index: u64,
    size: u64,
    leaf_hash: Hash,
    path: Vec<Hash>,
    root: Hash,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Serialize)]
struct ConsistencyVector {
    name: String,
    old: u64,
    new: u64,
    old_root: Hash,
    new_root: Hash,
    path: Vec<Hash>,
    #[serde(flatten)]
    expected: Expected,
}

/// Tile levels of a tree in memory.
#[derive(Default)]
struct Levels(Vec<Vec<Hash>>);

impl Levels {
    fn of(leaves: impl IntoIterator<Item = Hash>) -> (Self, Frontier) {
        let (mut levels, mut frontier) = (Self(vec![Vec::new(); 8]), Frontier::new());
        for leaf in leaves {
            frontier.push_stored(leaf, |at, hash| levels.0[usize::from(at.level)].push(hash));
        }
        (levels, frontier)
    }
}

impl HashReader for Levels {
    type Error = Infallible;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, Infallible> {
        let at = |at: &HashAt| self.0[usize::from(at.level)][usize::try_from(at.index).unwrap()];
        Ok(wanted.iter().map(at).collect())
    }
}

fn inclusion_vectors(levels: &Levels, leaves: &[Hash]) -> Vec<InclusionVector> {
    let make = |index: u64, size: u64| InclusionVector {
        name: format!("leaf {index} of {size}"),
        index,
        size,
        leaf_hash: leaves[usize::try_from(index).unwrap()],
        path: inclusion_path(index, size, levels).unwrap(),
        root: tree_root(size, levels).unwrap(),
        expected: OK,
    };
    let mut vectors: Vec<_> = (1..=8)
        .flat_map(|size| (0..size).map(move |index| (index, size)))
        .map(|(i, s)| make(i, s))
        .collect();
    let mut bad = |name: &str, reason, change: fn(&mut InclusionVector)| {
        let mut vector = make(5, 7);
        vector.name = name.to_owned();
        vector.expected = refused(reason);
        change(&mut vector);
        vectors.push(vector);
    };
    bad("index is the size", "IndexOutside", |v| v.index = 7);
    bad("index is larger than the size", "IndexOutside", |v| v.index = u64::MAX >> 11);
    bad("empty tree", "IndexOutside", |v| (v.index, v.size) = (0, 0));
    bad("another index", "RootMismatch", |v| v.index = 4);
    bad("path is one hash short", "PathLength", |v| v.path.truncate(2));
    bad("path is one hash long", "PathLength", |v| v.path.push(v.root));
    bad("path is empty", "PathLength", |v| v.path.clear());
    bad("path begins with the leaf", "PathLength", |v| v.path.insert(0, v.leaf_hash));
    bad("path is reversed", "RootMismatch", |v| v.path.reverse());
    bad("one bit of the path", "RootMismatch", |v| v.path[1].0[31] ^= 1);
    bad("one bit of the leaf", "RootMismatch", |v| v.leaf_hash.0[0] ^= 0x80);
    bad("one bit of the root", "RootMismatch", |v| v.root.0[0] ^= 1);
    bad("inner node as leaf", "PathLength", |v| {
        v.leaf_hash = node_hash(&v.path.remove(0), &v.leaf_hash);
    });
    vectors
}

fn consistency_vectors(levels: &Levels) -> Vec<ConsistencyVector> {
    let make = |old: u64, new: u64| ConsistencyVector {
        name: format!("{old} to {new}"),
        old,
        new,
        old_root: tree_root(old, levels).unwrap(),
        new_root: tree_root(new, levels).unwrap(),
        path: consistency_path(old, new, levels).unwrap(),
        expected: OK,
    };
    let mut vectors: Vec<_> = (0..=8)
        .flat_map(|new| (0..=new).map(move |old| (old, new)))
        .map(|(o, n)| make(o, n))
        .collect();
    let mut bad = |name: &str, sizes: (u64, u64), reason, change: fn(&mut ConsistencyVector)| {
        let mut vector = make(sizes.0, sizes.1);
        vector.name = name.to_owned();
        vector.expected = refused(reason);
        change(&mut vector);
        vectors.push(vector);
    };
    bad("new is smaller", (6, 8), "OldIsLarger", |v| (v.old, v.new) = (8, 6));
    bad("path is one hash short", (6, 8), "PathLength", |v| v.path.truncate(2));
    bad("path is one hash long", (6, 8), "PathLength", |v| v.path.push(v.new_root));
    bad("path is empty", (6, 8), "PathLength", |v| v.path.clear());
    bad("old root in the path of a power of two", (4, 7), "PathLength", |v| {
        v.path.insert(0, v.old_root);
    });
    bad("path between equal sizes", (5, 5), "PathLength", |v| v.path.push(v.new_root));
    bad("path from the empty tree", (0, 5), "PathLength", |v| v.path.push(v.new_root));
    bad("empty tree with another root", (0, 5), "OldRootMismatch", |v| v.old_root = v.new_root);
    bad("equal sizes, other root", (5, 5), "RootMismatch", |v| v.new_root.0[0] ^= 1);
    bad("one bit of the path", (3, 7), "RootMismatch", |v| v.path[0].0[0] ^= 1);
    bad("one bit of the old root", (3, 7), "OldRootMismatch", |v| v.old_root.0[9] ^= 4);
    bad("one bit of the new root", (3, 7), "RootMismatch", |v| v.new_root.0[9] ^= 4);
    bad("roots exchanged", (3, 7), "RootMismatch", |v| {
        (v.old_root, v.new_root) = (v.new_root, v.old_root);
    });
    vectors
}

#[test]
fn tree_vectors() {
    let leaves: Vec<Hash> = CT_LEAVES.iter().map(|entry| leaf_hash(entry)).collect();
    let (levels, _) = Levels::of(leaves.iter().copied());
    let roots = CT_ROOTS.map(|(size, root)| {
        let root = Hash::from_hex(root).unwrap();
        assert_eq!(tree_root(size, &levels).unwrap(), root, "root of {size}");
        RootVector { size, root }
    });
    let vectors = TreeVectors {
        about: "RFC 6962 tree. leaves_hex are entries, not hashes. A path lists hashes as RFC \
                6962 does: from the leaf upwards. From size 0 and between equal sizes a \
                consistency path is empty.",
        leaves_hex: CT_LEAVES.iter().map(|entry| hex(entry)).collect(),
        roots: roots.into(),
        inclusion: inclusion_vectors(&levels, &leaves),
        consistency: consistency_vectors(&levels),
    };
    for v in &vectors.inclusion {
        let got = check_inclusion(v.index, v.size, &v.leaf_hash, &v.path, &v.root);
        check(&v.name, &got, &v.expected);
    }
    for v in &vectors.consistency {
        let got = check_consistency(v.old, v.new, &v.old_root, &v.new_root, &v.path);
        check(&v.name, &got, &v.expected);
    }
    publish("tree.json", &vectors);
}

// ---- tree_tiles.json --------------------------------------------------------------------------

#[derive(Serialize)]
struct TileVectors {
    about: &'static str,
    trees: Vec<TiledTree>,
    paths: Vec<PathVector>,
}

#[derive(Serialize)]
struct TiledTree {
    size: u64,
    root: Hash,
    full_tiles: usize,
    /// SHA-256 of all lines `<path> <SHA-256 of content in hex>\n`, in byte order of the paths.
    listing_sha256: Hash,
    partial_tiles: Vec<TileContent>,
}

#[derive(Serialize)]
struct TileContent {
    path: String,
    bytes: usize,
    sha256: Hash,
}

#[derive(Serialize)]
struct PathVector {
    path: &'static str,
    #[serde(flatten)]
    expected: Expected,
}

fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn tile_content(tile: TileAddress, levels: &Levels) -> Vec<u8> {
    let items = tile.first()..tile.first() + u64::from(tile.width());
    match tile.kind() {
        TileKind::Entries => encode_bundle(items.map(entry)).unwrap(),
        TileKind::Hashes(level) => {
            let wanted: Vec<HashAt> = items.map(|index| HashAt { level, index }).collect();
            let Ok(hashes) = levels.read_hashes(&wanted);
            encode_tile(&hashes)
        }
    }
}

fn tiled_tree(size: u64) -> TiledTree {
    let (levels, frontier) = Levels::of((0..size).map(|index| leaf_hash(&entry(index))));
    let mut contents: Vec<(TileAddress, TileContent)> = tiles(size)
        .map(|tile| {
            let bytes = tile_content(tile, &levels);
            let (path, length) = (tile.path(), bytes.len());
            (tile, TileContent { path, bytes: length, sha256: sha256(&bytes) })
        })
        .collect();
    contents.sort_by(|a, b| a.1.path.cmp(&b.1.path));
    let listing: String =
        contents.iter().map(|(_, tile)| format!("{} {}\n", tile.path, tile.sha256)).collect();
    let (full, partial): (Vec<_>, Vec<_>) =
        contents.into_iter().partition(|(tile, _)| tile.is_full());
    TiledTree {
        size,
        root: frontier.root(),
        full_tiles: full.len(),
        listing_sha256: sha256(listing.as_bytes()),
        partial_tiles: partial.into_iter().map(|(_, tile)| tile).collect(),
    }
}

#[test]
fn tile_vectors() {
    let path = |path, expected| PathVector { path, expected };
    let vectors = TileVectors {
        about: "C2SP tlog-tiles. Entry k of each tree is k as 8 bytes big-endian. full_tiles \
                counts hash tiles of all levels and entry bundles.",
        trees: [0, 1, 2, 255, 256, 257, 65_535, 65_536, 70_000].map(tiled_tree).into(),
        paths: vec![
            path("tile/0/000", OK),
            path("tile/0/273.p/112", OK),
            path("tile/63/999.p/255", OK),
            path("tile/0/x001/x234/067", OK),
            path("tile/entries/x001/x234/067.p/1", OK),
            path("/tile/0/000", refused("Path")),
            path("tile/8/0/000", refused("Path")),
            path("tile/00/000", refused("Path")),
            path("tile/64/000", refused("Range")),
            path("tile/0/0", refused("Path")),
            path("tile/0/x000/000", refused("Path")),
            path("tile/0/001/000", refused("Path")),
            path("tile/0/x001", refused("Path")),
            path("tile/0/000.p/0", refused("Range")),
            path("tile/0/000.p/256", refused("Range")),
            path("tile/0/000.p/01", refused("Path")),
            path("tile/0/x999/x999/x999/x999/x999/x999/999", refused("Range")),
        ],
    };
    for v in &vectors.paths {
        let parsed = TileAddress::parse(v.path);
        check(v.path, &parsed, &v.expected);
        if let Ok(address) = parsed {
            assert_eq!(address.path(), v.path);
        }
    }
    publish("tree_tiles.json", &vectors);
}

// ---- note.json --------------------------------------------------------------------------------

#[derive(Serialize)]
struct NoteVectors {
    about: &'static str,
    keys: Vec<KeyVector>,
    signing: Vec<SigningVector>,
    notes: Vec<NoteVector>,
}

#[derive(Serialize)]
struct KeyVector {
    vkey: String,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Serialize)]
struct SigningVector {
    skey: String,
    vkey: String,
    text: String,
    note: String,
}

#[derive(Serialize)]
struct NoteVector {
    name: &'static str,
    note: String,
    known: Vec<String>,
    signed_by: Vec<String>,
    #[serde(flatten)]
    expected: Expected,
}

fn key(name: &str, kind: KeyKind, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, kind, &[seed; 32]).unwrap()
}

fn vkey(key: &SignerKey) -> String {
    key.verifier_key().to_string()
}

fn text_of(note: &Note) -> String {
    String::from_utf8(note.to_bytes()).unwrap()
}

fn known_keys(vkeys: &[String]) -> Vec<VerifierKey> {
    vkeys.iter().map(|vkey| VerifierKey::parse(vkey).unwrap()).collect()
}

const GO_SKEY: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n";
const GO_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2p\
                       ZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

fn key_vectors() -> Vec<KeyVector> {
    let vector = |vkey: &str, expected| KeyVector { vkey: vkey.to_owned(), expected };
    vec![
        vector("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", OK),
        vector(GO_VKEY, OK),
        vector(&vkey(&key("witness.example/w1", KeyKind::CosignatureV1, 2)), OK),
        vector(&GO_VKEY.replace("c74f", "c74e"), refused("KeyId")),
        vector(&GO_VKEY.replace("Peter", "Petra"), refused("KeyId")),
        vector(&GO_VKEY.replace("Peter", "Pe ter"), refused("KeyName")),
        vector(&GO_VKEY.replace("PeterNeumann", ""), refused("KeyName")),
        vector(&GO_VKEY.replace("+ARpc", "+CRpc"), refused("MalformedKey")),
        vector(&GO_VKEY[..GO_VKEY.len() - 4], refused("MalformedKey")),
        vector("PeterNeumann+c74f20a3", refused("MalformedKey")),
    ]
}

fn note_vectors() -> Vec<NoteVector> {
    let (log, other) =
        (key("ledger.example/log", KeyKind::Ed25519, 1), key("other", KeyKind::Ed25519, 3));
    let mut note = Note::unsigned("first\n\nsecond ✓\n").unwrap();
    note.sign(&log).unwrap();
    let signed = text_of(&note);
    let vector = |name, note: &str, known: &[&SignerKey], signed_by: &[&SignerKey], expected| {
        let vkeys = |keys: &[&SignerKey]| keys.iter().map(|key| vkey(key)).collect();
        NoteVector {
            name,
            note: note.to_owned(),
            known: vkeys(known),
            signed_by: vkeys(signed_by),
            expected,
        }
    };
    let mut both = note.clone();
    both.sign(&other).unwrap();
    let mut spoiled = note.clone();
    spoiled.add(NoteSignature::by(other.verifier_key(), vec![7; 64]));
    let line = signed.rsplit_once("\n\n").unwrap().1;
    let lines = |count| format!("first\n\nsecond ✓\n\n{}", line.repeat(count));
    vec![
        vector("empty line in the text", &signed, &[&log], &[&log], OK),
        vector("two signatures", &text_of(&both), &[&log, &other], &[&log, &other], OK),
        vector("unknown key is ignored", &text_of(&both), &[&other], &[&other], OK),
        vector("bad signature by an unknown key", &text_of(&spoiled), &[&log], &[&log], OK),
        vector("one hundred signatures", &lines(100), &[&log], &[&log], OK),
        vector("too many signatures", &lines(101), &[&log], &[], refused("Malformed")),
        vector(
            "bad signature by a known key",
            &text_of(&spoiled),
            &[&log, &other],
            &[],
            refused("BadSignature"),
        ),
        vector("no known key", &signed, &[&other], &[], refused("Unsigned")),
        vector(
            "text changed",
            &signed.replace("first", "First"),
            &[&log],
            &[],
            refused("BadSignature"),
        ),
        vector(
            "text loses its empty line",
            &signed.replace("first\n\n", "first\n"),
            &[&log],
            &[],
            refused("BadSignature"),
        ),
        vector(
            "no empty line before the signatures",
            &signed.replace("\n\n", "\n"),
            &[&log],
            &[],
            refused("Malformed"),
        ),
        vector("no signature", "first\n\n", &[&log], &[], refused("Malformed")),
        vector("last line feed missing", signed.trim_end(), &[&log], &[], refused("Malformed")),
        vector(
            "empty line after the signatures",
            &format!("{signed}\n"),
            &[&log],
            &[],
            refused("Malformed"),
        ),
        vector("hyphen for em dash", &signed.replace('—', "-"), &[&log], &[], refused("Malformed")),
        vector(
            "tab in the text",
            &signed.replace("first", "fi\trst"),
            &[&log],
            &[],
            refused("Malformed"),
        ),
        vector(
            "carriage return",
            &signed.replace('\n', "\r\n"),
            &[&log],
            &[],
            refused("Malformed"),
        ),
        vector(
            "plus sign in a name",
            &signed.replace("ledger.example", "ledger+example"),
            &[&log],
            &[],
            refused("KeyName"),
        ),
        vector("unpadded base64", &signed.replace("=\n", "\n"), &[&log], &[], refused("Malformed")),
    ]
}

#[test]
fn note_vectors_hold() {
    let signing = [GO_SKEY.to_owned(), key("ledger.example/log", KeyKind::Ed25519, 1).to_skey()]
        .map(|skey| {
            let key = SignerKey::parse(&skey).unwrap();
            let mut note = Note::unsigned(GO_TEXT).unwrap();
            note.sign(&key).unwrap();
            SigningVector { skey, vkey: vkey(&key), text: GO_TEXT.to_owned(), note: text_of(&note) }
        });
    assert_eq!(signing[0].note, format!("{GO_TEXT}\n{GO_LINE}\n"));
    let vectors = NoteVectors {
        about: "C2SP signed notes with Ed25519 keys (type 0x01) and cosigner keys (type 0x04). \
                Signing is deterministic. Seeds here are public: never use them.",
        keys: key_vectors(),
        signing: signing.into(),
        notes: note_vectors(),
    };
    for v in &vectors.keys {
        check(&v.vkey, &VerifierKey::parse(&v.vkey), &v.expected);
    }
    for v in &vectors.notes {
        let known = known_keys(&v.known);
        let got = Note::parse(v.note.as_bytes()).and_then(|note| note.check(&known));
        check(v.name, &got, &v.expected);
        let names: Vec<_> = got.unwrap_or_default().iter().map(|by| by.key.to_string()).collect();
        assert_eq!(names, v.signed_by, "{}", v.name);
    }
    publish("note.json", &vectors);
}

// ---- checkpoint.json --------------------------------------------------------------------------

#[derive(Serialize)]
struct CheckpointVectors {
    about: &'static str,
    texts: Vec<TextVector>,
    signed: Vec<OpenVector>,
    proofs: Vec<ProofVector>,
}

#[derive(Serialize)]
struct TextVector {
    name: &'static str,
    text: String,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Serialize)]
struct OpenVector {
    name: &'static str,
    note: String,
    known: Vec<String>,
    /// Names of cosigners with unix seconds.
    cosigned: Vec<(String, u64)>,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Serialize)]
struct ProofVector {
    name: &'static str,
    proof: String,
    entry_hex: String,
    known: Vec<String>,
    #[serde(flatten)]
    expected: Expected,
}

fn text_vectors() -> Vec<TextVector> {
    let (root, empty) = (leaf_hash(b"").to_base64(), empty_root().to_base64());
    let vector = |name, text: String, expected| TextVector { name, text, expected };
    let malformed = || refused("Malformed");
    vec![
        vector("empty tree", format!("ledger.example/log\n0\n{empty}\n"), OK),
        vector("largest size", format!("ledger.example/log\n18446744073709551615\n{root}\n"), OK),
        vector("extension lines", format!("ledger.example/log\n1\n{root}\none\ntwo\n"), OK),
        vector(
            "empty tree, other root",
            format!("ledger.example/log\n0\n{root}\n"),
            refused("EmptyRoot"),
        ),
        vector("empty origin", format!("\n1\n{root}\n"), malformed()),
        vector("leading zero", format!("ledger.example/log\n01\n{root}\n"), malformed()),
        vector("plus sign", format!("ledger.example/log\n+1\n{root}\n"), malformed()),
        vector(
            "size above 64 bits",
            format!("ledger.example/log\n18446744073709551616\n{root}\n"),
            malformed(),
        ),
        vector("short root", "ledger.example/log\n1\nAAAA\n".to_owned(), malformed()),
        vector("no root", "ledger.example/log\n1\n".to_owned(), malformed()),
        vector("empty extension", format!("ledger.example/log\n1\n{root}\n\n"), malformed()),
        vector("no last line feed", format!("ledger.example/log\n1\n{root}"), malformed()),
    ]
}

fn open_vectors() -> Vec<OpenVector> {
    let log = key("ledger.example/log", KeyKind::Ed25519, 1);
    let other = key("other.example/log", KeyKind::Ed25519, 3);
    let witness = key("witness.example/w1", KeyKind::CosignatureV1, 2);
    let plain = Signer::new(log.clone()).unwrap().sign(1, leaf_hash(b"entry")).unwrap().note;
    let mut cosigned = plain.clone();
    cosign_note(&mut cosigned, &witness, 1_679_315_147).unwrap();
    let mut spoiled = plain.clone();
    let field = cosigned.signatures()[1].bytes();
    let later = [1_679_315_148_u64.to_be_bytes().as_slice(), &field[8..]].concat();
    spoiled.add(NoteSignature::by(witness.verifier_key(), later));
    let mut stranger = Note::unsigned(plain.text()).unwrap();
    stranger.sign(&other).unwrap();
    let vector = |name, note: &Note, known: &[&SignerKey], times: &[u64], expected| OpenVector {
        name,
        note: text_of(note),
        known: known.iter().map(|key| vkey(key)).collect(),
        cosigned: times.iter().map(|time| ("witness.example/w1".to_owned(), *time)).collect(),
        expected,
    };
    let at = [1_679_315_147];
    vec![
        vector("signed by the log", &plain, &[&log], &[], OK),
        vector("cosigned", &cosigned, &[&log, &witness], &at, OK),
        vector("unknown witness is ignored", &cosigned, &[&log], &[], OK),
        vector(
            "time of a cosignature changed",
            &spoiled,
            &[&log, &witness],
            &[],
            refused("BadSignature"),
        ),
        vector("witness alone", &cosigned, &[&witness], &[], refused("NotSignedByLog")),
        vector("key of another log", &stranger, &[&log, &other], &[], refused("NotSignedByLog")),
        vector("no known key", &plain, &[&other], &[], refused("Unsigned")),
    ]
}

fn proof_vectors() -> Vec<ProofVector> {
    let log = key("ledger.example/log", KeyKind::Ed25519, 1);
    let (levels, frontier) = Levels::of(CT_LEAVES.iter().map(|entry| leaf_hash(entry)));
    let mut signer = Signer::new(log.clone()).unwrap();
    let checkpoint = signer.sign(8, frontier.root()).unwrap().note;
    let path = inclusion_path(3, 8, &levels).unwrap();
    let proof = TlogProof { extra: None, index: 3, path, checkpoint };
    let good = String::from_utf8(proof.to_bytes()).unwrap();
    let with_extra = TlogProof { extra: Some(b"anything".to_vec()), ..proof.clone() };
    let vector = |name, proof: String, entry: &[u8], expected| ProofVector {
        name,
        proof,
        entry_hex: hex(entry),
        known: vec![vkey(&log)],
        expected,
    };
    let entry = CT_LEAVES[3];
    let first = proof.path[0].to_base64();
    vec![
        vector("entry 3 of 8", good.clone(), entry, OK),
        vector("with extra data", String::from_utf8(with_extra.to_bytes()).unwrap(), entry, OK),
        vector("another entry", good.clone(), CT_LEAVES[2], refused("RootMismatch")),
        vector("another index", good.replace("index 3", "index 2"), entry, refused("RootMismatch")),
        vector("index outside", good.replace("index 3", "index 8"), entry, refused("IndexOutside")),
        vector(
            "path is short",
            good.replace(&format!("{first}\n"), ""),
            entry,
            refused("PathLength"),
        ),
        vector("leading zero", good.replace("index 3", "index 03"), entry, refused("Malformed")),
        vector("other version", good.replace("@v1", "@v2"), entry, refused("Malformed")),
        vector("size changed", good.replace("\n8\n", "\n7\n"), entry, refused("BadSignature")),
    ]
}

#[test]
fn checkpoint_vectors_hold() {
    let vectors = CheckpointVectors {
        about: "C2SP checkpoints, Ed25519 cosignatures (cosignature/v1) and tlog-proof. A \
                checkpoint counts only when an Ed25519 key named like its origin signed it.",
        texts: text_vectors(),
        signed: open_vectors(),
        proofs: proof_vectors(),
    };
    for v in &vectors.texts {
        let got = Checkpoint::parse(&v.text);
        check(v.name, &got, &v.expected);
        if let Ok(checkpoint) = got {
            assert_eq!(checkpoint.text(), v.text, "{}", v.name);
        }
    }
    for v in &vectors.signed {
        let got = checkpoint::open(v.note.as_bytes(), &known_keys(&v.known));
        check(v.name, &got, &v.expected);
        let cosigned = got.iter().flat_map(checkpoint::OpenedCheckpoint::cosigners);
        let cosigned: Vec<_> = cosigned.map(|(key, time)| (key.name().to_owned(), time)).collect();
        assert_eq!(cosigned, v.cosigned, "{}", v.name);
    }
    for v in &vectors.proofs {
        let entry = CT_LEAVES.iter().find(|entry| hex(entry) == v.entry_hex).unwrap();
        let known = known_keys(&v.known);
        let got = TlogProof::parse(v.proof.as_bytes())
            .and_then(|proof| proof.check(&leaf_hash(entry), &known));
        check(v.name, &got, &v.expected);
    }
    publish("checkpoint.json", &vectors);
}
