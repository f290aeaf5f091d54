//! No circle of imports among the modules of a crate.
//!
//! A module that imports, by whatever way round, what imports it cannot be read, tested or moved
//! alone. For each crate: the modules right below its root, who names whom (`crate::name`, tests
//! apart), and every set in which each reaches each other.
//!
//! Assumes: modules are files or folders below `src`, and a crate's own paths begin with `crate`.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::{Finding, Rule};

const CIRCLE: Rule = Rule {
    name: "module-circle",
    mend: "Move what both need into a module below both, or hand it in.",
    may_be_allowed: true,
};

/// Who names whom.
type Graph<'s> = BTreeMap<&'s str, BTreeSet<&'s str>>;

/// One finding a crate, whose amount is how many of its modules lie in a circle.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut used: BTreeMap<&str, Vec<(&str, BTreeSet<String>)>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test_file()) {
        let Some((root, module)) = module_of(&source.path) else { continue };
        let own = source.own_paths().into_iter().filter_map(|path| {
            let mut segments = path.segments.into_iter();
            segments.next().filter(|first| first == "crate").and_then(|_| segments.next())
        });
        used.entry(root).or_default().push((module, own.collect()));
    }
    used.iter().filter_map(|(root, modules)| finding(root, modules)).collect()
}

/// The folder `src` of a crate, and the module below it that a file belongs to.
fn module_of(path: &str) -> Option<(&str, &str)> {
    let end = path.find("/src/")? + "/src".len();
    let (root, rest) = (&path[..end], &path[end + 1..]);
    let module = rest.split('/').next()?.trim_end_matches(".rs");
    (!matches!(module, "lib" | "main") && rest.ends_with(".rs")).then_some((root, module))
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
        check_crate(
            &[("a.rs", "use crate::a::one;\nuse std::b;\n"), ("b.rs", "use crate::a;\n")],
            &[],
        );
    }
}
