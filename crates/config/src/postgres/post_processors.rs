//! `post.processors`: what changes events before they are written. There is one class: it reads columns again that the
//! stream left out.

use crate::config::Config;
use crate::nearest::nearest;
use crate::postgres::NameFilter;
use crate::values;
use crate::warning::WarningKind;

pub const RESELECT_CLASS: &str = "io.debezium.processors.reselect.ReselectColumnsPostProcessor";

const INCLUDE: &str = "reselect.columns.include.list";
const EXCLUDE: &str = "reselect.columns.exclude.list";
const UNAVAILABLE: &str = "reselect.unavailable.values";
const NULLS: &str = "reselect.null.values";
const EVENT_KEY: &str = "reselect.use.event.key";
const ERRORS: &str = "reselect.error.handling.mode";
const OPTIONS: [&str; 7] = ["type", INCLUDE, EXCLUDE, UNAVAILABLE, NULLS, EVENT_KEY, ERRORS];
/// Of the original's cache of values.
const CACHE: &str = "reselect.cache.";

/// A `ReselectColumnsPostProcessor`.
#[derive(Debug, Clone, PartialEq)]
pub struct Reselect {
    /// Matched against `schema.table:column`.
    pub columns: NameFilter,
    /// Placeholders of unchanged values are read again.
    pub unavailable: bool,
    /// Nulls are read again.
    pub nulls: bool,
    /// Rows are found by the event's key, not by the table's.
    pub event_key: bool,
    /// A row that is not found, or cannot be read, fails the task; else its columns stay as they are.
    pub fails: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostProcessorError {
    pub option: String,
    pub message: String,
    /// The original hears of it only when the task starts.
    pub late: bool,
}

/// The processors in their order.
pub fn post_processors(config: &Config) -> Result<Vec<Reselect>, PostProcessorError> {
    names(config).iter().map(|name| reselect(config, name)).collect()
}

/// About an option below the name of a processor; the outer `None`: it is not below one.
pub(crate) fn warning_about(name: &str, config: &Config) -> Option<Option<WarningKind>> {
    for processor in names(config) {
        let prefix = prefix(config, &processor);
        if let Some(option) = name.strip_prefix(&prefix) {
            return Some(match option {
                _ if option.starts_with(CACHE) => Some(WarningKind::NoEffect {
                    reason: "nothing is kept: rows are read together, many in one query, and always as they are now"
                        .into(),
                }),
                _ if !OPTIONS.contains(&option) => {
                    let nearest = nearest(option, OPTIONS).map(|near| format!("{prefix}{near}"));
                    Some(WarningKind::Unknown { nearest })
                }
                _ if prefix.starts_with("post.processors.") => None,
                _ => Some(WarningKind::OldSpelling { today: format!("post.processors.{name}") }),
            });
        }
    }
    None
}

fn names(config: &Config) -> Vec<String> {
    let list = config.get("post.processors").unwrap_or_default();
    values::list(list).into_iter().filter(|name| !name.is_empty()).collect()
}

/// What begins the names of a processor's options: today's spelling where one option has it, else the older one.
fn prefix(config: &Config, name: &str) -> String {
    let today = format!("post.processors.{name}.");
    let given = config.iter().any(|(option, _)| option.starts_with(&today));
    if given { today } else { format!("{name}.") }
}

fn reselect(config: &Config, name: &str) -> Result<Reselect, PostProcessorError> {
    let prefix = prefix(config, name);
    let option = |option: &str| format!("{prefix}{option}");
    let refused = |name: &str, message: String| PostProcessorError { option: option(name), message, late: false };
    match config.get(&option("type")).map(str::trim) {
        None | Some("") => {
            // In the words of the original.
            let message =
                format!("Post processor '{name}' is missing '{name}.type' and/or '{name}.<option>' configurations");
            return Err(PostProcessorError { option: option("type"), message, late: true });
        }
        Some(RESELECT_CLASS) => {}
        Some(class) => {
            let message = format!("there is no post processor {class}; there is {RESELECT_CLASS}");
            return Err(refused("type", message));
        }
    }
    let boolean = |name: &str, default: bool| match config.get(&option(name)) {
        None => Ok(default),
        Some(given) => {
            values::boolean(given).ok_or_else(|| refused(name, format!("{given} is neither true nor false")))
        }
    };
    let fails = match config.get(&option(ERRORS)).map(|mode| mode.trim().to_ascii_lowercase()).as_deref() {
        None | Some("warn") => false,
        Some("fail") => true,
        Some(mode) => return Err(refused(ERRORS, format!("{mode} is neither warn nor fail"))),
    };
    let columns = NameFilter::from_config(config, &option(INCLUDE), &option(EXCLUDE));
    Ok(Reselect {
        columns: columns.map_err(|e| refused(INCLUDE, e.to_string()))?,
        unavailable: boolean(UNAVAILABLE, true)?,
        nulls: boolean(NULLS, true)?,
        event_key: boolean(EVENT_KEY, false)?,
        fails,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn options_stand_below_the_name_in_either_spelling() {
        for prefix in ["r.", "post.processors.r."] {
            let option = |name: &str| format!("{prefix}{name}");
            let of = |value: &str, name: &str| {
                config(&[("post.processors", "r"), (&option("type"), RESELECT_CLASS), (&option(name), value)])
            };
            let read = |value: &str, name: &str| post_processors(&of(value, name)).map(|mut all| all.remove(0));
            let plain = read("true", UNAVAILABLE).unwrap();
            assert!(plain.unavailable && plain.nulls && !plain.event_key && !plain.fails);
            assert_eq!(plain.columns, NameFilter::All);
            assert!(read("FAIL", ERRORS).unwrap().fails);
            assert!(!read("false", NULLS).unwrap().nulls);
            assert!(read("public.T:x", INCLUDE).unwrap().columns.admits("public.t:x").unwrap());
            assert!(!read("public.T:x", EXCLUDE).unwrap().columns.admits("public.t:x").unwrap());
            assert!(read("maybe", NULLS).is_err() && read("(", INCLUDE).is_err() && read("x", ERRORS).is_err());
            let config = of("true", NULLS);
            let warned = warning_about(&option(NULLS), &config).unwrap();
            assert_eq!(warned.is_none(), prefix.starts_with("post"));
            let near = warning_about(&option("reselect.null.value"), &config).unwrap();
            assert_eq!(near, Some(WarningKind::Unknown { nearest: Some(option(NULLS)) }));
        }
        assert_eq!(warning_about("x.type", &config(&[("post.processors", "r")])), None);
    }

    #[test]
    fn a_processor_needs_a_type_that_there_is() {
        let missing = post_processors(&config(&[("post.processors", "r")])).unwrap_err();
        assert!(missing.late && missing.message.contains("'r' is missing 'r.type'"), "{missing:?}");
        let other = post_processors(&config(&[("post.processors", "r"), ("r.type", "a.B")])).unwrap_err();
        assert!(!other.late && other.option == "r.type", "{other:?}");
        assert_eq!(post_processors(&config(&[])), Ok(Vec::new()));
    }
}
