//! The commands of the README and of every page of the documents, in the order in which they stand
//! there, run by a shell against the real binary: a newcomer who types them must get what is
//! printed.
//!
//! Each page with `sh` blocks is a session of its own, in a folder of its own, with a server of its
//! own. A page that needs what another one leaves behind says so in a comment,
//! `<!-- session: README.md -->`: that page's commands run before its own.
//!
//! What is run otherwise than printed, or not at all, stands in [`ADAPTED`] or [`NOT_RUN`], with
//! the reason; what may stand in a page at all in [`KNOWN`]. A command that is in none of them
//! fails the test: it would be untested. An exit code other than 0 must stand in the comment behind
//! the command.

mod running;

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use running::BINARY;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The address that pages name; each session takes a free port.
const ADDRESS: &str = "127.0.0.1:8790";
/// How a page names the one whose session it continues.
const SESSION: &str = "<!-- session: ";

const README: &str = "README.md";
const TUTORIAL: &str = "docs/tutorial.md";
const INCIDENT: &str = "docs/how-to/incident.md";
const AUDIT: &str = "docs/how-to/audit.md";
const AGENT: &str = "docs/how-to/agent.md";
const INTEGRATE: &str = "docs/how-to/integrate.md";
const OPERATE: &str = "docs/how-to/operate.md";
const FIRST_CHANGE: &str = "docs/how-to/first-change.md";
const AGENT_CLIENTS: &str = "docs/how-to/agent-clients.md";

/// A command that does not run as it is printed.
struct Instead {
    page: &'static str,
    printed: &'static str,
    runs: &'static str,
    /// Read by people, not by the test.
    #[allow(dead_code, reason = "a reason is for whoever reads the table")]
    why: &'static str,
}

const fn instead(
    page: &'static str,
    printed: &'static str,
    runs: &'static str,
    why: &'static str,
) -> Instead {
    Instead { page, printed, runs, why }
}

/// Waits for the server that was just started, as `sleep 2` does on an idle machine.
const UNTIL_READY: &str = "SERVER=$!; until curl -sf http://127.0.0.1:8790/readyz > /dev/null; \
                           do kill -0 $SERVER || exit 9; sleep 0.1; done";

/// What runs otherwise.
const ADAPTED: &[Instead] = &[
    instead(
        README,
        "cargo run --release -- demo --once",
        "$BINARY_FOLDER/ledgerline demo --once",
        "it is built already",
    ),
    instead(README, "cargo xtask ci", "true", "this test is a part of it"),
    instead(README, EXPORT_PATH, HERE, "where this build lies"),
    instead(
        README,
        "ledgerline serve --data ledger --bootstrap-key-file admin.key > server.log 2>&1 & sleep 2",
        "ledgerline serve --data ledger --bootstrap-key-file admin.key > server.log 2>&1 & \
         $UNTIL_READY",
        "a busy machine takes longer than two seconds",
    ),
    instead(TUTORIAL, EXPORT_PATH, HERE, "where this build lies"),
    instead(
        TUTORIAL,
        "ledgerline serve --data ledger --listen 127.0.0.1:8790 --bootstrap-key-file admin.key > \
         server.log 2>&1 & sleep 2",
        "ledgerline serve --data ledger --listen 127.0.0.1:8790 --bootstrap-key-file admin.key > \
         server.log 2>&1 & $UNTIL_READY",
        "a busy machine takes longer than two seconds",
    ),
    instead(
        INTEGRATE,
        "openssl genpkey -algorithm ed25519 -out signing.pem",
        "true",
        "openssl may be missing, or too old for Ed25519",
    ),
    instead(
        INTEGRATE,
        "ledgerline keys --key-file admin.key add --source orders-gateway --alg Ed25519 \
         --public-key \"$(openssl pkey -in signing.pem -pubout -outform DER | tail -c 32 | \
         base64)\"",
        "ledgerline keys --key-file admin.key add --source orders-gateway --alg Ed25519 \
         --public-key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "the public key of the first test of RFC 8032, in place of that of openssl",
    ),
    instead(
        AGENT,
        "ledgerline agent --settings agent.toml --socket \"$PWD/agent.sock\" > agent.log 2>&1 & \
         sleep 1",
        "ledgerline agent --settings agent.toml --socket \"$PWD/agent.sock\" > agent.log 2>&1 & \
         SERVER=\"$SERVER $!\"; until [ -S agent.sock ]; do kill -0 $! || exit 9; sleep 0.1; done",
        "a busy machine takes longer than a second",
    ),
    instead(
        OPERATE,
        "ledgerline serve --data /var/lib/ledgerline/data --keys /etc/ledgerline/keys --head \
         /srv/other-disk/head --listen 127.0.0.1:8790 --bootstrap-key-file ledgerline-admin.key",
        "true",
        "an operator's folders; the README's server runs",
    ),
    instead(
        OPERATE,
        "ledgerline verify --data restored --head ledger.head",
        "true",
        "it needs a copy that is too old: tests/cli_program.rs makes one and restores it",
    ),
    instead(
        OPERATE,
        "ledgerline serve --data restored --head ledger.head --new-origin ledger.example.com/2",
        "true",
        "as the line before it",
    ),
];

