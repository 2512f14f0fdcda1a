//! Java's grammar, read from left to right as `java.util.regex.Pattern` does, and written for the Rust engine.
//! Flags are resolved while reading, so the pattern that comes out has none.

use std::collections::BTreeMap;

use super::RegexError;
use super::charset::{CharSet, Property, push_literal};

/// What the pattern will be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    Part,
}

pub struct Translated {
    pub pattern: String,
    pub group_count: usize,
    pub group_names: BTreeMap<String, usize>,
}

/// Deeper nesting is refused: reading is recursive.
const DEPTH_MAX: usize = 100;

/// Repetitions above this are refused: the engine's program would grow with them.
const REPEAT_MAX: u32 = 1000;

pub fn translate(pattern: &str, ignore_case: bool, extent: Extent) -> Result<Translated, RegexError> {
    let mut translator = Translator {
        characters: pattern.chars().collect(),
        at: 0,
        out: String::with_capacity(pattern.len() * 2),
        flags: Flags { ignore_case, dot_all: false },
        extent,
        depth: 0,
        group_count: 0,
        group_names: BTreeMap::new(),
        pattern,
    };
    translator.alternatives()?;
    if translator.peek() == Some(')') {
        return Err(match translator.at.checked_sub(1) {
            Some(index) => translator.syntax("Unmatched closing ')'", index),
            None => RegexError::Syntax {
                description: "Unmatched closing ')'".to_owned(),
                index: None,
                pattern: pattern.to_owned(),
            },
        });
    }
    Ok(Translated { pattern: translator.out, group_count: translator.group_count, group_names: translator.group_names })
}

#[derive(Clone, Copy)]
struct Flags {
    ignore_case: bool,
    dot_all: bool,
}

struct Translator<'p> {
    characters: Vec<char>,
    at: usize,
    out: String,
    flags: Flags,
    extent: Extent,
    depth: usize,
    group_count: usize,
    group_names: BTreeMap<String, usize>,
    pattern: &'p str,
}

/// What stands after a backslash.
enum Escape {
    Character(char),
    Set(CharSet),
}

