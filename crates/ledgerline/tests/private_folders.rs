//! Folders, keys and files as somebody else left them: closed, refused in words, never waited for.

mod running;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use running::{Server, event, run, stderr, stdout};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

fn every(folder: &Path, look: &mut dyn FnMut(&Path)) {
    look(folder);
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { every(&path, look) } else { look(&path) }
    }
}

/// A ledger with an event in it, stopped.
fn stopped() -> Server {
    let mut server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    server.record(&idp, &[event("n", "ISSUED", "a")]);
    server.wait_for_block();
    server.stop();
    server
}

/// A start that fails, with more flags; it must not take long.
fn fails(server: &Server, flags: &[&str]) -> Output {
    let data = server.path("data");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ledgerline"))
        .args(["serve", "--listen", "127.0.0.1:0", "--free-space-floor-bytes", "1", "--data"])
        .arg(data)
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let status = running::wait(&mut child, Duration::from_secs(20));
    assert!(!status.success(), "it started");
    child.wait_with_output().expect("ended")
}

/// Folders below were 0755 and the lock 0644: another user took the lock, and no server started.
#[test]
fn everything_is_for_the_owner_alone_and_wider_folders_are_closed() {
    let mut server = stopped();
    let folders = ["data", "data.keys", "data.head"];
    let check = |server: &Server| {
        for folder in folders {
            every(&server.path(folder), &mut |path| {
                let wanted = if path.is_dir() { 0o700 } else { 0o600 };
                assert_eq!(mode(path), wanted, "{}", path.display());
            });
        }
    };
    check(&server);
    let wide = ["data", "data/journal", "data/vault", "data/lock", "data.keys", "data.head"];
    for name in wide {
        set(&server.path(name), if name.ends_with("lock") { 0o644 } else { 0o755 });
    }
    server.go();
    assert_eq!(server.stop(), Some(0));
    check(&server);
    assert!(server.read("server.log").contains("folder_closed"));
}

#[test]
fn keys_that_others_may_read_are_refused_with_what_to_do() {
    let server = stopped();
    for (name, wide) in [("kek", 0o644), ("log", 0o640), ("answers", 0o604), ("index", 0o620)] {
        let file = server.path(&format!("data.keys/{name}.key"));
        set(&file, wide);
        let said = stderr(&fails(&server, &[]));
        assert!(said.contains("chmod 600") && said.contains(&format!("{name}.key")), "{said}");
        set(&file, 0o600);
    }
}

/// `--keys DATA/keys` was taken, against the manual: whoever copied the data had the keys.
#[test]
fn keys_and_head_within_the_data_are_refused_also_by_a_link() {
    let server = stopped();
    let link = server.path("elsewhere");
    std::os::unix::fs::symlink(server.path("data"), &link).expect("a link");
    let (inner, linked) = (server.path("data/keys"), link.join("keys"));
    for path in [inner, linked, server.path("data")] {
        let path = path.to_str().expect("text");
        for flag in ["--keys", "--head"] {
            let said = stderr(&fails(&server, &[flag, path]));
            assert!(said.contains("lies within the data"), "{flag} {path}: {said}");
        }
    }
    assert!(!server.path("data/keys").exists(), "nothing was made there");
}