const EXPORT_PATH: &str = r#"export PATH="$PWD/target/release:$PATH""#;
const HERE: &str = r#"export PATH="$BINARY_FOLDER:$PATH""#;

/// What does not run at all: a page, how its commands begin, and why.
const NOT_RUN: [(&str, &str, &str); 3] = [
    (AGENT_CLIENTS, "curl -s --unix-socket ", "tests/agent_apps.rs runs it against an agent"),
    (FIRST_CHANGE, "cargo ", "it builds this repository, and this test is a part of it"),
    (FIRST_CHANGE, "git ", "the change of somebody else's clone"),
];

/// How every other command begins.
const KNOWN: [&str; 13] = [
    "ledgerline ",
    "printf ",
    "cat > ",
    "gunzip -c crates/ledgerline/tests/recording/",
    "curl -s ",
    "export LEDGERLINE_URL=http://127.0.0.1:8790",
    "VKEY=$(ledgerline status ",
    "HANDLE=$(curl -s ",
    "python3 send.py ",
    "kill -TERM $!; wait $!",
    "mkdir backup-",
    "cp -a ",
    "rm -r backup-data/",
];

/// What a session says when it did what its page is about.
const SAID: [(&str, &[&str]); 7] = [
    (AGENT, &["the settings are sound", "\"accepted\":1"]),
    (README, &["PROVEN", "verified"]),
    (TUTORIAL, &["PROVEN", "verified", "refresh_reuse", "NEVER REPORTED"]),
    (INCIDENT, &["ISSUER NOT TOLD", "/payslips/{id}", "198.51.100.66", "PROVEN"]),
    (AUDIT, &["PROVEN", "same log", "eu:idp:jti:77aa"]),
    (INTEGRATE, &["req-3 recorded", "req-3 duplicate", "REFRESHED_FROM", "NOT IN THE INVENTORY"]),
    (OPERATE, &["k-idp", "head store: it is not at hand", "user_id=alice"]),
];

/// A page of the documents.
struct Page {
    /// Its path from the root of the repository.
    path: String,
    text: String,
}

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
fn printed(page: &str) -> Vec<Printed> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(page.lines());
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

/// What runs for a command of a page; `None` when this test does not know it.
fn adapted<'a>(page: &str, text: &'a str) -> Option<&'a str> {
    let is_it = |one: &&Instead| one.page == page && one.printed == text;
    if let Some(entry) = ADAPTED.iter().find(is_it) {
        return Some(entry.runs);
    }
    if NOT_RUN.iter().any(|(of, begin, _)| *of == page && text.starts_with(begin)) {
        return Some("true");
    }
    KNOWN.iter().any(|begin| text.starts_with(begin)).then_some(text)
}

