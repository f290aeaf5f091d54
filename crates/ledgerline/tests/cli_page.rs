//! The page of the command line is what the program's own tree of commands says.
//!
//! ```text
//! ## Common flags           what many commands have, once
//! ## ledgerline keys        about, usage, flags of its own, examples and exit codes
//! ### ledgerline keys add   …
//! ```
//!
//! `LEDGERLINE_WRITE=1 cargo test -p ledgerline --test cli_page` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use ledgerline_terminal::exit::Exit;

/// Where the page stands in the repository.
const PLACE: &str = "docs/reference/cli.md";

const HEAD: &str = "# Command line

Every command with its flags, the environment variables and defaults of those, and examples. The
same is printed by `ledgerline COMMAND --help`, from which this page is written
(`LEDGERLINE_WRITE=1 cargo test -p ledgerline --test cli_page`).

A flag wins over its environment variable, and that over the file named by `--config`, in which
settings have the names of the flags with underscores. Which settings a server has is explained in
[configuration](configuration.md).

## Exit codes
";

const EXITS: [(Exit, &str); 6] = [
    (Exit::Ok, "everything asked for was done"),
    (Exit::Error, "something failed"),
    (Exit::NotVerified, "not verified: what was checked is not what it claims to be"),
    (Exit::Incomplete, "incomplete: nothing wrong was found, but not everything could be checked"),
    (Exit::Unknown, "unknown: nothing is recorded about the token, tenant or name"),
    (Exit::Usage, "usage: the command line or the configuration is wrong"),
];

/// Commands that have a flag from which on it is explained once for all of them.
const COMMON: usize = 5;

/// What stands in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A help text without what it says of the default, and that.
fn without_default(text: &str) -> (String, Option<String>) {
    let text = cell(text);
    let Some((before, rest)) = text.split_once("[default: ") else { return (text, None) };
    let Some((default, after)) = rest.split_once(']') else { return (text, None) };
    (format!("{}{after}", before.trim_end()), Some(default.to_owned()))
}

fn help_of(arg: &Arg) -> (String, Option<String>) {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let (mut text, told) = without_default(&help.map(ToString::to_string).unwrap_or_default());
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() {
        let shown = values.iter().filter(|value| !value.is_hide_set()).map(|value| {
            let help = value.get_help().map(|help| format!(" ({})", cell(&help.to_string())));
            format!("`{}`{}", value.get_name(), help.unwrap_or_default())
        });
        let list = shown.collect::<Vec<_>>().join(", ");
        text = format!("{text}{} {list}", if text.ends_with('.') { "" } else { ":" });
    }
    let set: Vec<_> = arg.get_default_values().iter().map(|one| one.to_string_lossy()).collect();
    let default = if set.is_empty() { told } else { Some(set.join(" ")) };
    (text, default.filter(|_| !matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::Count)))
}

/// How an argument is written.
fn written(arg: &Arg) -> String {
    let names = arg.get_value_names().into_iter().flatten().map(ToString::to_string);
    let values = names.collect::<Vec<_>>().join(" ");
    if arg.is_positional() {
        let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
        let more = if many || matches!(arg.get_action(), ArgAction::Append) { "..." } else { "" };
        let (left, right) = if arg.is_required_set() { ("<", ">") } else { ("[", "]") };
        return format!("`{left}{}{right}{more}`", values.replace('|', "\\|"));
    }
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let value =
        if arg.get_action().takes_values() { format!(" <{values}>") } else { String::new() };
    format!("`{}{}`", flags.join(", "), value.replace('|', "\\|"))
}

/// A flag as a row of a table.
fn row(arg: &Arg) -> String {
    let (text, default) = help_of(arg);
    let needed = if arg.is_required_set() { "needed" } else { "" };
    let default = default.map_or_else(|| needed.to_owned(), |text| format!("`{text}`"));
    let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
    format!("| {} | {} | {default} | {text} |", written(arg), variable.unwrap_or_default())
}

fn table(out: &mut String, rows: impl Iterator<Item = String>) {
    out.push_str("\n| flag | environment | default | meaning |\n|---|---|---|---|\n");
    rows.for_each(|row| out.push_str(&(row + "\n")));
}

/// What is told once.
struct Told {
    /// Flags of the program, which every command has.
    of_all: BTreeSet<String>,
    /// Rows of flags that many commands have alike.
    common: BTreeSet<String>,
}

impl Told {
    fn new(program: &Command) -> Self {
        let of_all = program.get_arguments().filter(|arg| arg.is_global_set());
        let of_all = of_all.map(|arg| arg.get_id().to_string()).collect();
        let mut told = Self { of_all, common: BTreeSet::new() };
        let mut counts = BTreeMap::new();
        told.count(program, &mut counts);
        told.common = counts.into_iter().filter(|one| one.1 >= COMMON).map(|one| one.0).collect();
        told
    }

