//! Index runs and the manifest that names them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ledgerline_index::{
    Index, IndexConfig, IndexError, ManifestRun, Posting, Progress, ReadBudget, Term, TermHasher,
    TermKind, event_times, parse_manifest, parse_run, parse_run_footer, parse_run_header,
};
use ledgerline_sim::{SimDisk, Snapshot};
use ledgerline_world::disk::Disk;
use sha2::{Digest as _, Sha256};

use crate::cursor::{Cursor, damage};

const RUN: &str = "index/r00-0000000000000000.run";
const MANIFEST: &str = "index/manifest";
const HEADER: usize = 44;
const FOOTER: usize = 116;
const INDEX_RECORD: usize = 29;
const RANGE: u64 = 1 << 11;

/// A run with several blocks, and what it holds.
struct RunBase {
    disk: Snapshot,
    config: IndexConfig,
    postings: BTreeMap<Term, Vec<u64>>,
    absent: Vec<Term>,
}

fn run_base() -> &'static RunBase {
    static BASE: OnceLock<RunBase> = OnceLock::new();
    BASE.get_or_init(|| {
        let terms = TermHasher::new([6; 16]);
        let config = IndexConfig {
            range_log2: 11,
            fan_in: 2,
            max_level: 1,
            identity: terms.identity(),
            ..IndexConfig::default()
        };
        let mut all = Vec::new();
        for index in 0..RANGE {
            let mut post = |kind, name: &str, uuid_millis| {
                let term = terms.term(kind, "", &[name.as_bytes()]);
                all.push(Posting { term, index, uuid_millis });
            };
            if index % 9 == 0 {
                post(TermKind::EventId, &format!("id {index}"), Some(1_000 + index));
            }
            if index % 50 == 7 {
                post(TermKind::Chain, &format!("token {}", index % 13), None);
            }
            post(TermKind::Source, if index % 3 == 0 { "a" } else { "b" }, None);
        }
        let disk = SimDisk::new(1);
        let (index, covered) =
            Index::open(Arc::new(disk.clone()), "index", config).expect("an empty disk");
        index.note_times(covered, RANGE, &[]);
        index.append(covered, RANGE, &all);
        while index.step(RANGE).expect("a disk without faults") != Progress::Idle {}
        assert_eq!(index.covered(), RANGE);
        let mut postings: BTreeMap<Term, Vec<u64>> = BTreeMap::new();
        for posting in all {
            postings.entry(posting.term).or_default().push(posting.index);
        }
        let absent = (0..8)
            .map(|n: u8| terms.term(TermKind::Client, "", &[&[n]]))
            .chain([Term { kind: 0, hash: 0 }, Term { kind: u8::MAX, hash: u128::MAX }])
            .collect();
        RunBase { disk: disk.snapshot(), config, postings, absent }
    })
}

/// The bytes of the run that [`index_run`] damages.
#[must_use]
pub fn sample_run() -> Vec<u8> {
    run_base().disk.files()[RUN].clone()
}

/// Bytes as a run; then the sample run, damaged and perhaps with right sums again, in an index.
pub fn index_run(data: &[u8]) {
    let _ = (parse_run_header(data), parse_run_footer(data), parse_run(data));
    let _ = event_times::parse_event_times(data);
    let mut input = Cursor::new(data);
    let flags = input.u8();
    let (bytes, whole) = if flags & 1 == 0 {
        let mut bytes = sample_run();
        damage(&mut input, &mut bytes);
        let whole = bytes == sample_run();
        (bytes, whole)
    } else {
        (input.rest().to_vec(), false)
    };
    let mut bytes = bytes;
    if flags & 2 != 0 {
        sum_again(&mut bytes);
    }
    let verdict = parse_run(&bytes);
    assert!(!whole || verdict.is_ok(), "the whole run is refused: {verdict:?}");
    if flags & 2 == 0 && !whole && flags & 1 == 0 {
        assert!(verdict.is_err(), "a change that SHA-256 does not find");
    }
    let base = run_base();
    let disk = SimDisk::new(2);
    disk.restore(&base.disk);
    disk.write(RUN, &bytes).expect("the folder is there");
    disk.write(MANIFEST, &manifest_of(&base.config, &bytes)).expect("the folder is there");
    let shared: Arc<dyn Disk> = Arc::new(disk);
    let (index, covered) = Index::open(shared, "index", base.config).expect("damage is no error");
    assert!(covered == 0 || covered == RANGE);
    let consistent = covered > 0 && verdict.is_ok();
    // All wide terms, and every 16th of the event ids, which are alike.
    let wide = |(n, (_, list)): &(usize, (&Term, &Vec<u64>))| list.len() > 1 || n % 16 == 0;
    for (_, (term, expected)) in base.postings.iter().enumerate().filter(wide) {
        query(&index, term, whole.then_some(expected), consistent, flags);
    }
    for term in &base.absent {
        query(&index, term, whole.then_some(&Vec::new()), consistent, flags);
    }
}