/// The part of the script that runs a page, and says what ended otherwise than printed.
fn script(page: &Page, address: &str) -> String {
    let mut script = String::new();
    let path = &page.path;
    for Printed { line, text, exit } in printed(&page.text) {
        let runs = adapted(path, &text)
            .unwrap_or_else(|| panic!("{path} line {line}: a command that no test runs: {text}"));
        let runs = runs.replace("$UNTIL_READY", UNTIL_READY).replace(ADDRESS, address);
        writeln!(
            script,
            "echo '== {path} line {line}'\n{runs}\ncode=$?\n[ $code = {exit} ] || \
             {{ echo \"{path} line {line}: exit code $code, and {exit} is printed\"; exit 1; }}"
        )
        .expect("text");
    }
    script
}

/// The README, and every page below `docs` but decisions and measurements, with `sh` blocks.
fn pages() -> Vec<Page> {
    let root = Path::new(ROOT);
    let mut paths = vec![root.join(README)];
    collect(&root.join("docs"), &mut paths);
    let pages = paths.into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("a page");
        let path = path.strip_prefix(root).expect("below the root");
        Page { path: path.to_str().expect("text").to_owned(), text }
    });
    pages.filter(|page| !printed(&page.text).is_empty()).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() && !path.ends_with("decisions") {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "md")
            && !path.ends_with("benchmarks.md")
        {
            found.push(path);
        }
    }
}

/// The pages whose commands run for one, the one itself last.
fn session<'p>(page: &'p Page, pages: &'p [Page]) -> Vec<&'p Page> {
    let before = page.text.lines().find_map(|line| line.strip_prefix(SESSION));
    let Some(before) = before.and_then(|rest| rest.strip_suffix(" -->")) else {
        return vec![page];
    };
    let first = pages.iter().find(|one| one.path == before);
    let first = first.unwrap_or_else(|| panic!("{}: no session of {before}", page.path));
    let mut all = session(first, pages);
    all.push(page);
    all
}

/// A port each, of which no two are the same.
fn free_addresses(count: usize) -> Vec<String> {
    let taken: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    taken.iter().map(|one| one.local_addr().expect("an address").to_string()).collect()
}

/// Runs a session in a folder that looks like a clone, and gives all that it said; panics with that
/// when a command ends otherwise than printed.
fn run(session: &[&Page], address: &str) -> String {
    let path = &session.last().expect("a page").path;
    let home = tempfile::tempdir().expect("a folder");
    let work = home.path().join("clone");
    fs::create_dir(&work).expect("a folder");
    // As in a clone: the recording, and what git is to ignore.
    std::os::unix::fs::symlink(Path::new(ROOT).join("crates"), work.join("crates"))
        .expect("a link");
    fs::copy(Path::new(ROOT).join(".gitignore"), work.join(".gitignore")).expect("a copy");
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).expect("a folder");
    let parts: String = session.iter().map(|page| script(page, address)).collect();
    let script = format!(
        "SERVER=\ntrap '[ -z \"$SERVER\" ] || kill $SERVER 2>/dev/null' EXIT\n{parts}\
         echo '== all of them'\n"
    );
    let output = fs::File::create(home.path().join("output")).expect("a file");
    let mut shell = Command::new("bash")
        .args(["-u", "-c", &script])
        .current_dir(&work)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("TMPDIR", &temporary)
        .env("BINARY_FOLDER", Path::new(BINARY).parent().expect("a folder"))
        // Where the default address is another session's, and so that nothing is waited for long.
        .env("LEDGERLINE_LISTEN", address)
        .env("LEDGERLINE_URL", format!("http://{address}"))
        .env("LEDGERLINE_VERIFY_INTERVAL_MS", "3000")
        .env("LEDGERLINE_FREE_SPACE_FLOOR_BYTES", "1")
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a handle"))
        .stderr(output)
        .spawn()
        .expect("bash");
    let begun = Instant::now();
    let status = running::wait(&mut shell, Duration::from_secs(300));
    let said = fs::read_to_string(home.path().join("output")).expect("text");
    assert!(status.success() && said.contains("== all of them"), "{path}: {status}:\n{said}");
    let words = SAID.iter().find(|(of, _)| of == path).map_or(&[][..], |(_, words)| *words);
    for word in words {
        assert!(said.contains(word), "{path}: {word} is not in\n{said}");
    }
    nothing_is_left_for_git(&work);
    format!("{said}\n{path}: {:?}", begun.elapsed())
}

