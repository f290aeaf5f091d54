//! No circle of imports among the modules of a crate.
//!
//! A module that imports, by whatever way round, what imports it cannot be read, tested or moved
//! alone. For each crate: the modules right below its root, who names whom (in code and in links of
//! docs: `crate::name`, as many `super::` as lead to the root, and what the root re-exports; tests
//! apart), and every set in which each reaches each other.
//!
//! Assumes: modules are files or folders below `src`.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, UsedPath};
use super::{Finding, Rule};

const CIRCLE: Rule = Rule {
    name: "module-circle",
    mend: "Move what both need into a module below both, or hand it in.",
    may_be_allowed: false,
};

/// Who names whom.
type Graph<'s> = BTreeMap<&'s str, BTreeSet<&'s str>>;

/// One finding a crate, whose amount is how many of its modules lie in a circle.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test_file()) {
        if let Some((root, _)) = below_root(&source.path) {
            crates.entry(root).or_default().push(source);
        }
    }
    crates.iter().filter_map(|(root, sources)| finding(root, &used_by_module(sources))).collect()
}

/// Each module right below a crate's root, and the modules it names.
fn used_by_module<'s>(sources: &[&'s Source]) -> Vec<(&'s str, BTreeSet<String>)> {
    let is_lib = |source: &&&Source| source.path.ends_with("/src/lib.rs");
    let exported: BTreeMap<String, String> =
        sources.iter().find(is_lib).map(|lib| exported(lib)).unwrap_or_default();
    let modules: BTreeSet<&str> =
        sources.iter().filter_map(|source| module_of(&source.path)).collect();
    let module = |source: &&'s Source| {
        let name = module_of(&source.path)?;
        let names = names_at_root(source).into_iter();
        let is_module = |name: &String| modules.contains(name.as_str());
        let resolved = |name: String| match exported.get(&name) {
            Some(module) if !is_module(&name) => module.clone(),
            _ => name,
        };
        Some((name, names.map(resolved).collect()))
    };
    sources.iter().filter_map(module).collect()
}

/// The names that a crate's root takes from its modules, and from which.
fn exported(lib: &Source) -> BTreeMap<String, String> {
    let pairs = lib.own_paths().into_iter().filter_map(|path| {
        let mut segments = path.segments.into_iter().filter(|one| one != "crate" && one != "self");
        Some((segments.next()?, segments.next_back()?))
    });
    pairs.map(|(module, name)| (name, module)).collect()
}

/// The names right below the crate's root that a file uses.
fn names_at_root(source: &Source) -> BTreeSet<String> {
    let code = source.own_paths();
    let at_root = |path: &UsedPath| {
        let from_root = match path.segments.first()?.as_str() {
            "crate" => 1,
            "super" => supers_to_root(source, path)?,
            _ => return None,
        };
        path.segments.get(from_root).cloned()
    };
    code.iter().chain(source.own_comment_paths()).filter_map(at_root).collect()
}

/// How many `super` a path begins with, if they lead to the crate's root.
fn supers_to_root(source: &Source, path: &UsedPath) -> Option<usize> {
    let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
    let (_, rest) = below_root(&source.path)?;
    let file = rest.trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = file.split('/').count() + source.inline_depth(path.line);
    (supers == depth).then_some(supers)
}

/// The folder `src` of a crate, and the path of a Rust file below it.
fn below_root(path: &str) -> Option<(&str, &str)> {
    let end = path.find("/src/")? + "/src".len();
    path.ends_with(".rs").then(|| (&path[..end], &path[end + 1..]))
}

/// The module right below the crate's root that a file belongs to; none for the root itself.
fn module_of(path: &str) -> Option<&str> {
    let (_, rest) = below_root(path)?;
    let module = rest.split('/').next()?.trim_end_matches(".rs");
    (!matches!(module, "lib" | "main")).then_some(module)
}

