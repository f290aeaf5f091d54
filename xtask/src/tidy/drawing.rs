//! The house as the imports draw it, held against the table of crates and ARCHITECTURE.md.
//!
//! ```text
//! floor 1   vault 2k · journal 3k      a crate stands one floor above the highest it imports
//! vault     proof world                which crates its sources import, tests apart
//! ```
//!
//! Promises: what ARCHITECTURE.md shows between its two marks is computed, never written by hand;
//! an edge that the table allows is used by an import; a crate stays small enough to be read.
//! Sizes are lines without tests, in thousands, so that the picture changes when the house does.
//!
//! Assumes: a crate imports another by its own name, and a use in its folder is a use by it.

use std::collections::BTreeSet;

use super::house::{CRATES, Crate, Kind};
use super::source::Source;
use super::{File, Finding, Rule};

/// Where the drawing hangs.
pub const PAGE: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- the house: `cargo xtask tidy --draw --write` renews it -->\n```text\n";
const END: &str = "```\n<!-- end of the house -->\n";
/// The table of crates.
const TABLE: &str = "xtask/src/tidy/house.rs";
/// Columns of the drawing.
const COLUMNS_MAX: usize = 100;
/// Lines of a crate without tests; of the kernel, which has to be in one place to be believed.
pub const CRATE_LINES_MAX: usize = 7_000;
pub const KERNEL_LINES_MAX: usize = 12_000;

const DRAWING: Rule = Rule {
    name: "house-drawing",
    mend: "Run `cargo xtask tidy --draw --write`, and look at the difference.",
    may_be_allowed: false,
};
const UNUSED_EDGE: Rule = Rule {
    name: "unused-edge",
    mend: "Take it out of the row: what nobody uses is not allowed.",
    may_be_allowed: false,
};
const CRATE_SIZE: Rule = Rule {
    name: "crate-size",
    mend: "Move one idea into a crate of its own, named after what it may not know.",
    may_be_allowed: true,
};

/// A crate as its files show it.
struct Room {
    row: &'static Crate,
    /// Lines of its sources without tests.
    lines: usize,
    /// Packages that its sources import, tests apart.
    sources_use: BTreeSet<&'static str>,
    /// Packages that any file in its folder imports.
    folder_uses: BTreeSet<&'static str>,
}

/// Edges, sizes and the drawing.
pub fn check(files: &[File], sources: &[Source]) -> Vec<Finding> {
    let rooms = rooms(CRATES, sources);
    let mut findings: Vec<Finding> = rooms.iter().flat_map(unused_edges).collect();
    findings.extend(rooms.iter().filter_map(too_large));
    let page = files.iter().find(|file| file.path == PAGE);
    findings.extend(stale(page.map_or("", |page| &page.text), &draw(&rooms)));
    findings
}

/// The drawing, and the exact count of each crate.
pub fn drawn(sources: &[Source]) -> String {
    let rooms = rooms(CRATES, sources);
    let counts: Vec<String> = rooms
        .iter()
        .map(|room| format!("{:7} lines without tests  {}\n", room.lines, room.row.folder))
        .collect();
    format!("{}\n{}", draw(&rooms), counts.concat())
}

/// The page with the drawing as it should be; none if it has no place for it.
pub fn renewed(page: &str, sources: &[Source]) -> Option<String> {
    let (before, old) = split(page)?;
    let after = &page[before.len() + old.len()..];
    Some(format!("{before}{}{after}", draw(&rooms(CRATES, sources))))
}

fn rooms(rows: &'static [Crate], sources: &[Source]) -> Vec<Room> {
    let room = |row: &'static Crate| {
        let below = |source: &Source, part: &str| {
            source.path.strip_prefix(row.folder).is_some_and(|rest| rest.starts_with(part))
        };
        let own: Vec<&Source> = sources.iter().filter(|source| below(source, "/src/")).collect();
        let all = sources.iter().filter(|source| below(source, "/"));
        let heads = own.iter().flat_map(|source| source.own_paths()).collect::<Vec<_>>();
        let names = all.flat_map(Source::paths).collect::<Vec<_>>();
        let used = |paths: &[super::source::UsedPath]| {
            let named = |other: &&Crate| {
                let name = other.package.replace('-', "_");
                paths.iter().any(|path| path.segments.len() > 1 && path.segments[0] == name)
            };
            let others = rows.iter().filter(|other| other.package != row.package);
            others.filter(named).map(|other| other.package).collect()
        };
        Room {
            row,
            lines: own.iter().map(|source| source.own_line_count()).sum(),
            sources_use: used(&heads),
            folder_uses: used(&names),
        }
    };
    rows.iter().map(room).collect()
}

