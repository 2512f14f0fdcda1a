//! The known name that is nearest to an unknown one.

/// Levenshtein's distance, with a swap of neighbours counted once.
pub fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut least = (previous[j] + usize::from(a != b)).min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[right.len()]
}

/// Only if it is near enough to be a slip: one letter in five may differ.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase().replace(['_', '-'], ".");
    let limit = (name.chars().count() / 5).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_ascii_lowercase().replace(['_', '-'], ".")), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_leaves_others() {
        let known = ["database.hostname", "database.port", "table.include.list", "slot.name"];
        let table = [
            ("database.hostnam", Some("database.hostname")),
            ("databse.hostname", Some("database.hostname")),
            ("table_include_list", Some("table.include.list")),
            ("slot.naem", Some("slot.name")),
            ("something.else", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