fn finding(root: &str, modules: &[(&str, BTreeSet<String>)]) -> Option<Finding> {
    let mut graph = Graph::new();
    for (module, used) in modules {
        let known = |name: &&str| modules.iter().any(|(other, _)| other == name);
        let others = used.iter().map(String::as_str).filter(|name| name != module && known(name));
        graph.entry(module).or_default().extend(others);
    }
    let circles = circles(&graph);
    let amount = circles.iter().map(BTreeSet::len).sum();
    let words = |circle: &BTreeSet<&str>| circle.iter().copied().collect::<Vec<_>>().join(", ");
    let all: Vec<String> = circles.iter().map(words).collect();
    let what = format!("{amount} modules import each other in circles: {}", all.join("; "));
    let path = format!("{root}/lib.rs");
    (amount > 0).then(|| Finding { amount, ..Finding::new(&CIRCLE, &path, 1, what) })
}

/// The sets of modules in which each reaches each other, without those of one.
fn circles<'s>(graph: &Graph<'s>) -> Vec<BTreeSet<&'s str>> {
    let reach: Graph = graph.keys().map(|module| (*module, reached(graph, module))).collect();
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for (module, reached) in &reach {
        if circles.iter().any(|circle| circle.contains(module)) {
            continue;
        }
        let back = |other: &&&str| reach[**other].contains(module);
        let mut circle: BTreeSet<&str> = reached.iter().filter(back).copied().collect();
        circle.insert(module);
        if circle.len() > 1 {
            circles.push(circle);
        }
    }
    circles
}

fn reached<'s>(graph: &Graph<'s>, from: &str) -> BTreeSet<&'s str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in &graph[module] {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_crate(files: &[(&str, &str)], expected: &[&str]) {
        let source =
            |(path, text): &(&str, &str)| Source::new(&format!("crates/a/src/{path}"), text);
        let sources: Vec<Source> = files.iter().map(source).collect();
        let found: Vec<String> = check(&sources).iter().map(|one| one.what.clone()).collect();
        let said = |names: &&str| {
            let amount = names.split([',', ';']).count();
            format!("{amount} modules import each other in circles: {names}")
        };
        assert_eq!(found, expected.iter().map(said).collect::<Vec<_>>());
    }

    #[test]
    fn modules_that_import_each_other_are_found() {
        check_crate(&[("a.rs", "use crate::b::X;\n"), ("b.rs", "use crate::c;\n")], &[]);
        let three = [
            ("a/one.rs", "use crate::{b::X, d};\n"),
            ("b.rs", "fn f() { crate::c::g(); }\n"),
            ("c/mod.rs", "use crate::a;\n"),
            ("d.rs", "use crate::e::Y;\n"),
            ("e.rs", "use crate::d::Z;\n"),
            ("lib.rs", "use crate::a;\n"),
        ];
        check_crate(&three, &["a, b, c; d, e"]);
        let in_tests = "#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n";
        check_crate(&[("a.rs", "use crate::b;\n"), ("b.rs", in_tests)], &[]);
        check_crate(&[("a.rs", "use crate::b;\n"), ("b.rs", "//! See [`crate::a`].\n")], &["a, b"]);
        check_crate(
            &[("a.rs", "use crate::a::one;\nuse std::b;\n"), ("b.rs", "use crate::a;\n")],
            &[],
        );
    }

    #[test]
    fn other_ways_to_name_a_module_count_too() {
        let a = ("a.rs", "use super::b;\n");
        check_crate(&[a, ("b.rs", "fn f() { super::a::g(); }\n")], &["a, b"]);
        check_crate(&[a, ("b/mod.rs", "use super::{a, c};\n")], &["a, b"]);
        check_crate(&[a, ("b/one.rs", "use super::super::a;\n")], &["a, b"]);
        check_crate(&[a, ("b/one.rs", "mod m {\n    use super::super::super::a;\n}\n")], &["a, b"]);
        check_crate(&[a, ("b/one.rs", "use super::a;\n")], &[]);
        check_crate(&[a, ("b.rs", "mod m {\n    use super::a;\n}\n")], &[]);
        let lib = ("lib.rs", "mod a;\nmod b;\npub use a::{X, inner::Y};\n");
        check_crate(&[lib, a, ("b.rs", "use crate::Y;\n")], &["a, b"]);
        check_crate(&[lib, a, ("b.rs", "use crate::Z;\n")], &[]);
    }
}
