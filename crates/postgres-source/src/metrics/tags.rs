//! `custom.metric.tags`: further labels of the source's numbers.

use walspring_connect::{NumberFamily, NumberSheet};

/// Labels that stand beside all others.
#[derive(Debug, Default)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// `k=v,k=v`. Characters that a label's name cannot have become underscores. A name that Prometheus or a worker uses
    /// itself gets one at its end; of two that are the same the first holds.
    pub fn parse(text: &str) -> Tags {
        let mut tags: Vec<(String, String)> = Vec::new();
        for (name, value) in text.split(',').filter_map(|tag| tag.split_once('=')) {
            let name = label(name.trim());
            if !name.is_empty() && !tags.iter().any(|(known, _)| *known == name) {
                tags.push((name, value.trim().to_owned()));
            }
        }
        Tags(tags)
    }

    /// The same sheet, on which each number has these labels too.
    pub fn on<'a>(&'a self, sheet: &'a mut dyn NumberSheet) -> Tagged<'a> {
        Tagged { tags: self, sheet }
    }
}

fn label(name: &str) -> String {
    let mut label: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if label.starts_with(|first: char| first.is_ascii_digit()) {
        label.insert(0, '_');
    }
    let taken =
        ["connector", "task", "plugin", "name", "context", "table", "op", "key", "le", "instance", "job", "quantile"];
    if taken.contains(&label.as_str()) {
        label.push('_');
    }
    // These are Prometheus' own.
    if label.starts_with("__") { label.trim_start_matches('_').to_owned() } else { label }
}

pub struct Tagged<'a> {
    tags: &'a Tags,
    sheet: &'a mut dyn NumberSheet,
}

impl Tagged<'_> {
    fn labels<'l>(tags: &'l Tags, labels: &[(&'l str, &'l str)]) -> Vec<(&'l str, &'l str)> {
        let mut all = labels.to_vec();
        let tags = tags.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.extend(tags.filter(|(name, _)| !labels.iter().any(|(taken, _)| taken == name)));
        all
    }
}

impl NumberSheet for Tagged<'_> {
    fn number(&mut self, family: &NumberFamily, labels: &[(&str, &str)], value: f64) {
        let Tagged { tags, sheet } = self;
        sheet.number(family, &Tagged::labels(tags, labels), value);
    }

    fn histogram(&mut self, family: &NumberFamily, labels: &[(&str, &str)], bounds: &[f64], counts: &[u64], sum: f64) {
        let Tagged { tags, sheet } = self;
        sheet.histogram(family, &Tagged::labels(tags, labels), bounds, counts, sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_labels_that_nobody_else_has() {
        let tags = Tags::parse("team=a, env = test ,task=7,9lives=x,a-b=c,team=b,__x=y,nothing,=z");
        let expected = [("team", "a"), ("env", "test"), ("task_", "7"), ("_9lives", "x"), ("a_b", "c"), ("x", "y")];
        let got: Vec<(&str, &str)> = tags.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, expected);
        assert_eq!(Tags::parse("").0, []);
        let labels = Tagged::labels(&tags, &[("name", "p"), ("env", "own")]);
        assert_eq!(labels[..3], [("name", "p"), ("env", "own"), ("team", "a")]);
        assert_eq!(labels.len(), 7);
    }
}
