//! Files as rotators, writers and crashes leave them: every line is taken once, or said to be lost.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::Submission;
use ledgerline_sources::Naming;
use tempfile::TempDir;

use super::*;
use crate::outlet::{Keep, NotTaken, Unit};
use crate::salts::Salts;

/// An outlet that remembers everything, and can be full.
#[derive(Default)]
struct Taken {
    is_full: AtomicBool,
    all: Mutex<Vec<Vec<u8>>>,
}

impl Outlet for Taken {
    fn take(&self, units: &[Unit], keep: Keep) -> Result<(), NotTaken> {
        assert_eq!(keep, Keep::OnDisk, "a position is as safe as what it stands for");
        if self.is_full.load(Ordering::Relaxed) {
            return Err(NotTaken { is_full: true, why: "full".into() });
        }
        let submissions = units.iter().flatten().map(|one| one.submission.clone());
        self.all.lock().unwrap().extend(submissions);
        Ok(())
    }
}

/// A folder with a log, and an agent's state beside it.
struct World {
    folder: TempDir,
    taken: Arc<Taken>,
    settings: TailSettings,
    follower: Option<Follower>,
    counts: Arc<Counts>,
}

impl World {
    fn new(adapter: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("log")).unwrap();
        let settings = TailSettings {
            name: "events".into(),
            path: folder.path().join("log/events.ndjson"),
            adapter,
            naming: Naming::new("eu", "idp").unwrap(),
            replay_lines: 1000,
            late: Duration::from_millis(100),
        };
        let (taken, counts) = Default::default();
        Self { folder, taken, settings, follower: None, counts }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join("log").join(name)
    }

    /// A new process: what was not on the disk is forgotten.
    fn restart(&mut self) {
        self.follower = None;
        self.counts = Arc::default();
        let state = Arc::new(State::open(&self.folder.path().join("state")).unwrap());
        let salts = Salts::open(state.path(), 0).unwrap();
        let judge = Judge::new(String::new(), "edge".into(), None, salts, || 0);
        let with = With {
            aside: Arc::new(Aside::new(state.path())),
            state,
            judge: Arc::new(judge),
            outlet: Arc::clone(&self.taken) as Arc<dyn Outlet>,
            counts: Arc::clone(&self.counts),
            recorded_as: (String::new(), "edge".into()),
        };
        self.follower = Some(Follower::new(self.settings.clone(), with));
    }

    /// Steps until nothing moves.
    fn settle(&mut self) {
        let follower = self.follower.as_mut().expect("a process");
        for _ in 0..1000 {
            if follower.step() == Step::Idle {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Native ids of what was taken, in order.
    fn natives(&self) -> Vec<String> {
        let all = self.taken.all.lock().unwrap();
        let native = |bytes: &Vec<u8>| {
            let submission = Submission::decode(bytes).unwrap();
            let statement: Statement<'_> =
                decode_object(Kind::Statement, submission.statement).unwrap();
            statement.native_id.unwrap_or_default().to_owned()
        };
        all.iter().map(native).collect()
    }

    #[track_caller]
    fn check(&self, expected: std::ops::Range<u32>) {
        let expected: Vec<String> = expected.map(|n| format!("n{n}")).collect();
        assert_eq!(self.natives(), expected);
        assert_eq!(self.counts.of_tail("events").lost, 0);
    }

    fn position(&self) -> PathBuf {
        self.folder.path().join("state/tails/events.json")
    }
}

fn line(n: u32) -> String {
    format!(
        "{{\"native_id\":\"n{n}\",\"type\":\"USED\",\"token_id\":\"eu:idp:jti:a\",\
         \"occurred_at\":\"2026-11-22T05:00:00Z\",\
         \"personal\":[{{\"role\":\"SUBJECT\",\"user_id\":\"user {n}\"}}]}}\n"
    )
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn lines(path: &Path, numbers: std::ops::Range<u32>) {
    append(path, &numbers.map(line).collect::<String>());
}

#[test]
fn a_line_is_taken_when_it_is_whole() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    world.restart();
    world.settle();
    assert!(!world.counts.of_tail("events").is_there, "there is no file yet");
    lines(&log, 0..3);
    let torn = line(3);
    append(&log, &torn[..20]);
    world.settle();
    world.check(0..3);
    append(&log, &torn[20..]);
    world.settle();
    world.check(0..4);
    let counts = world.counts.of_tail("events");
    assert!(counts.is_there && counts.behind == 0);
    assert_eq!(counts.position, fs::metadata(&log).unwrap().len());
}

#[test]
fn a_restart_goes_on_where_the_position_is_and_repeats_byte_for_byte() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..3);
    world.restart();
    world.settle();
    let before = fs::read(world.position()).unwrap();
    lines(&log, 3..5);
    world.settle();
    world.restart();
    world.settle();
    world.check(0..5);
    // A crash between the spool and the position.
    fs::write(world.position(), before).unwrap();
    world.restart();
    world.settle();
    let all = world.taken.all.lock().unwrap();
    assert_eq!(all.len(), 7);
    assert!(all[5..] == all[3..5], "a duplicate for the ledger, and no conflict");
}