/// `serve --data` on a home made a ledger in it and took every file below from everybody.
#[test]
fn a_folder_of_others_is_refused_and_nothing_in_it_is_touched() {
    let server = stopped();
    let made = |name: &str| {
        let folder = server.path(name);
        fs::create_dir_all(folder.join("journal/2026")).expect("ours");
        fs::write(folder.join("journal/2026/today.md"), b"hi").expect("ours");
        every(&folder, &mut |path| set(path, if path.is_dir() { 0o755 } else { 0o644 }));
        folder
    };
    let untouched = |folder: &Path| {
        let mut names = 0;
        every(folder, &mut |path| {
            names += 1;
            assert_eq!(mode(path), if path.is_dir() { 0o755 } else { 0o644 }, "{path:?}");
        });
        assert_eq!(names, 4, "something was made in {}", folder.display());
    };
    let (home, new) = (made("home"), server.path("new"));
    let link = server.path("link-to-home");
    std::os::unix::fs::symlink(&home, &link).expect("a link");
    let of = |data: &Path, flags: &[&str]| {
        let data = data.to_str().expect("text");
        run(&[&["serve", "--listen", "127.0.0.1:0", "--data", data], flags].concat(), &[], b"")
    };
    let home_text = home.to_str().expect("text");
    let tries = [(&*home, vec![]), (&*link, vec![])]
        .into_iter()
        .chain(["--keys", "--head"].map(|flag| (&*new, vec![flag, home_text])));
    for (data, flags) in tries {
        let failed = of(data, &flags);
        assert_eq!(failed.status.code(), Some(64), "{flags:?}");
        let said = stderr(&failed);
        assert!(said.contains("holds other things") && said.contains("journal"), "{said}");
        untouched(&home);
        for made in ["new", "new.keys", "new.head", "home.keys", "link-to-home.keys"] {
            assert!(!server.path(made).exists(), "{made} was made");
        }
    }
    let reindexed = run(&["reindex", "--data", home_text], &[], b"");
    assert!(stderr(&reindexed).contains("there is no ledger in"), "{}", stderr(&reindexed));
    untouched(&home);
}

/// New keys were made beside a ledger whose keys lie elsewhere; `verify` then took those and called
/// it tampered with. An export of a mistyped folder made a ledger, and exported that.
#[test]
fn beside_a_ledger_no_keys_are_made_and_no_ledger_where_one_is_asked_for() {
    let mut server = stopped();
    let elsewhere = server.path("keys-elsewhere");
    fs::rename(server.path("data.keys"), &elsewhere).expect("ours");
    let (data, out) = (server.path("data"), server.path("out"));
    let (data, out) = (data.to_str().expect("text"), out.to_str().expect("text"));
    let said = stderr(&fails(&server, &[]));
    assert!(said.contains("there are no keys of the ledger") && said.contains("--keys"), "{said}");
    for args in [&["reindex", "--data", data][..], &["export-tiles", "--data", data, out]] {
        let failed = run(args, &[], b"");
        let said = stderr(&failed);
        assert_eq!(failed.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("there are no keys of the ledger"), "{args:?}: {said}");
        assert!(!server.path("data.keys").exists(), "{args:?}");
    }
    let keys = elsewhere.to_str().expect("text");
    let exported = run(&["export-tiles", "--data", data, "--keys", keys, out], &[], b"");
    assert!(exported.status.success(), "{}", stderr(&exported));
    let (typo, empty) = (server.path("typo"), server.path("empty"));
    fs::create_dir(&empty).expect("ours");
    for folder in [typo.to_str().expect("text"), empty.to_str().expect("text")] {
        let failed = run(&["export-tiles", "--data", folder, out], &[], b"");
        assert_eq!(failed.status.code(), Some(1));
        assert!(stderr(&failed).contains("there is no ledger in"), "{}", stderr(&failed));
    }
    for made in ["typo", "typo.keys", "typo.head", "empty.keys", "empty/lock", "data.keys"] {
        assert!(!server.path(made).exists(), "{made} was made");
    }
    fs::rename(elsewhere, server.path("data.keys")).expect("ours");
    server.go();
    assert_eq!(server.stop(), Some(0));
}

/// What somebody put beside a ledger's files was closed with them.
#[test]
fn what_others_put_beside_the_ledgers_files_keeps_its_rights() {
    let mut server = stopped();
    for folder in ["data", "data.keys", "data.head"] {
        let file = server.path(&format!("{folder}/notes.txt"));
        fs::write(&file, b"hi").expect("ours");
        set(&file, 0o644);
        set(&server.path(folder), 0o755);
    }
    set(&server.path("data/tree"), 0o755);
    set(&server.path("data.head/checkpoint"), 0o644);
    server.go();
    assert_eq!(server.stop(), Some(0));
    let modes = ["data", "data/tree", "data/notes.txt", "data.keys", "data.keys/notes.txt"];
    let modes = modes.map(|name| mode(&server.path(name)));
    assert_eq!(modes, [0o700, 0o700, 0o644, 0o755, 0o644]);
    assert_eq!(mode(&server.path("data.head/checkpoint")), 0o600);
    assert!(server.read("server.log").contains("folder_not_closed"));
    set(&server.path("data.keys"), 0o777);
    let said = stderr(&fails(&server, &[]));
    assert!(said.contains("may be written by other users"), "{said}");
}