fn unused_edges(room: &Room) -> Vec<Finding> {
    let unused = room.row.uses.iter().filter(|name| !room.folder_uses.contains(*name));
    let what = |name| format!("{} may use {name}, and no file of it does", room.row.folder);
    unused.map(|name| Finding::new(&UNUSED_EDGE, TABLE, 1, what(name))).collect()
}

fn too_large(room: &Room) -> Option<Finding> {
    let max = if room.row.kind == Kind::Kernel { KERNEL_LINES_MAX } else { CRATE_LINES_MAX };
    let what = format!("{} lines without tests, the limit is {max}", room.lines);
    let path = format!("{}/Cargo.toml", room.row.folder);
    let amount = room.lines.div_ceil(1000);
    (room.lines > max).then(|| Finding { amount, ..Finding::new(&CRATE_SIZE, &path, 1, what) })
}

fn stale(page: &str, drawing: &str) -> Option<Finding> {
    let Some((before, old)) = split(page) else {
        return Some(Finding::new(&DRAWING, PAGE, 1, "no place for the drawing of the house"));
    };
    let line = before.lines().count() + 1;
    (old != drawing)
        .then(|| Finding::new(&DRAWING, PAGE, line, "the drawing differs from the imports"))
}

/// What stands before the drawing, and the drawing.
fn split(page: &str) -> Option<(&str, &str)> {
    let start = page.find(BEGIN)? + BEGIN.len();
    let length = page[start..].find(END)?;
    Some((&page[..start], &page[start..start + length]))
}

fn draw(rooms: &[Room]) -> String {
    let (house, beside): (Vec<&Room>, Vec<&Room>) =
        rooms.iter().partition(|room| room.row.folder.starts_with("crates/"));
    let floors: Vec<usize> = house.iter().map(|room| floor(room, rooms)).collect();
    let mut out = String::new();
    for at in (0..=floors.iter().copied().max().unwrap_or(0)).rev() {
        let here = house.iter().zip(&floors).filter(|(_, floor)| **floor == at);
        let words: Vec<String> = here.map(|(room, _)| sized(room, rooms)).collect();
        wrapped(&mut out, &format!("floor {at}"), &words, " · ");
    }
    wrapped(
        &mut out,
        "beside",
        &beside.iter().map(|one| sized(one, rooms)).collect::<Vec<_>>(),
        " · ",
    );
    out += "\nimports\n";
    for room in house.iter().chain(&beside).rev() {
        let used = rooms.iter().filter(|other| room.sources_use.contains(other.row.package));
        let mut used: Vec<String> = used.map(|other| name(other).to_owned()).collect();
        if used.is_empty() {
            used.push("nobody".to_owned());
        }
        wrapped(&mut out, name(room), &used, " ");
    }
    out
}

/// One above the highest crate that its sources import; the ground is 0.
fn floor(room: &Room, rooms: &[Room]) -> usize {
    let used = rooms.iter().filter(|other| room.sources_use.contains(other.row.package));
    used.map(|other| floor(other, rooms) + 1).max().unwrap_or(0)
}

fn name(room: &Room) -> &'static str {
    room.row.folder.trim_start_matches("crates/")
}

/// Name and size; `(dev)` for a crate that nothing else in the house imports, tests apart.
fn sized(room: &Room, rooms: &[Room]) -> String {
    let house = rooms.iter().filter(|other| other.row.folder.starts_with("crates/"));
    let is_used = house.into_iter().any(|one| one.sources_use.contains(room.row.package));
    let is_dev = !is_used && room.row.kind == Kind::Engine;
    let size = ((room.lines + 500) / 1000).max(1);
    format!("{}{} {size}k", name(room), if is_dev { " (dev)" } else { "" })
}

