//! A crate is a promise about what it does not depend on.
//!
//! Reads the manifests, line by line: which workspace crates each crate may use (the table of
//! [`super::house`]), and which outside crates the kernel and the engine must not. It judges direct
//! dependencies; what those pull in is the business of `cargo tree` and deny.toml. A new workspace
//! crate is refused until it has a row.

use super::house::{CRATES, Crate, Kind};
use super::source::Source;
use super::{File, Finding, Rule};

const DIRECTION: Rule = Rule {
    name: "dependency-direction",
    mend: "Dependencies point down only: move the code up, or pass in what it needs.",
    may_be_allowed: false,
};

const UNUSED: Rule = Rule {
    name: "unused-dependency",
    mend: "Take the line out; what is declared is built, audited and believed to be used.",
    may_be_allowed: true,
};

const SHIPPED: Rule = Rule {
    name: "shipped-without-fakes",
    mend: "Name the simulator and the feature `fake` under [dev-dependencies].",
    may_be_allowed: false,
};

/// What is built for tests alone.
const FOR_TESTS: &[&str] = &["ledgerline-sim", "ledgerline-fuzz"];

const ASYNC: &[&str] = &["tokio", "async", "futures", "smol", "mio", "tower"];
const PROTOCOLS: &[&str] = &[
    "axum", "hyper", "http", "reqwest", "ureq", "actix", "warp", "tonic", "rustls", "openssl",
    "kafka", "rdkafka", "rskafka", "lapin",
];
const STORES: &[&str] = &[
    "sqlx",
    "rusqlite",
    "diesel",
    "postgres",
    "scylla",
    "cassandra",
    "redis",
    "fjall",
    "rocksdb",
    "redb",
    "aws",
    "object_store",
];
/// Files, clocks, randomness, threads, terminals: what only the kernel must do without.
const WORLD: &[&str] = &[
    "getrandom",
    "rand",
    "rustix",
    "libc",
    "nix",
    "tempfile",
    "fs",
    "memmap2",
    "chrono",
    "time",
    "jiff",
    "rayon",
    "crossbeam",
    "tracing",
    "metrics",
    "clap",
    "anyhow",
];

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let Some(folder) = path.strip_suffix("/Cargo.toml") else {
        return Vec::new(); // the virtual root lists what may be used, it uses nothing
    };
    let Some(layer) = CRATES.iter().find(|layer| layer.folder == folder) else {
        let what = "a crate without a row in the table of crates (xtask/src/tidy/house.rs)";
        return vec![Finding::new(&DIRECTION, path, 1, what)];
    };
    let finding = |dependency: Dependency| {
        let what = objection(layer, &dependency)?;
        Some(Finding::new(&DIRECTION, path, dependency.line, what))
    };
    let found = dependencies(text).into_iter().filter_map(finding);
    found.chain(fakes(layer, path, text)).collect()
}

/// The simulator, or the fake world, in what is shipped.
fn fakes(layer: &Crate, path: &str, text: &str) -> Vec<Finding> {
    if FOR_TESTS.contains(&layer.package) {
        return Vec::new();
    }
    let shipped = dependencies(text).into_iter().filter(|dependency| !dependency.for_tests);
    let sim = shipped.filter(|dependency| FOR_TESTS.contains(&&*dependency.name));
    let mut found: Vec<usize> = sim.map(|dependency| dependency.line).collect();
    let mut for_tests = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim().starts_with('[') {
            for_tests = line.contains("dev-dependencies");
        } else if !for_tests && line.contains("fake\"") && !line.starts_with("fake = [") {
            found.push(index + 1);
        }
    }
    let what = |line| Finding::new(&SHIPPED, path, line, "the fake world in a shipped crate");
    found.into_iter().map(what).collect()
}

