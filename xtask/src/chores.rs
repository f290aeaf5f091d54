//! Chores that start something built elsewhere: benchmarks, simulation, fuzzing, test vectors.
//!
//! Each is a thin wrapper: it looks whether the thing is there, then hands the arguments on.
//! Nothing is measured or judged here. Refuses with a sentence when an example or a tool is absent.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::process;

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Only these sections, which `-- --help` names; all of them without a name.
    names: Vec<String>,
    /// Events of the large ledger.
    #[arg(long)]
    events: Option<u64>,
    /// The large ledger has ten million events: minutes, and gigabytes of disk.
    #[arg(long)]
    long: bool,
    /// Also writes the table between the marks of this file.
    #[arg(long, value_name = "FILE")]
    out: Option<String>,
    /// Handed on as they are, after `--`.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Arguments of `sim`.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// How many seeds to run.
    #[arg(long)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    start: u64,
}

/// Arguments of `fuzz`.
#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// Only this target; all of them without it.
    target: Option<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Runs the benchmark example in a release build, beside the program that it measures.
///
/// # Errors
/// When there is no such example, or it fails.
pub fn bench(args: &BenchArgs) -> Result<()> {
    let words = ["build", "--quiet", "--locked", "--release", "--package", "ledgerline"];
    let mut build = process::command("cargo", &words);
    build.args(["--bin", "ledgerline"]);
    process::run(build)?;
    run_example(&["--release"], "ledgerline", "bench", &bench_words(args))
}

fn bench_words(args: &BenchArgs) -> Vec<String> {
    let mut words = args.names.clone();
    if let Some(events) = args.events {
        words.extend(["--events".to_owned(), events.to_string()]);
    }
    if args.long {
        words.push("--long".to_owned());
    }
    if let Some(out) = &args.out {
        words.extend(["--out".to_owned(), out.clone()]);
    }
    words.extend(args.rest.iter().cloned());
    words
}

/// Runs the simulator with fast code and assertions on.
///
/// # Errors
/// When there is no such example, or a seed fails.
pub fn sim(args: &SimArgs) -> Result<()> {
    run_example(&["--profile", "ci"], "ledgerline-sim", "sim", &sim_words(args))
}

fn sim_words(args: &SimArgs) -> Vec<String> {
    ["--seeds".to_owned(), args.seeds.to_string(), "--start".to_owned(), args.start.to_string()]
        .into()
}

fn run_example(profile: &[&str], package: &str, example: &str, rest: &[String]) -> Result<()> {
    let folder = process::root()
        .join("crates")
        .join(package.trim_start_matches("ledgerline-"))
        .join("examples");
    if !has_example(&folder, example) {
        bail!("the package {package} has no example `{example}` (crates/{package}/examples)");
    }
    let mut command = process::command("cargo", &["run", "--quiet", "--locked"]);
    command.args(profile).args(["--package", package, "--example", example, "--"]).args(rest);
    process::run(command)
}

fn has_example(folder: &Path, example: &str) -> bool {
    folder.join(format!("{example}.rs")).is_file() || folder.join(example).join("main.rs").is_file()
}

/// Fuzzes each target for a bounded time, one after the other.
///
/// # Errors
/// When a tool or the target is absent, or a target finds something.
pub fn fuzz(args: &FuzzArgs) -> Result<()> {
    let present = fuzz_targets(&process::root().join("fuzz/fuzz_targets"))?;
    let chosen = chosen_targets(&present, args.target.as_deref())?;
    process::output(process::command("cargo", &["+nightly", "fuzz", "--version"])).context(
        "fuzzing needs the nightly toolchain and cargo-fuzz: \
         `rustup toolchain install nightly`, then `cargo install --locked cargo-fuzz`",
    )?;
    for target in chosen {
        println!("== {target}, {} s", args.seconds);
        let words = fuzz_words(&process::root().join("fuzz"), target, args.seconds);
        fs::create_dir_all(process::root().join("fuzz/corpus").join(target))?;
        process::run(process::command("cargo", &words))?;
    }
    Ok(())
}

