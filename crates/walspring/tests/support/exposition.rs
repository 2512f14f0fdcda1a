//! Reads a page of `/metrics` as strictly as Prometheus does, and a little more so.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub struct Page {
    families: BTreeSet<String>,
    /// Name and labels, in the order of their names.
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Page {
    pub fn families(&self) -> impl Iterator<Item = &str> {
        self.families.iter().map(String::as_str)
    }

    /// The value of the one series that has these labels, beside others.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has =
            |of: &BTreeMap<String, String>| labels.iter().all(|(k, v)| of.get(*k).is_some_and(|found| found == v));
        let mut found = self.samples.iter().filter(|((n, of), _)| n == name && has(of));
        let value = found.next().map(|(_, value)| *value);
        assert!(found.next().is_none(), "more than one {name}{labels:?}");
        value
    }
}

/// Panics where the page is not as it has to be.
pub fn lint(text: &str) -> Page {
    let mut page = Page::default();
    let mut family: Option<(String, String)> = None;
    let mut helped = String::new();
    assert!(text.ends_with('\n') && !text.contains('\r'), "lines end in a line feed");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect(line);
            assert!(!help.trim().is_empty(), "{line}");
            helped = name.to_owned();
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').expect(line);
            assert_eq!(helped, name, "help stands before the type: {line}");
            assert!(is_name(name, true) && page.families.insert(name.to_owned()), "a second {name}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kind == "counter" || kind == "gauge" && !is_total(name) || kind == "histogram", "{line}");
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (name, kind) = family.as_ref().unwrap_or_else(|| panic!("no type before: {line}"));
            let (sample, labels, value) = parse(line);
            let suffix = sample.strip_prefix(name.as_str()).unwrap_or_else(|| panic!("{line}: it is not of {name}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{line}");
            assert!(kind != "counter" || value >= 0.0, "{line}");
            let series = (sample, labels);
            assert!(page.samples.insert(series, value).is_none(), "twice: {line}");
        }
    }
    page
}

/// Two of ours are gauges although they are named so: what they count begins again.
fn is_total(name: &str) -> bool {
    name.ends_with("_total") && name != "walspring_snapshot_rows_total"
}

fn is_name(name: &str, colon: bool) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':'))
}

fn parse(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name, true), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, quoted) = inside.split_once("=\"").expect(line);
            assert!(is_name(label, false) && !label.starts_with("__"), "{line}");
            let (value, behind) = unquote(quoted).expect(line);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            match behind.strip_prefix(',') {
                Some(more) => inside = more,
                None => {
                    rest = behind.strip_prefix('}').expect(line);
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        value => {
            assert!(value == "NaN" || value.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)), "{line}");
            value.parse().expect(line)
        }
    };
    (name.to_owned(), labels, value)
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}
