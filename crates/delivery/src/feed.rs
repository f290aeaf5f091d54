//! A file or pipe that is read beside the work, so that what has come is sent while more is waited
//! for.
//!
//! ```text
//! thread: read ──pieces, at most 4──▶ the command: values, requests
//! ```

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use ledgerline_tables::input::{self, Lines, PIECE_BYTES, Values};

/// Longest line, in bytes: an array of events may stand in one.
const LINE_BYTES_MAX: usize = 256 << 20;
/// Pieces read ahead.
const PIECES: usize = 4;

/// What comes of a file.
pub enum Came<'f> {
    /// A JSON value, or a broken line, and the line it begins on.
    Value(u64, &'f [u8]),
    /// A line that is too long to be read.
    TooLong(u64),
    /// Nothing more for now.
    Nothing,
}

/// A file being read.
pub struct Feed {
    pieces: Receiver<io::Result<Vec<u8>>>,
    lines: Lines,
    values: Values,
    /// Lines that have begun.
    line: u64,
}

impl Feed {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut input = input::open(path)?;
        let (send, pieces) = sync_channel(PIECES);
        thread::Builder::new().name("reader".to_owned()).spawn(move || {
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let read = match input.read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) => {
                        piece.truncate(count);
                        Ok(piece)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let is_over = read.is_err();
                // Nobody waits for it any more when the command has ended.
                if send.send(read).is_err() || is_over {
                    return;
                }
            }
        })?;
        let (lines, values) = (Lines::new(LINE_BYTES_MAX), Values::default());
        Ok(Self { pieces, lines, values, line: 0 })
    }

    /// Gives what comes next; `false` when that was all. After `wait` without anything it gives
    /// [`Came::Nothing`].
    ///
    /// # Errors
    /// Whatever `take` says.
    ///
    /// The inner error is that of the file, from which nothing more comes.
    pub fn next<E>(
        &mut self,
        wait: Option<Duration>,
        take: &mut impl FnMut(Came<'_>) -> Result<(), E>,
    ) -> Result<io::Result<bool>, E> {
        // What has begun may be whole, though its line end is still to come.
        let wait = wait.or((!self.lines.begun().is_empty()).then_some(LOOK));
        let came = match wait {
            Some(wait) => self.pieces.recv_timeout(wait),
            None => self.pieces.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let (values, last) = (&mut self.values, &mut self.line);
        let mut line = |number: u64, line: Option<&[u8]>| {
            *last = number;
            let mut value = |at, text: &[u8]| take(Came::Value(at, text));
            match line {
                Some(line) => values.line(number, line, &mut value),
                None => {
                    values.end(&mut value)?;
                    take(Came::TooLong(number))
                }
            }
        };
        match came {
            Ok(Ok(piece)) => {
                self.lines.push(&piece, &mut line)?;
                Ok(Ok(true))
            }
            Err(RecvTimeoutError::Timeout) => {
                if input::is_whole(self.lines.begun()) {
                    self.lines.take_begun(&mut line)?;
                }
                take(Came::Nothing)?;
                Ok(Ok(true))
            }
            Ok(Err(error)) => {
                self.lines.end(&mut line)?;
                self.values.end(&mut |at, text: &[u8]| take(Came::Value(at, text)))?;
                Ok(Err(error))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.lines.end(&mut line)?;
                self.values.end(&mut |at, text: &[u8]| take(Came::Value(at, text)))?;
                if let Some(number) = self.values.open_array() {
                    let cut = format!("line {number}: the array has no end: the file is cut off");
                    return Ok(Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut)));
                }
                Ok(Ok(false))
            }
        }
    }

    /// The line that was read last.
    #[must_use]
    pub const fn line(&self) -> u64 {
        self.line
    }
}

/// How often a line is looked at that has begun.
const LOOK: Duration = Duration::from_millis(500);
