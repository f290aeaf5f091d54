//! What the kernel and the engine may not touch.
//!
//! The kernel is arithmetic over bytes: no file, network, clock, thread, environment or async. The
//! engine reaches the world through one file per kind of thing, so that the simulator can stand in
//! its place; and no randomly seeded map order may reach a byte. Tests and examples are free.

use super::house::{Kind, kind_of};
use super::source::{Source, UsedPath};
use super::{Finding, Rule};

const KERNEL_PURITY: Rule = Rule {
    name: "kernel-purity",
    mend: "Take bytes and times as arguments; the caller does the input and output.",
    may_be_allowed: false,
};
const ENGINE_ROOMS: Rule = Rule {
    name: "engine-rooms",
    mend: "Go through the trait of the room named here; the simulator must be able to replace it.",
    may_be_allowed: false,
};
const HANDLER_CLOCK: Rule = Rule {
    name: "handler-clock",
    mend: "Ask the node: `now`, `monotonic`. Its clock is the world's, also in a test.",
    may_be_allowed: false,
};
const NO_ASYNC: Rule = Rule {
    name: "no-async",
    mend: "Write a struct with a step function; async stays at the edge, in the program.",
    may_be_allowed: false,
};
const PROTOCOL_WORD: Rule = Rule {
    name: "protocol-word",
    mend: "Say what the engine means, not which protocol or vendor carries it.",
    may_be_allowed: true,
};
const SIGNER: Rule = Rule {
    name: "signer",
    mend: "Sign through the signing room, which asks for proof that the size is committed.",
    may_be_allowed: false,
};
const RANDOM_MAP: Rule = Rule {
    name: "random-map",
    mend: "Use BTreeMap or a fixed hasher; if it is never iterated, say so in the allow-list.",
    may_be_allowed: true,
};

/// Things of the world, as a run of path segments, and the engine's rooms for each.
const WORLD: &[(&[&str], &[&str])] = &[
    (&["std", "fs"], &["crates/world/src/disk"]),
    // The threads of the verifier are scoped to one function, and what they give does not depend on
    // their order.
    (&["std", "thread"], &["crates/node/src", "crates/world/src/parallel"]),
    (&["SystemTime"], &["crates/world/src/clock"]),
    (&["Instant"], &["crates/world/src/clock"]),
    (&["std", "net"], &[]),
    (&["std", "env"], &[]),
    (&["std", "process"], &[]),
];

/// Where the kernel's signer of checkpoints is used, and keys that sign notes. Elsewhere what is
/// not durable could be signed.
const SIGNING_ROOM: &str = "crates/ledger/src/publisher/signing";
/// What signs for a log.
const SIGNERS: [&str; 2] = ["Signer", "SignerKey"];
/// Where handlers of requests are.
const HANDLERS: &str = "crates/http/src/";
/// What reads the time past the world's clock.
const CLOCKS: [&str; 3] = ["SystemClock", "SystemTime", "Instant"];

/// Values of `std::net` that open nothing.
const ADDRESSES: &[&str] = &["IpAddr", "Ipv4Addr", "Ipv6Addr"];

/// Parts of words that have no place in the engine, in names or in texts.
const PROTOCOLS: &[&str] =
    &["tokio", "http", "sql", "kafka", "postgres", "cassandra", "redis", "grpc"];

pub fn check(source: &Source) -> Vec<Finding> {
    let kind = kind_of(&source.path);
    let (in_kernel, in_engine) = (kind == Some(Kind::Kernel), kind == Some(Kind::Engine));
    if !in_kernel && !in_engine {
        let is_program = kind == Some(Kind::Program) && !source.path.starts_with("fuzz/");
        let mut findings = if is_program { signers(source) } else { Vec::new() };
        if source.path.starts_with(HANDLERS) {
            let paths = source.own_paths();
            findings.extend(paths.iter().filter_map(|path| handler_clock(source, path)));
        }
        return findings;
    }
    let mut findings = asynchronous(source);
    for path in source.own_paths() {
        findings.extend(random_map(source, &path));
        findings.extend(world(source, &path, in_kernel));
    }
    if in_engine {
        findings.extend(protocol_words(source));
        findings.extend(signers(source));
    }
    findings
}

