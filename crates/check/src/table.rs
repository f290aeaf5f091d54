//! A check's report in plain text, within 100 columns; words longer than that are left whole.

use super::reading::Reading;

/// Columns of a line.
const WIDTH: usize = 100;

/// The text.
#[must_use]
pub fn table(reading: &Reading) -> String {
    let mut out = String::new();
    for short in &reading.incomplete {
        out.push_str(&wrapped(&format!("INCOMPLETE: {short}"), 0, 2));
    }
    out.push_str(&format!("{}: {}\n\n", reading.verdict, reading.meaning));
    for (name, value) in &reading.head {
        out.push_str(&named(name, value, 0));
    }
    if !reading.states.is_empty() {
        out.push_str(&format!("\nSTATE, {}\n", reading.as_of));
        for state in &reading.states {
            out.push_str(&wrapped(&state.token, 2, 2));
            out.push_str(&wrapped(&state.words, 6, 6));
        }
    }
    if !reading.entries.is_empty() {
        let title = reading.title.to_uppercase();
        out.push_str(&format!("\n{title}; by index, times are the producers'\n"));
    }
    for entry in &reading.entries {
        let line = format!("{}  {}  {}  {}", entry.index, entry.time, entry.act, entry.target);
        out.push_str(&wrapped(&line, 2, 6));
        if !entry.remark.is_empty() {
            out.push_str(&wrapped(&format!("! {}", entry.remark), 6, 8));
        }
        // The short ones share lines; who and from where stand alone.
        let (alone, short): (Vec<_>, Vec<_>) =
            entry.facts.iter().partition(|(name, _)| matches!(*name, "who" | "from"));
        let short: Vec<String> =
            short.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        out.push_str(&wrapped(&short.join(" | "), 6, 6));
        for (name, value) in alone {
            out.push_str(&wrapped(&format!("{name}: {value}"), 6, 8));
        }
    }
    if !reading.signed.is_empty() {
        out.push_str("\nWHO SIGNED WHAT\n");
        reading.signed.iter().for_each(|line| out.push_str(&wrapped(line, 2, 4)));
    }
    out.push_str("\nCLAIMS\n");
    if !reading.proven.is_empty() {
        out.push_str(&wrapped(&format!("proven: {}", reading.proven.join(", ")), 2, 4));
    }
    for (name, words) in &reading.open {
        out.push_str(&wrapped(&format!("{name}: {words}"), 2, 4));
    }
    if !reading.maker_says.is_empty() {
        out.push_str("\nMISSING, IN THE WORDS OF WHOEVER MADE THE BUNDLE\n");
    }
    reading.maker_says.iter().for_each(|line| out.push_str(&wrapped(&format!("- {line}"), 2, 4)));
    out.push_str("\nNOT PROVEN BY ANYTHING HERE\n");
    reading.not_proven.iter().for_each(|line| out.push_str(&wrapped(&format!("- {line}"), 2, 4)));
    out
}

fn named(name: &str, value: &str, indent: usize) -> String {
    wrapped(&format!("{name:<10} {value}"), indent, indent + 11)
}

/// Words in lines; the first is indented by `first`, the others by `rest`.
fn wrapped(text: &str, first: usize, rest: usize) -> String {
    let mut out = String::new();
    let mut line = " ".repeat(first);
    let mut width = first;
    let mut is_empty = true;
    for word in text.split(' ') {
        let long = word.chars().count();
        if !is_empty && width + 1 + long > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(rest);
            (width, is_empty) = (rest, true);
        }
        if !is_empty {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += long;
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_long_words_stay_whole() {
        let text = wrapped(&"word ".repeat(40), 2, 4);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert_eq!(text.lines().nth(1).map(|line| &line[..8]), Some("    word"));
        let id = "x".repeat(150);
        assert_eq!(wrapped(&format!("a {id} b"), 0, 1), format!("a\n {id}\n b\n"));
    }
}