/// Dependencies that no file of their crate names, and those of the workspace that no crate takes.
pub fn unused(files: &[File], sources: &[Source]) -> Vec<Finding> {
    let manifests = || files.iter().filter(|file| file.path.ends_with("Cargo.toml"));
    let mut findings = Vec::new();
    for manifest in manifests() {
        let finding = |one: &Dependency| {
            let what = format!("nothing uses {}", one.key);
            let found = Finding::new(&UNUSED, &manifest.path, one.line, what);
            Finding { item: one.key.clone(), ..found }
        };
        let mut listed = dependencies(&manifest.text);
        if let Some(folder) = manifest.path.strip_suffix("Cargo.toml").filter(|it| !it.is_empty()) {
            let own: Vec<&Source> =
                sources.iter().filter(|source| source.path.starts_with(folder)).collect();
            // A crate that depends on itself switches features on for its tests.
            let itself = CRATES.iter().find(|row| format!("{}/", row.folder) == folder);
            listed.retain(|one| itself.is_none_or(|row| row.package != one.name));
            listed.retain(|one| !own.iter().any(|source| names(source, &one.key)));
        } else {
            let taken = |one: &Dependency| {
                let others = manifests().filter(|other| other.path != manifest.path);
                let mut lists = others.map(|other| dependencies(&other.text));
                lists.any(|list| list.iter().any(|other| other.key == one.key))
            };
            listed.retain(|one| !taken(one));
        }
        findings.extend(listed.iter().map(finding));
    }
    findings
}

/// Whether a file names a crate, which code writes with `_`.
fn names(source: &Source, key: &str) -> bool {
    let name = key.replace('-', "_");
    source.tokens.iter().any(|token| token.text == name)
}

fn objection(layer: &Crate, dependency: &Dependency) -> Option<String> {
    let Dependency { name, for_tests, .. } = dependency;
    let folder = layer.folder;
    if is_workspace_crate(name) {
        // A crate may use itself, in tests: that is how its features are switched on for them.
        let is_fine = layer.package == name || layer.uses.contains(&name.as_str());
        return (!is_fine).then(|| format!("{folder} must not use {name}"));
    }
    let is_barred = barred(layer.kind).iter().copied().flatten().any(|barred| bars(barred, name));
    (is_barred && !for_tests).then(|| format!("{folder} must not use {name}"))
}

/// Outside crates that a kind of crate must not use, tests apart. An entry also bars `entry-…`.
fn barred(kind: Kind) -> &'static [&'static [&'static str]] {
    match kind {
        Kind::Kernel => &[ASYNC, PROTOCOLS, STORES, WORLD],
        Kind::Engine | Kind::Chores => &[ASYNC, PROTOCOLS, STORES],
        Kind::Program => &[],
    }
}

fn is_workspace_crate(name: &str) -> bool {
    matches!(name, "xtask" | "ledgerline") || name.starts_with("ledgerline-")
}

fn bars(barred: &str, name: &str) -> bool {
    // The traits alone: whoever calls passes the randomness in.
    let traits_alone = name == "rand_core";
    !traits_alone
        && name
            .strip_prefix(barred)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[derive(Debug)]
struct Dependency {
    /// The name in code, with `-`.
    key: String,
    /// The package, also where the manifest gives it another name.
    name: String,
    /// 1-based.
    line: usize,
    for_tests: bool,
}

/// Reads `name = …`, `name.workspace = true` and `[dependencies.name]`.
fn dependencies(text: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut section = String::new();
    for (index, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            if let Some((section, name)) = section.rsplit_once('.')
                && let Some(for_tests) = section_kind(section)
            {
                let (key, name) = (unquoted(name), unquoted(name));
                found.push(Dependency { key, name, line: number, for_tests });
            }
        } else if let Some(for_tests) = section_kind(&section)
            && let Some((key, value)) = line.split_once('=')
            && !line.starts_with('#')
        {
            let key = key.split('.').next().unwrap_or(key);
            let name = renamed(value).unwrap_or_else(|| unquoted(key));
            found.push(Dependency { key: unquoted(key), name, line: number, for_tests });
        }
    }
    found
}

/// Whether a table lists dependencies, and if so whether only tests see them.
fn section_kind(section: &str) -> Option<bool> {
    match section.rsplit('.').next()? {
        "dependencies" | "build-dependencies" => Some(false),
        "dev-dependencies" => Some(true),
        _ => None,
    }
}

/// The package in `{ package = "name", … }`.
fn renamed(value: &str) -> Option<String> {
    let (_, rest) = value.split_once("package")?;
    rest.split('"').nth(1).map(str::to_owned)
}

