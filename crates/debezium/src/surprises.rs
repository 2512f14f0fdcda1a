//! Surprises that a table's definition alone shows: told once per column where the original's bytes are kept; in strict
//! mode put right elsewhere, or refused here with what mends them.

use std::sync::Arc;

use walspring_config::postgres::ColumnRule;
use walspring_connect::{CONNECT_EXCEPTION, TaskError};
use walspring_record::leaf::Reader;
use walspring_record::{Column, PgType, Relation, ReplicaIdentity, Surprise, TypeKind};

use crate::column_rule::is_text;
use crate::config::MappingConfig;
use crate::modifier::parse_modifier;
use crate::types::root;
use crate::{defaults, types};

/// Of the columns of rows, each with its rule, and of the key's.
pub(crate) fn of_table(
    relation: &Relation,
    captured: &[(usize, Option<&ColumnRule>)],
    key_rules: &[(usize, Option<&ColumnRule>)],
    config: &MappingConfig,
    reader: Reader,
) -> Vec<(Arc<str>, Surprise)> {
    let mut found = Vec::new();
    for &(place, rule) in captured {
        let column = &relation.columns[place];
        let mut add = |surprise| found.push((column.name.clone(), surprise));
        match rule {
            Some(ColumnRule::Mask(_) | ColumnRule::Hash(_)) if !is_text(&column.ty) => add(Surprise::MaskIgnored),
            Some(ColumnRule::Mask(_)) if column.nullable => add(Surprise::MaskNull),
            _ => {}
        }
        if has_negative_scale(&column.ty, column.modifier) {
            add(Surprise::NumericScale);
        }
        if column.generated && reader == Reader::Snapshot {
            add(Surprise::GeneratedColumn);
        }
        match types::map(&column.ty, column.modifier, config, reader) {
            None => add(Surprise::TypeLeftOut),
            Some(mapped) => {
                if mapped.null_in_stream && reader == Reader::Stream {
                    add(Surprise::NameNull);
                }
                if defaults::default_value(column, &mapped).is_some() && !column.generated {
                    if !has_sure_default(column) && !is_serial(column) {
                        add(Surprise::DefaultMisread);
                    }
                    if column.nullable {
                        add(Surprise::NullDefault);
                    }
                }
            }
        }
        if reader == Reader::Stream && !column.nullable && !is_known(relation, place) {
            add(Surprise::BeforeMadeUp);
        }
    }
    for &(place, rule) in key_rules {
        let mut add = |surprise| found.push((relation.columns[place].name.clone(), surprise));
        if matches!(rule, Some(ColumnRule::Mask(_) | ColumnRule::Hash(_) | ColumnRule::Truncate(_))) {
            add(Surprise::MaskKey);
        }
        if !captured.iter().any(|(captured, _)| *captured == place) {
            add(Surprise::KeyExcluded);
        }
        if !is_known(relation, place) {
            add(Surprise::KeyIdentity);
        }
        if relation.key_may_repeat {
            add(Surprise::KeyIndex);
        }
    }
    found
}

/// In strict mode what is left to be said is said by an error; everything else has been put right.
pub(crate) fn refuse(relation: &Relation, found: &[(Arc<str>, Surprise)]) -> Result<(), TaskError> {
    use Surprise::{KeyExcluded, KeyIdentity, MaskIgnored, MaskKey, TypeLeftOut};
    let refused =
        |s: &&(Arc<str>, Surprise)| matches!(s.1, KeyExcluded | KeyIdentity | MaskIgnored | MaskKey | TypeLeftOut);
    let Some((column, surprise)) = found.iter().find(refused) else { return Ok(()) };
    let message = format!(
        "walspring.strict=true: column {}.{column} ({}): {}",
        relation.qualified_name(),
        surprise.name(),
        surprise.refused()
    );
    Err(TaskError::definite(CONNECT_EXCEPTION, message).hint(surprise.mend_strict()))
}

/// Whether an old row, where there is one, has the column's value.
pub(crate) fn is_known(relation: &Relation, place: usize) -> bool {
    match relation.identity {
        ReplicaIdentity::Full => true,
        // The server refuses updates and deletes then.
        _ if relation.identifying.is_empty() => true,
        _ => relation.identifying.contains(&place),
    }
}

/// Its rows have their numbers, and nobody takes a zero for one.
fn is_serial(column: &Column) -> bool {
    !column.nullable && column.default.as_deref().is_some_and(|default| default.contains("nextval("))
}

/// Eleven bits with a sign, which the original's driver reads without.
fn has_negative_scale(ty: &PgType, modifier: i32) -> bool {
    let (ty, modifier, _) = root(ty, modifier);
    let (ty, modifier) = match &ty.kind {
        TypeKind::Array(element) => {
            let (ty, modifier, _) = root(element, modifier);
            (ty, modifier)
        }
        _ => (ty, modifier),
    };
    &*ty.name == "numeric" && &*ty.namespace == "pg_catalog" && parse_modifier(modifier, "numeric").scale >= 1024
}

/// Whether the default is a literal, as PostgreSQL prints one: `'a''b'::text`, `-5`, `1.5`, `true`. Of other expressions
/// only the server knows the value.
pub(crate) fn has_sure_default(column: &Column) -> bool {
    let Some(expression) = column.default.as_deref().map(str::trim) else { return true };
    if matches!(expression, "true" | "false") {
        return true;
    }
    let number = expression.strip_prefix('-').unwrap_or(expression);
    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return true;
    }
    let Some(mut rest) = expression.strip_prefix('B').unwrap_or(expression).strip_prefix('\'') else { return false };
    let literal = rest;
    let cast = loop {
        let Some(quote) = rest.find('\'') else { return false };
        rest = &rest[quote + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => rest = after,
            None => break rest,
        }
    };
    let moving = ["now", "today", "tomorrow", "yesterday", "infinity", "-infinity", "allballs"];
    let text = &literal[..literal.len() - cast.len() - 1];
    let plain = |c: char| c.is_alphanumeric() || matches!(c, ':' | '_' | ' ' | '"' | '(' | ')' | ',' | '.' | '[' | ']');
    !moving.iter().any(|word| text.eq_ignore_ascii_case(word))
        && (cast.is_empty() || cast.starts_with("::"))
        && cast.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_sure_and_expressions_are_not() {
        let base = PgType { oid: 25, name: "text".into(), namespace: "pg_catalog".into(), kind: TypeKind::Base };
        let ty = Arc::new(base);
        let column = |default: &str| Column {
            name: "c".into(),
            ty: ty.clone(),
            modifier: -1,
            nullable: false,
            default: Some(default.into()),
            generated: false,
            comment: None,
        };
        for sure in
            ["'a''b'::text", "-5", "1.50", "true", "'-1'::integer", "B'101'::\"bit\"", "'x'::character varying(3)"]
        {
            assert!(has_sure_default(&column(sure)), "{sure}");
        }
        for unsure in [
            "('a'::text || 'b'::text)",
            "'a'::text || 'b'::text",
            "now()",
            "CURRENT_USER",
            "upper('x'::text)",
            "'infinity'::date",
            "'now'::text::date",
            "nextval('s'::regclass)",
            "",
            "'",
            "-",
        ] {
            assert!(!has_sure_default(&column(unsure)), "{unsure}");
        }
    }
}
