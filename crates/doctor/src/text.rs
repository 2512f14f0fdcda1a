//! A report for people: a line a check, what mends it below.

use std::fmt::Write as _;

use crate::check::Group;
use crate::finding::{Outcome, Remedy};
use crate::report::{Entry, Report};

/// More remedies of one check than this are counted, not shown: JSON has them all.
const REMEDIES_SHOWN: usize = 5;

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colour,
}

impl Paint {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn mark(self, outcome: Outcome) -> String {
        let (code, word) = match outcome {
            Outcome::Pass => ("32", "pass"),
            Outcome::Warn => ("33", "WARN"),
            Outcome::Fail => ("31", "FAIL"),
            Outcome::Skip => ("36", "skip"),
            Outcome::NotApplicable => ("2", "n/a "),
        };
        self.paint(code, word)
    }
}

impl Report {
    /// Grouped. Checks for which there is nothing here are left out, and counted at the end.
    pub fn text(&self, paint: Paint) -> String {
        let mut out = String::new();
        for subject in &self.subjects {
            let _ = writeln!(out, "{}", printable(subject));
        }
        for group in Group::ALL {
            let shown = |entry: &&Entry| entry.check.group == group && entry.finding.outcome != Outcome::NotApplicable;
            let entries: Vec<&Entry> = self.entries().iter().filter(shown).collect();
            if entries.is_empty() {
                continue;
            }
            let width = entries.iter().map(|entry| entry.check.id.len()).max().unwrap_or(0);
            let _ = writeln!(out, "\n{}", paint.paint("1", group.name()));
            for entry in entries {
                write_entry(&mut out, paint, width, entry);
            }
        }
        let counts = [
            (Outcome::Fail, "fail"),
            (Outcome::Warn, "warn"),
            (Outcome::Pass, "pass"),
            (Outcome::Skip, "could not be looked at"),
            (Outcome::NotApplicable, "do not apply"),
        ];
        let counts = counts.into_iter().filter(|(outcome, _)| self.count(*outcome) > 0);
        let counts: Vec<String> = counts.map(|(outcome, word)| format!("{} {word}", self.count(outcome))).collect();
        let _ = writeln!(out, "\n{} checks: {}", self.entries().len(), counts.join(", "));
        out
    }
}

fn write_entry(out: &mut String, paint: Paint, width: usize, Entry { check, finding }: &Entry) {
    let _ = write!(out, "  {}  {:width$}  {}", paint.mark(finding.outcome), check.id, printable(&finding.message));
    if let Some(wanted) = finding.wanted.as_ref().filter(|_| finding.outcome != Outcome::Pass) {
        let _ = write!(out, " {}", paint.paint("2", &format!("(wanted: {})", printable(wanted))));
    }
    out.push('\n');
    if finding.outcome == Outcome::Pass {
        return;
    }
    for remedy in finding.remedies.iter().take(REMEDIES_SHOWN) {
        let text = printable(remedy.text());
        let line = match remedy {
            Remedy::Advice(_) => text,
            Remedy::Sql(_) | Remedy::Setting(_) | Remedy::Command(_) => paint.paint("1", &text),
        };
        let _ = writeln!(out, "          {line}");
    }
    if let Some(more) = finding.remedies.len().checked_sub(REMEDIES_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(out, "          {}", paint.paint("2", &format!("and {more} more; --json has them")));
    }
}

/// On one line, and without what a terminal would act on: names come from the database.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_debug()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::{Check, Finding, Group, Outcome, Paint, Report};

    const A: Check = Check { id: "pg.a", group: Group::Server, title: "a is well" };
    const B: Check = Check { id: "pg.bb", group: Group::Server, title: "b is well" };
    const C: Check = Check { id: "kafka.c", group: Group::Kafka, title: "c is well" };

    fn report() -> Report {
        let mut report = Report::new();
        report.subjects.push("somewhere".into());
        report.add(C, Finding::fail("c is\x1b[2J not").sql_each((0..7).map(|i| format!("SELECT {i};"))));
        report.add(A, Finding::pass("a is 1").wanted(1).advice("nothing"));
        report.add(B, Finding::warn("b is 2").seen(2).wanted(3).setting("b=3"));
        report.add(Check { id: "pg.d", ..A }, Finding::not_applicable("no d"));
        report
    }

    #[test]
    fn people_read_groups_and_what_mends() {
        let expected = "somewhere\n\nserver\n  pass  pg.a   a is 1\n  WARN  pg.bb  b is 2 (wanted: 3)\n          b=3\n\nkafka\n  \
                        FAIL  kafka.c  c is\\u{1b}[2J not\n          SELECT 0;\n          SELECT 1;\n          SELECT 2;\n          \
                        SELECT 3;\n          SELECT 4;\n          and 2 more; --json has them\n\n4 checks: 1 fail, 1 warn, 1 \
                        pass, 1 do not apply\n";
        assert_eq!(report().text(Paint::Plain), expected);
        assert!(report().text(Paint::Colour).contains("\x1b[33mWARN\x1b[0m"));
    }

    #[test]
    fn scripts_read_everything() {
        let json = report().to_json();
        assert_eq!(json["outcome"], "fail");
        assert_eq!(json["counts"]["warn"], 1);
        assert_eq!(json["checks"][0]["remedies"].as_array().unwrap().len(), 7);
        assert_eq!(json["checks"][2]["remedies"][0], serde_json::json!({"kind": "setting", "text": "b=3"}));
        let mut kept = report();
        kept.keep(&[Group::Server]);
        assert_eq!(kept.outcome(), Outcome::Warn);
        kept.keep(&["server".parse().unwrap()]);
        assert_eq!(kept.entries().len(), 3);
        assert!("severs".parse::<Group>().unwrap_err().contains("server, role"));
    }
}