/// All ways to ask for a term. `expected` is set when the run is whole.
fn query(index: &Index, term: &Term, expected: Option<&Vec<u64>>, consistent: bool, flags: u8) {
    let limit = usize::from(flags >> 2) + 1;
    let reads = u32::from(flags >> 4);
    let (from, to) = (u64::from(flags) * 3, RANGE - u64::from(flags));
    let mut budget = ReadBudget::new(reads);
    let forward = index.postings(term, from..to, limit, &mut budget);
    assert!(budget.spent() <= reads, "more reads than the budget");
    let mut budget = ReadBudget::new(reads);
    let back = index.postings_back(term, from..to, limit, &mut budget);
    assert!(budget.spent() <= reads, "more reads than the budget");
    for page in [&forward, &back].into_iter().flatten() {
        assert!(page.indexes.len() <= limit, "more than asked for");
        assert!(page.indexes.iter().all(|index| (from..to).contains(index)), "out of range");
        assert_eq!(page.next.is_some(), page.cut_by.is_some());
    }
    let all = pages(index, term);
    let head = index.head(term);
    let found = index.find(term, None);
    if let Ok(found) = &found {
        assert!(found.iter().all(|index| *index < RANGE));
    }
    let Ok(all) = all else {
        assert!(expected.is_none(), "a whole run does not answer");
        return;
    };
    if let Some(expected) = expected {
        assert_eq!(&all, expected, "a whole run answers wrongly");
        let head = head.expect("a whole run").map(|head| (head.last, head.count));
        assert_eq!(head, expected.last().map(|last| (*last, expected.len() as u64)));
    } else if consistent {
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "a checked run answers out of order");
    }
}

/// Every index of a term, page by page; must end.
fn pages(index: &Index, term: &Term) -> Result<Vec<u64>, IndexError> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let page = index.postings(term, from..RANGE, 400, &mut ReadBudget::new(2))?;
        all.extend(page.indexes);
        let Some(next) = page.next else { return Ok(all) };
        assert!(next > from || page.cut_by.is_some(), "the same page again");
        assert!(next >= from, "the pages go back");
        if next == from {
            // Two reads were not enough for one step: ask with more, as a caller would.
            let page =
                index.postings(term, from..RANGE, usize::MAX, &mut ReadBudget::new(9_999))?;
            all.extend(page.indexes);
            return Ok(all);
        }
        from = next;
    }
}

