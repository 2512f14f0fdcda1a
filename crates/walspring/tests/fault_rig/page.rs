//! docs/reliability.md names tests that exist, and counts its rows rightly.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Names of functions in the crates' sources, and of the recorded cases.
fn names(root: &Path) -> HashSet<String> {
    let mut names: HashSet<String> = std::fs::read_dir(root.join("conformance/cases"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let mut directories = vec![root.join("crates")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let begins = text.split("fn ").skip(1);
                names.extend(begins.filter_map(|rest| rest.split_once('(')).map(|(name, _)| name.trim().to_owned()));
            }
        }
    }
    names
}

#[test]
fn every_test_that_the_page_of_reliability_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/reliability.md")).unwrap();
    let known = names(&root);
    let mut covered: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, _, _, how, by] = cells[..] else { continue };
        if !number.starts_with(|c: char| c.is_ascii_uppercase()) || number.len() > 3 {
            continue;
        }
        *covered.entry(how).or_default() += 1;
        let is_name = |text: &&str| text.len() > 6 && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        let named: Vec<&str> = by.split('`').skip(1).step_by(2).filter(is_name).collect();
        wrong.extend(named.iter().filter(|name| !known.contains(**name)).map(|name| format!("{number}: {name}")));
        let told = match how {
            "yes" => !named.is_empty(),
            "part" => !named.is_empty() && by.contains(';'),
            "no" => !by.is_empty(),
            _ => false,
        };
        if !told {
            wrong.push(format!("{number}: {how} without what it takes"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let count = |how: &str| covered.get(how).copied().unwrap_or_default();
    let all: usize = covered.values().sum();
    let says =
        format!("{all} faults; {} are covered, {} in part, {} not at all.", count("yes"), count("part"), count("no"));
    assert!(page.contains(&says), "the page does not say: {says}");
}