#[test]
fn rename_and_create_loses_nothing() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..2);
    world.restart();
    world.settle();
    let mut writer = OpenOptions::new().append(true).open(&log).unwrap();
    fs::rename(&log, world.log("events.ndjson.1")).unwrap();
    world.settle();
    writer.write_all(line(2).as_bytes()).unwrap();
    world.settle();
    world.check(0..3);
    // The writer still has the renamed file for a moment after the new one has begun.
    writer.write_all(line(3).as_bytes()).unwrap();
    lines(&log, 4..6);
    world.settle();
    world.check(0..6);
    writer.write_all(line(6).as_bytes()).unwrap();
    world.settle();
    world.check(0..7);
    sleep(Duration::from_millis(150));
    world.settle();
    lines(&log, 7..8);
    world.settle();
    world.check(0..8);
    world.restart();
    world.settle();
    world.check(0..8);
}

#[test]
fn what_was_written_to_a_renamed_file_late_was_lost() {
    let check = |after: &dyn Fn(&mut World), what: &str| {
        let mut world = World::new(None);
        let (log, older) = (world.log("events.ndjson"), world.log("events.ndjson.1"));
        lines(&log, 0..10);
        world.restart();
        world.settle();
        // A writer that holds the file, and writes to it whenever it likes.
        let mut held = OpenOptions::new().append(true).open(&log).unwrap();
        fs::rename(&log, &older).unwrap();
        lines(&log, 10..20);
        world.settle();
        for n in 20..24 {
            sleep(Duration::from_millis(60));
            held.write_all(line(n).as_bytes()).unwrap();
            world.settle();
        }
        world.check(0..24);
        // It is quiet, so the file counts as read; then comes one line more.
        sleep(Duration::from_millis(150));
        world.settle();
        held.write_all(line(24).as_bytes()).unwrap();
        after(&mut world);
        let natives = world.natives();
        let count = natives.iter().collect::<BTreeSet<_>>().len();
        assert_eq!((natives.len(), count), (25, 25), "{what}: {natives:?}");
    };
    check(
        &|world| {
            world.restart();
            world.settle();
        },
        "a restart",
    );
    check(
        &|world| {
            let log = world.log("events.ndjson");
            fs::rename(&log, world.log("events.ndjson.2")).unwrap();
            fs::write(&log, "\n").unwrap();
            world.settle();
        },
        "the next rotation",
    );
}

