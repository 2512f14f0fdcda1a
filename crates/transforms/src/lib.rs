//! Single message transforms and predicates, one file each, by the names of their Java classes.
//!
//! A format: no I/O. None is here yet: the registries know no class, and say so in Connect's words.

use walspring_connect::{ConvertError, Predicate, Transform};

const CONFIG_EXCEPTION: &str = "org.apache.kafka.common.config.ConfigException";

/// A transform by its Java class. `option`: the one that names it, such as `transforms.route.type`; `config`: its
/// properties, without the prefix (`transforms.route.`).
pub fn transform(option: &str, class: &str, _config: &[(String, String)]) -> Result<Box<dyn Transform>, ConvertError> {
    Err(unknown(option, class))
}

/// A predicate by its Java class.
pub fn predicate(option: &str, class: &str, _config: &[(String, String)]) -> Result<Box<dyn Predicate>, ConvertError> {
    Err(unknown(option, class))
}

/// The classes of transforms, as `/connector-plugins?connectorsOnly=false` lists them.
pub fn transforms() -> &'static [&'static str] {
    &[]
}

/// The classes of predicates.
pub fn predicates() -> &'static [&'static str] {
    &[]
}

/// What Connect says of a class that it does not have.
pub fn unknown_class(option: &str, class: &str) -> String {
    format!("Invalid value {class} for configuration {option}: Class {class} could not be found.")
}

fn unknown(option: &str, class: &str) -> ConvertError {
    ConvertError { class: CONFIG_EXCEPTION, message: unknown_class(option, class) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_class_is_named_with_its_option() {
        let error = transform("transforms.a.type", "no.such.Transform", &[]).err().unwrap();
        assert_eq!(
            error.message,
            "Invalid value no.such.Transform for configuration transforms.a.type: Class no.such.Transform could not be found."
        );
        assert!(predicate("predicates.p.type", "no.such.Predicate", &[]).is_err());
    }
}
