//! Real servers of other makers, for tests: which there are, and how they are installed.
//!
//! Promises: what is installed is what is pinned here, by version and, wherever the registry has
//! them, by digest; it goes into one folder outside every checkout ([`cache`]), is shared by them,
//! and stays until its pin is another. Two who install at once wait for each other. What cannot be
//! installed is said with the reason; nothing falls back to an imitation.
//!
//! Assumes: the package tools (npm, pip, Maven, apt-get) know their registries by themselves.
//!
//! Refuses: a package with another digest; an interpreter that is too old for the server.

pub mod install;
mod kept;
pub mod port;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub use crate::kept::kept;

/// A server, or another program, as it is pinned.
pub struct Package {
    /// How it is asked for.
    pub name: &'static str,
    /// What it is, for people, with its version and what it needs.
    pub about: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// The program or package that must be there afterwards, below its folder. Absolute for
    /// packages of the system.
    pub program: &'static str,
}

/// Where a package comes from.
pub enum Source {
    /// npm: a `package.json` and its `package-lock.json`, which holds a digest of each package.
    Npm {
        /// The first.
        package: &'static str,
        /// The second.
        lock: &'static str,
    },
    /// pip: a list with the digests of each package.
    Pip {
        /// The list.
        requirements: &'static str,
    },
    /// Maven: one archive, its SHA-256, and a command in the unpacked folder that makes it ready.
    Maven {
        /// `group:artifact:version:tar.gz`.
        archive: &'static str,
        /// Of the archive, in hexadecimal.
        sha256: &'static str,
        /// Run once, in the folder that the archive unpacks to.
        prepare: &'static [&'static str],
        /// What it needs to be told.
        environment: &'static [(&'static str, &'static str)],
    },
    /// A package of Debian and Ubuntu, in the version of the system: apt-get checks its signature.
    Debian {
        /// Its name.
        package: &'static str,
    },
}

/// Memory and speed of a Java server that lives for a test only.
///
/// All of it: the start script of Keycloak names a garbage collector unless told everything.
pub const JAVA_OPTS: &str = "-Xms64m -Xmx384m -XX:MetaspaceSize=96M -XX:MaxMetaspaceSize=256m \
                             -Dfile.encoding=UTF-8 -XX:+ExitOnOutOfMemoryError -XX:+UseSerialGC \
                             -XX:TieredStopAtLevel=1";

/// Every server: a new one is a row here, and its lock file in `locks`.
pub const PACKAGES: &[Package] = &[
    Package {
        name: "oidc-provider",
        about: "node-oidc-provider 9.13.3 (npm; Node.js 20)",
        source: Source::Npm {
            package: include_str!("../locks/oidc-provider/package.json"),
            lock: include_str!("../locks/oidc-provider/package-lock.json"),
        },
        program: "node_modules/oidc-provider/package.json",
    },
    Package {
        name: "keycloak",
        about: "Keycloak 26.7.3 (Maven, 180 MB; Java 17), built for a database in memory",
        source: Source::Maven {
            archive: "org.keycloak:keycloak-quarkus-dist:26.7.3:tar.gz",
            sha256: "77657f30b7e90d70f727712ce1c967f430fd6a5e9f458d32d8c6df0635345f47",
            prepare: &[
                "bin/kc.sh",
                "build",
                "--features=ssf",
                "--db=dev-mem",
                "--health-enabled=true",
            ],
            environment: &[("JAVA_OPTS", JAVA_OPTS)],
        },
        program: "keycloak-26.7.3/bin/kc.sh",
    },
    Package {
        name: "scim2-server",
        about: "scim2-server 0.8.3 (PyPI; Python 3.11)",
        source: Source::Pip {
            requirements: include_str!("../locks/scim2-server/requirements.txt"),
        },
        program: "bin/scim2-server",
    },
    Package {
        name: "slapd",
        about: "OpenLDAP's slapd (Debian, in the version of the system)",
        source: Source::Debian { package: "slapd" },
        program: "/usr/sbin/slapd",
    },
];

/// The package of a name.
///
/// # Errors
/// When there is none, with the names there are.
pub fn find(name: &str) -> Result<&'static Package> {
    let names = || PACKAGES.iter().map(|one| one.name).collect::<Vec<_>>().join(", ");
    let found = PACKAGES.iter().find(|one| one.name == name);
    found.with_context(|| format!("no server is called `{name}`; there are: {}", names()))
}

/// Where servers are kept: `LEDGERLINE_SERVERS`, or `ledgerline/servers` of the user's cache.
///
/// # Errors
/// When neither variable nor home folder is set.
pub fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || Some(set("HOME")?.join(".cache"));
    let user = || Some(set("XDG_CACHE_HOME").or_else(home)?.join("ledgerline/servers"));
    set("LEDGERLINE_SERVERS")
        .or_else(user)
        .context("none of LEDGERLINE_SERVERS, XDG_CACHE_HOME and HOME is set")
}

impl Package {
    /// The folder it lies in below `cache`, or the program of a package of the system; `None` when
    /// it is not installed as it is pinned.
    #[must_use]
    pub fn place(&self, cache: &Path) -> Option<PathBuf> {
        if matches!(self.source, Source::Debian { .. }) {
            let program = PathBuf::from(self.program);
            return program.is_file().then_some(program);
        }
        let wanted = self.wanted().ok()?;
        let folder = kept::folder(cache, self.name, &wanted);
        (kept::is_whole(&folder, &wanted) && folder.join(self.program).exists()).then_some(folder)
    }

    /// Installs it unless it is there; where it lies, as [`Self::place`] says.
    ///
    /// # Errors
    /// With what the package tool said, or what this machine lacks.
    pub fn ensure(&self, cache: &Path) -> Result<PathBuf> {
        if let Some(place) = self.place(cache) {
            return Ok(place);
        }
        self.install(cache)?;
        self.place(cache).with_context(|| format!("no {} after installing", self.program))
    }
}
