//! The bytes of the index: a function of the postings alone, and never believed when wrong.

mod index_disk;

use std::sync::Arc;

use index_disk::{MemDisk, Random, mix};
use ledgerline_index::{
    HASH_BITS, Index, IndexConfig, IndexError, Posting, Progress, Term, TermHasher, TermKind,
    check_run, parse_manifest, parse_run, parse_run_footer, parse_run_header,
};
use ledgerline_world::disk::Disk;
use sha2::{Digest as _, Sha256};

const DIR: &str = "index";
const HEADER: usize = 44;
const FOOTER: usize = 116;

/// Ids with and without a time, a list in every entry, lists of all lengths, all kinds.
fn postings(seed: u64, end: u64) -> Vec<Posting> {
    let mut random = Random(seed);
    let mut postings = Vec::new();
    for index in 0..end {
        let mut push = |kind: u8, value: u64, uuid_millis| {
            let hash = u128::from(mix(value)) << 32 | u128::from(mix(!value) >> 32);
            postings.push(Posting { term: Term { kind, hash }, index, uuid_millis });
        };
        push(1, seed + index, (index % 5 != 0).then_some(50_000 + index));
        push(2, random.below(1 + end / 6), None);
        push(11, 7, None);
        push(7, random.below(40) * random.below(40), None);
        push(17 - u8::try_from(random.below(8)).expect("small"), random.below(1 << 14), None);
    }
    postings
}

/// Feeds everything in batches of `batch` and works until idle.
fn build(config: IndexConfig, postings: &[Posting], end: u64, batch: u64) -> (Arc<MemDisk>, Index) {
    let disk = MemDisk::new();
    let shared: Arc<dyn Disk> = disk.clone();
    let (index, _) = Index::open(shared, DIR, config).expect("open");
    for first in (0..end).step_by(usize::try_from(batch).expect("small")) {
        let next = end.min(first + batch);
        let from = postings.partition_point(|posting| posting.index < first);
        let to = postings.partition_point(|posting| posting.index < next);
        index.note_times(first, next, &[]);
        index.append(first, next, &postings[from..to]);
    }
    while index.step(end).expect("step") != Progress::Idle {}
    (disk, index)
}

fn config(range_log2: u32, fan_in: u32, step_bytes: u64) -> IndexConfig {
    IndexConfig { range_log2, fan_in, step_bytes, ..IndexConfig::default() }
}

#[test]
fn merged_runs_are_the_runs_built_at_once() {
    let at_once = config(13, 8, u64::MAX);
    for seed in 1..4 {
        let end = 1 << 13;
        let postings = postings(seed, end);
        let (disk, _) = build(at_once, &postings, end, 1_000);
        let expected = disk.read("index/r00-0000000000000000.run");
        assert!(expected.len() > 150_000, "many blocks");
        let divisions =
            [(10, 8, 1 << 20, 500, 1), (10, 8, 1, 64, 1), (7, 8, 5_000, 3, 2), (5, 4, 999, 77, 4)];
        for (range_log2, fan_in, step_bytes, batch, level) in divisions {
            let config = config(range_log2, fan_in, step_bytes);
            let (disk, index) = build(config, &postings, end, batch);
            let file = format!("index/r{level:02}-0000000000000000.run");
            assert_eq!(index.run_files().len(), 1, "all merged into one");
            assert!(disk.read(&file) == expected, "range_log2 {range_log2}, fan_in {fan_in}");
        }
    }
}

