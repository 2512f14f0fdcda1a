//! What can be checked: a name that never changes, and a sentence.

use std::fmt;
use std::str::FromStr;

/// One check. Scripts know it by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Such as `pg.wal_level`.
    pub id: &'static str,
    pub group: Group,
    /// What is well when it passes.
    pub title: &'static str,
}

/// What a check is about, in the order in which people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    Server,
    Role,
    Publication,
    Slot,
    Tables,
    Limits,
    Standby,
    Kafka,
}

impl Group {
    pub const ALL: [Group; 8] = [
        Group::Server,
        Group::Role,
        Group::Publication,
        Group::Slot,
        Group::Tables,
        Group::Limits,
        Group::Standby,
        Group::Kafka,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Group::Server => "server",
            Group::Role => "role",
            Group::Publication => "publication",
            Group::Slot => "slot",
            Group::Tables => "tables",
            Group::Limits => "limits",
            Group::Standby => "standby",
            Group::Kafka => "kafka",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Group {
    type Err = String;

    fn from_str(text: &str) -> Result<Group, String> {
        let names = || Group::ALL.map(Group::name).join(", ");
        let found = Group::ALL.into_iter().find(|group| group.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("there is no group {text}; there are {}", names()))
    }
}
