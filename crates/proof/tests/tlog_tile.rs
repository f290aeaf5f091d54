//! Tile addresses, the tiles of a size, and bundle contents.

use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::tile::{
    TileAddress, TileError, TileKind, decode_bundle, decode_tile, encode_bundle, encode_tile,
    tiles, width_in,
};
use ledgerline_proof::tree::HashAt;
use proptest::prelude::*;

#[test]
fn paths_are_spelled_as_c2sp_says() {
    let hashes = |level, index, width| TileAddress::new(TileKind::Hashes(level), index, width);
    let entries = |index, width| TileAddress::new(TileKind::Entries, index, width);
    let cases = [
        (hashes(0, 0, 256), "tile/0/000"),
        (hashes(0, 273, 256), "tile/0/273"),
        (hashes(0, 273, 112), "tile/0/273.p/112"),
        (hashes(1, 1, 17), "tile/1/001.p/17"),
        (hashes(63, 999, 1), "tile/63/999.p/1"),
        (hashes(2, 1000, 256), "tile/2/x001/000"),
        (hashes(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (entries(1_234_067, 5), "tile/entries/x001/x234/067.p/5"),
        (entries((1 << 56) - 1, 255), "tile/entries/x072/x057/x594/x037/x927/935.p/255"),
    ];
    for (address, path) in cases {
        let address = address.unwrap();
        assert_eq!(address.path(), path);
        assert_eq!(TileAddress::parse(path), Ok(address), "{path}");
        assert_eq!(TileAddress::parse(&address.full().path()), Ok(address.full()));
    }
}

#[test]
fn other_spellings_are_refused() {
    let paths = [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile//000",
        "tile/00/000",
        "tile/01/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/ 1/000",
        "tile/٣/000",
        "tile/data/000",
        "tile/8/0/000",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/x000/x001/000",
        "tile/0/001/000",
        "tile/0/x01/000",
        "tile/0/x0001/000",
        "tile/0/X001/000",
        "tile/0/x001/x000",
        "tile/0/x001//000",
        "tile/0/+01",
        "tile/0/٠٠٠",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000.P/1",
        "tile/0/x001.p/1/000",
        "tile/entries/000\n",
        "tile/Entries/000",
    ];
    for path in paths {
        assert_eq!(TileAddress::parse(path), Err(TileError::Path), "{path}");
    }
    let beyond = [
        "tile/64/000",
        "tile/255/000",
        "tile/999/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/x072/x057/x594/x037/x927/936",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ];
    for path in beyond {
        assert_eq!(TileAddress::parse(path), Err(TileError::Range), "{path}");
    }
    for width in [0, 257, u16::MAX] {
        assert_eq!(TileAddress::new(TileKind::Entries, 0, width), Err(TileError::Range));
    }
}

/// All paths of one kind: how many are full, and the partial ones.
fn summary(size: u64, prefix: &str) -> (usize, Vec<String>) {
    let paths = tiles(size).map(|tile| tile.path()).filter(|path| path.starts_with(prefix));
    let (partial, full): (Vec<_>, Vec<_>) = paths.partition(|path| path.contains(".p/"));
    (full.len(), partial)
}

#[test]
fn sizes_imply_their_tiles() {
    let rows: [(u64, &str, usize, &[&str]); 19] = [
        (0, "tile/", 0, &[]),
        (1, "tile/0/", 0, &["tile/0/000.p/1"]),
        (1, "tile/1/", 0, &[]),
        (2, "tile/", 0, &["tile/0/000.p/2", "tile/entries/000.p/2"]),
        (255, "tile/", 0, &["tile/0/000.p/255", "tile/entries/000.p/255"]),
        (256, "tile/", 2, &["tile/1/000.p/1"]),
        (257, "tile/0/", 1, &["tile/0/001.p/1"]),
        (257, "tile/1/", 0, &["tile/1/000.p/1"]),
        (65_535, "tile/0/", 255, &["tile/0/255.p/255"]),
        (65_535, "tile/1/", 0, &["tile/1/000.p/255"]),
        (65_536, "tile/0/", 256, &[]),
        (65_536, "tile/1/", 1, &[]),
        (65_536, "tile/2/", 0, &["tile/2/000.p/1"]),
        (65_536, "tile/entries/", 256, &[]),
        (70_000, "tile/0/", 273, &["tile/0/273.p/112"]),
        (70_000, "tile/1/", 1, &["tile/1/001.p/17"]),
        (70_000, "tile/2/", 0, &["tile/2/000.p/1"]),
        (70_000, "tile/entries/", 273, &["tile/entries/273.p/112"]),
        (
            70_000,
            "tile/",
            547,
            &["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"],
        ),
    ];
    for (size, prefix, full, partial) in rows {
        let (got_full, got_partial) = summary(size, prefix);
        assert_eq!(
            (got_full, got_partial.as_slice()),
            (full, &owned(partial)[..]),
            "{size} {prefix}"
        );
    }
}

fn owned(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[test]
fn any_narrower_partial_tile_exists_too() {
    for (path, size, exists) in [
        ("tile/0/273.p/111", 70_000, true),
        ("tile/0/273.p/112", 70_000, true),
        ("tile/0/273.p/113", 70_000, false),
        ("tile/0/273", 70_000, false),
        ("tile/0/272.p/9", 70_000, true),
        ("tile/2/000.p/1", 65_535, false),
        ("tile/2/000.p/1", 65_536, true),
        ("tile/63/000.p/1", u64::MAX, false),
        ("tile/7/000.p/255", u64::MAX, true),
        ("tile/entries/x072/x057/x594/x037/x927/935.p/255", u64::MAX, true),
        ("tile/entries/x072/x057/x594/x037/x927/935", u64::MAX, false),
        ("tile/entries/000.p/1", 0, false),
    ] {
        assert_eq!(TileAddress::parse(path).unwrap().exists_in(size), exists, "{path} in {size}");
    }
    assert_eq!(width_in(TileKind::Entries, u64::MAX, u64::MAX), None);
}

#[test]
fn a_stored_hash_is_found_in_its_tile() {
    let at = |level, index| TileAddress::holding(HashAt { level, index }, 70_000);
    let found = |level, index| at(level, index).map(|(tile, place)| (tile.path(), place));
    assert_eq!(found(0, 69_999), Some(("tile/0/273.p/112".to_owned(), 111)));
    assert_eq!(found(0, 70_000), None);
    assert_eq!(found(1, 255), Some(("tile/1/000".to_owned(), 255)));
    assert_eq!(found(1, 272), Some(("tile/1/001.p/17".to_owned(), 16)));
    assert_eq!(found(1, 273), None);
    assert_eq!(found(200, 0), None);
}

#[test]
fn contents_are_read_back_or_refused() {
    let hashes: Vec<Hash> = (0..5_u8).map(|byte| leaf_hash(&[byte])).collect();
    let tile = encode_tile(&hashes);
    assert_eq!(tile.len(), 160);
    assert_eq!(decode_tile(&tile, 5), Ok(hashes));
    for (bytes, width) in [(&tile[..], 4), (&tile[..], 6), (&tile[..159], 5), (&[], 1)] {
        assert_eq!(decode_tile(bytes, width), Err(TileError::Content));
    }

    let longest = vec![7; 65_535];
    let entries: [&[u8]; 4] = [b"one", b"", &longest, b"four"];
    let bundle = encode_bundle(entries).unwrap();
    assert_eq!(&bundle[..7], b"\0\x03one\0\0");
    assert_eq!(decode_bundle(&bundle, 4), Ok(entries.to_vec()));
    let longer = [&bundle[..], &[0]].concat();
    let one_more = [&bundle[..], &[0, 0]].concat();
    let cut = &bundle[..bundle.len() - 1];
    for (bytes, width) in [(&bundle[..], 3), (&bundle, 5), (cut, 4), (&longer, 4), (&one_more, 4)] {
        assert_eq!(decode_bundle(bytes, width), Err(TileError::Content));
    }
    assert_eq!(encode_bundle([vec![0; 65_536]]), Err(TileError::EntryTooLong));
}

proptest! {
    #[test]
    fn every_address_has_one_path(
        level in 0_u8..=63, index in 0_u64..1 << 56, width in 1_u16..=256,
    ) {
        for kind in [TileKind::Hashes(level), TileKind::Entries] {
            let address = TileAddress::new(kind, index, width).unwrap();
            prop_assert_eq!(TileAddress::parse(&address.path()), Ok(address));
        }
    }

    #[test]
    fn what_parses_is_spelled_the_same(
        path in "tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?",
    ) {
        if let Ok(address) = TileAddress::parse(&path) {
            prop_assert_eq!(address.path(), path);
        }
    }

    #[test]
    fn tiles_cover_each_level_without_gaps(size in 0_u64..200_000) {
        for level in 0..3 {
            let of_level = tiles(size).filter(|tile| tile.kind() == TileKind::Hashes(level));
            let covered = of_level.fold(0, |next, tile| {
                assert_eq!(tile.first(), next);
                assert!(tile.exists_in(size));
                next + u64::from(tile.width())
            });
            prop_assert_eq!(covered, size / 256_u64.pow(u32::from(level)));
        }
    }
}