/// The command for one target: what it finds goes to `corpus`, which is not kept; seeds, former
/// findings and the dictionary are, where there are any.
fn fuzz_words(package: &Path, target: &str, seconds: u64) -> Vec<String> {
    let corpus = format!("fuzz/corpus/{target}");
    let mut words: Vec<String> =
        ["+nightly", "fuzz", "run", target, &corpus].map(str::to_owned).into();
    for kept in ["seeds", "regressions"] {
        if package.join(kept).join(target).is_dir() {
            words.push(format!("fuzz/{kept}/{target}"));
        }
    }
    // Inputs are long from the start: many targets read them as steps, and short ones do little.
    words.extend(["--", "-rss_limit_mb=2048", "-len_control=0"].map(str::to_owned));
    words.push(format!("-max_total_time={seconds}"));
    if package.join("dictionaries").join(format!("{target}.dict")).is_file() {
        words.push(format!("-dict=fuzz/dictionaries/{target}.dict"));
    }
    words
}

/// The names of the files in `folder`, sorted.
fn fuzz_targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("there are no fuzz targets: {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn chosen_targets<'a>(present: &'a [String], wanted: Option<&str>) -> Result<Vec<&'a str>> {
    let chosen: Vec<&str> = present
        .iter()
        .map(String::as_str)
        .filter(|name| wanted.is_none_or(|wanted| wanted == *name))
        .collect();
    if chosen.is_empty() {
        bail!("no fuzz target `{}`; there are: {}", wanted.unwrap_or("*"), present.join(", "));
    }
    Ok(chosen)
}

/// Runs the kernel's tests in the mode that writes the vector files.
///
/// # Errors
/// When a test fails even so.
pub fn vectors() -> Result<()> {
    let words = ["test", "--locked", "--package", "ledgerline-proof"];
    let mut command = process::command("cargo", &words);
    command.env("UPDATE_VECTORS", "1");
    process::run(command)?;
    println!("written; `git diff` shows what changed, and every change there is a format change");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_handed_on_in_order() {
        let args = BenchArgs {
            names: vec!["single".to_owned(), "batch".to_owned()],
            events: Some(7000),
            long: true,
            out: Some("table.md".to_owned()),
            rest: vec!["--seconds".to_owned(), "1".to_owned()],
        };
        let words = "single batch --events 7000 --long --out table.md --seconds 1";
        assert_eq!(bench_words(&args).join(" "), words);
        let args = SimArgs { seeds: 1000, start: 7 };
        assert_eq!(sim_words(&args), ["--seeds", "1000", "--start", "7"]);
    }

    #[test]
    fn an_absent_example_is_said_before_building() {
        let error = run_example(&[], "ledgerline-proof", "no-such", &[]).expect_err("absent");
        assert!(error.to_string().contains("has no example `no-such`"), "{error}");
    }

    #[test]
    fn a_target_runs_over_what_is_kept_of_it() {
        let package = process::root().join("fuzz");
        let words = fuzz_words(&package, "note", 20).join(" ");
        let expected = "+nightly fuzz run note fuzz/corpus/note fuzz/seeds/note -- \
                        -rss_limit_mb=2048 -len_control=0 -max_total_time=20 \
                        -dict=fuzz/dictionaries/note.dict";
        assert_eq!(words, expected);
        let words = fuzz_words(&package, "no_such", 1).join(" ");
        assert!(words.ends_with("no_such -- -rss_limit_mb=2048 -len_control=0 -max_total_time=1"));
    }

    #[test]
    fn targets_are_chosen_by_name_or_all() {
        let present = ["entry".to_owned(), "note".to_owned()];
        assert_eq!(chosen_targets(&present, None).expect("all"), ["entry", "note"]);
        assert_eq!(chosen_targets(&present, Some("note")).expect("one"), ["note"]);
        let error = chosen_targets(&present, Some("tile")).expect_err("absent").to_string();
        assert_eq!(error, "no fuzz target `tile`; there are: entry, note");
        assert!(chosen_targets(&[], None).is_err(), "no target at all is not a pass");
    }
}
