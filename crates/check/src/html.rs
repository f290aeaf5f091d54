//! A check's report as one page to print or to hand on.
//!
//! Promises: no script, nothing loaded from anywhere (the page forbids it to itself), every text
//! escaped and set apart so that its writing direction stays its own. It is a reading of the
//! bundle, no proof: it says how to repeat the check.

use ledgerline_proof::hash::Hash;

use super::reading::Reading;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
padding:0 1rem;color:#111;background:#fff}h1{margin:0}h2{margin:1.8rem 0 .4rem;font-size:1.1rem;\
border-bottom:1px solid #999}table{border-collapse:collapse;width:100%}td,th{text-align:left;\
vertical-align:top;padding:.25rem .6rem .25rem 0;overflow-wrap:anywhere}th{white-space:nowrap;\
font-weight:600}.entry{border:1px solid #bbb;border-radius:4px;padding:.4rem .7rem;\
margin:.5rem 0;break-inside:avoid}.entry p{margin:0;font-weight:600;overflow-wrap:anywhere}\
.remark{color:#a00000}.bad{color:#a00000}.open{color:#7a4b00}.good{color:#006b2d}\
code{overflow-wrap:anywhere}li{margin:.2rem 0}@media print{body{margin:0;max-width:none}}";

/// What the page says of the file it is a reading of.
pub struct Source<'s> {
    /// Name of the bundle's file.
    pub file: &'s str,
    /// SHA-256 of its bytes.
    pub digest: Hash,
    /// When it was read, RFC 3339.
    pub at: &'s str,
}

/// The page.
#[must_use]
pub fn page(reading: &Reading, source: &Source<'_>) -> String {
    let class = match reading.verdict {
        "PROVEN" => "good",
        "INCOMPLETE" => "open",
        _ => "bad",
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Ledgerline check: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1 class=\"{class}\">{}</h1>\n<p>{}</p>\n",
        reading.verdict, reading.verdict, reading.meaning,
    );
    for short in &reading.incomplete {
        let short = text(short);
        out.push_str(&format!("<p><strong>INCOMPLETE</strong>: {short}</p>\n"));
    }
    rows(&mut out, reading.head.iter().map(|(name, value)| (*name, value.as_str())));
    if !reading.states.is_empty() {
        out.push_str(&format!("<h2>State, {}</h2>\n", text(&reading.as_of)));
        let states = reading.states.iter();
        rows(&mut out, states.map(|state| (state.token.as_str(), state.words.as_str())));
    }
    if !reading.entries.is_empty() {
        let title = text(reading.title);
        out.push_str(&format!("<h2>{title}</h2>\n<p>By index; times are the producers'.</p>\n"));
    }
    for entry in &reading.entries {
        let words = [&entry.index, &entry.time, &entry.act, &entry.target].map(|word| text(word));
        out.push_str(&format!("<div class=\"entry\">\n<p>{}</p>\n", words.join(" ")));
        if !entry.remark.is_empty() {
            out.push_str(&format!("<p class=\"remark\">{}</p>\n", text(&entry.remark)));
        }
        rows(&mut out, entry.facts.iter().map(|(name, value)| (*name, value.as_str())));
        out.push_str("</div>\n");
    }
    list(&mut out, "Who signed what", reading.signed.iter().map(String::as_str));
    out.push_str("<h2>Claims</h2>\n");
    let proven = reading.proven.join(", ");
    let open = reading.open.iter().map(|(name, words)| (name.as_str(), words.as_str()));
    rows(&mut out, [("proven", proven.as_str())].into_iter().chain(open));
    let missing = reading.maker_says.iter().map(String::as_str);
    list(&mut out, "Missing, in the words of whoever made the bundle", missing);
    list(&mut out, "Not proven by anything here", reading.not_proven.iter().map(String::as_str));
    out.push_str(&format!(
        "<h2>Repeat the check</h2>\n<p>This page is a reading, not a proof. It was made at {} from \
         the file {} with SHA-256 <code>{}</code>. Whoever holds that file and the log's key \
         repeats the check with <code>ledgerline check FILE --key KEY</code>.</p>\n</body>\n\
         </html>\n",
        text(source.at),
        text(source.file),
        source.digest,
    ));
    out
}

fn rows<'t>(out: &mut String, rows: impl Iterator<Item = (&'t str, &'t str)>) {
    out.push_str("<table>\n");
    for (name, value) in rows {
        out.push_str(&format!("<tr><th>{}</th><td>{}</td></tr>\n", text(name), text(value)));
    }
    out.push_str("</table>\n");
}

fn list<'t>(out: &mut String, title: &str, items: impl Iterator<Item = &'t str>) {
    let items: Vec<String> = items.map(|item| format!("<li>{}</li>\n", text(item))).collect();
    if !items.is_empty() {
        out.push_str(&format!("<h2>{title}</h2>\n<ul>\n{}</ul>\n", items.concat()));
    }
}

/// Escaped, and apart: right-to-left letters in it do not turn what stands around it.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 11);
    out.push_str("<bdi>");
    for c in ledgerline_terminal::render::printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out.push_str("</bdi>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_recorded_becomes_markup() {
        let hostile = "</td><script>alert('x')</script>\u{202e}\u{9b}&\"";
        let escaped = text(hostile);
        assert_eq!(
            escaped,
            "<bdi>&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;\u{fffd}\u{fffd}&amp;\
             &quot;</bdi>"
        );
    }
}
