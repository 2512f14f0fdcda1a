//! One entry of an option table: everything that is known about one option.
//!
//! A table is a constant slice of [`OptionDef`]. The entry is the parser's default, the answer of `validate`, the
//! reference page and the form of the web UI; adding an option means adding one entry to a file of `tables/`.

/// The type that REST reports, in Kafka Connect's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

impl Importance {
    pub const fn name(self) -> &'static str {
        match self {
            Importance::High => "HIGH",
            Importance::Medium => "MEDIUM",
            Importance::Low => "LOW",
        }
    }
}

/// How wide a form's input should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

impl Width {
    pub const fn name(self) -> &'static str {
        match self {
            Width::None => "NONE",
            Width::Short => "SHORT",
            Width::Medium => "MEDIUM",
            Width::Long => "LONG",
        }
    }
}

/// Whether this version of Walspring does what the option asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    Yes,
    /// Refused when set to something else than its default.
    Later(&'static str),
    /// The option works, these values of it do not yet.
    LaterValues(&'static [&'static str], &'static str),
    /// The option works, with these values only.
    OnlyValues(&'static [&'static str], &'static str),
    /// Accepted; it has nothing to act on here, and a warning says so.
    NoEffect(&'static str),
}

/// A condition on the value. Each gives at most one error, in the words of the original (see `checks.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Required,
    Boolean,
    Int,
    Long,
    PositiveInt,
    NonNegativeInt,
    PositiveLong,
    NonNegativeLong,
    /// A long that has to be positive and fit an int.
    PositiveIntOfLong,
    /// Any case, surrounding space ignored.
    OneOf(&'static [&'static str]),
    ClassName,
    /// Letters, digits, underscore, hyphen and dot; what host names and topic prefixes are made of.
    NameFormat,
    /// A host of such a name, or several with ports.
    Hosts,
    RegexList,
    /// The option given here must not be set as well.
    NotWith(&'static str),
    SkippedOperations,
    SlotName,
    KeyColumns,
    ReplicaIdentities,
    KeyValueMap,
    /// Positive, and larger than the option given here.
    QueueLargerThan(&'static str),
    /// Must be given when the option named here has the value `custom`.
    GivenWhenCustom(&'static str),
    /// Must be given when `notification.enabled.channels` contains the channel; the second is the error's text.
    GivenForChannel(&'static str, &'static str),
    SignalCollection,
    /// Text, or `hex:` followed by pairs of hexadecimal digits.
    Placeholder,
    NonNull,
    /// The same in other words; said too where a required option is left out.
    EntryNonNull,
    /// A list with something in it, in the words of Kafka's transforms.
    NonEmptyList,
    /// The same in the words of Kafka's `ValidList`.
    SomeValues,
    /// `old:new` each.
    RenameMappings,
    /// Cast's `spec`.
    CastSpecs,
    AtLeast(i64),
    /// As written.
    OneOfExactly(&'static [&'static str]),
    /// Any case, in the words of Kafka's enum validator.
    OneOfAnyCase(&'static [&'static str]),
    /// Any case, in the words of Debezium's transforms.
    OneOfInTransform(&'static [&'static str]),
    NotEmptyNoControl,
    NonEmpty,
    NoDuplicates,
    Regex,
}

impl Check {
    /// What it says is the whole error, with the option's name in it.
    pub const fn says_all(self) -> bool {
        matches!(self, Check::SomeValues | Check::CastSpecs)
    }

    /// It is asked too where a required option is left out.
    pub const fn asks_for_missing(self) -> bool {
        matches!(self, Check::EntryNonNull | Check::NonEmptyList | Check::SomeValues | Check::CastSpecs)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionDef {
    pub name: &'static str,
    pub kind: Kind,
    /// As REST prints it; `None` prints as null.
    pub default: Option<&'static str>,
    /// What holds when the option is left out and `default` prints null all the same.
    pub effective_default: Option<&'static str>,
    /// Connect's notion: there is no default, leaving it out is an error.
    pub required: bool,
    pub checks: &'static [Check],
    pub importance: Importance,
    pub width: Width,
    pub group: Option<&'static str>,
    pub order: i32,
    pub display_name: &'static str,
    pub doc: &'static str,
    pub dependents: &'static [&'static str],
    /// What `recommended_values` lists, if it is not what [`Check::OneOf`] says.
    pub recommended: Option<&'static [&'static str]>,
    pub visible: bool,
    /// Whether the original's `validate` lists it. Those it does not list show only when they are wrong.
    pub listed: bool,
    /// Older spellings; understood, with a warning that names today's.
    pub aliases: &'static [&'static str],
    /// Names this option stands for, when `name` is a pattern: the text before and after the variable part.
    pub pattern: Option<(&'static str, &'static str)>,
    pub support: Support,
}