impl Translator<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek();
        self.at += usize::from(character.is_some());
        character
    }

    fn eat(&mut self, character: char) -> bool {
        let eaten = self.peek() == Some(character);
        self.at += usize::from(eaten);
        eaten
    }

    fn syntax(&self, description: &str, index: usize) -> RegexError {
        RegexError::Syntax { description: description.to_owned(), index: Some(index), pattern: self.pattern.to_owned() }
    }

    fn unsupported(&self, construct: &str) -> RegexError {
        let index = self.at.saturating_sub(1);
        RegexError::Unsupported { construct: construct.to_owned(), index, pattern: self.pattern.to_owned() }
    }

    fn alternatives(&mut self) -> Result<(), RegexError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.unsupported("a group nested so deep"));
        }
        self.sequence()?;
        while self.eat('|') {
            self.out.push('|');
            self.sequence()?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn sequence(&mut self) -> Result<(), RegexError> {
        loop {
            let start = self.out.len();
            match self.peek() {
                None | Some('|' | ')') => return Ok(()),
                Some('(') => {
                    if !self.group()? {
                        continue; // flags only; nothing to repeat
                    }
                }
                Some('[') => {
                    self.at += 1;
                    let set = self.class(true)?;
                    set.write_to(&mut self.out);
                }
                Some('\\') => self.escape_outside()?,
                Some('.') => {
                    self.at += 1;
                    let all = CharSet::of(&[('\0', char::MAX)]);
                    let set = if self.flags.dot_all { all } else { CharSet::line_terminators().negate() };
                    set.write_to(&mut self.out);
                }
                Some('^') => {
                    self.at += 1;
                    self.out.push_str("\\A");
                }
                Some('$') => {
                    self.at += 1;
                    self.end_of_input();
                }
                Some(meta @ ('*' | '+' | '?')) => {
                    return Err(self.syntax(&format!("Dangling meta character '{meta}'"), self.at));
                }
                // After nothing Java takes a count for a repetition of nothing.
                Some('{') if self.at > 0 && self.peek_at(1).is_some_and(|digit| digit.is_ascii_digit()) => {
                    self.at += 1;
                    return Err(self.unsupported("a repetition of nothing"));
                }
                Some('{') => return Err(self.syntax("Illegal repetition", self.at + 1)),
                Some(character) => {
                    self.at += 1;
                    self.literal(character);
                }
            }
            self.repetition(start)?;
        }
    }

    fn literal(&mut self, character: char) {
        if self.flags.ignore_case && character.is_ascii_alphabetic() {
            CharSet::single(character).ignoring_case().write_to(&mut self.out);
        } else {
            push_literal(&mut self.out, character);
        }
    }

    /// Before the last line terminator, or at the very end. (`depth` is 1 outside of any group.)
    fn end_of_input(&mut self) {
        if self.extent == Extent::Whole && self.depth == 1 && matches!(self.peek(), None | Some('|')) {
            return; // the whole text has to match anyway, terminator included
        }
        self.out.push_str(r"(?:\z|(?=\r\n\z)|(?<!\r)(?=\n\z)|(?=[\r\x{85}\x{2028}\x{2029}]\z))");
    }

    /// What stands at `start` and after may be repeated.
    fn repetition(&mut self, start: usize) -> Result<(), RegexError> {
        let quantifier = match self.peek() {
            Some(quantifier @ ('*' | '+' | '?')) => {
                self.at += 1;
                quantifier.to_string()
            }
            Some('{') => self.counted()?,
            _ => return Ok(()),
        };
        // Java repeats an assertion without harm; the engine may refuse an empty expression.
        let repeated = format!("(?:{})", &self.out[start..]);
        self.out.truncate(start);
        match self.peek() {
            Some('+') => {
                self.at += 1;
                self.out.push_str(&format!("(?>{repeated}{quantifier})"));
            }
            Some('?') => {
                self.at += 1;
                self.out.push_str(&format!("{repeated}{quantifier}?"));
            }
            _ => self.out.push_str(&format!("{repeated}{quantifier}")),
        }
        if self.peek() == Some('{') {
            return Err(self.unsupported("a repetition of a repetition"));
        }
        Ok(())
    }

    fn counted(&mut self) -> Result<String, RegexError> {
        self.at += 1;
        if !self.peek().is_some_and(|digit| digit.is_ascii_digit()) {
            return Err(self.syntax("Illegal repetition", self.at));
        }
        let least = self.count()?;
        let mut most = Some(least);
        if self.eat(',') {
            most = if self.peek() == Some('}') { None } else { Some(self.count()?) };
        }
        if !self.eat('}') {
            return Err(self.syntax("Unclosed counted closure", self.at));
        }
        if most.is_some_and(|most| most < least) {
            return Err(self.syntax("Illegal repetition range", self.at - 1));
        }
        if least.max(most.unwrap_or(0)) > REPEAT_MAX {
            return Err(self.unsupported(&format!("a repetition of more than {REPEAT_MAX} times")));
        }
        Ok(match most {
            Some(most) if most == least => format!("{{{least}}}"),
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        })
    }

    fn count(&mut self) -> Result<u32, RegexError> {
        let mut count: u32 = 0;
        while let Some(digit) = self.peek().and_then(|digit| digit.to_digit(10)) {
            count = count
                .checked_mul(10)
                .and_then(|count| count.checked_add(digit))
                .filter(|count| *count <= i32::MAX as u32)
                .ok_or_else(|| self.syntax("Illegal repetition range", self.at))?;
            self.at += 1;
        }
        Ok(count)
    }

    /// Answers whether it was a group, and not only flags for what follows.
    fn group(&mut self) -> Result<bool, RegexError> {
        let outer = self.flags;
        self.at += 1;
        let mut opening = "(?:";
        if self.eat('?') {
            match self.next() {
                Some(':') => {}
                Some('=') => opening = "(?=",
                Some('!') => opening = "(?!",
                Some('>') => opening = "(?>",
                Some('<') => match self.peek() {
                    Some('=') => {
                        self.at += 1;
                        opening = "(?<=";
                    }
                    Some('!') => {
                        self.at += 1;
                        opening = "(?<!";
                    }
                    _ => {
                        let name = self.group_name()?;
                        self.group_count += 1;
                        if self.group_names.insert(name.clone(), self.group_count).is_some() {
                            let description = format!("Named capturing group <{name}> is already defined");
                            return Err(self.syntax(&description, self.at - 1));
                        }
                        opening = "(";
                    }
                },
                other => {
                    self.at -= usize::from(other.is_some());
                    if self.inline_flags()? {
                        return Ok(false);
                    }
                }
            }
        } else {
            self.group_count += 1;
            opening = "(";
        }
        self.out.push_str(opening);
        self.alternatives()?;
        if !self.eat(')') {
            return Err(self.syntax("Unclosed group", self.characters.len()));
        }
        self.out.push(')');
        self.flags = outer;
        Ok(true)
    }

    /// `i`, `s` and `-`, up to `)` (answers true: they hold for the rest of the group) or `:`.
    fn inline_flags(&mut self) -> Result<bool, RegexError> {
        let mut on = true;
        loop {
            match self.next() {
                Some('i') => self.flags.ignore_case = on,
                Some('s') => self.flags.dot_all = on,
                Some('-') if on => on = false,
                Some(')') => return Ok(true),
                Some(':') => return Ok(false),
                Some(flag @ ('m' | 'x' | 'd' | 'u' | 'U')) => {
                    return Err(self.unsupported(&format!("the flag {flag}")));
                }
                other => {
                    let index = if other.is_some() { self.at - 1 } else { self.at };
                    return Err(self.syntax("Unknown inline modifier", index));
                }
            }
        }
    }

    fn group_name(&mut self) -> Result<String, RegexError> {
        let mut name = String::new();
        if !self.peek().is_some_and(|first| first.is_ascii_alphabetic()) {
            return Err(self.syntax("capturing group name does not start with a Latin letter", self.at));
        }
        while let Some(character) = self.peek().filter(char::is_ascii_alphanumeric) {
            name.push(character);
            self.at += 1;
        }
        if self.eat('>') {
            Ok(name)
        } else {
            Err(self.syntax("named capturing group is missing trailing '>'", self.at))
        }
    }

    fn escape_outside(&mut self) -> Result<(), RegexError> {
        const WORD: &str = r"[\p{L}\p{Nd}\p{Mn}_]";
        match self.peek_at(1) {
            Some('A') => self.out.push_str("\\A"),
            Some('z') => self.out.push_str("\\z"),
            Some('Z') => {
                self.at += 2;
                self.end_of_input();
                return Ok(());
            }
            Some('b') if self.peek_at(2) == Some('{') => {
                self.at += 2;
                return Err(self.unsupported("\\b{g}"));
            }
            // Java's words are Unicode's letters and digits here, though \w is ASCII.
            Some('b') => self.out.push_str(&format!("(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))")),
            Some('B') => self.out.push_str(&format!("(?:(?<={WORD})(?={WORD})|(?<!{WORD})(?!{WORD}))")),
            Some('R') => self.out.push_str(r"(?:\r\n|[\n\x{b}\x{c}\r\x{85}\x{2028}\x{2029}])"),
            Some(construct @ ('G' | 'X')) => {
                self.at += 2;
                return Err(self.unsupported(&format!("\\{construct}")));
            }
            Some('Q') => {
                self.at += 2;
                return self.quoted();
            }
            Some('k') => {
                self.at += 2;
                if !self.eat('<') {
                    return Err(self.syntax("\\k is not followed by '<' for named capturing group", self.at));
                }
                let name = self.group_name()?;
                let Some(group) = self.group_names.get(&name).copied() else {
                    let description = format!("named capturing group <{name}> does not exist");
                    return Err(self.syntax(&description, self.at - 1));
                };
                return self.back_reference(group);
            }
            Some('1'..='9') => {
                self.at += 1;
                let mut group = 0;
                while let Some(digit) = self.peek().and_then(|digit| digit.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if group > 0 && longer > self.group_count {
                        break;
                    }
                    group = longer;
                    self.at += 1;
                }
                return self.back_reference(group);
            }
            _ => {
                match self.escape(false)? {
                    Escape::Character(character) => self.literal(character),
                    Escape::Set(set) => set.write_to(&mut self.out),
                }
                return Ok(());
            }
        }
        self.at += 2;
        Ok(())
    }

    fn back_reference(&mut self, group: usize) -> Result<(), RegexError> {
        if group > self.group_count {
            return Err(self.unsupported("a back-reference to a group that does not exist"));
        }
        if self.flags.ignore_case {
            return Err(self.unsupported("a back-reference that ignores case"));
        }
        self.out.push_str(&format!("(?:\\{group})"));
        Ok(())
    }

    /// Up to `\E` or the end. A repetition after it would be of its last character; that is refused as too easily misread.
    fn quoted(&mut self) -> Result<(), RegexError> {
        while let Some(character) = self.next() {
            if character == '\\' && self.eat('E') {
                if matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
                    return Err(self.unsupported("a repetition of quoted text"));
                }
                return Ok(());
            }
            self.literal(character);
        }
        Ok(())
    }

    /// At a backslash: one that stands for a character or a set of them.
    fn escape(&mut self, in_class: bool) -> Result<Escape, RegexError> {
        self.at += 1;
        let Some(character) = self.next() else {
            return Err(self.syntax("Unexpected internal error", self.at));
        };
        if let Some(set) = CharSet::of_escape(character) {
            return Ok(Escape::Set(set));
        }
        Ok(Escape::Character(match character {
            'p' | 'P' => {
                let set = self.property()?;
                return Ok(Escape::Set(if character == 'P' { set.negate() } else { set }));
            }
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            'c' => {
                let control = self.next().filter(char::is_ascii);
                let control = control.ok_or_else(|| self.syntax("Illegal control escape sequence", self.at - 1))?;
                char::from(control as u8 ^ 64)
            }
            '0' => self.octal()?,
            'x' => self.hexadecimal()?,
            'u' => self.utf16()?,
            'N' => return Err(self.unsupported("\\N")),
            'Q' if in_class => return Err(self.unsupported("\\Q in a character class")),
            letter if letter.is_ascii_alphabetic() || (in_class && letter.is_ascii_digit()) => {
                return Err(self.syntax("Illegal/unsupported escape sequence", self.at - 1));
            }
            itself => itself,
        }))
    }

    fn octal(&mut self) -> Result<char, RegexError> {
        let digit = |translator: &Self| translator.peek().and_then(|digit| digit.to_digit(8));
        let Some(first) = digit(self) else {
            return Err(self.syntax("Illegal octal escape sequence", self.at));
        };
        self.at += 1;
        let mut value = first;
        for further in 0..2 {
            let Some(next) = digit(self).filter(|_| further == 0 || first <= 3) else { break };
            value = value * 8 + next;
            self.at += 1;
        }
        Ok(char::from(value as u8))
    }

    fn hexadecimal(&mut self) -> Result<char, RegexError> {
        if self.eat('{') {
            let mut value: u32 = 0;
            let mut digits = 0;
            while let Some(digit) = self.peek().and_then(|digit| digit.to_digit(16)) {
                value = value.saturating_mul(16).saturating_add(digit);
                digits += 1;
                self.at += 1;
            }
            if digits == 0 || !self.eat('}') {
                return Err(self.syntax("Unclosed hexadecimal escape sequence", self.at));
            }
            return char::from_u32(value).ok_or_else(|| self.syntax("Hexadecimal codepoint is too big", self.at - 1));
        }
        let value = self.hex_digits(2).ok_or_else(|| self.syntax("Illegal hexadecimal escape sequence", self.at))?;
        Ok(char::from(value as u8))
    }

    /// Two of them may make one character.
    fn utf16(&mut self) -> Result<char, RegexError> {
        let illegal = "Illegal Unicode escape sequence";
        let unit = self.hex_digits(4).ok_or_else(|| self.syntax(illegal, self.at))?;
        if (0xd800..0xdc00).contains(&unit) && self.peek() == Some('\\') && self.peek_at(1) == Some('u') {
            self.at += 2;
            let low = self.hex_digits(4).ok_or_else(|| self.syntax(illegal, self.at))?;
            if let Some(Ok(character)) = char::decode_utf16([unit as u16, low as u16]).next() {
                return Ok(character);
            }
        }
        char::from_u32(unit).ok_or_else(|| self.unsupported("half a surrogate pair"))
    }

    fn hex_digits(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value * 16 + self.peek()?.to_digit(16)?;
            self.at += 1;
        }
        Some(value)
    }

    fn property(&mut self) -> Result<CharSet, RegexError> {
        let name = if self.eat('{') {
            let rest = &self.characters[self.at..];
            let Some(length) = rest.iter().position(|character| *character == '}') else {
                return Err(self.syntax("Unclosed character family", self.characters.len()));
            };
            let name: String = rest[..length].iter().collect();
            self.at += length + 1;
            if name.is_empty() {
                return Err(self.syntax("Empty character family", self.at - 1));
            }
            name
        } else {
            self.next().map(String::from).unwrap_or_default()
        };
        match CharSet::of_property(&name, self.flags.ignore_case) {
            Property::Known(set) => Ok(set),
            Property::Unsupported => Err(self.unsupported(&format!("the property {name}"))),
            Property::Unknown => Err(self.syntax(&format!("Unknown character property name {{{name}}}"), self.at - 1)),
        }
    }

    /// After `[`. `consume` is false for the right side of `&&`, whose `]` closes the class around it.
    fn class(&mut self, consume: bool) -> Result<CharSet, RegexError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.unsupported("a character class nested so deep"));
        }
        let negated = consume && self.eat('^');
        let mut set: Option<CharSet> = None;
        loop {
            match self.peek() {
                None => return Err(self.syntax("Unclosed character class", self.characters.len() - 1)),
                Some('[') => {
                    self.at += 1;
                    let inner = self.class(true)?;
                    set = Some(set.unwrap_or_else(CharSet::empty).union(&inner));
                }
                Some('&') if self.peek_at(1) == Some('&') => {
                    self.at += 2;
                    let right = self.right_operand()?;
                    set = Some(match set {
                        None => right,
                        Some(left) => left.intersect(&right),
                    });
                }
                Some(']') if set.is_some() => {
                    self.at += usize::from(consume);
                    self.depth -= 1;
                    let set = set.unwrap_or_else(CharSet::empty);
                    return Ok(if negated { set.negate() } else { set });
                }
                Some(_) => {
                    let range = self.range()?;
                    set = Some(set.unwrap_or_else(CharSet::empty).union(&range));
                }
            }
        }
    }

    fn right_operand(&mut self) -> Result<CharSet, RegexError> {
        let mut right: Option<CharSet> = None;
        loop {
            let operand = match self.peek() {
                None => return Err(self.syntax("Unclosed character class", self.characters.len() - 1)),
                Some(']' | '&') => break,
                Some('[') => {
                    self.at += 1;
                    self.class(true)?
                }
                Some(_) => self.class(false)?,
            };
            right = Some(right.unwrap_or_else(CharSet::empty).union(&operand));
        }
        right.ok_or_else(|| self.unsupported("&& without a right side"))
    }

    /// One character, a range of them, or an escape that stands for several.
    fn range(&mut self) -> Result<CharSet, RegexError> {
        let first = match self.peek() {
            Some('\\') => match self.escape(true)? {
                Escape::Set(set) => return Ok(set),
                Escape::Character(character) => character,
            },
            _ => self.next().unwrap_or('\0'),
        };
        let mut last = first;
        if self.peek() == Some('-') && !matches!(self.peek_at(1), Some('[' | ']')) {
            self.at += 1;
            last = match self.peek() {
                None => return Err(self.syntax("Illegal character range", self.at)),
                Some('\\') => match self.escape(true)? {
                    Escape::Set(_) => return Err(self.syntax("Illegal character range", self.at - 1)),
                    Escape::Character(character) => character,
                },
                Some(character) => {
                    self.at += 1;
                    character
                }
            };
            if last < first {
                return Err(self.syntax("Illegal character range", self.at - 1));
            }
        }
        let set = CharSet::of(&[(first, last)]);
        Ok(if self.flags.ignore_case { set.ignoring_case() } else { set })
    }
}
