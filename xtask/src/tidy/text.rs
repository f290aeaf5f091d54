//! Rules for every tracked text file: no trace of one machine, no registry host, clean lines.
//!
//! A lock file names the registry because cargo writes it so; it is the one exception. Test
//! vectors and recorded fixtures may hold any white space: their bytes are the point.

use super::{Finding, Rule};

const MACHINE_PATH: Rule = Rule {
    name: "machine-path",
    mend: "Write the path from the repository root, or take it from a flag or the environment.",
    may_be_allowed: false,
};
const REGISTRY_HOST: Rule = Rule {
    name: "registry-host",
    mend: "Name the package, not the host; which registry is used is the machine's own setting.",
    may_be_allowed: false,
};
const TRAILING_WHITESPACE: Rule =
    Rule { name: "trailing-whitespace", mend: "Take it out.", may_be_allowed: false };
const TAB: Rule = Rule { name: "tab", mend: "Run cargo fmt.", may_be_allowed: false };

/// Joined by `concat!` so that this file obeys its own rule.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/tm", "p/"),
    concat!("/mn", "t/"),
    concat!("/Use", "rs/"),
    concat!("C:\\", "Users\\"),
];

const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", "."),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
    concat!("docker", ".io"),
];

/// Folders whose files are data, byte for byte.
const DATA_FOLDERS: &[&str] = &["vectors", "fixtures", "seeds", "testdata"];

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let is_lock = path.ends_with("Cargo.lock");
    let is_data = path.split('/').any(|part| DATA_FOLDERS.contains(&part));
    let is_rust = path.ends_with(".rs");
    let mut findings = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let mut found = |rule, what: &str| findings.push(Finding::new(rule, path, index + 1, what));
        if let Some(folder) = machine_folder(line) {
            found(&MACHINE_PATH, folder);
        }
        if let Some(host) = REGISTRY_HOSTS.iter().find(|host| line.contains(**host) && !is_lock) {
            found(&REGISTRY_HOST, host);
        }
        if line.ends_with([' ', '\t', '\r']) && !is_data {
            found(&TRAILING_WHITESPACE, "white space at the end of the line");
        }
        if line.contains('\t') && is_rust {
            found(&TAB, "a tab");
        }
    }
    findings
}

/// The machine folder an absolute path in `line` begins with: `a/work/b` is no absolute path.
fn machine_folder(line: &str) -> Option<&'static str> {
    let begins_path = |at: usize| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|char| !char.is_alphanumeric() && !"./-_}".contains(char))
    };
    let mut folders = MACHINE_FOLDERS.iter().copied();
    folders.find(|folder| line.match_indices(folder).any(|(at, _)| begins_path(at)))
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    #[track_caller]
    fn check_text(path: &str, text: &str, expected: &[&str]) {
        assert_findings(&check(path, text), expected);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        check_text("README.md", "see ../home/a, net/work/b, {dir}/tmp/c, /var/lib/d\n", &[]);
        for folder in MACHINE_FOLDERS {
            check_text("README.md", &format!("a\nin `{folder}x`\n"), &["2 machine-path"]);
            check_text("a.sh", &format!("{folder}x"), &["1 machine-path"]);
        }
    }

    #[test]
    fn registry_hosts_are_found_but_in_lock_files() {
        check_text("README.md", "from the registry\n", &[]);
        for host in REGISTRY_HOSTS {
            check_text("README.md", &format!("on https://{host}/x\n"), &["1 registry-host"]);
        }
        check_text("fuzz/Cargo.lock", &format!("source = \"{}\"\n", REGISTRY_HOSTS[0]), &[]);
    }

    #[test]
    fn lines_end_clean() {
        check_text("a.md", "a\n\nb", &[]);
        check_text(
            "a.md",
            "a \n\t\nb\r\n",
            &["1 trailing-whitespace", "2 trailing-whitespace", "3 trailing-whitespace"],
        );
        check_text("crates/proof/vectors/a.json", "a \n", &[]);
        check_text("LICENSE", "\ta\n", &[]);
        check_text("a.rs", "\ta\n", &["1 tab"]);
    }
}
