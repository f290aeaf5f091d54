//! Every seed, and every input that once broke a rule, through its target.

use std::fs;
use std::path::{Path, PathBuf};

use ledgerline_fuzz::TARGETS;

/// The files of a folder, none when it is not there.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_rule_holds_on_every_kept_input() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, target) in TARGETS {
        let seeds = inputs(&package.join("seeds").join(name));
        assert!(!seeds.is_empty(), "{name} has no seeds: run the example `seeds`");
        for path in seeds.into_iter().chain(inputs(&package.join("regressions").join(name))) {
            println!("{}", path.display());
            target(&fs::read(&path).expect("a file"));
        }
    }
}

#[test]
fn every_target_has_a_binary() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let names: Vec<String> = inputs(&folder)
        .iter()
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    let expected: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
}