fn signers(source: &Source) -> Vec<Finding> {
    if is_room(&source.path, SIGNING_ROOM) {
        return Vec::new();
    }
    // By the name alone: it is said wherever one is made, also behind a glob or another name of the
    // module. No other type has it.
    let signers = source.own_tokens().filter(|token| SIGNERS.contains(&&*token.text));
    signers
        .map(|token| {
            let what = format!("{} outside {SIGNING_ROOM}.rs", token.text);
            Finding::new(&SIGNER, &source.path, token.line, what)
        })
        .collect()
}

fn asynchronous(source: &Source) -> Vec<Finding> {
    let words = source.own_tokens().filter(|token| matches!(&*token.text, "async" | "await"));
    words
        .map(|token| Finding::new(&NO_ASYNC, &source.path, token.line, token.text.clone()))
        .collect()
}

fn handler_clock(source: &Source, path: &UsedPath) -> Option<Finding> {
    let clock = path.segments.iter().find(|segment| CLOCKS.contains(&&***segment))?;
    Some(Finding::new(&HANDLER_CLOCK, &source.path, path.line, clock.clone()))
}

fn random_map(source: &Source, path: &UsedPath) -> Option<Finding> {
    // Only where it comes from; its other mentions follow from that one.
    let is_import =
        path.segments.iter().any(|segment| segment == "std" || segment == "collections");
    let name = path.segments.iter().find(|segment| {
        matches!(&***segment, "HashMap" | "HashSet" | "hash_map" | "RandomState")
    })?;
    is_import.then(|| Finding::new(&RANDOM_MAP, &source.path, path.line, name.clone()))
}

fn world(source: &Source, path: &UsedPath, in_kernel: bool) -> Option<Finding> {
    let (thing, rooms) = WORLD.iter().find(|(thing, _)| names(path, thing))?;
    if !in_kernel && path.segments.iter().any(|segment| ADDRESSES.contains(&&**segment)) {
        return None;
    }
    let thing = thing.join("::");
    if in_kernel {
        return Some(Finding::new(&KERNEL_PURITY, &source.path, path.line, thing));
    }
    if rooms.iter().any(|room| is_room(&source.path, room)) {
        return None;
    }
    let what = match rooms {
        [room, ..] => format!("{thing} outside {room}.rs"),
        [] => format!("{thing}, for which the engine has no room"),
    };
    Some(Finding::new(&ENGINE_ROOMS, &source.path, path.line, what))
}

fn names(path: &UsedPath, thing: &[&str]) -> bool {
    path.segments.windows(thing.len()).any(|segments| segments == thing)
}