#[test]
fn a_checked_run_says_what_it_holds() {
    let end = 1 << 10;
    let mut postings = postings(9, end);
    let (disk, index) = build(config(10, 8, 1), &postings, end, 100);
    let run = &index.run_files()[0];
    let summary = check_run(&*disk, &run.path).expect("intact");
    postings.sort_by_key(|posting| (posting.term, posting.index));
    postings.dedup_by_key(|posting| (posting.term, posting.index));
    assert_eq!(summary.postings, postings.len() as u64);
    postings.dedup_by_key(|posting| posting.term);
    assert_eq!(summary.terms, postings.len() as u64);
    assert_eq!((summary.start, summary.end, summary.sha256), (0, end, run.sha256));
    assert_eq!((summary.ids.oldest, summary.ids.newest), (50_001, 50_000 + end - 1));
    assert_eq!(summary.ids.untimed, end.div_ceil(5));
    let bytes = disk.read(&run.path);
    assert_eq!(run.bytes, bytes.len() as u64);
    let covered = bytes.len() - 44;
    assert_eq!(<[u8; 32]>::from(Sha256::digest(&bytes[..covered])), run.sha256);
    assert_eq!(parse_run(&bytes).expect("intact"), summary);
}

#[test]
fn every_flipped_bit_is_found() {
    let (disk, index) = build(config(6, 8, 1), &postings(1, 64), 64, 64);
    let path = &index.run_files()[0].path;
    let intact = disk.read(path);
    for at in 0..intact.len() {
        disk.change(path, |bytes| bytes[at] ^= 1 << (at % 8));
        let found = check_run(&*disk, path);
        assert!(matches!(found, Err(IndexError::Damaged { .. })), "byte {at}: {found:?}");
        disk.change(path, |bytes| bytes.clone_from(&intact));
    }
    let manifest = disk.read("index/manifest");
    assert!(parse_manifest(&manifest).is_ok());
    for at in 0..manifest.len() {
        let mut changed = manifest.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(parse_manifest(&changed).is_err(), "byte {at}");
    }
}

/// Makes the CRCs of the first block, of the header and of the footer, and the SHA-256, right
/// again.
fn seal(bytes: &mut [u8]) {
    let crc = |bytes: &mut [u8], from: usize, to: usize| {
        let crc = crc32fast::hash(&bytes[from..to]).to_le_bytes();
        bytes[to..to + 4].copy_from_slice(&crc);
    };
    crc(bytes, 0, HEADER - 4);
    let content = u32::from_le_bytes(bytes[HEADER..HEADER + 4].try_into().expect("four")) as usize;
    let block_end = HEADER + 36 + content.min(8_192);
    if block_end + 4 + FOOTER <= bytes.len() {
        crc(bytes, HEADER, block_end);
    }
    let footer = bytes.len() - FOOTER;
    let blocks = u64::from_le_bytes(bytes[footer..footer + 8].try_into().expect("eight"));
    let length = u64::from_le_bytes(bytes[footer + 8..footer + 16].try_into().expect("eight"));
    let from = (HEADER as u64).saturating_add(length);
    let to = from.saturating_add(blocks.saturating_mul(29));
    if to <= footer as u64 {
        let [from, to] = [from, to].map(|at| usize::try_from(at).expect("in the file"));
        let [index, filter] = [from..to, to..footer].map(|part| crc32fast::hash(&bytes[part]));
        bytes[footer + 64..footer + 68].copy_from_slice(&index.to_le_bytes());
        bytes[footer + 68..footer + 72].copy_from_slice(&filter.to_le_bytes());
    }
    let sha256 = Sha256::digest(&bytes[..footer + 72]);
    bytes[footer + 72..footer + 104].copy_from_slice(&sha256);
    crc(bytes, footer, footer + 104);
}

/// Whatever the bytes, decoders answer; the caller counts how far they got.
fn decode(bytes: &[u8]) -> bool {
    let _ = parse_run_header(bytes);
    let _ = parse_run_footer(bytes);
    let _ = parse_run_footer(&bytes[bytes.len().saturating_sub(FOOTER)..]);
    let _ = parse_manifest(bytes);
    parse_run(bytes).is_ok()
}