#[test]
fn the_last_line_of_a_renamed_file_needs_no_end() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    append(&log, &format!("{}{}", line(0), line(1).trim_end()));
    world.restart();
    world.settle();
    world.check(0..1);
    fs::rename(&log, world.log("events.ndjson.1")).unwrap();
    File::create(&log).unwrap();
    world.settle();
    lines(&log, 2..3);
    world.settle();
    sleep(Duration::from_millis(150));
    world.settle();
    let found: BTreeSet<String> = world.natives().into_iter().collect();
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_copy_has_the_rest_of_what_was_cut() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..2);
    world.restart();
    world.settle();
    for n in 1..4_u32 {
        let first = n * 4;
        lines(&log, first - 2..first);
        fs::copy(&log, world.log(&format!("events.ndjson.{n}"))).unwrap();
        File::create(&log).unwrap();
        // Longer than it was, so that its length alone does not tell.
        lines(&log, first..first + 2);
        world.settle();
        world.check(0..first + 2);
    }
}

#[test]
fn a_file_that_is_cut_without_a_copy_is_said_to_be() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..3);
    world.restart();
    world.settle();
    File::create(&log).unwrap();
    lines(&log, 3..4);
    world.settle();
    assert_eq!(world.natives(), ["n0", "n1", "n2", "n3"]);
    assert_eq!(world.counts.of_tail("events").lost, 1);
}

#[test]
fn what_was_rotated_while_nobody_looked_is_read_in_order() {
    for packs in [false, true] {
        let mut world = World::new(None);
        let log = world.log("events.ndjson");
        lines(&log, 0..2);
        world.restart();
        world.settle();
        world.follower = None;
        // The rest of what was read, a file that nobody saw, and the new one.
        lines(&log, 2..4);
        fs::rename(&log, world.log("events.ndjson.2")).unwrap();
        sleep(Duration::from_millis(1100));
        lines(&log, 4..6);
        fs::rename(&log, world.log("events.ndjson.1")).unwrap();
        lines(&log, 6..8);
        if packs {
            for name in ["events.ndjson.1", "events.ndjson.2"] {
                let packed = Command::new("gzip").arg(world.log(name)).status();
                assert!(packed.expect("gzip").success());
            }
        }
        world.restart();
        world.settle();
        world.check(0..8);
        world.restart();
        world.settle();
        world.check(0..8);
    }
}

#[test]
fn a_whole_file_of_an_outage_is_not_older_than_what_was_just_saved() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..2);
    world.restart();
    world.settle();
    world.follower = None;
    lines(&log, 2..4);
    fs::rename(&log, world.log("events.ndjson.2")).unwrap();
    lines(&log, 4..6);
    fs::rename(&log, world.log("events.ndjson.1")).unwrap();
    lines(&log, 6..8);
    // Catching up saves the position at a later second than that of the file in between.
    sleep(Duration::from_millis(2100));
    world.restart();
    world.settle();
    world.check(0..8);
}

#[test]
fn a_packed_file_that_was_read_is_not_read_again() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..2);
    world.restart();
    world.settle();
    fs::rename(&log, world.log("events.ndjson.1")).unwrap();
    lines(&log, 2..4);
    world.settle();
    sleep(Duration::from_millis(150));
    world.settle();
    let packed = Command::new("gzip").arg(world.log("events.ndjson.1")).status();
    assert!(packed.expect("gzip").success());
    // A writer that touches it now, so that its time alone does not tell.
    let file = File::options().append(true).open(world.log("events.ndjson.1.gz")).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    fs::rename(&log, world.log("events.ndjson.1")).unwrap();
    lines(&log, 4..6);
    world.settle();
    world.restart();
    world.settle();
    world.check(0..6);
}

#[test]
fn while_the_spool_is_full_nothing_moves() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..3);
    world.taken.is_full.store(true, Ordering::Relaxed);
    world.restart();
    world.settle();
    world.settle();
    assert!(world.natives().is_empty());
    assert!(!world.position().exists(), "no position without its events");
    world.restart();
    world.settle();
    world.taken.is_full.store(false, Ordering::Relaxed);
    world.settle();
    world.check(0..3);
}