/// Writes `head` and the words behind it, in as many lines as they need.
fn wrapped(out: &mut String, head: &str, words: &[String], between: &str) {
    const INDENT: usize = 12;
    let mut line = format!("{head:INDENT$}");
    for (at, word) in words.iter().enumerate() {
        let between = if at == 0 { "" } else { between };
        if line.chars().count() + between.chars().count() + word.chars().count() > COLUMNS_MAX {
            *out += line.trim_end();
            out.push('\n');
            line = " ".repeat(INDENT);
        } else {
            line += between;
        }
        line += word;
    }
    *out += line.trim_end();
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    const fn row(
        package: &'static str,
        folder: &'static str,
        kind: Kind,
        uses: &'static [&'static str],
    ) -> Crate {
        Crate { package, folder, kind, uses }
    }

    static ROWS: &[Crate] = &[
        row("l-proof", "crates/proof", Kind::Kernel, &[]),
        row("l-vault", "crates/vault", Kind::Engine, &["l-proof"]),
        row("l", "crates/l", Kind::Program, &["l-proof", "l-vault"]),
        row("l-sim", "crates/sim", Kind::Engine, &["l-vault"]),
        row("xtask", "xtask", Kind::Chores, &[]),
        row("l-fuzz", "fuzz", Kind::Program, &["l-sim"]),
    ];

    fn sources() -> Vec<Source> {
        let long = "//! Doc.\n".repeat(2_600);
        vec![
            Source::new("crates/proof/src/lib.rs", &long),
            Source::new("crates/vault/src/lib.rs", "use l_proof::hash;\n"),
            Source::new("crates/l/src/main.rs", "fn f() { l_vault::open(); }\n"),
            Source::new("crates/l/tests/a.rs", "use l_proof::Hash;\n"),
            Source::new("crates/sim/src/lib.rs", "use l_vault::{map, slots};\n"),
            Source::new("fuzz/src/lib.rs", "use l_sim::run;\n"),
        ]
    }

    #[test]
    fn floors_and_edges_follow_from_imports() {
        let expected = "floor 2     l 1k · sim (dev) 1k\n\
                        floor 1     vault 1k\n\
                        floor 0     proof 3k\n\
                        beside      xtask 1k · fuzz 1k\n\
                        \nimports\n\
                        fuzz        sim\n\
                        xtask       nobody\n\
                        sim         vault\n\
                        l           vault\n\
                        vault       proof\n\
                        proof       nobody\n";
        assert_eq!(draw(&rooms(ROWS, &sources())), expected);
    }

    #[test]
    fn long_lines_are_wrapped() {
        let words: Vec<String> = (0..30).map(|at| format!("word{at}")).collect();
        let mut out = String::new();
        wrapped(&mut out, "head", &words, " ");
        assert!(out.lines().all(|line| line.len() <= COLUMNS_MAX), "{out}");
        assert_eq!(out.split_whitespace().count(), 31);
        assert!(out.lines().skip(1).all(|line| line.starts_with("            word")), "{out}");
    }

    #[test]
    fn an_edge_is_used_or_goes() {
        let all = rooms(ROWS, &sources());
        let unused = |rooms: &[Room]| rooms.iter().flat_map(unused_edges).collect::<Vec<_>>();
        assert_findings(&unused(&all), &[]);
        let without_tests: Vec<Source> =
            sources().into_iter().filter(|source| !source.is_test_file()).collect();
        let found = unused(&rooms(ROWS, &without_tests));
        assert_findings(&found, &["1 unused-edge"]);
        assert_eq!(found[0].what, "crates/l may use l-proof, and no file of it does");
    }

    #[test]
    fn a_crate_stays_within_its_size() {
        let sized = |folder: &str, lines: usize| {
            let source = Source::new(&format!("{folder}/src/lib.rs"), &"//! Doc.\n".repeat(lines));
            rooms(ROWS, &[source]).iter().filter_map(too_large).collect::<Vec<_>>()
        };
        assert_findings(&sized("crates/vault", 7_000), &[]);
        assert_findings(&sized("crates/vault", 7_001), &["1 crate-size"]);
        assert_eq!(sized("crates/vault", 7_001)[0].amount, 8);
        assert_findings(&sized("crates/proof", 12_000), &[]);
        assert_findings(&sized("crates/proof", 12_001), &["1 crate-size"]);
    }

    #[test]
    fn the_page_shows_what_is_drawn() {
        let page = format!("# House\n\n{BEGIN}old\n{END}more\n");
        assert_findings(stale(&page, "old\n").as_slice(), &[]);
        assert_findings(stale(&page, "new\n").as_slice(), &["5 house-drawing"]);
        assert_findings(stale("# House\n", "new\n").as_slice(), &["1 house-drawing"]);
        assert_eq!(split(&page), Some((&*format!("# House\n\n{BEGIN}"), "old\n")));
    }
}
