//! Restores the order of records that come with the newest first, as pages of the Admin REST
//! interface do.
//!
//! ```text
//! time    9  8  7  7  3 │ 12  11  4 …       each run is turned round when it ends
//! time    1  2  2  5  9  11 …               passes, but for the first record
//! ```
//!
//! Promises: a record waits only while the times descend, and the first one of all until the second
//! has come: which way they go is not known before. Records without a time of that form (log
//! lines, webhook bodies) pass at once.
//!
//! Assumes: records of one file go one way. Clocks of nodes may differ by [`SLACK_MILLIS`].
//!
//! Refuses: more than [`RUN_MAX`] records or [`RUN_BYTES_MAX`] bytes of one run. The order is then
//! restored in pieces, the newest piece first, and the report counts it as forgotten.

use crate::keycloak::forms;

/// How far a record may be behind the one before without the order having turned.
const SLACK_MILLIS: i64 = 1_000;
const RUN_MAX: usize = 1 << 18;
const RUN_BYTES_MAX: usize = 256 << 20;

/// A line that waits.
pub(super) struct Waiting {
    pub number: u64,
    pub line: String,
    time: i64,
}

/// Lines that wait until it is known which way they go.
#[derive(Default)]
pub(super) struct Window {
    run: Vec<Waiting>,
    bytes: usize,
    descends: bool,
    /// Of the last record that passed.
    last: Option<i64>,
    /// Runs that were too long.
    pub cut: u64,
}

/// What becomes of a line.
pub(super) enum Step {
    /// It waits; these come first.
    Waits(Vec<Waiting>),
    /// It passes behind these.
    Passes(Vec<Waiting>),
}

impl Window {
    /// Takes the next line.
    pub(super) fn next(&mut self, number: u64, line: &str) -> Step {
        let Some(time) = time_of(line) else { return Step::Passes(self.take()) };
        // One that cannot be read is refused now, while its caller is there to be told.
        if !self.would_pass(time) && forms::read(line).is_err() {
            return Step::Passes(self.take());
        }
        if self.would_pass(time) {
            let last = self.last.max(Some(time));
            let before = self.take();
            self.last = last;
            return Step::Passes(before);
        }
        let Some(newest) = self.run.last() else {
            return self.wait(number, line, time, Vec::new());
        };
        let is_long = self.run.len() >= RUN_MAX || self.bytes >= RUN_BYTES_MAX;
        if time > newest.time || is_long {
            self.cut += u64::from(is_long);
            let before = self.take();
            return self.wait(number, line, time, before);
        }
        self.descends |= time < newest.time;
        self.wait(number, line, time, Vec::new())
    }

    fn would_pass(&self, time: i64) -> bool {
        match self.run.last() {
            Some(newest) => time > newest.time && !self.descends,
            None => self.last.is_some_and(|last| time >= last - SLACK_MILLIS),
        }
    }

    fn wait(&mut self, number: u64, line: &str, time: i64, before: Vec<Waiting>) -> Step {
        self.bytes += line.len();
        self.run.push(Waiting { number, line: line.to_owned(), time });
        Step::Waits(before)
    }

    /// All that wait, the oldest first.
    pub(super) fn take(&mut self) -> Vec<Waiting> {
        let mut run = std::mem::take(&mut self.run);
        if self.descends {
            run.reverse();
        }
        (self.bytes, self.descends, self.last) = (0, false, None);
        run
    }
}

/// The `time` of a record in the form of the Admin REST interface.
fn time_of(line: &str) -> Option<i64> {
    if !line.starts_with('{') || line.contains("\"uid\"") {
        return None;
    }
    let (_, rest) = line.split_once("\"time\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which lines of these times come out; the last number says how many waited.
    fn check(times: &[i64], expected: &[i64], waited: usize) {
        let (mut window, mut out) = (Window::default(), Vec::new());
        for (number, time) in (1..).zip(times) {
            let line = format!("{{\"id\":\"x\", \"time\" : {time}}}");
            match window.next(number, &line) {
                Step::Waits(before) => out.extend(before.iter().map(|one| one.time)),
                Step::Passes(before) => {
                    out.extend(before.iter().map(|one| one.time));
                    out.push(*time);
                }
            }
        }
        let rest = window.take();
        assert_eq!(rest.len(), waited, "{times:?}");
        out.extend(rest.iter().map(|one| one.time));
        assert_eq!(out, expected, "{times:?}");
    }

    #[test]
    fn both_ways_come_out_oldest_first() {
        check(&[1, 2, 2, 5], &[1, 2, 2, 5], 0);
        check(&[5, 2, 2, 1], &[1, 2, 2, 5], 4);
        check(&[2, 2, 5], &[2, 2, 5], 0);
        check(&[7], &[7], 1);
        check(&[9_000, 8_000, 20_000, 15_000], &[8_000, 9_000, 15_000, 20_000], 2);
        check(&[1_000, 2_000, 1_500, 3_000], &[1_000, 2_000, 1_500, 3_000], 0);
        check(&[8_000, 9_000, 2_000, 1_000], &[8_000, 9_000, 1_000, 2_000], 2);
    }

    #[test]
    fn what_is_no_page_does_not_wait() {
        for line in ["2026-11-29 …", "[{\"time\":1}]", "{\"uid\":\"x\",\"time\":1}", "{}", "{"] {
            let passes = matches!(Window::default().next(1, line), Step::Passes(_));
            assert!(passes, "{line}");
        }
    }
}