fn unquoted(key: &str) -> String {
    key.trim().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    #[track_caller]
    fn check_manifest(folder: &str, text: &str, expected: &[&str]) {
        assert_findings(&check(&format!("{folder}/Cargo.toml"), text), expected);
    }

    const BAD: &[&str] = &["2 dependency-direction"];

    #[test]
    fn the_kernel_uses_neither_us_nor_the_world() {
        let kernel = "crates/proof";
        let good = "[package]\nname = \"ledgerline-proof\"\n[dependencies]\nsha2.workspace = true\n\
                    # tokio = \"1\"\n[dev-dependencies]\ntempfile = \"3\"\nserde_json = \"1\"\n";
        check_manifest(kernel, good, &[]);
        for line in [
            "tokio.workspace = true",
            "tokio-util = \"0.7\"",
            "ledgerline-node.workspace = true",
            "getrandom = \"0.4\"",
            "calm = { package = \"hyper\", version = \"1\" }",
        ] {
            check_manifest(kernel, &format!("[dependencies]\n{line}\n"), BAD);
        }
        check_manifest(kernel, "[build-dependencies]\nlibc = \"0.2\"\n", BAD);
        check_manifest(kernel, "[features]\n[dependencies.axum]\nversion = \"1\"\n", BAD);
        check_manifest(kernel, "[target.'cfg(unix)'.dependencies]\nrustix = \"1\"\n", BAD);
        let test = "[dev-dependencies]\nledgerline-node = { path = \"../node\" }\n";
        check_manifest(kernel, test, BAD);
    }

    #[test]
    fn a_crate_of_the_engine_uses_what_lies_below_it() {
        let engine = "crates/node";
        let good = "[dependencies]\nledgerline-proof.workspace = true\ngetrandom = \"0.4\"\n";
        check_manifest(engine, good, &[]);
        for name in ["ledgerline", "axum", "rdkafka", "tokio-postgres", "rustls", "aws-sdk-s3"] {
            check_manifest(engine, &format!("[dependencies]\n{name} = \"1\"\n"), BAD);
        }
    }

    #[test]
    fn what_is_declared_is_used() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\ntower = \"1\"\n"),
            file(
                "crates/node/Cargo.toml",
                "[dependencies]\nserde.workspace = true\nsha-2 = \"1\"\n\
                 calm = { package = \"hyper\", version = \"1\" }\n\
                 [dev-dependencies]\nledgerline-node = { path = \".\" }\ntempfile = \"3\"\n",
            ),
        ];
        let used = "use serde::Serialize;\n// tempfile\nfn f() { sha_2::g(calm::h()) }\n";
        let test = Source::new("crates/node/tests/a.rs", "use tempfile::TempDir;\n");
        let own = || Source::new("crates/node/src/lib.rs", used);
        let root = "3 unused-dependency";
        assert_findings(&unused(&files, &[own(), test]), &[root]);
        assert_findings(&unused(&files, &[own()]), &[root, "7 unused-dependency"]);
        let other = Source::new("crates/view/src/lib.rs", "use tempfile::TempDir;\n");
        assert_findings(&unused(&files, &[own(), other]), &[root, "7 unused-dependency"]);
    }

    #[test]
    fn the_fake_world_is_not_shipped() {
        let fine = "[dependencies]\nledgerline-world.workspace = true\n[dev-dependencies]\n\
                    ledgerline-sim.workspace = true\n\
                    ledgerline-world = { workspace = true, features = [\"fake\"] }\n";
        check_manifest("crates/ledgerline", fine, &[]);
        let bad = &["2 shipped-without-fakes"];
        for line in [
            "ledgerline-sim.workspace = true",
            "ledgerline-world = { workspace = true, features = [\"fake\"] }",
        ] {
            let shipped = format!("[dependencies]\n{line}\n");
            check_manifest("crates/ledgerline", &shipped, bad);
            check_manifest("crates/sim", &shipped.replace("-sim", "-node"), &[]);
        }
        let table = "[dependencies.ledgerline-world]\nfeatures = [\"fake\"]\n";
        check_manifest("crates/journal", table, bad);
        let feature = "[features]\ndefault = [\"ledgerline-world/fake\"]\n";
        check_manifest("crates/journal", feature, bad);
        // A contract's own feature may ask for the fakes that it runs on.
        check_manifest("crates/journal", &feature.replace("default", "fake"), &[]);
    }

    #[test]
    fn everything_else_points_down_too() {
        let program = "[dependencies]\nledgerline-node.workspace = true\naxum = \"1\"\n";
        check_manifest("crates/ledgerline", program, &[]);
        check_manifest("xtask", "[dependencies]\nledgerline.workspace = true\n", BAD);
        check_manifest("crates/ledgerline-new", "", &["1 dependency-direction"]);
        assert_findings(&check("Cargo.toml", "[workspace.dependencies]\ntokio = \"1\"\n"), &[]);
    }
}
