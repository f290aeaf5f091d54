//! The Unix socket as a file: who may open it, and whose it is.
//!
//! Promises: the file has its rights from its first moment on. One that a dead agent left is
//! replaced; one that somebody listens on, or that is no socket, never is. At the end the file is
//! removed if it is still this agent's.
//!
//! Refuses: a folder in which every user can put another file in its place.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ledgerline_client::Misconfigured;
use rustix::fs::Mode;

/// Longest path of a socket: what the system takes.
const PATH_BYTES_MAX: usize = 107;
const STICKY: u32 = 0o1000;

/// A socket's file; removed when dropped.
pub struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

/// Judges where a socket is to be made, and touches nothing.
///
/// # Errors
/// Names what is wrong with the place, and what to do.
pub fn check_place(path: &Path) -> anyhow::Result<()> {
    match what_is_wrong(path) {
        None => Ok(()),
        Some(why) => Err(Misconfigured::new(format!("socket {}: {why}", path.display())).into()),
    }
}

fn what_is_wrong(path: &Path) -> Option<String> {
    if !path.is_absolute() || path.as_os_str().len() > PATH_BYTES_MAX {
        return Some(format!("give an absolute path of at most {PATH_BYTES_MAX} bytes"));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let found = match fs::metadata(folder) {
        Ok(found) => found,
        Err(error) => return Some(format!("its folder: {error}")),
    };
    if found.mode() & 0o002 != 0 && found.mode() & STICKY == 0 {
        return Some("every user may put another in its place: chmod o-w its folder".into());
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Some("something else is there: it is not touched".into())
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            Some("somebody listens on it: is another agent running?".into())
        }
        _ => None,
    }
}

impl SocketFile {
    /// Listens on a path with these rights.
    ///
    /// # Errors
    /// As [`check_place`]; when the system does not let the agent listen there.
    pub fn listen(path: &Path, mode: u32) -> anyhow::Result<(UnixListener, Self)> {
        check_place(path)?;
        let named = || format!("socket {}", path.display());
        if fs::symlink_metadata(path).is_ok() {
            fs::remove_file(path).with_context(named)?;
        }
        // Nobody may connect before the rights are set: the mask is the process's, so this is done
        // before there are other threads that make files.
        let mask = rustix::process::umask(Mode::from_raw_mode(0o777 & !mode));
        let bound = UnixListener::bind(path);
        rustix::process::umask(mask);
        let listener = bound.with_context(named)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).with_context(named)?;
        listener.set_nonblocking(true).with_context(named)?;
        let inode = inode_of(path).with_context(named)?;
        Ok((listener, Self { path: path.to_owned(), inode }))
    }
}

fn inode_of(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        match inode_of(&self.path) {
            Ok(inode) if inode == self.inode => {
                if let Err(error) = fs::remove_file(&self.path) {
                    tracing::warn!(code = "socket_left", %error, "the socket was not removed");
                }
            }
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(code = "socket_left", %error, "the socket was not looked at");
            }
            // Gone already, or another agent's by now.
            Ok(_) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        SocketFile::listen(path, 0o660).err().map(|error| format!("{error:#}")).expect("refused")
    }

    #[test]
    fn a_dead_agents_socket_is_replaced_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let (listener, file) = SocketFile::listen(&path, 0o600).expect("a new one");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(refusal(&path).contains("somebody listens"), "{}", refusal(&path));
        drop(listener);
        std::mem::forget(file);
        let (_listener, file) = SocketFile::listen(&path, 0o660).expect("nobody listens");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        drop(file);
        assert!(!path.exists(), "it is cleaned up");
    }

    #[test]
    fn what_is_no_socket_is_never_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        fs::write(&path, "precious").unwrap();
        assert!(refusal(&path).contains("something else"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(refusal(&link).contains("something else"));
    }

    #[test]
    fn a_folder_that_everybody_may_write_to_is_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let open = |mode| fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode));
        open(0o777).unwrap();
        assert!(refusal(&path).contains("every user"));
        open(0o1777).unwrap();
        SocketFile::listen(&path, 0o660).expect("as in /tmp");
        assert!(refusal(Path::new("agent.sock")).contains("absolute"));
        assert!(refusal(&Path::new("/").join("x".repeat(200))).contains("107 bytes"));
        assert!(refusal(Path::new("/nowhere/agent.sock")).contains("its folder"));
    }
}