/// Says what is missing here; whether the pages cannot be run.
fn lacks_a_tool() -> bool {
    for tool in ["curl", "python3"] {
        if Command::new(tool).arg("--version").output().is_err() {
            let missing = format!("the documents' commands need {tool}");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            let said = format!("\n*** SKIPPED, NOT TESTED: {missing} ***\n\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
            return true;
        }
    }
    false
}

#[test]
fn the_documents_commands_failed_as_printed() {
    if lacks_a_tool() {
        return;
    }
    let pages = pages();
    for Instead { page, printed: text, .. } in ADAPTED {
        let of = pages.iter().find(|one| one.path == *page).map_or("", |one| &one.text);
        let is_there = printed(of).iter().any(|one| one.text == *text);
        assert!(is_there, "{page} has no command {text}");
    }
    for (path, _) in SAID {
        assert!(pages.iter().any(|page| page.path == path), "{path} has no commands");
    }
    let count: usize = pages.iter().map(|page| printed(&page.text).len()).sum();
    assert!(count > 100, "{count} commands: are the blocks read?");
    // A page of which nothing is run needs no server.
    let is_run = |page: &&Page| {
        printed(&page.text).iter().any(|one| adapted(&page.path, &one.text) != Some("true"))
    };
    let pages_run: Vec<&Page> = pages.iter().filter(is_run).collect();
    let addresses = free_addresses(pages_run.len());
    let said: Vec<String> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (page, address) in pages_run.iter().zip(&addresses) {
            let session = session(page, &pages);
            running.push(scope.spawn(move || run(&session, address)));
        }
        running.into_iter().map(|one| one.join().expect("a session as printed")).collect()
    });
    println!("{}", said.join("\n"));
    println!("{count} commands of {} pages", pages.len());
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
    let ours = ["?? .gitignore", "?? crates"];
    let left: Vec<&str> = left.lines().filter(|line| !ours.contains(line)).collect();
    assert!(left.is_empty(), "git would take {left:?}");
}

#[test]
fn a_command_that_no_test_knows_is_found() {
    let page = "```sh\n# a comment\ncat > f <<'END'\na # b\nEND\n\
                ledgerline a \\\n  b   # exit 3\n\
                ledgerline c # exit 2: they differ\nledgerline d # exit 3 while behind\n```\n\
                ```toml\nnot = 1\n```\n";
    let commands = printed(page);
    let line = |line, text: &str, exit| Printed { line, text: text.to_owned(), exit };
    let expected = [
        line(3, "cat > f <<'END'\na # b\nEND", 0),
        line(6, "ledgerline a \\\n  b", 3),
        line(8, "ledgerline c", 2),
        line(9, "ledgerline d", 0),
    ];
    assert_eq!(commands, expected);
    assert!(adapted(README, "ledgerline c").is_some());
    assert!(adapted(README, "rm -rf x").is_none());
    // An entry of one page says nothing of another.
    assert_eq!(adapted(README, "cargo xtask ci"), Some("true"));
    assert!(adapted(TUTORIAL, "cargo xtask ci").is_none());
}

#[test]
fn a_page_continues_the_session_that_it_names() {
    let page = |path: &str, text: &str| Page { path: path.to_owned(), text: text.to_owned() };
    let pages = [
        page("a.md", "# A\n"),
        page("b.md", "# B\n\n<!-- session: a.md -->\n"),
        page("c.md", "<!-- session: b.md -->\n"),
    ];
    let paths = |of: &Page| -> Vec<String> {
        session(of, &pages).iter().map(|one| one.path.clone()).collect()
    };
    assert_eq!(paths(&pages[0]), ["a.md"]);
    assert_eq!(paths(&pages[2]), ["a.md", "b.md", "c.md"]);
}
