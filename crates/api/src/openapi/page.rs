//! The interface as a page for people: HTML without a script, made of the same document.

use std::fmt::Write as _;

use serde_json::Value;

use super::document;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#222;background:#fff}code,pre{font:14px/1.4 ui-monospace,monospace}\
    pre{overflow:auto;padding:.5rem;border:1px solid #ccc}table{border-collapse:collapse;\
    width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;\
    border-bottom:1px solid #ddd}summary{cursor:pointer}h3{margin:1.2rem 0 .2rem}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th,pre\
    {border-color:#444}a{color:#8bf}}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

/// What sort of value a schema describes, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = escaped(name.rsplit('/').next().unwrap_or_default());
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(text).collect();
        return words.join(" · ");
    }
    if let Some(several) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        let several: Vec<String> = several.iter().map(kind).collect();
        return several.join(" or ");
    }
    let plain = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        name => text(name),
    };
    match (plain.as_str(), schema["format"].as_str()) {
        (list, _) if list.starts_with("array") => format!("list of {}", kind(&schema["items"])),
        ("string", Some(format)) => escaped(format),
        _ => plain,
    }
}

fn parameters(out: &mut String, operation: &Value) {
    let list = operation["parameters"].as_array().filter(|list| !list.is_empty());
    let Some(list) = list else { return };
    out.push_str("<table><tr><th>parameter<th>value<th>meaning");
    for one in list {
        let (name, what) = (text(&one["name"]), text(&one["description"]));
        let _ = write!(out, "<tr><td><code>{name}</code><td>{}<td>{what}", kind(&one["schema"]));
    }
    out.push_str("</table>");
}

fn contents(out: &mut String, what: &str, content: &Value) {
    for (media, body) in content.as_object().into_iter().flatten() {
        let media = escaped(media);
        let _ = write!(out, "<p>{what}: {} (<code>{media}</code>)", kind(&body["schema"]));
        if !body["example"].is_null() {
            let example = serde_json::to_string_pretty(&body["example"]).unwrap_or_default();
            let example = escaped(&example);
            let _ =
                write!(out, "<details><summary>example</summary><pre>{example}</pre></details>");
        }
    }
}

fn operation(out: &mut String, method: &str, path: &str, shown: &Value) {
    let (id, summary) = (text(&shown["operationId"]), text(&shown["summary"]));
    let (method, path) = (method.to_uppercase(), escaped(path));
    let _ = write!(
        out,
        "<h3 id=\"{id}\"><code>{method} {path}</code></h3><p><b>{summary}.</b> {}",
        text(&shown["description"])
    );
    parameters(out, shown);
    contents(out, "Send", &shown["requestBody"]["content"]);
    let mut refusals = Vec::new();
    for (status, response) in shown["responses"].as_object().into_iter().flatten() {
        if status.starts_with('2') {
            contents(out, &format!("Answer {}", escaped(status)), &response["content"]);
        } else {
            refusals.push(escaped(status));
        }
    }
    let _ = write!(out, "<p>Refusals: {}.", refusals.join(", "));
}

fn schema(out: &mut String, name: &str, schema: &Value) {
    let name = escaped(name);
    let what = text(&schema["description"]).replace('\n', "<br>");
    let _ = write!(out, "<h3 id=\"schema-{name}\">{name}</h3><p>{what}");
    let members = schema["properties"].as_object().filter(|members| !members.is_empty());
    let Some(members) = members else {
        let _ = write!(out, "<p>{}", kind(schema));
        return;
    };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    out.push_str("<table><tr><th>member<th>value<th>meaning");
    for (member, one) in members {
        let mark = if required.contains(&member.as_str()) { "" } else { " (may be absent)" };
        let (member, what) = (escaped(member), text(&one["description"]));
        let _ = write!(out, "<tr><td><code>{member}</code>{mark}<td>{}<td>{what}", kind(one));
    }
    out.push_str("</table>");
}

/// The page.
#[must_use]
pub fn page() -> String {
    let document = document();
    let info = &document["info"];
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>Ledgerline API</title>\
         <style>{STYLE}</style><h1>Ledgerline API {}</h1><p>{}",
        text(&info["version"]),
        text(&info["description"])
    );
    let paths = || document["paths"].as_object().into_iter().flatten();
    for tag in document["tags"].as_array().into_iter().flatten() {
        let (name, what) = (text(&tag["name"]), text(&tag["description"]));
        let _ = write!(out, "<h2>{name}</h2><p>{what}");
        for (path, methods) in paths() {
            for (method, one) in methods.as_object().into_iter().flatten() {
                if one["tags"][0] == tag["name"] {
                    operation(&mut out, method, path, one);
                }
            }
        }
    }
    out.push_str("<h2>Schemas</h2>");
    for (name, one) in document["components"]["schemas"].as_object().into_iter().flatten() {
        schema(&mut out, name, one);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_schema_is_on_the_page() {
        let (page, document) = (page(), document());
        for one in crate::openapi::operations() {
            assert!(page.contains(&format!("id=\"{}\"", one.id)), "{}", one.id);
        }
        for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        assert!(!page.contains("<script") && !page.contains("http://"), "nothing from elsewhere");
    }
}
