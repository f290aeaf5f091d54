//! A Rust file as the house rules see it: text, tokens without comments and literals, and which
//! lines are tests.
//!
//! This is no parser. It promises enough for the rules: comments and literals are told from code
//! (nested comments, raw strings, lifetimes against characters), an item's end is found by its
//! brackets, and a `use` tree is read into whole paths. It assumes that the file compiles.

/// One word or sign of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// 1-based.
    pub line: usize,
    /// A word (letters, digits, `_`), the pair `::`, or one other character.
    pub text: String,
}

impl Token {
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
    }
}

/// A path as written, `use` trees expanded: `use std::{fs, io}` gives `std::fs` and `std::io`.
#[derive(Debug, PartialEq, Eq)]
pub struct UsedPath {
    /// 1-based.
    pub line: usize,
    pub segments: Vec<String>,
}

/// A Rust file, read once for all rules.
#[derive(Debug)]
pub struct Source {
    /// From the repository root, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    /// The text with comments blanked and literals kept, line for line.
    pub uncommented: String,
    /// By line, from 0: stands inside an item under `#[cfg(test)]`, or the whole file is tests.
    test_lines: Vec<bool>,
    /// The paths that comments name, such as links of docs.
    comment_paths: Vec<UsedPath>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let tokens = tokens(&blanked(text, |kind| kind == Kind::Code));
        let mut test_lines = vec![is_test_path(path); text.lines().count()];
        for at in 0..tokens.len() {
            if let Some(after) = after_test_attribute(&tokens, at) {
                let first = tokens[at].line;
                let last = tokens[item_end(&tokens, after)].line;
                test_lines[first - 1..last].fill(true);
            }
        }
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
            comment_paths: paths(&self::tokens(&blanked(text, |kind| kind == Kind::Comment))),
            uncommented: blanked(text, |kind| kind != Kind::Comment),
            test_lines,
        }
    }

    /// Whether the 1-based `line` belongs to tests.
    pub fn is_test(&self, line: usize) -> bool {
        self.test_lines.get(line - 1).copied().unwrap_or(false)
    }

    /// Whether the file holds nothing but tests.
    pub fn is_test_file(&self) -> bool {
        is_test_path(&self.path)
    }

    /// How many lines are not tests.
    pub fn own_line_count(&self) -> usize {
        self.test_lines.iter().filter(|test| !**test).count()
    }

    /// The tokens that are not tests.
    pub fn own_tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| !self.is_test(token.line))
    }

    /// The paths that are not in tests.
    pub fn own_paths(&self) -> Vec<UsedPath> {
        let mut paths = paths(&self.tokens);
        paths.retain(|path| !self.is_test(path.line));
        paths
    }

    /// All paths, those in tests too.
    pub fn paths(&self) -> Vec<UsedPath> {
        paths(&self.tokens)
    }

    /// The paths in comments that are not in tests.
    pub fn own_comment_paths(&self) -> impl Iterator<Item = &UsedPath> {
        self.comment_paths.iter().filter(|path| !self.is_test(path.line))
    }

    /// How many `mod name { … }` of this file stand around the 1-based `line`.
    pub fn inline_depth(&self, line: usize) -> usize {
        let opens = |at: &usize| {
            let text = |at: usize| self.tokens.get(at).map(|token| token.text.as_str());
            text(*at) == Some("mod") && text(at + 2) == Some("{")
        };
        let around = (0..self.tokens.len()).filter(opens).filter(|at| {
            let (first, last) =
                (self.tokens[*at].line, self.tokens[item_end(&self.tokens, *at)].line);
            (first..=last).contains(&line)
        });
        around.count()
    }
}

/// Test files by place: integration tests, and test modules in a file or folder of their own.
fn is_test_path(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "benches") || path.ends_with("/tests.rs")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

/// The text with every kind that `keep` refuses turned into spaces. Line ends always stay.
fn blanked(text: &str, keep: impl Fn(Kind) -> bool) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (kind, end) = piece(&chars, at);
        for &char in &chars[at..end] {
            out.push(if keep(kind) || char == '\n' { char } else { ' ' });
        }
        at = end;
    }
    out
}

/// The kind of what starts at `at`, and where it ends. Always at least one character long.
fn piece(chars: &[char], at: usize) -> (Kind, usize) {
    let next = chars.get(at + 1);
    match chars[at] {
        '/' if next == Some(&'/') => (Kind::Comment, line_end(chars, at)),
        '/' if next == Some(&'*') => (Kind::Comment, block_comment_end(chars, at)),
        '"' => (Kind::Literal, quoted_end(chars, at, '"')),
        '\'' if is_character(chars, at) => (Kind::Literal, quoted_end(chars, at, '\'')),
        first if is_word_char(first) => word_or_raw_string(chars, at),
        _ => (Kind::Code, at + 1),
    }
}

