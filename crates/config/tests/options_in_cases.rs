//! Every option of the tables of the PostgreSQL connector, and of Kafka Connect's for sources, is in the configuration of
//! at least one recorded case, or stands with a reason in `conformance/options-without-case.txt`, which only gets shorter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use walspring_config::option::OptionDef;
use walspring_config::tables::postgres::POSTGRES;
use walspring_config::tables::source_connector::SOURCE_CONNECTOR;

#[test]
fn every_option_is_in_a_case_or_says_why_not() {
    let given = options_of_cases();
    let reasons = reasons();
    let mut wrong = Vec::new();
    for option in POSTGRES.iter().chain(SOURCE_CONNECTOR.iter()) {
        let in_a_case = given.iter().any(|name| option.is_named(name) && is_not_another(option, name));
        match (in_a_case, reasons.get(option.name)) {
            (false, None) => wrong.push(format!("{} is in no case and has no reason", option.name)),
            (true, Some(_)) => wrong.push(format!("{} is in a case: take its line out", option.name)),
            (false, Some(reason)) if reason.is_empty() => wrong.push(format!("{} has an empty reason", option.name)),
            _ => {}
        }
    }
    let known: BTreeSet<&str> = POSTGRES.iter().chain(SOURCE_CONNECTOR.iter()).map(|option| option.name).collect();
    wrong.extend(
        reasons.keys().filter(|name| !known.contains(name.as_str())).map(|name| format!("{name} is no option")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A pattern does not take credit for a name that has an entry of its own.
fn is_not_another(option: &OptionDef, name: &str) -> bool {
    let exact =
        |table: walspring_config::OptionTable| table.iter().any(|other| other.pattern.is_none() && other.name == name);
    option.pattern.is_none() || !(exact(POSTGRES) || exact(SOURCE_CONNECTOR))
}

/// Of `config` in each `case.json`, and what `run.py` gives every case.
fn options_of_cases() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(conformance().join("cases")).unwrap() {
        let path = entry.unwrap().path().join("case.json");
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let case: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        if let Some(config) = case["config"].as_object() {
            names.extend(config.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name.clone()));
        }
    }
    let runner = fs::read_to_string(conformance().join("run.py")).unwrap();
    let everywhere = POSTGRES.iter().chain(SOURCE_CONNECTOR.iter()).map(|option| option.name);
    names.extend(everywhere.filter(|name| runner.contains(&format!("\"{name}\": "))).map(str::to_owned));
    assert!(names.contains("plugin.name"), "run.py gives every case its plugin");
    names
}

/// A line is the option's name, space, and why no case has it.
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
