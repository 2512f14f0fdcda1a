//! The text of `/metrics`: families in the order of their names, each under one HELP and one TYPE.
//!
//! Invariant: whatever is written to it, no series stands there twice and no name has two types, because Prometheus refuses
//! the whole page for either. The first one stays.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use walspring_connect::{NumberFamily, NumberKind, NumberSheet};

#[derive(Debug, Default)]
pub(crate) struct Page {
    families: BTreeMap<String, Family>,
}

#[derive(Debug)]
struct Family {
    kind: &'static str,
    help: String,
    /// Labels of the series that stand there.
    seen: HashSet<String>,
    lines: String,
}

impl Page {
    /// `labels`: as [`print_labels`] has them. Empty help is not printed.
    pub fn number(&mut self, name: &str, kind: &'static str, help: &str, labels: &str, value: f64) {
        if let Some(family) = self.series(name, kind, help, labels) {
            line(&mut family.lines, name, "", labels, value);
        }
    }

    /// `counts`: one more than there are `bounds`, each what is within its bucket alone.
    pub fn histogram(&mut self, name: &str, help: &str, labels: &str, bounds: &[f64], counts: &[u64], sum: f64) {
        let Some(family) = self.series(name, "histogram", help, labels) else { return };
        let comma = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (i, count) in counts.iter().take(bounds.len() + 1).enumerate() {
            total += count;
            let bound = bounds.get(i).copied().unwrap_or(f64::INFINITY);
            let labels = format!("{labels}{comma}le=\"{}\"", Number(bound));
            line(&mut family.lines, name, "_bucket", &labels, total as f64);
        }
        line(&mut family.lines, name, "_sum", labels, sum);
        line(&mut family.lines, name, "_count", labels, total as f64);
    }

    /// Where to write a series; `None` where it must not stand.
    fn series(&mut self, name: &str, kind: &'static str, help: &str, labels: &str) -> Option<&mut Family> {
        if !self.families.contains_key(name) {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let family = Family { kind, help, seen: HashSet::new(), lines: String::new() };
            self.families.insert(name.to_owned(), family);
        }
        let family = self.families.get_mut(name)?;
        (family.kind == kind && family.seen.insert(labels.to_owned())).then_some(family)
    }

    pub fn render(self) -> String {
        let mut out = String::new();
        for (name, family) in self.families {
            if !family.help.is_empty() {
                let _ = writeln!(out, "# HELP {name} {}", family.help);
            }
            let _ = writeln!(out, "# TYPE {name} {}", family.kind);
            out.push_str(&family.lines);
        }
        out
    }
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &str, value: f64) {
    let value = Number(value);
    let _ = if labels.is_empty() {
        writeln!(out, "{name}{suffix} {value}")
    } else {
        writeln!(out, "{name}{suffix}{{{labels}}} {value}")
    };
}

/// As Go reads it.
struct Number(f64);

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value == f64::INFINITY => f.write_str("+Inf"),
            value if value == f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

/// `a="b",c="d"`
pub(crate) fn print_labels(labels: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in labels {
        if !out.is_empty() {
            out.push(',');
        }
        let _ = write!(out, "{name}=\"");
        for char in value.chars() {
            match char {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                char => out.push(char),
            }
        }
        out.push('"');
    }
    out
}

/// What a task's plugin writes of itself, under the task's labels.
pub(crate) struct TaskSheet<'a> {
    pub page: &'a mut Page,
    /// Printed.
    pub labels: &'a str,
}

impl TaskSheet<'_> {
    fn labels(&self, more: &[(&str, &str)]) -> String {
        let comma = if self.labels.is_empty() || more.is_empty() { "" } else { "," };
        format!("{}{comma}{}", self.labels, print_labels(more))
    }
}

impl NumberSheet for TaskSheet<'_> {
    fn number(&mut self, family: &NumberFamily, labels: &[(&str, &str)], value: f64) {
        let kind = match family.kind {
            NumberKind::Counter => "counter",
            NumberKind::Gauge => "gauge",
        };
        let labels = self.labels(labels);
        self.page.number(family.name, kind, family.help, &labels, value);
    }

    fn histogram(&mut self, family: &NumberFamily, labels: &[(&str, &str)], bounds: &[f64], counts: &[u64], sum: f64) {
        let labels = self.labels(labels);
        self.page.histogram(family.name, family.help, &labels, bounds, counts, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_stands_there_once_and_a_name_has_one_type() {
        let mut page = Page::default();
        page.number("b", "gauge", "What it is.\nMore.", "x=\"1\"", 1.0);
        page.number("b", "gauge", "other words", "x=\"1\"", 2.0);
        page.number("b", "counter", "", "x=\"2\"", 3.0);
        page.histogram("b", "", "", &[1.0], &[1, 1], 2.0);
        page.number("a", "gauge", "", "", f64::INFINITY);
        page.number("b", "gauge", "", "x=\"3\"", f64::NAN);
        assert_eq!(
            page.render(),
            "# TYPE a gauge\na +Inf\n# HELP b What it is.\\nMore.\n# TYPE b gauge\nb{x=\"1\"} 1\nb{x=\"3\"} NaN\n"
        );
    }

    #[test]
    fn a_histogram_adds_its_buckets_up() {
        let mut page = Page::default();
        page.histogram("h", "", "t=\"0\"", &[0.1, 1.0], &[1, 0, 2], 9.5);
        assert_eq!(
            page.render(),
            "# TYPE h histogram\nh_bucket{t=\"0\",le=\"0.1\"} 1\nh_bucket{t=\"0\",le=\"1\"} 1\nh_bucket{t=\"0\",le=\"+Inf\"} 3\n\
             h_sum{t=\"0\"} 9.5\nh_count{t=\"0\"} 3\n"
        );
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(print_labels(&[("a", "\"\\\n"), ("b", "ü")]), "a=\"\\\"\\\\\\n\",b=\"ü\"");
        assert_eq!(print_labels(&[]), "");
    }
}