/// Makes all sums right: of the blocks, the block index, the filter, header and footer.
fn sum_again(bytes: &mut [u8]) {
    if bytes.len() < HEADER + FOOTER {
        return;
    }
    bytes[..8].copy_from_slice(b"LLRUN\0\0\x01");
    crc_at_end(&mut bytes[..HEADER]);
    let footer = bytes.len() - FOOTER;
    let number = |bytes: &[u8], at: usize| {
        let field = bytes[footer + at..footer + at + 8].try_into().expect("eight bytes");
        usize::try_from(u64::from_le_bytes(field)).unwrap_or(usize::MAX)
    };
    let (blocks, block_bytes) = (number(bytes, 0), number(bytes, 8));
    let index_at = HEADER.saturating_add(block_bytes);
    let filter_at = blocks.saturating_mul(INDEX_RECORD).saturating_add(index_at);
    if filter_at <= footer {
        let mut at = HEADER;
        for record in (index_at..filter_at).step_by(INDEX_RECORD) {
            let length = bytes[record + 25..record + 29].try_into().expect("four bytes");
            let end = at.saturating_add(u32::from_le_bytes(length) as usize);
            if end > index_at || end < at + 4 {
                break;
            }
            crc_at_end(&mut bytes[at..end]);
            at = end;
        }
        let sums = [
            crc32fast::hash(&bytes[index_at..filter_at]),
            crc32fast::hash(&bytes[filter_at..footer]),
        ];
        for (place, sum) in [64, 68].into_iter().zip(sums) {
            bytes[footer + place..footer + place + 4].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let digest: [u8; 32] = Sha256::digest(&bytes[..footer + 72]).into();
    bytes[footer + 72..footer + 104].copy_from_slice(&digest);
    crc_at_end(&mut bytes[footer..footer + 108]);
    bytes[footer + 108..].copy_from_slice(b"LLRUNEND");
}

fn crc_at_end(bytes: &mut [u8]) {
    if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32fast::hash(body).to_le_bytes();
    }
}

/// A manifest that names one run of these bytes at the start of the ledger.
fn manifest_of(config: &IndexConfig, run: &[u8]) -> Vec<u8> {
    let footer = run.len().checked_sub(FOOTER).and_then(|at| run.get(at + 72..at + 104));
    let sha256 = footer.and_then(|sum| sum.try_into().ok()).unwrap_or([0; 32]);
    let run = ManifestRun { level: 0, start: 0, bytes: run.len() as u64, sha256 };
    encode_manifest(config.range_log2, config.fan_in, config.identity, &[run])
}

/// The manifest's bytes as its module draws them.
fn encode_manifest(
    range_log2: u32,
    fan_in: u32,
    identity: [u8; 16],
    runs: &[ManifestRun],
) -> Vec<u8> {
    let mut out = b"LLIDX\0\0\x01".to_vec();
    out.extend_from_slice(&range_log2.to_le_bytes());
    out.extend_from_slice(&fan_in.to_le_bytes());
    out.extend_from_slice(&identity);
    out.extend_from_slice(&u32::try_from(runs.len()).expect("few").to_le_bytes());
    for run in runs {
        out.extend_from_slice(&run.level.to_le_bytes());
        out.extend_from_slice(&run.start.to_le_bytes());
        out.extend_from_slice(&run.bytes.to_le_bytes());
        out.extend_from_slice(&run.sha256);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The manifest that names the sample run.
#[must_use]
pub fn sample_manifest() -> Vec<u8> {
    manifest_of(&run_base().config, &sample_run())
}

/// A manifest: raw, and with magic and CRC put right; then an index that is opened with it.
pub fn manifest(data: &[u8]) {
    check_manifest(data);
    let mut bytes = [b"LLIDX\0\0\x01", data].concat();
    bytes.extend_from_slice(&[0; 4]);
    crc_at_end(&mut bytes);
    check_manifest(&bytes);
    let base = run_base();
    let disk = SimDisk::new(2);
    disk.restore(&base.disk);
    disk.write(MANIFEST, &bytes).expect("the folder is there");
    let before = base.disk.files()[RUN].clone();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (index, covered) = Index::open(shared, "index", base.config).expect("damage is no error");
    let files = index.run_files();
    assert_eq!(covered, files.last().map_or(0, |file| file.end));
    if covered > 0 {
        assert_eq!(disk.read(RUN).ok(), Some(before), "a run that was kept changed");
        assert_eq!(covered, RANGE, "there is but one run");
    }
    let written = disk.read(MANIFEST).expect("opening leaves a manifest");
    let written = parse_manifest(&written).map(|manifest| manifest.runs.len());
    assert_eq!(written, Ok(files.len()), "the manifest left behind is another one");
}

fn check_manifest(bytes: &[u8]) {
    if let Ok(manifest) = parse_manifest(bytes) {
        let again = encode_manifest(
            manifest.range_log2,
            manifest.fan_in,
            manifest.identity,
            &manifest.runs,
        );
        assert_eq!(again, bytes, "a manifest with a second encoding");
    }
}