    fn count(&self, shown: &Command, counts: &mut BTreeMap<String, usize>) {
        for arg in self.own(shown).filter(|arg| !arg.is_positional()) {
            *counts.entry(row(arg)).or_default() += 1;
        }
        let inner = shown.get_subcommands().filter(|one| one.get_name() != "help");
        inner.for_each(|inner| self.count(inner, counts));
    }

    /// The arguments of a command that not every command has.
    fn own<'c>(&self, shown: &'c Command) -> impl Iterator<Item = &'c Arg> {
        shown.get_arguments().filter(|arg| {
            let name = arg.get_id().as_str();
            !arg.is_hide_set() && !self.of_all.contains(name) && !matches!(name, "help" | "version")
        })
    }

    fn command(&self, out: &mut String, shown: &mut Command, level: &str) {
        let name = shown.get_bin_name().unwrap_or_default().to_owned();
        let about = shown.get_long_about().or_else(|| shown.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let usage = shown.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:");
        let lines: Vec<&str> =
            usage.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let _ = write!(out, "\n{level} {name}\n\n");
        about.split("\n\n").for_each(|paragraph| wrapped(out, paragraph));
        let _ = write!(out, "\n```text\n{}\n```\n", lines.join("\n"));
        let own: Vec<&Arg> = self.own(shown).collect();
        let (common, rest): (Vec<&Arg>, Vec<&Arg>) =
            own.into_iter().partition(|arg| self.common.contains(&row(arg)));
        if !rest.is_empty() {
            table(out, rest.into_iter().map(row));
        }
        if !common.is_empty() {
            let flags = common.iter().filter_map(|arg| Some(format!("`--{}`", arg.get_long()?)));
            let flags = flags.collect::<Vec<_>>().join(", ");
            out.push('\n');
            wrapped(out, &format!("And of the [common flags](#common-flags): {flags}."));
        }
        let after = shown.get_after_long_help().or_else(|| shown.get_after_help());
        if let Some(after) = after {
            let _ = write!(out, "\n```text\n{}\n```\n", after.to_string().trim_end());
        }
        for inner in shown.get_subcommands_mut() {
            if inner.get_name() != "help" && !inner.is_hide_set() {
                self.command(out, inner, "###");
            }
        }
    }
}

fn wrapped(out: &mut String, text: &str) {
    let mut column = 0;
    for word in text.split_whitespace() {
        if column > 0 && column + 1 + word.len() > 100 {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    if !text.ends_with(['.', '?', ':']) {
        out.push('.');
    }
    out.push('\n');
}

fn index(out: &mut String, program: &Command) {
    out.push_str("\n## Commands\n\n| command | what it does |\n|---|---|\n");
    for one in program.get_subcommands().filter(|one| one.get_name() != "help") {
        let about = one.get_about().map(|about| cell(&about.to_string())).unwrap_or_default();
        let name = one.get_name();
        let _ = writeln!(out, "| [{name}](#ledgerline-{name}) | {about} |");
    }
}

fn page() -> String {
    let mut program = ledgerline::cli::Cli::command();
    program.build();
    let mut out = HEAD.to_owned();
    out.push_str("\n| code | meaning |\n|---|---|\n");
    for (exit, meaning) in EXITS {
        let _ = writeln!(out, "| {} | {meaning} |", exit as u8);
    }
    out.push_str("\nWhere a command says more about them, it stands at the command.\n");
    index(&mut out, &program);
    let told = Told::new(&program);
    out.push_str("\n## Flags of every command\n");
    table(&mut out, program.get_arguments().filter(|arg| arg.is_global_set()).map(row));
    out.push_str("\n`-h` and `--help` print the help of a command, `--version` the version.\n");
    out.push_str("\n## Common flags\n\nEach command says below which of these it has.\n");
    table(&mut out, told.common.iter().cloned());
    for inner in program.get_subcommands_mut().filter(|one| one.get_name() != "help") {
        told.command(&mut out, inner, "##");
    }
    out
}

#[test]
fn the_page_is_what_the_program_says_of_itself() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PLACE);
    let now = page();
    if std::env::var_os("LEDGERLINE_WRITE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
        std::fs::write(&file, &now).expect("the page");
    }
    let page = std::fs::read_to_string(&file).unwrap_or_default();
    let same = page.lines().zip(now.lines()).take_while(|(one, other)| one == other).count();
    assert!(page == now, "{PLACE} differs at line {}; LEDGERLINE_WRITE=1 writes it", same + 1);
}

/// A flag or a command without a text is one that nobody can look up.
#[test]
fn nothing_is_without_a_text() {
    fn check(told: &Told, shown: &Command) {
        let name = shown.get_bin_name().unwrap_or_default();
        assert!(shown.get_about().is_some(), "{name} says nothing");
        for arg in told.own(shown) {
            assert!(!help_of(arg).0.is_empty(), "{name} {} says nothing", arg.get_id());
        }
        let inner = shown.get_subcommands().filter(|one| one.get_name() != "help");
        inner.for_each(|inner| check(told, inner));
    }
    let mut program = ledgerline::cli::Cli::command();
    program.build();
    check(&Told::new(&program), &program);
}