/// Root served a folder of nobody's: its owner could open it, take the lock and write the journal.
#[test]
fn root_does_not_serve_a_folder_of_somebody_else() {
    let server = stopped();
    let names = ["data", "data/journal", "data/journal/00000000.seg", "data.keys"];
    for name in names.into_iter().chain(["data.keys/kek.key", "data.head", "data.head/checkpoint"])
    {
        let path = server.path(name);
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_err() {
            eprintln!("NOT TESTED: only root gives files away");
            return;
        }
        let said = stderr(&fails(&server, &[]));
        assert!(said.contains("belongs to another user (uid 65534)"), "{name}: {said}");
        std::os::unix::fs::chown(&path, Some(0), None).expect("root");
    }
}

/// A pipe in the place of a file was waited for without end; so was a terabyte of nothing.
#[test]
fn what_is_no_file_of_ours_is_named_and_not_waited_for() {
    let server = stopped();
    let data = server.path("data");
    let verify = || run(&["verify", "--data", data.to_str().expect("text")], &[], b"");
    for name in ["data/journal/00000000.seg", "data.head/checkpoint"] {
        let (path, kept) = (server.path(name), server.path("kept"));
        fs::rename(&path, &kept).expect("ours");
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        let said = stderr(&fails(&server, &[]));
        assert!(said.contains("is no regular file"), "{name}: {said}");
        let verified = verify();
        assert_ne!(verified.status.code(), Some(0), "{name}");
        let said = [stdout(&verified), stderr(&verified)].concat();
        assert!(said.contains("regular file"), "{name}: {said}");
        fs::remove_file(&path).expect("ours");
        fs::rename(&kept, &path).expect("ours");
    }
    let segment = server.path("data/journal/00000000.seg");
    let length = fs::metadata(&segment).expect("there").len();
    let file = File::options().write(true).open(&segment).expect("ours");
    file.set_len(1 << 40).expect("a sparse file");
    let said = stderr(&fails(&server, &[]));
    assert!(said.contains("longer than any segment"), "{said}");
    let verified = verify();
    assert_eq!(verified.status.code(), Some(2), "{}", stderr(&verified));
    assert!(stdout(&verified).contains("longer than any segment"), "{}", stdout(&verified));
    file.set_len(length).expect("as it was");
    assert_eq!(verify().status.code(), Some(0));
}

/// A pipe in the place of the lock was waited for without end, by `verify`, too.
#[test]
fn a_pipe_for_a_lock_is_named_and_not_waited_for() {
    let server = stopped();
    let lock = server.path("data/lock");
    fs::remove_file(&lock).expect("ours");
    assert!(Command::new("mkfifo").arg(&lock).status().expect("mkfifo").success());
    let said = stderr(&fails(&server, &[]));
    assert!(said.contains("lock is no regular file"), "{said}");
    let data = server.path("data");
    let verified = run(&["verify", "--data", data.to_str().expect("text")], &[], b"");
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));
}

/// A stray file whose name ends as a segment's kept `serve` from opening; `verify` said nothing.
#[test]
fn a_stray_file_in_the_journal_is_named_and_harmless() {
    let mut server = stopped();
    for name in ["..00000002.seg", "copy of 00000000.seg", "+0000001.seg", "1.seg"] {
        fs::write(server.path(&format!("data/journal/{name}")), b"stray").expect("ours");
    }
    server.go();
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data");
    let verified = run(&["verify", "--data", data.to_str().expect("text")], &[], b"");
    let said = stdout(&verified);
    assert_eq!(verified.status.code(), Some(0), "{said}");
    for name in ["..00000002.seg", "copy of 00000000.seg", "+0000001.seg", "1.seg"] {
        assert!(said.contains(name), "{name}: {said}");
    }
}

/// The memory of a server holds its keys.
#[cfg(target_os = "linux")]
#[test]
fn a_running_server_writes_no_core_file() {
    let server = Server::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.process())).expect("there");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
