//! All findings of one examination, and what they amount to.

use serde_json::{Value, json};

use crate::check::{Check, Group};
use crate::finding::{Finding, Outcome, Remedy};

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub check: Check,
    pub finding: Finding,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What was looked at, a line each: places, never secrets.
    pub subjects: Vec<String>,
    entries: Vec<Entry>,
}

impl Report {
    pub fn new() -> Report {
        Report::default()
    }

    pub fn add(&mut self, check: Check, finding: Finding) {
        self.entries.push(Entry { check, finding });
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn find(&self, id: &str) -> Option<&Finding> {
        self.entries.iter().find(|entry| entry.check.id == id).map(|entry| &entry.finding)
    }

    /// What `other` found, behind what is here.
    pub fn extend(&mut self, other: Report) {
        self.subjects.extend(other.subjects);
        self.entries.extend(other.entries);
    }

    /// Leaves the groups that are named; none: all of them.
    pub fn keep(&mut self, groups: &[Group]) {
        self.entries.retain(|entry| groups.is_empty() || groups.contains(&entry.check.group));
    }

    pub fn count(&self, outcome: Outcome) -> usize {
        self.entries.iter().filter(|entry| entry.finding.outcome == outcome).count()
    }

    /// The worst of what was found; what could not be looked at is no failure.
    pub fn outcome(&self) -> Outcome {
        let worst = [Outcome::Fail, Outcome::Warn].into_iter().find(|outcome| self.count(*outcome) > 0);
        worst.unwrap_or(Outcome::Pass)
    }

    /// The shape that scripts read: `outcome`, `counts`, `subjects`, `checks`. Fields may be added, none goes away.
    pub fn to_json(&self) -> Value {
        let check = |Entry { check, finding }: &Entry| {
            let remedies =
                finding.remedies.iter().map(|remedy: &Remedy| json!({ "kind": remedy.kind(), "text": remedy.text() }));
            json!({
                "id": check.id,
                "group": check.group.name(),
                "title": check.title,
                "outcome": finding.outcome.name(),
                "message": finding.message,
                "seen": finding.seen,
                "wanted": finding.wanted,
                "remedies": remedies.collect::<Vec<_>>(),
            })
        };
        json!({
            "outcome": self.outcome().name(),
            "counts": {
                "pass": self.count(Outcome::Pass),
                "warn": self.count(Outcome::Warn),
                "fail": self.count(Outcome::Fail),
                "skip": self.count(Outcome::Skip),
                "not applicable": self.count(Outcome::NotApplicable),
            },
            "subjects": self.subjects,
            "checks": self.entries.iter().map(check).collect::<Vec<_>>(),
        })
    }
}
