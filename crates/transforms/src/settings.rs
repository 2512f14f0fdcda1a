//! The properties of one transform, with the defaults of its option table.

use walspring_config::java_regex::{JavaRegex, Replacement};
use walspring_config::option::OptionTable;
use walspring_config::values;
use walspring_connect::ConvertError;

use crate::error::{config, invalid};

/// REST has checked the values before; what is wrong here was written into the configurations topic by somebody else.
pub(crate) struct Settings<'a> {
    table: OptionTable,
    given: &'a [(String, String)],
}

impl<'a> Settings<'a> {
    pub fn new(table: OptionTable, given: &'a [(String, String)]) -> Settings<'a> {
        Settings { table, given }
    }

    /// As it was given, under today's name or an older one.
    pub fn given(&self, name: &str) -> Option<&'a str> {
        let find = |name: &str| self.given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let older = || self.table.get(name)?.aliases.iter().find_map(|alias| find(alias));
        find(name).or_else(older)
    }

    /// As it was given, or the default.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.given(name).or_else(|| self.table.get(name)?.value_by_default()).map(str::trim)
    }

    pub fn required(&self, name: &str) -> Result<&'a str, ConvertError> {
        self.text(name)
            .ok_or_else(|| config(format!("Missing required configuration \"{name}\" which has no default value.")))
    }

    pub fn boolean(&self, name: &str) -> Result<bool, ConvertError> {
        let text = self.text(name).unwrap_or("false");
        values::boolean(text).ok_or_else(|| invalid(name, text, "Expected value to be either true or false"))
    }

    pub fn integer(&self, name: &str) -> Result<i32, ConvertError> {
        let text = self.required(name)?;
        text.parse().map_err(|_| invalid(name, text, "Not a number of type INT"))
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        self.text(name).map(values::list).unwrap_or_default()
    }

    /// A list that has to be given, and not empty.
    pub fn names(&self, name: &str) -> Result<Vec<String>, ConvertError> {
        self.required(name)?;
        let names = self.list(name);
        if names.is_empty() { Err(invalid(name, "[]", "Empty list")) } else { Ok(names) }
    }

    pub fn regex(&self, name: &str) -> Result<JavaRegex, ConvertError> {
        let pattern = self.required(name)?;
        JavaRegex::new(pattern).map_err(|e| invalid(name, pattern, format!("Invalid regex: {e}")))
    }

    /// A replacement for the first match of `regex`. The original finds a group that is not there only at a record.
    pub fn replacement(&self, name: &str, regex: &JavaRegex) -> Result<Replacement, ConvertError> {
        let text = self.required(name)?;
        Replacement::new(text, regex).map_err(|e| invalid(name, text, e))
    }
}
