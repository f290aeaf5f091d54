//! The table: one row per figure, each beside the reference it was held against.
//!
//! Promises: nothing is judged but by the number in the row. A row without a number says why.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

const BEGIN: &str = "<!-- figures: written by `cargo xtask bench --out` -->";
const END: &str = "<!-- end of figures -->";

/// One figure.
#[derive(Debug, Clone)]
pub struct Row {
    what: String,
    ours: String,
    reference: String,
    ratio: Option<f64>,
    target: String,
    is_met: Option<bool>,
}

impl Row {
    /// A figure with nothing to be held against.
    pub fn new(what: impl Into<String>, ours: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ours: ours.into(),
            reference: "–".into(),
            ratio: None,
            target: "–".into(),
            is_met: None,
        }
    }

    /// What the same run measured for comparison.
    pub fn reference(mut self, text: impl Into<String>, ratio: Option<f64>) -> Self {
        self.reference = text.into();
        self.ratio = ratio;
        self
    }

    /// What was asked for, and whether it is reached.
    pub fn target(mut self, text: impl Into<String>, is_met: bool) -> Self {
        self.target = text.into();
        self.is_met = Some(is_met);
        self
    }

    /// What was asked for. Judged when `is_judged`, and when it is missed.
    pub fn target_if(self, is_judged: bool, text: impl Into<String>, is_met: bool) -> Self {
        let row = self.target(text, is_met);
        Self { is_met: row.is_met.filter(|is_met| is_judged || !is_met), ..row }
    }

    fn line(&self) -> String {
        let ratio = self.ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"));
        let mark = match self.is_met {
            None => "",
            Some(true) => " · reached",
            Some(false) => " · **short**",
        };
        let Self { what, ours, reference, target, .. } = self;
        format!("| {what} | {ours} | {reference} | {ratio} | {target}{mark} |")
    }
}

/// All rows of a run.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    /// Tables with columns of their own, behind the figures.
    tables: Vec<Vec<String>>,
}

impl Report {
    /// Adds rows and says them at once, so that a long run can be watched.
    #[allow(clippy::print_stderr, reason = "progress of a bench")]
    pub fn add(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            eprintln!("{}", row.line());
            self.rows.push(row);
        }
    }

    /// Begins a table with columns of its own.
    pub fn begin_table(&mut self, columns: &[String]) {
        self.tables.push(Vec::new());
        self.add_line(columns);
        self.add_line(&vec!["---".to_owned(); columns.len()]);
    }

    /// Adds a line to the table that was begun last, and says it at once.
    #[allow(clippy::print_stderr, reason = "progress of a bench")]
    pub fn add_line(&mut self, cells: &[String]) {
        let line = format!("| {} |", cells.join(" | "));
        eprintln!("{line}");
        self.tables.last_mut().expect("a table was begun").push(line);
    }

    /// The table in Markdown.
    pub fn markdown(&self, machine: &str, command: &str) -> String {
        let mut out = format!("{machine}\n\n`{command}`\n\n");
        out.push_str("| what | ours | reference | ratio | target |\n|---|---|---|---|---|\n");
        for row in &self.rows {
            writeln!(out, "{}", row.line()).expect("text grows");
        }
        for table in &self.tables {
            writeln!(out, "\n{}", table.join("\n")).expect("text grows");
        }
        out
    }
}

/// Puts `figures` between the marks of the file, or at its end; makes the file when there is none.
///
/// # Errors
/// When it cannot be read or written.
pub fn write_section(path: &Path, figures: &str) -> Result<()> {
    let name = || format!("{}", path.display());
    let text = if path.exists() { fs::read_to_string(path).with_context(name)? } else { "".into() };
    fs::write(path, with_section(&text, figures)).with_context(name)
}

fn with_section(text: &str, figures: &str) -> String {
    let section = format!("{BEGIN}\n\n{}\n\n{END}", figures.trim());
    let marked = text.split_once(BEGIN).and_then(|(before, rest)| {
        rest.split_once(END).map(|(_, after)| format!("{before}{section}{after}"))
    });
    marked.unwrap_or_else(|| format!("{}\n\n{section}\n", text.trim_end()).trim_start().to_owned())
}

/// The machine in a line: processors, memory, kernel.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("?".into(), |(_, v)| v.trim().to_owned())
    };
    let model = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores ({model}), memory {memory}, Linux {}", kernel.trim())
}

/// Processes that want a core, on average of the last minute: what else ran.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// A number with thousands set apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
