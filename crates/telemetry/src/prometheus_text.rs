//! Reads what `/metrics` prints, so that what is exported is what is scraped: one source of every number.
//!
//! Prometheus' text format as far as it is needed: help, types, labels, values. What cannot be read is left out.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, PartialEq)]
pub struct Family {
    pub name: String,
    pub help: String,
    pub kind: Kind,
    pub samples: Vec<Sample>,
}

#[derive(Debug, PartialEq)]
pub struct Sample {
    pub labels: Labels,
    pub value: Value,
}

pub type Labels = Vec<(String, String)>;

#[derive(Debug, PartialEq)]
pub enum Value {
    Number(f64),
    /// `buckets`: upper bounds, ascending, without the infinite one, and how many were at or below each.
    Histogram {
        buckets: Vec<(f64, u64)>,
        sum: f64,
        count: u64,
    },
}

/// Families in the order of their names.
pub fn parse(text: &str) -> Vec<Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut help: BTreeMap<&str, &str> = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("HELP"), Some(name), Some(text)) => {
                    help.insert(name, text);
                }
                (Some("TYPE"), Some(name), Some(kind)) => {
                    let kind = match kind.trim() {
                        "counter" => Kind::Counter,
                        "gauge" => Kind::Gauge,
                        "histogram" => Kind::Histogram,
                        _ => continue,
                    };
                    let help = help.get(name).copied().unwrap_or_default().to_owned();
                    let family = Family { name: name.to_owned(), help, kind, samples: Vec::new() };
                    families.insert(name.to_owned(), family);
                }
                _ => {}
            }
        } else if let Some((name, labels, value)) = sample(line) {
            add(&mut families, name, labels, value);
        }
    }
    families.retain(|_, family| !family.samples.is_empty());
    families.into_values().collect()
}

fn add(families: &mut BTreeMap<String, Family>, name: &str, mut labels: Labels, value: f64) {
    if let Some(family) = families.get_mut(name).filter(|family| family.kind != Kind::Histogram) {
        family.samples.push(Sample { labels, value: Value::Number(value) });
        return;
    }
    let Some((name, part)) = name.rsplit_once('_') else { return };
    let Some(family) = families.get_mut(name).filter(|family| family.kind == Kind::Histogram) else { return };
    let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
    let known = family.samples.iter().position(|sample| sample.labels == labels);
    let at = known.unwrap_or_else(|| {
        family.samples.push(Sample { labels, value: Value::Histogram { buckets: Vec::new(), sum: 0.0, count: 0 } });
        family.samples.len() - 1
    });
    let Value::Histogram { buckets, sum, count } = &mut family.samples[at].value else { return };
    match (part, bound) {
        ("bucket", Some(bound)) => {
            if let Some(bound) = bound.parse::<f64>().ok().filter(|bound| bound.is_finite()) {
                buckets.push((bound, value as u64));
            }
        }
        ("sum", None) => *sum = value,
        ("count", None) => *count = value as u64,
        _ => {}
    }
}

/// `name{label="value",…} value`
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start_matches([',', ' ']);
            if let Some(behind) = inside.strip_prefix('}') {
                rest = behind;
                break;
            }
            let (label, quoted) = inside.split_once("=\"")?;
            let (value, behind) = unquote(quoted)?;
            labels.push((label.to_owned(), value));
            inside = behind;
        }
    }
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some((name, labels, value))
}

/// A label's value, and what stands behind its closing quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_what_metrics_prints() {
        let families = parse(
            "# HELP a_total What it counts.\n# TYPE a_total counter\na_total{connector=\"x\\\"y\\\\\\n{}\",task=\"0\"} 3\n\
             # TYPE b gauge\nb 1.5\nb{} NaN\n\
             # TYPE c_seconds histogram\nc_seconds_bucket{t=\"0\",le=\"0.1\"} 1\nc_seconds_bucket{t=\"0\",le=\"1\"} 2\n\
             c_seconds_bucket{t=\"0\",le=\"+Inf\"} 4\nc_seconds_sum{t=\"0\"} 9.5\nc_seconds_count{t=\"0\"} 4\n\
             # TYPE empty gauge\nwithout_type 1\n",
        );
        assert_eq!(families.len(), 3);
        assert_eq!((families[0].name.as_str(), families[0].help.as_str()), ("a_total", "What it counts."));
        let expected =
            Sample { labels: labels(&[("connector", "x\"y\\\n{}"), ("task", "0")]), value: Value::Number(3.0) };
        assert_eq!(families[0].samples, [expected]);
        assert_eq!(families[1].samples[0], Sample { labels: vec![], value: Value::Number(1.5) });
        let value = Value::Histogram { buckets: vec![(0.1, 1), (1.0, 2)], sum: 9.5, count: 4 };
        assert_eq!(families[2].samples, [Sample { labels: labels(&[("t", "0")]), value }]);
    }

    #[test]
    fn rubbish_is_left_out() {
        for text in
            ["", "x", "x{", "x{a=\"", "x{a=\"b\\", "x{a} 1", "# TYPE", "# TYPE x", "{} 1", "x nothing", "é{ü=\"\"} 1"]
        {
            assert_eq!(parse(&format!("# TYPE x gauge\n{text}\n")), []);
        }
    }

    proptest::proptest! {
        #[test]
        fn labels_are_read_as_they_were_printed(value in ".*", rubbish in ".*") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let families = parse(&format!("# TYPE x gauge\n{rubbish}\nx{{a=\"{escaped}\",b=\"\"}} 1\n"));
            let x = families.iter().find(|family| family.name == "x").unwrap();
            let expected = labels(&[("a", value.as_str()), ("b", "")]);
            assert!(x.samples.iter().any(|sample| sample.labels == expected), "{x:?}");
        }
    }
}