/// What a block says of its first fragment leads look-ups: sums that are right do not vouch for it.
#[test]
fn a_block_that_misleads_look_ups_is_found_however_right_its_sums() {
    let term = Term { kind: 11, hash: 7 };
    let post = |index| Posting { term, index, uuid_millis: None };
    let postings: Vec<Posting> = (0..1 << 10).map(post).collect();
    let (disk, index) = build(config(10, 8, 1), &postings, 1 << 10, 100);
    let intact = disk.read(&index.run_files()[0].path);
    assert!(parse_run(&intact).is_ok());
    // Which fragment of its term it is, and its newest index; see the format.
    for at in [HEADER + 8, HEADER + 12] {
        let mut forged = intact.clone();
        forged[at] ^= 1;
        seal(&mut forged);
        let found = parse_run(&forged);
        assert!(matches!(found, Err(IndexError::Damaged { .. })), "byte {at}: {found:?}");
    }
}

#[test]
fn decoders_take_any_bytes() {
    let (disk, index) = build(config(7, 8, 1), &postings(2, 128), 128, 64);
    let intact = disk.read(&index.run_files()[0].path);
    let mut random = Random(11);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..6_000 {
        let mut bytes = intact.clone();
        for _ in 0..1 + random.below(3) {
            // Mostly the first block and the footer: that is where the sizes are.
            let at = match random.below(4) {
                0 => random.at(bytes.len()),
                1 => bytes.len() - 1 - random.at(FOOTER),
                _ => random.at(400),
            };
            bytes[at] = match random.below(3) {
                0 => bytes[at] ^ 1 << random.below(8),
                1 => [0, 0x1f, 0x7f, 0x80, 0xff][random.at(5)],
                _ => u8::try_from(random.below(256)).expect("a byte"),
            };
        }
        if round % 8 > 0 {
            seal(&mut bytes);
        } else if round % 16 == 0 {
            bytes.truncate(random.at(intact.len()));
        }
        if decode(&bytes) { accepted += 1 } else { refused += 1 }
    }
    assert!(accepted > 50 && refused > 1_000, "{accepted} accepted, {refused} refused");
    for length in 0..600 {
        let bytes: Vec<u8> =
            (0..length).map(|_| u8::try_from(random.below(256)).expect("a byte")).collect();
        assert!(!decode(&bytes));
    }
}

#[test]
fn terms_are_keyed_and_unambiguous() {
    let hasher = TermHasher::new([7; 16]);
    let term = |tenant: &str, parts: &[&[u8]]| hasher.term(TermKind::Chain, tenant, parts);
    let long = vec![b'x'; 65_535];
    let inputs: [(&str, &[&[u8]]); 8] = [
        ("", &[]),
        ("", &[b""]),
        ("ab", &[b"c"]),
        ("a", &[b"bc"]),
        ("", &[b"ab", b"c"]),
        ("", &[b"abc"]),
        ("", &[&long]),
        ("", &[&long[1..]]),
    ];
    let mut terms: Vec<Term> = inputs.iter().map(|(tenant, parts)| term(tenant, parts)).collect();
    assert_eq!(terms[2], term("ab", &[b"c"]));
    assert!(terms.iter().all(|term| term.hash >> HASH_BITS == 0 && term.kind == 2));
    terms.sort();
    terms.dedup();
    assert_eq!(terms.len(), inputs.len());
    let other = TermHasher::new([8; 16]);
    assert_ne!(other.term(TermKind::Chain, "ab", &[b"c"]), term("ab", &[b"c"]));
    assert_ne!(other.identity(), hasher.identity());
    // Pinned: SipHash-2-4-128 of 00 02 'a' 'b' 00 01 'c', for runs outlive programs.
    let mut plain = siphasher::sip128::SipHasher24::new_with_key(&[7; 16]);
    std::hash::Hasher::write(&mut plain, b"\0\x02ab\0\x01c");
    let hash = u128::from(siphasher::sip128::Hasher128::finish128(&plain));
    assert_eq!({ term("ab", &[b"c"]).hash }, hash >> 32);
}
