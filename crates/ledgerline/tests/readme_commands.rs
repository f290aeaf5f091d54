//! The README's commands, in the order in which they stand there, run by a shell against the real
//! binary: a newcomer who types them must get what is printed.
//!
//! What is run otherwise than printed stands in [`ADAPTED`], with the reason; what may stand in the
//! README at all in [`KNOWN`]. A command that is in neither fails the test: it would be untested.
//! An exit code other than 0 must stand in the comment behind the command.

mod running;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use running::BINARY;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The address that the README names; the test takes a free port.
const ADDRESS: &str = "127.0.0.1:8790";

/// Commands of the README, what runs instead, and why.
const ADAPTED: &[(&str, &str, &str)] = &[
    (
        "cargo run --release -- demo --once",
        "$BINARY_FOLDER/ledgerline demo --once",
        "it is built already",
    ),
    ("cargo xtask ci", "true", "this test is a part of it"),
    ("cargo build --release --locked", "true", "it is built already"),
    (
        r#"export PATH="$PWD/target/release:$PATH""#,
        r#"export PATH="$BINARY_FOLDER:$PATH""#,
        "where this build lies",
    ),
    ("ledgerline demo", "ledgerline demo --once", "it would serve until Ctrl-C"),
    (
        "ledgerline serve --data ledger --listen 127.0.0.1:8790 --bootstrap-key-file admin.key",
        "LEDGERLINE_VERIFY_INTERVAL_MS=3000 LEDGERLINE_FREE_SPACE_FLOOR_BYTES=1 \
         ledgerline serve --data ledger --listen 127.0.0.1:8790 --bootstrap-key-file admin.key \
         > serve.out 2>&1 & SERVER=$!; until curl -sf http://127.0.0.1:8790/readyz > ready.out; \
         do kill -0 $SERVER || exit 9; sleep 0.1; done",
        "in the background, with the first report of its verifier after seconds, not a minute",
    ),
    (
        "ledgerline verify --data ledger --since checkpoint.today",
        "kill -TERM $SERVER; wait $SERVER; \
         ledgerline verify --data ledger --since checkpoint.today",
        "the README says before it: stop the server",
    ),
];

/// How every other command begins.
const KNOWN: [&str; 7] = [
    "ledgerline ",
    "printf ",
    "cat > ",
    "gunzip -c crates/ledgerline/tests/recording/",
    "curl -s http://127.0.0.1:8790/checkpoint ",
    "export LEDGERLINE_URL=http://127.0.0.1:8790",
    "VKEY=$(ledgerline status ",
];

/// A command as it is printed.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    line: usize,
    text: String,
    exit: i32,
}

/// A line without its comment, and the exit code that the comment names.
fn without_comment(line: &str) -> (&str, i32) {
    let Some((command, comment)) = line.split_once(" # ") else { return (line.trim_end(), 0) };
    let exit = comment.split_once("exit ").and_then(|(_, rest)| {
        // `exit 3: why` and `exit 3` are what happens; `exit 3 while …` is what may.
        let digits = rest.split_once(':').map_or(rest, |(digits, _)| digits);
        digits.trim().parse().ok()
    });
    (command.trim_end(), exit.unwrap_or(0))
}

/// The commands of all `sh` blocks, with the texts that they take.
fn printed(readme: &str) -> Vec<Printed> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(readme.lines());
    let mut inside = false;
    while let Some((line, text)) = lines.next() {
        if text.starts_with("```") {
            inside = text == "```sh";
            continue;
        }
        if !inside || text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let (command, mut exit) = without_comment(text);
        let mut command = command.to_owned();
        while command.ends_with('\\') {
            let (_, more) = lines.next().expect("a line goes on");
            let (more, code) = without_comment(more);
            exit = exit.max(code);
            write!(command, "\n{more}").expect("text");
        }
        if command.contains("<<'END'") {
            for (_, more) in lines.by_ref() {
                write!(command, "\n{more}").expect("text");
                if more == "END" {
                    break;
                }
            }
        }
        found.push(Printed { line, text: command, exit });
    }
    found
}

/// What runs for a command; `None` when this test does not know it.
fn adapted(text: &str) -> Option<&str> {
    let entry = ADAPTED.iter().find(|(printed, ..)| *printed == text);
    entry.map(|(_, runs, _)| *runs).or_else(|| {
        let is_known = KNOWN.iter().any(|begin| text.starts_with(begin));
        is_known.then_some(text)
    })
}

