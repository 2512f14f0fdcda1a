//! Sets of characters: what Java's classes, escapes and properties stand for.

use std::fmt::Write;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

#[derive(Debug, Clone)]
pub struct CharSet(ClassUnicode);

impl CharSet {
    pub fn empty() -> CharSet {
        CharSet(ClassUnicode::empty())
    }

    pub fn of(ranges: &[(char, char)]) -> CharSet {
        CharSet(ClassUnicode::new(ranges.iter().map(|(first, last)| ClassUnicodeRange::new(*first, *last))))
    }

    pub fn single(character: char) -> CharSet {
        CharSet::of(&[(character, character)])
    }

    pub fn union(mut self, other: &CharSet) -> CharSet {
        self.0.union(&other.0);
        self
    }

    pub fn intersect(mut self, other: &CharSet) -> CharSet {
        self.0.intersect(&other.0);
        self
    }

    pub fn negate(mut self) -> CharSet {
        self.0.negate();
        self
    }

    /// With both cases of every ASCII letter in it.
    pub fn ignoring_case(self) -> CharSet {
        let mut folded = self.0.clone();
        for (first, last, shift) in [('a', 'z', -32i32), ('A', 'Z', 32)] {
            let mut letters = ClassUnicode::new([ClassUnicodeRange::new(first, last)]);
            letters.intersect(&self.0);
            folded.union(&ClassUnicode::new(letters.iter().map(|range| {
                let shifted = |letter: char| char::from((letter as i32 + shift) as u8);
                ClassUnicodeRange::new(shifted(range.start()), shifted(range.end()))
            })));
        }
        CharSet(folded)
    }