/// `src/disk` is `src/disk.rs` or anything under `src/disk/`.
fn is_room(path: &str, room: &str) -> bool {
    path.strip_prefix(room).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn protocol_words(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.uncommented.lines().enumerate() {
        let line = line.to_lowercase();
        let found = PROTOCOLS.iter().find(|word| line.contains(**word));
        if let Some(word) = found.filter(|_| !source.is_test(index + 1)) {
            let what = format!("the word `{word}`");
            findings.push(Finding::new(&PROTOCOL_WORD, &source.path, index + 1, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::samples::check_rust;
    use super::*;

    fn check_kernel(text: &str, expected: &[&str]) {
        check_rust(check, "crates/proof/src/tree.rs", text, expected);
    }

    fn check_engine(room: &str, text: &str, expected: &[&str]) {
        check_rust(check, &format!("crates/{room}"), text, expected);
    }

    #[test]
    fn the_kernel_touches_nothing() {
        check_kernel("use std::time::Duration;\n// std::fs is not used\nfn f() {}\n", &[]);
        check_kernel("#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n", &[]);
        check_kernel("use std::{fmt, fs};\n", &["1 kernel-purity"]);
        check_kernel("use std::{\n    io,\n    fs::File,\n};\n", &["3 kernel-purity"]);
        check_kernel("fn f() { std::thread::yield_now() }\n", &["1 kernel-purity"]);
        check_kernel("use std::net::IpAddr;\n", &["1 kernel-purity"]);
        check_kernel("use std::time;\nfn f() { time::Instant::now(); }\n", &["2 kernel-purity"]);
        check_kernel("use std::time::SystemTime;\n", &["1 kernel-purity"]);
        check_kernel("async fn f() { g().await }\n", &["1 no-async", "1 no-async"]);
        check_kernel("use std::collections::HashMap;\n", &["1 random-map"]);
    }

    #[test]
    fn the_engine_has_one_room_for_each_thing_of_the_world() {
        check_engine("world/src/disk.rs", "use std::fs::File;\n", &[]);
        check_engine("world/src/disk/real.rs", "use std::fs::File;\n", &[]);
        check_engine("journal/src/writer.rs", "use std::fs::File;\n", &["1 engine-rooms"]);
        check_engine("world/src/disks.rs", "use std::fs::File;\n", &["1 engine-rooms"]);
        check_engine("node/src/lib.rs", "use std::thread;\n", &[]);
        check_engine("world/src/parallel.rs", "use std::thread;\n", &[]);
        check_engine("questions/src/lineage/plan.rs", "use std::thread;\n", &["1 engine-rooms"]);
        check_engine("verify/src/lib.rs", "use std::thread;\n", &["1 engine-rooms"]);
        check_engine("world/src/clock.rs", "use std::time::{Instant, SystemTime};\n", &[]);
        check_engine("ledger/src/intake.rs", "use std::time::Instant;\n", &["1 engine-rooms"]);
        check_engine("node/src/lib.rs", "use std::net::TcpStream;\n", &["1 engine-rooms"]);
        check_engine("world/src/a.rs", "fn f() { let g = async {}; }\n", &["1 no-async"]);
    }

    #[test]
    fn checkpoints_are_signed_in_one_room() {
        let signer = "use ledgerline_proof::checkpoint::{SignError, Signer};\n";
        check_engine("ledger/src/publisher/signing.rs", signer, &[]);
        check_engine("ledger/src/publisher.rs", signer, &["1 signer"]);
        check_rust(check, "crates/ledgerline/src/a.rs", signer, &["1 signer"]);
        check_engine("ledger/src/a.rs", "use ledgerline_proof::checkpoint::Checkpoint;\n", &[]);
        let glob = "use ledgerline_proof::checkpoint::*;\nfn f(k: K) { Signer::new(k); }\n";
        check_engine("ledger/src/a.rs", glob, &["2 signer"]);
        let alias = "use ledgerline_proof::checkpoint as c;\ntype S = c::Signer;\n";
        check_engine("node/src/a.rs", alias, &["2 signer"]);
        let key = "fn f(n: &mut Note, k: &ledgerline_proof::note::SignerKey) { n.sign(k); }\n";
        check_engine("ledger/src/a.rs", key, &["1 signer"]);
        let test = format!("#[cfg(test)]\nmod tests {{\n    {signer}}}\n");
        check_engine("ledger/src/a.rs", &test, &[]);
    }

    #[test]
    fn handlers_take_the_clock_of_the_node() {
        let check_handler = |file: &str, text: &str, expected: &[&str]| {
            check_rust(check, &format!("crates/{file}"), text, expected);
        };
        check_handler("http/src/a.rs", "use std::time::Duration;\n", &[]);
        check_handler("http/src/a.rs", "use std::time::Instant;\n", &["1 handler-clock"]);
        check_handler(
            "http/src/a.rs",
            "fn f() { SystemClock::default(); }\n",
            &["1 handler-clock"],
        );
        check_handler("ledgerline/src/server.rs", "use std::time::Instant;\n", &[]);
    }

    #[test]
    fn the_engine_names_no_protocol() {
        check_engine("world/src/a.rs", "//! Unlike Kafka.\n// http answers it\nfn f() {}\n", &[]);
        check_engine("world/src/a.rs", "struct HttpAnswer;\n", &["1 protocol-word"]);
        check_engine("world/src/a.rs", "const A: &str = \"PostgreSQL\";\n", &["1 protocol-word"]);
        check_rust(check, "crates/ledgerline/src/a.rs", "use std::fs;\nstruct Http;\n", &[]);
    }

    #[test]
    fn maps_have_a_stable_order() {
        check_engine("world/src/a.rs", "use std::collections::{BTreeMap, VecDeque};\n", &[]);
        check_engine(
            "world/src/a.rs",
            "use std::collections::{HashMap, VecDeque};\n",
            &["1 random-map"],
        );
        check_engine(
            "world/src/a.rs",
            "use std::collections;\nfn f(m: collections::HashSet<u8>) {}\n",
            &["2 random-map"],
        );
        check_engine("world/src/a.rs", "use std::hash::RandomState;\n", &["1 random-map"]);
        check_engine(
            "world/src/a.rs",
            "use std::collections::hash_map::Entry;\n",
            &["1 random-map"],
        );
    }
}