impl OptionDef {
    pub const fn new(name: &'static str, kind: Kind) -> OptionDef {
        OptionDef {
            name,
            kind,
            default: None,
            effective_default: None,
            required: false,
            checks: &[],
            importance: Importance::Medium,
            width: Width::None,
            group: None,
            order: -1,
            display_name: name,
            doc: "",
            dependents: &[],
            recommended: None,
            visible: true,
            listed: true,
            aliases: &[],
            pattern: None,
            support: Support::Yes,
        }
    }

    pub const fn boolean(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::Boolean)
    }

    pub const fn string(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::String)
    }

    pub const fn int(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::Int)
    }

    pub const fn short(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::Short)
    }

    pub const fn long(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::Long)
    }

    pub const fn double(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::Double)
    }

    pub const fn list(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::List)
    }

    pub const fn class(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::Class)
    }

    pub const fn password(name: &'static str) -> OptionDef {
        OptionDef::new(name, Kind::Password)
    }

    pub const fn default(mut self, value: &'static str) -> OptionDef {
        self.default = Some(value);
        self
    }

    pub const fn effective_default(mut self, value: &'static str) -> OptionDef {
        self.effective_default = Some(value);
        self
    }

    pub const fn required(mut self) -> OptionDef {
        self.required = true;
        self
    }

    pub const fn checks(mut self, checks: &'static [Check]) -> OptionDef {
        self.checks = checks;
        self
    }

    pub const fn high(mut self) -> OptionDef {
        self.importance = Importance::High;
        self
    }

    pub const fn low(mut self) -> OptionDef {
        self.importance = Importance::Low;
        self
    }

    pub const fn width(mut self, width: Width) -> OptionDef {
        self.width = width;
        self
    }

    /// The group and the place in it.
    pub const fn at(mut self, group: &'static str, order: i32) -> OptionDef {
        self.group = Some(group);
        self.order = order;
        self
    }

    /// The place among options without a group.
    pub const fn order(mut self, order: i32) -> OptionDef {
        self.order = order;
        self
    }

    pub const fn label(mut self, display_name: &'static str) -> OptionDef {
        self.display_name = display_name;
        self
    }

    pub const fn doc(mut self, doc: &'static str) -> OptionDef {
        self.doc = doc;
        self
    }

    pub const fn dependents(mut self, dependents: &'static [&'static str]) -> OptionDef {
        self.dependents = dependents;
        self
    }

    pub const fn recommended(mut self, values: &'static [&'static str]) -> OptionDef {
        self.recommended = Some(values);
        self
    }

    pub const fn invisible(mut self) -> OptionDef {
        self.visible = false;
        self
    }

    pub const fn unlisted(mut self) -> OptionDef {
        self.listed = false;
        self
    }

    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> OptionDef {
        self.aliases = aliases;
        self
    }

    pub const fn pattern(mut self, before: &'static str, after: &'static str) -> OptionDef {
        self.pattern = Some((before, after));
        self
    }

    pub const fn later(mut self, reason: &'static str) -> OptionDef {
        self.support = Support::Later(reason);
        self
    }

    pub const fn later_values(mut self, values: &'static [&'static str], reason: &'static str) -> OptionDef {
        self.support = Support::LaterValues(values, reason);
        self
    }

    pub const fn only_values(mut self, values: &'static [&'static str], reason: &'static str) -> OptionDef {
        self.support = Support::OnlyValues(values, reason);
        self
    }

    pub const fn no_effect(mut self, reason: &'static str) -> OptionDef {
        self.support = Support::NoEffect(reason);
        self
    }

    /// The value that holds when the option is left out.
    pub fn value_by_default(&self) -> Option<&'static str> {
        self.effective_default.or(self.default)
    }

    /// Whether `key` is this option, by name or by pattern. Aliases are another question.
    pub fn is_named(&self, key: &str) -> bool {
        match self.pattern {
            None => self.name == key,
            Some((before, after)) => {
                key.len() > before.len() + after.len() && key.starts_with(before) && key.ends_with(after)
            }
        }
    }

    /// The values that the option accepts, where there is a closed set of them.
    pub fn allowed_values(&self) -> Option<&'static [&'static str]> {
        self.checks.iter().find_map(|check| match check {
            Check::OneOf(values)
            | Check::OneOfExactly(values)
            | Check::OneOfAnyCase(values)
            | Check::OneOfInTransform(values) => Some(*values),
            _ => None,
        })
    }
}

/// The options of one plugin or of one part of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct OptionTable {
    pub options: &'static [OptionDef],
}

impl OptionTable {
    pub const fn new(options: &'static [OptionDef]) -> OptionTable {
        OptionTable { options }
    }

    pub fn get(&self, key: &str) -> Option<&'static OptionDef> {
        let exact = self.options.iter().find(|option| option.pattern.is_none() && option.name == key);
        exact.or_else(|| self.options.iter().find(|option| option.is_named(key)))
    }

    /// The option that `key` used to name.
    pub fn get_by_alias(&self, key: &str) -> Option<&'static OptionDef> {
        self.options.iter().find(|option| option.aliases.contains(&key))
    }

    pub fn iter(&self) -> impl Iterator<Item = &'static OptionDef> {
        self.options.iter()
    }
}