/// The script that runs them, and says what ended otherwise than printed.
fn script(commands: &[Printed], address: &str) -> String {
    let mut script = "trap '[ -z \"$SERVER\" ] || kill $SERVER 2>/dev/null' EXIT\n".to_owned();
    for Printed { line, text, exit } in commands {
        let runs = adapted(text).unwrap_or_else(|| {
            panic!("README.md line {line}: a command that no test runs: {text}")
        });
        let runs = runs.replace(ADDRESS, address);
        writeln!(
            script,
            "echo '== line {line}'\n{runs}\ncode=$?\n[ $code = {exit} ] || \
             {{ echo \"README.md line {line}: exit code $code, and {exit} is printed\"; exit 1; }}"
        )
        .expect("text");
    }
    script + "echo '== all of them'\n"
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn the_readmes_commands_failed_as_printed() {
    if Command::new("curl").arg("--version").output().is_err() {
        let missing = "the README's commands need curl";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        let said = format!("\n*** SKIPPED, NOT TESTED: {missing} ***\n\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
        return;
    }
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).expect("the README");
    let commands = printed(&readme);
    assert!(commands.len() > 40, "{} commands: are the blocks read?", commands.len());
    for (command, ..) in ADAPTED {
        let is_there = commands.iter().any(|one| one.text == *command);
        assert!(is_there, "the README has no command {command}");
    }
    let home = tempfile::tempdir().expect("a folder");
    let work = home.path().join("clone");
    fs::create_dir(&work).expect("a folder");
    // As in a clone: the recording, and what git is to ignore.
    std::os::unix::fs::symlink(Path::new(ROOT).join("crates"), work.join("crates"))
        .expect("a link");
    fs::copy(Path::new(ROOT).join(".gitignore"), work.join(".gitignore")).expect("a copy");
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).expect("a folder");
    let output = fs::File::create(home.path().join("output")).expect("a file");
    let mut shell = Command::new("bash")
        .args(["-u", "-c", &format!("SERVER=\n{}", script(&commands, &free_address()))])
        .current_dir(&work)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("TMPDIR", &temporary)
        .env("BINARY_FOLDER", Path::new(BINARY).parent().expect("a folder"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a handle"))
        .stderr(output)
        .spawn()
        .expect("bash");
    let begun = Instant::now();
    let status = running::wait(&mut shell, Duration::from_secs(300));
    let said = fs::read_to_string(home.path().join("output")).expect("text");
    assert!(status.success() && said.contains("== all of them"), "{status}:\n{said}");
    for word in ["PROVEN", "verified", "refresh_reuse", "NEVER REPORTED"] {
        assert!(said.contains(word), "{word} is not in\n{said}");
    }
    println!("{said}\n{} commands in {:?}", commands.len(), begun.elapsed());
    nothing_is_left_for_git(&work);
}

/// What the commands make are keys, ledgers and tokens: one `git add .` must not publish them.
fn nothing_is_left_for_git(work: &Path) {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(work).output().expect("git");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    git(&["init", "--quiet"]);
    let left = git(&["status", "--porcelain"]);
    // What this test put there itself.
    let ours = ["?? .gitignore", "?? crates", "?? serve.out", "?? ready.out"];
    let left: Vec<&str> = left.lines().filter(|line| !ours.contains(line)).collect();
    assert!(left.is_empty(), "git would take {left:?}");
}

#[test]
fn a_command_that_no_test_knows_is_found() {
    let readme = "```sh\n# a comment\ncat > f <<'END'\na # b\nEND\n\
                  ledgerline a \\\n  b   # exit 3\n\
                  ledgerline c # exit 2: they differ\nledgerline d # exit 3 while behind\n```\n\
                  ```toml\nnot = 1\n```\n";
    let commands = printed(readme);
    let line = |line, text: &str, exit| Printed { line, text: text.to_owned(), exit };
    let expected = [
        line(3, "cat > f <<'END'\na # b\nEND", 0),
        line(6, "ledgerline a \\\n  b", 3),
        line(8, "ledgerline c", 2),
        line(9, "ledgerline d", 0),
    ];
    assert_eq!(commands, expected);
    assert!(adapted("ledgerline c").is_some() && adapted("rm -rf x").is_none());
}