    /// Java's `\d`, `\w`, `\s`, `\h`, `\v` (and, in capitals, their opposites).
    pub fn of_escape(escape: char) -> Option<CharSet> {
        let set = match escape.to_ascii_lowercase() {
            'd' => CharSet::of(&[('0', '9')]),
            'w' => CharSet::of(&[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')]),
            's' => CharSet::of(&[(' ', ' '), ('\t', '\r')]),
            'h' => CharSet::of(&[
                (' ', ' '),
                ('\t', '\t'),
                ('\u{a0}', '\u{a0}'),
                ('\u{1680}', '\u{1680}'),
                ('\u{180e}', '\u{180e}'),
                ('\u{2000}', '\u{200a}'),
                ('\u{202f}', '\u{202f}'),
                ('\u{205f}', '\u{205f}'),
                ('\u{3000}', '\u{3000}'),
            ]),
            'v' => CharSet::of(&[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')]),
            _ => return None,
        };
        Some(if escape.is_ascii_uppercase() { set.negate() } else { set })
    }

    /// What `.` leaves out.
    pub fn line_terminators() -> CharSet {
        CharSet::of(&[('\n', '\n'), ('\r', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')])
    }

    /// `\p{name}`. Under the flag `i` the properties of case stand for all cases.
    pub fn of_property(name: &str, ignore_case: bool) -> Property {
        if let Some(set) = ascii_property(name, ignore_case) {
            return Property::Known(set);
        }
        if let Some(script) = name.strip_prefix("script=").or_else(|| name.strip_prefix("sc=")) {
            return of_unicode(&format!("\\p{{sc={script}}}")).map_or(Property::Unknown, Property::Known);
        }
        if let Some(category) = name.strip_prefix("general_category=").or_else(|| name.strip_prefix("gc=")) {
            return general_category(category, ignore_case);
        }
        if let Some(rest) = name.strip_prefix("Is") {
            return match rest.to_ascii_lowercase().as_str() {
                "alphabetic" => Property::from(of_unicode("\\p{Alphabetic}")),
                "whitespace" | "white_space" => Property::from(of_unicode("\\p{White_Space}")),
                "lowercase" | "uppercase" | "titlecase" if ignore_case => Property::Unsupported,
                "lowercase" => Property::from(of_unicode("\\p{Lowercase}")),
                "uppercase" => Property::from(of_unicode("\\p{Uppercase}")),
                _ => match general_category(rest, ignore_case) {
                    Property::Unknown => of_unicode(&format!("\\p{{sc={rest}}}"))
                        // Properties that Java knows and this table does not are refused, not called unknown.
                        .map_or(Property::Unsupported, Property::Known),
                    known => known,
                },
            };
        }
        if name.starts_with("In") || name.starts_with("java") || name.contains('=') {
            return Property::Unsupported;
        }
        general_category(name, ignore_case)
    }

    /// As a class of the Rust engine.
    pub fn write_to(&self, pattern: &mut String) {
        match self.0.ranges() {
            [] => pattern.push_str("[a&&b]"),
            [range] if range.start() == range.end() => push_literal(pattern, range.start()),
            ranges => {
                pattern.push('[');
                for range in ranges {
                    push_in_class(pattern, range.start());
                    if range.start() != range.end() {
                        pattern.push('-');
                        push_in_class(pattern, range.end());
                    }
                }
                pattern.push(']');
            }
        }
    }
}

pub enum Property {
    Known(CharSet),
    Unknown,
    Unsupported,
}

impl From<Option<CharSet>> for Property {
    fn from(set: Option<CharSet>) -> Property {
        set.map_or(Property::Unsupported, Property::Known)
    }
}

/// Writes one character so that the Rust engine takes it for itself.
pub fn push_literal(pattern: &mut String, character: char) {
    if character.is_ascii_alphanumeric() || character == '_' {
        pattern.push(character);
    } else {
        let _ = write!(pattern, "\\x{{{:x}}}", character as u32);
    }
}

fn push_in_class(pattern: &mut String, character: char) {
    push_literal(pattern, character);
}

fn ascii_property(name: &str, ignore_case: bool) -> Option<CharSet> {
    let alpha = [('a', 'z'), ('A', 'Z')];
    Some(match name {
        "Lower" | "Upper" if ignore_case => CharSet::of(&alpha),
        "Lower" => CharSet::of(&[('a', 'z')]),
        "Upper" => CharSet::of(&[('A', 'Z')]),
        "ASCII" => CharSet::of(&[('\0', '\u{7f}')]),
        "Alpha" => CharSet::of(&alpha),
        "Digit" => CharSet::of(&[('0', '9')]),
        "Alnum" => CharSet::of(&[('a', 'z'), ('A', 'Z'), ('0', '9')]),
        "Punct" => CharSet::of(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        "Graph" => CharSet::of(&[('!', '~')]),
        "Print" => CharSet::of(&[(' ', '~')]),
        "Blank" => CharSet::of(&[(' ', ' '), ('\t', '\t')]),
        "Cntrl" => CharSet::of(&[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')]),
        "XDigit" => CharSet::of(&[('0', '9'), ('a', 'f'), ('A', 'F')]),
        "Space" => CharSet::of(&[(' ', ' '), ('\t', '\r')]),
        _ => return None,
    })
}

fn general_category(name: &str, ignore_case: bool) -> Property {
    const KNOWN: &[&str] = &[
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Me", "Mc", "N", "Nd", "Nl", "No", "Z", "Zs", "Zl", "Zp", "Cc",
        "Cf", "Co", "P", "Pd", "Ps", "Pe", "Pc", "Po", "Pi", "Pf", "S", "Sm", "Sc", "Sk", "So",
    ];
    match name {
        "Lu" | "Ll" | "Lt" | "LC" if ignore_case => Property::from(of_unicode("[\\p{Lu}\\p{Ll}\\p{Lt}]")),
        "LC" => Property::from(of_unicode("[\\p{Lu}\\p{Ll}\\p{Lt}]")),
        "LD" => Property::from(of_unicode("[\\p{L}\\p{Nd}]")),
        "L1" => Property::Known(CharSet::of(&[('\0', '\u{ff}')])),
        "all" => Property::Known(CharSet::of(&[('\0', char::MAX)])),
        // They depend on surrogates and on the version of Unicode.
        "C" | "Cn" | "Cs" => Property::Unsupported,
        _ if KNOWN.contains(&name) => Property::from(of_unicode(&format!("\\p{{{name}}}"))),
        _ => Property::Unknown,
    }
}

fn of_unicode(class: &str) -> Option<CharSet> {
    match regex_syntax::parse(class).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(set)) => Some(CharSet(set)),
        _ => None,
    }
}
