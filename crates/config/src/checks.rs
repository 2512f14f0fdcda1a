//! The conditions of an option table, and the words in which the original says that one is not met.

use crate::config::Config;
use crate::java_regex::{JavaRegex, RegexList};
use crate::option::{Check, OptionDef, OptionTable};
use crate::tables::transforms::cast_specs;
use crate::values;

/// What the value of an option is checked against besides itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub config: &'a Config,
    pub table: OptionTable,
}

/// What is wrong with the value, if anything; without the option's name. `value` is the text given, or the default.
pub fn failure(check: Check, option: &OptionDef, value: Option<&str>, around: Surroundings<'_>) -> Vec<String> {
    let text = value.unwrap_or("");
    let unless = |holds: bool, message: &str| if holds { Vec::new() } else { vec![message.to_owned()] };
    let given = value.is_some();
    match check {
        Check::Required => unless(!text.trim().is_empty(), "A value is required"),
        Check::Boolean => unless(!given || values::boolean(text).is_some(), "Either 'true' or 'false' is expected"),
        Check::Int => unless(!given || int(text).is_some(), "An integer is expected"),
        Check::Long => unless(!given || long(text).is_some(), "A long value is expected"),
        Check::PositiveInt => unless(!given || int(text) > Some(0), "A positive, non-zero integer value is expected"),
        Check::NonNegativeInt => unless(!given || int(text) >= Some(0), "An non-negative integer is expected"),
        Check::PositiveLong => unless(!given || long(text) > Some(0), "A positive, non-zero long value is expected"),
        Check::NonNegativeLong => unless(!given || long(text) >= Some(0), "A non-negative long value is expected"),
        Check::PositiveIntOfLong => {
            unless(!given || int(text) > Some(0), "A positive, non-zero integer value is expected")
        }
        Check::OneOf(allowed) | Check::OneOfInTransform(allowed) => unless(
            !given || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(text.trim())),
            &format!("Value must be one of {}", allowed.join(", ")),
        ),
        Check::ClassName => unless(!given || is_class_name(text), "A Java class name is expected"),
        Check::NameFormat | Check::Hosts => {
            let hosts = matches!(check, Check::Hosts);
            // Nothing is reported twice for a host that was left empty; a topic prefix is.
            let applies = given && (!hosts || !text.trim().is_empty());
            let fits = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
            unless(
                !applies || fits || (hosts && crate::postgres::hosts(text, 1).is_some()),
                &format!(
                    "{text} has invalid format (only the underscore, hyphen, dot and alphanumeric characters are allowed)"
                ),
            )
        }
        Check::RegexList => match RegexList::parse(text) {
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("A comma-separated list of valid regular expressions is expected, but {error}")],
        },
        Check::NotWith(other) => {
            unless(!(given && around.config.contains(other)), &format!("\"{other}\" is already specified"))
        }
        Check::SkippedOperations => skipped_operations(text),
        Check::SlotName => unless(
            (1..=63).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
            "Valid replication slot name must contain only digits, lowercase characters and underscores with length <= 63",
        ),
        Check::KeyColumns => key_columns(value),
        Check::ReplicaIdentities => replica_identities(value),
        Check::KeyValueMap => unless(
            text.is_empty() || text.split(',').all(|pair| pair.split('=').filter(|part| !part.is_empty()).count() == 2),
            "A equivalent-separated map of valid key/value pairs is expected, for example: k1=v1,k2=v2",
        ),
        Check::QueueLargerThan(batch) => {
            let default = |name: &str| around.table.get(name).and_then(|o| o.value_by_default()).and_then(int);
            let own = int(text).or(default(option.name)).unwrap_or(0);
            let batch = around.config.get(batch).and_then(int).or(default(batch)).unwrap_or(0);
            let mut failures = unless(own > 0, "A positive queue size is required");
            failures.extend(unless(own > batch, "Must be larger than the maximum batch size"));
            failures
        }
        Check::GivenWhenCustom(mode) => {
            let custom = around.config.get(mode).is_some_and(|mode| mode.trim().eq_ignore_ascii_case("custom"));
            let message = format!("{} cannot be empty when {mode} 'custom' is defined", option.name);
            unless(!custom || !text.is_empty(), &message)
        }
        Check::GivenForChannel(channel, message) => {
            let channels = around.config.get("notification.enabled.channels").map(values::list).unwrap_or_default();
            unless(!channels.iter().any(|enabled| enabled == channel) || !text.is_empty(), message)
        }
        Check::SignalCollection => unless(
            values::list(text).len() < 2,
            "For single task connector only one signal data collection is permitted.",
        ),
        Check::Placeholder => unless(
            text.strip_prefix("hex:").is_none_or(|digits| decode_hex(digits).is_some()),
            "Pairs of hexadecimal digits are expected after hex:",
        ),
        Check::NonNull => unless(given, "Value must be non-null"),
        Check::NonEmptyList => unless(!values::list(text).is_empty(), "Empty list"),
        Check::SomeValues if !given => vec![format!("Configuration '{}' values must not be null.", option.name)],
        Check::SomeValues => unless(
            !values::list(text).is_empty(),
            &format!("Configuration '{}' must not be empty. Valid values include: any non-empty value", option.name),
        ),
        Check::RenameMappings => {
            let is_pair = |item: &&String| item.split(':').filter(|part| !part.is_empty()).count() == 2;
            let items = values::list(text);
            let wrong = items.iter().find(|item| !is_pair(item));
            wrong.map(|item| format!("Invalid rename mapping: {item}")).into_iter().collect()
        }
        Check::CastSpecs => cast_specs(&values::list(text)).err().into_iter().collect(),
        Check::EntryNonNull => unless(given, "entry must be non null"),
        Check::AtLeast(least) => {
            unless(!given || long(text.trim()) >= Some(least), &format!("Value must be at least {least}"))
        }
        Check::OneOfExactly(allowed) => {
            unless(!given || allowed.contains(&text), &format!("String must be one of: {}", allowed.join(", ")))
        }
        Check::OneOfAnyCase(allowed) => unless(
            !given || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(text)),
            &format!("String must be one of (case insensitive): {}", allowed.join(", ")),
        ),
        Check::NotEmptyNoControl => not_empty_no_control(text),
        Check::NonEmpty => unless(!given || !text.is_empty(), "String must be non-empty"),
        Check::NoDuplicates => {
            let mut items = values::list(text);
            items.sort_unstable();
            unless(!items.windows(2).any(|pair| pair[0] == pair[1]), "Duplicate alias provided.")
        }
        Check::Regex => match value.map(JavaRegex::new) {
            None | Some(Ok(_)) => Vec::new(),
            Some(Err(error)) => vec![format!("Invalid regex: {error}")],
        },
    }
}