fn is_word_char(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|char| *char == '\n').map_or(chars.len(), |length| at + length)
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(chars: &[char], at: usize) -> bool {
    chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// A whole word, so that the `r` at the end of a name never starts a raw string.
fn word_or_raw_string(chars: &[char], start: usize) -> (Kind, usize) {
    let length = chars[start..].iter().position(|char| !is_word_char(*char));
    let end = length.map_or(chars.len(), |length| start + length);
    let word: String = chars[start..end].iter().collect();
    let hashes = chars[end..].iter().take_while(|char| **char == '#').count();
    let is_raw = matches!(word.as_str(), "r" | "br" | "cr");
    if !is_raw || chars.get(end + hashes) != Some(&'"') {
        return (Kind::Code, end);
    }
    let mut at = end + hashes + 1;
    while at < chars.len() {
        let closing = chars[at + 1..].iter().take(hashes);
        if chars[at] == '"' && closing.filter(|char| **char == '#').count() == hashes {
            return (Kind::Literal, at + 1 + hashes);
        }
        at += 1;
    }
    (Kind::Literal, chars.len())
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word_char(first) {
                rest.find(|char| !is_word_char(char)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { line: index + 1, text: rest[..length].to_owned() });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// If an attribute `#[cfg(test)]` or `#[cfg(all(test, …))]` starts at `at`: the index after it.
fn after_test_attribute(tokens: &[Token], at: usize) -> Option<usize> {
    let starts = |words: &[&str]| {
        words.len() <= tokens.len() - at
            && words.iter().zip(&tokens[at..]).all(|(word, token)| *word == token.text)
    };
    let is_attribute = starts(&["#", "[", "cfg", "(", "test", ")"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test", ","]);
    let closing = || tokens[at..].iter().position(|token| token.text == "]");
    if is_attribute { closing().map(|length| at + length + 1) } else { None }
}

/// The index of the token that ends the item starting at `at`: its closing brace, or its `;`.
pub fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index;
                }
            }
            ";" if depth == 0 => return index,
            _ => {}
        }
    }
    tokens.len() - 1
}

/// Every path in the code, in order.
fn paths(tokens: &[Token]) -> Vec<UsedPath> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = if tokens[at].is_word() { read_path(tokens, at, &[], &mut paths) } else { at + 1 };
    }
    paths
}

/// Reads the path that starts at `at` behind `prefix`; gives the index after it.
fn read_path(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    paths: &mut Vec<UsedPath>,
) -> usize {
    let line = tokens[at].line;
    let mut segments = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            return read_group(tokens, at + 1, &segments, paths);
        }
        if !token.is_word() && token.text != "*" {
            break;
        }
        segments.push(token.text.clone());
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    paths.push(UsedPath { line, segments });
    at
}

/// Reads `a, b::{c, d}}` behind `prefix`; gives the index after the closing brace.
fn read_group(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    paths: &mut Vec<UsedPath>,
) -> usize {
    while let Some(token) = tokens.get(at) {
        if token.text == "}" {
            return at + 1;
        }
        at = if token.is_word() { read_path(tokens, at, prefix, paths) } else { at + 1 };
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_tokens(text: &str, expected: &str) {
        let found: Vec<_> =
            Source::new("a.rs", text).tokens.into_iter().map(|token| token.text).collect();
        assert_eq!(found.join(" "), expected, "{text}");
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        check_tokens("a // b\nc /* d /* e */ f */ g", "a c g");
        check_tokens(r#"a("b \" c", 'd', '\'', b"e")"#, "a ( , , , b )");
        check_tokens(r####"x(r##"a "# b"##, br"c", y)"####, "x ( , , y )");
        check_tokens("fn f<'a>(x: &'a str) {}", "fn f < ' a > ( x : & ' a str ) { }");
        check_tokens("r#type::bar(\"{\")", "r # type :: bar ( )");
    }

    #[test]
    fn literals_survive_where_only_comments_go() {
        let source = Source::new("a.rs", "a(\"kept\") // gone\n");
        assert_eq!(source.uncommented.trim_end(), "a(\"kept\")");
    }

    #[test]
    fn paths_are_whole() {
        let text = "use std::{fs, io::{self, Read}};\nfn f() { ::core::mem::drop(a.b) }";
        let source = Source::new("a.rs", text);
        let found: Vec<_> = source
            .own_paths()
            .into_iter()
            .filter(|path| path.segments.len() > 1)
            .map(|path| format!("{}:{}", path.line, path.segments.join("::")))
            .collect();
        let expected = ["1:std::fs", "1:std::io::self", "1:std::io::Read", "2:core::mem::drop"];
        assert_eq!(found, expected);
    }

    #[test]
    fn test_lines_are_those_of_the_item_under_the_attribute() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n\
                    #[cfg(test)]\nuse std::fs;\nfn d() {}\n#[cfg(all(test, unix))]\nmod more;\n";
        let source = Source::new("a.rs", text);
        let own: Vec<_> = (1..=11).filter(|line| !source.is_test(*line)).collect();
        assert_eq!(own, [1, 6, 9]);
        assert_eq!(source.own_line_count(), 3);
        assert!(Source::new("crates/x/tests/a.rs", text).is_test_file());
        assert!(!Source::new("crates/x/src/attests.rs", text).is_test_file());
    }
}
