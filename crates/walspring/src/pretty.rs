//! Events as people like to read them: one line each, what happened first, then what with.

use std::fmt::Write as _;
use std::io::IsTerminal;

use serde_json::Value;

/// Colours only where someone looks: a terminal, and no `NO_COLOR`.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub colour: bool,
    /// Longer values are cut.
    pub value_chars_max: usize,
}

impl Style {
    pub fn for_stdout() -> Style {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Style { colour, value_chars_max: 60 }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
}

/// One record's line. A record that is no change event is shown as it is.
pub fn line(style: Style, topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
    let parse = |bytes: Option<&[u8]>| bytes.and_then(|b| serde_json::from_slice::<Value>(b).ok());
    let key_json = parse(key).map(payload);
    let Some(raw) = value else {
        return format!("{} {} {}", style.dim("∅ tombstone"), topic, style.dim(&compact(style, key_json.as_ref())));
    };
    let event = match parse(Some(raw)).map(payload) {
        Some(event) if event.get("op").is_some() => event,
        Some(other) => return format!("{} {} {}", style.dim("•"), topic, cut(&other.to_string(), 200)),
        None => {
            return format!("{} {} {}", style.dim("•"), topic, cut(&on_one_line(&String::from_utf8_lossy(raw)), 200));
        }
    };
    let op = event["op"].as_str().unwrap_or("?");
    let (word, code) = match op {
        "r" => ("read    ", "36"),
        "c" => ("insert  ", "32"),
        "u" => ("update  ", "33"),
        "d" => ("delete  ", "31"),
        "t" => ("truncate", "35"),
        "m" => ("message ", "34"),
        _ => ("change  ", "37"),
    };
    let source = &event["source"];
    let table = match (source["schema"].as_str(), source["table"].as_str()) {
        (Some(schema), Some(table)) if !table.is_empty() => format!("{schema}.{table}"),
        _ => topic.to_owned(),
    };
    let mut out = format!("{} {}", style.paint(code, word), style.bold(&table));
    let _ = write!(out, " {}", style.dim(&compact(style, key_json.as_ref())));
    match (&event["before"], &event["after"]) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, new) in after {
                match before.get(name) {
                    Some(old) if old != new => {
                        let _ =
                            write!(out, " {name}={}→{}", style.dim(&shown(style, old)), style.bold(&shown(style, new)));
                    }
                    _ => {}
                }
            }
        }
        (_, Value::Object(row)) | (Value::Object(row), _) => {
            for (name, v) in row
                .iter()
                .filter(|(n, v)| !v.is_null() && key_json.as_ref().is_none_or(|k| k.get(n.as_str()).is_none()))
            {
                let _ = write!(out, " {}{}", style.dim(&format!("{name}=")), shown(style, v));
            }
        }
        _ => {}
    }
    out
}

/// The event inside the schema envelope, if there is one.
fn payload(mut value: Value) -> Value {
    match value.as_object_mut() {
        Some(o) if o.len() == 2 && o.contains_key("schema") && o.contains_key("payload") => {
            o.remove("payload").unwrap_or(Value::Null)
        }
        _ => value,
    }
}

/// `id=7`, or `a=1,b=2`.
fn compact(style: Style, key: Option<&Value>) -> String {
    match key {
        Some(Value::Object(fields)) => {
            fields.iter().map(|(n, v)| format!("{n}={}", shown(style, v))).collect::<Vec<_>>().join(",")
        }
        Some(other) => shown(style, other),
        None => String::new(),
    }
}

fn shown(style: Style, value: &Value) -> String {
    match value {
        Value::String(s) => cut(&on_one_line(s), style.value_chars_max),
        other => cut(&other.to_string(), style.value_chars_max),
    }
}

/// What would break the line, or speak to the terminal, is escaped; quotes stay.
fn on_one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => out.push(c),
            c => out.extend(c.escape_debug()),
        }
    }
    out
}

fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: &str) -> String {
        let style = Style { colour: false, value_chars_max: 20 };
        line(style, "shop.public.t", Some(br#"{"id":7}"#), Some(value.as_bytes()))
    }

    #[test]
    fn a_line_says_what_happened_to_which_row() {
        let source = r#""source":{"schema":"public","table":"t"}"#;
        assert_eq!(
            plain(&format!(r#"{{"before":null,"after":{{"id":7,"a":"x\ny","b":null}},{source},"op":"c"}}"#)),
            r"insert   public.t id=7 a=x\ny"
        );
        assert_eq!(
            plain(&format!(r#"{{"before":{{"id":7,"a":1,"b":2}},"after":{{"id":7,"a":1,"b":3}},{source},"op":"u"}}"#)),
            "update   public.t id=7 b=2→3"
        );
        assert_eq!(
            plain(&format!(r#"{{"schema":{{}},"payload":{{"before":{{"id":7}},"after":null,{source},"op":"d"}}}}"#)),
            "delete   public.t id=7"
        );
        assert_eq!(plain("not json"), "• shop.public.t not json");
    }
}
