//! Every option of the tables of the PostgreSQL connector, and of Kafka Connect's for sources, is in the configuration of
//! at least one recorded case with another value than its default, which would show nothing; and so is every value of an
//! option that takes one of a few. What is in none stands with a reason in `conformance/options-without-case.txt`, which only
//! gets shorter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use walspring_config::option::{Check, OptionDef};
use walspring_config::tables::postgres::POSTGRES;
use walspring_config::tables::source_connector::SOURCE_CONNECTOR;

/// Of an option's name the values that cases give it, in small letters.
type Given = BTreeMap<String, BTreeSet<String>>;

#[test]
fn every_option_is_in_a_case_or_says_why_not() {
    let given = options_of_cases();
    let mut reasons = reasons();
    let mut wrong = Vec::new();
    let mut hold = |name: &str, shown: bool| match (shown, reasons.remove(name)) {
        (false, None) => wrong.push(format!("{name} is in no case and has no reason")),
        (true, Some(_)) => wrong.push(format!("{name} is in a case: take its line out")),
        (false, Some(reason)) if reason.is_empty() => wrong.push(format!("{name} has an empty reason")),
        _ => {}
    };
    for option in POSTGRES.iter().chain(SOURCE_CONNECTOR.iter()) {
        let values: BTreeSet<&str> = given
            .iter()
            .filter(|(name, _)| option.is_named(name) && is_not_another(option, name))
            .flat_map(|(_, values)| values.iter().map(String::as_str))
            .collect();
        let default = option.effective_default.or(option.default).map(str::to_lowercase);
        let shown = values.iter().any(|value| default.as_deref() != Some(*value));
        hold(option.name, shown);
        // Of one that is in no case that is all there is to say.
        for value in choices(option).iter().filter(|_| shown) {
            let value = value.to_lowercase();
            let is_default = default.as_ref() == Some(&value);
            hold(&format!("{}={value}", option.name), is_default || values.contains(value.as_str()));
        }
    }
    wrong.extend(reasons.keys().map(|name| format!("{name} is no option, or no value of one")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an option takes, where that is one of a few.
fn choices(option: &OptionDef) -> BTreeSet<&'static str> {
    let of = |check: &Check| match check {
        Check::OneOf(values) | Check::OneOfExactly(values) | Check::OneOfAnyCase(values) => values.to_vec(),
        _ => Vec::new(),
    };
    option.checks.iter().flat_map(of).collect()
}

/// A pattern does not take credit for a name that has an entry of its own.
fn is_not_another(option: &OptionDef, name: &str) -> bool {
    let exact =
        |table: walspring_config::OptionTable| table.iter().any(|other| other.pattern.is_none() && other.name == name);
    option.pattern.is_none() || !(exact(POSTGRES) || exact(SOURCE_CONNECTOR))
}

/// Of `config` in each `case.json`, of what its `steps.sql` puts later, and what `run.py` gives every case.
fn options_of_cases() -> Given {
    let mut given = Given::new();
    let mut add = |config: &serde_json::Value| {
        for (name, value) in config.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            given.entry(name.clone()).or_default().insert(value.trim().to_lowercase());
        }
    };
    for entry in fs::read_dir(conformance().join("cases")).unwrap() {
        let path = entry.unwrap().path();
        if let Ok(text) = fs::read_to_string(path.join("case.json")) {
            let case: serde_json::Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            add(&case["config"]);
        }
        let steps = fs::read_to_string(path.join("steps.sql")).unwrap_or_default();
        for put in steps.lines().filter_map(|line| line.strip_prefix("--@ put_config ")) {
            add(&serde_json::from_str(put).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
        }
    }
    let runner = fs::read_to_string(conformance().join("run.py")).unwrap();
    for name in POSTGRES.iter().chain(SOURCE_CONNECTOR.iter()).map(|option| option.name) {
        if let Some((_, after)) = runner.split_once(&format!("\"{name}\": ")) {
            let value = after.split([',', '}', '\n']).next().unwrap_or_default().trim().trim_matches('"');
            add(&serde_json::json!({ name: value }));
        }
    }
    assert!(given["plugin.name"].contains("pgoutput"), "run.py gives every case its plugin");
    given
}

/// A line is the option's name, or name=value, then space, and why no case has it.
fn reasons() -> BTreeMap<String, String> {
    let text = fs::read_to_string(conformance().join("options-without-case.txt")).unwrap();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        (name.to_owned(), reason.trim().to_owned())
    };
    lines.map(split).collect()
}

fn conformance() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance")
}