#[test]
fn while_no_salt_can_be_kept_nothing_is_set_aside() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    lines(&log, 0..3);
    world.restart();
    // Nothing can be put in the place of a folder.
    let keys = world.folder.path().join("state/salts.keys");
    fs::create_dir(&keys).unwrap();
    world.settle();
    world.settle();
    assert!(world.natives().is_empty() && !world.position().exists());
    assert!(world.counts.of_tail("events").aside.is_empty());
    fs::remove_dir(&keys).unwrap();
    world.settle();
    world.check(0..3);
}

#[test]
fn what_gives_no_event_is_counted_and_set_aside_without_its_content() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    let secret = "s3cret-of-somebody-else-0123456789abcdef";
    lines(&log, 0..1);
    append(&log, &format!("{{\"token\":\"{secret}\"}}\n{secret}\n\n"));
    fs::write(world.log("raw"), [b"\xff\xfe", secret.as_bytes(), b"\n"].concat()).unwrap();
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    file.write_all(&fs::read(world.log("raw")).unwrap()).unwrap();
    lines(&log, 1..2);
    world.restart();
    world.settle();
    world.check(0..2);
    let counts = world.counts.of_tail("events");
    let aside: Vec<_> = counts.aside.iter().map(|(code, count)| (*code, *count)).collect();
    assert_eq!(aside, [("bad_json", 1), ("not_utf8", 1), ("unknown_field", 1)]);
    assert_eq!((counts.lines, counts.events), (6, 2));
    let state = world.folder.path().join("state");
    for entry in [state.join("aside.ndjson"), world.position()] {
        let text = fs::read_to_string(&entry).unwrap();
        assert!(!text.contains("s3cret"), "{}: {text}", entry.display());
    }
    assert!(!world.counts.expose().contains("s3cret"));
}

#[test]
fn the_parts_of_an_act_are_taken_together_also_after_a_restart() {
    let mut world = World::new(None);
    let log = world.log("events.ndjson");
    let part = |n: u32| {
        let act = format!("\"act\":{{\"id\":\"a\",\"part\":{n},\"parts\":2}},\"type\"");
        line(9).replace("\"type\"", &act)
    };
    append(&log, &format!("{}{}", line(0), part(0)));
    world.restart();
    world.settle();
    assert_eq!(world.natives(), ["n0"]);
    world.restart();
    append(&log, &part(1));
    world.settle();
    assert_eq!(world.natives(), ["n0", "n9", "n9"], "its first part was read again");
}

#[test]
fn an_adapter_remembers_after_a_restart_what_it_read_before() {
    let provider = |second: u32, request: &str, event: &str, payload: &str| {
        format!(
            "{{\"time\":\"2026-11-22T05:00:{second:02}.000Z\",\"event\":\"{event}\",\
             \"request_id\":\"{request}\",\"payload\":{payload}}}\n"
        )
    };
    let saved = "{\"jti\":\"one-AAAAAAAAAAAAAAAAAAAAAA\",\"clientId\":\"c\",\"grantId\":\"g\",\
                 \"exp\":1795400000}";
    let revoked = "{\"grantId\":\"g\",\"route\":\"revocation\"}";
    let begin = provider(0, "r1", "refresh_token.saved", saved);
    let close = provider(0, "r1", "grant.success", "{}");
    let revoke = provider(1, "x", "grant.revoked", revoked)
        + &provider(1, "x", "middleware.revocation", "{\"params\":{}}");
    let mut whole = World::new(Some("oidc-provider"));
    append(&whole.log("events.ndjson"), &format!("{begin}{close}{revoke}"));
    whole.restart();
    whole.settle();
    let expected = whole.natives();
    assert!(expected.len() >= 3, "an issue, and the revocation of grant and token: {expected:?}");
    for rotates in [false, true] {
        let mut world = World::new(Some("oidc-provider"));
        let log = world.log("events.ndjson");
        world.restart();
        for text in [&begin, &close, &revoke] {
            append(&log, text);
            world.settle();
            if rotates {
                fs::rename(&log, world.log(&format!("events.ndjson.{}", text.len()))).unwrap();
            }
            world.restart();
        }
        world.settle();
        assert_eq!(world.natives(), expected, "rotates: {rotates}");
    }
}