/// As Java's `parseInt`, which takes no space.
fn int(text: &str) -> Option<i32> {
    text.parse().ok()
}

fn long(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Pairs of hexadecimal digits as bytes.
pub fn decode_hex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks(2).map(|pair| Some((value(pair[0])? * 16 + value(pair[1])?) as u8)).collect()
}

fn is_class_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut characters = part.chars();
        characters.next().is_some_and(|first| first.is_alphabetic() || "_$".contains(first))
            && characters.all(|c| c.is_alphanumeric() || "_$".contains(c))
    })
}

fn skipped_operations(text: &str) -> Vec<String> {
    let operations: Vec<&str> = text.split(',').map(str::trim).collect();
    // Java's split leaves trailing empty parts out.
    let filled = operations.iter().rposition(|operation| !operation.is_empty()).map_or(1, |last| last + 1);
    let operations = &operations[..filled];
    for operation in operations {
        if *operation == "none" && operations.len() > 1 {
            return vec!["'none' cannot be specified with other skipped operation types".to_owned()];
        }
        if !["none", "c", "r", "u", "d", "t"].contains(operation) {
            return vec!["Invalid operation".to_owned()];
        }
    }
    Vec::new()
}

fn key_columns(value: Option<&str>) -> Vec<String> {
    const FORMAT: &str = "^\\s*([^:]+):([^:,]+(,[^:,]+)*)\\s*$";
    let Some(value) = value else { return Vec::new() };
    let mut failures = Vec::new();
    if value.trim().is_empty() {
        failures.push("Must not be empty".to_owned());
    }
    let items: Vec<&str> = value.split(';').collect();
    let filled = items.iter().rposition(|item| !item.is_empty()).map_or(1, |last| last + 1);
    for item in &items[..filled] {
        match item.split_once(':') {
            Some((table, columns))
                if !table.trim().is_empty()
                    && !columns.contains(':')
                    && columns.split(',').all(|column| !column.is_empty()) =>
            {
                for column in columns.split(',') {
                    let expression = format!("{}.{}", table.trim(), column.trim());
                    if let Err(error) = JavaRegex::new_ignoring_case(&expression) {
                        failures.push(format!("{item} is not a valid regular expression: {error}"));
                    }
                }
            }
            _ => failures.push(format!("{item} has an invalid format (expecting '{FORMAT}')")),
        }
    }
    failures
}

fn replica_identities(value: Option<&str>) -> Vec<String> {
    const FORMAT: &str = "(?i)^\\s*(?<tablepredicate>[^\\s:]+):(?<replicaidentity>DEFAULT|(INDEX) (?<indexname>.\\w*)|FULL|NOTHING)\\s*$";
    let Some(value) = value else { return Vec::new() };
    let mut failures = Vec::new();
    if value.trim().is_empty() {
        failures.push("Must not be empty".to_owned());
    }
    for item in value.split(',') {
        let fits = item.split_once(':').is_some_and(|(table, identity)| {
            let table = table.trim_start();
            !table.is_empty() && !table.contains(char::is_whitespace) && is_replica_identity(identity.trim_end())
        });
        if !fits {
            failures.push(format!("{item} has an invalid format (expecting '{FORMAT}')"));
        }
    }
    failures
}

fn is_replica_identity(identity: &str) -> bool {
    if ["DEFAULT", "FULL", "NOTHING"].iter().any(|known| known.eq_ignore_ascii_case(identity)) {
        return true;
    }
    let Some((keyword, index)) = identity.split_once(' ') else { return false };
    keyword.eq_ignore_ascii_case("INDEX")
        && !index.is_empty()
        && index.chars().skip(1).all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn not_empty_no_control(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["String may not be empty".to_owned()];
    }
    let control: Vec<String> =
        text.chars().filter(|c| (*c as u32) < 32 || *c as u32 == 127).map(|c| (c as u32).to_string()).collect();
    if control.is_empty() {
        return Vec::new();
    }
    vec![format!("String may not contain control sequences but had the following ASCII chars: {}", control.join(", "))]
}
