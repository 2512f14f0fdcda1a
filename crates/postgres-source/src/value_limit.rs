//! `walspring.value.max.bytes`: what becomes of a value that is larger than is wanted, before anything is made of it.
//!
//! Off unless it is configured: then a large value is written as the original writes it, or fails at Kafka's limit. A row
//! whose bytes are fewer than the limit is never looked at, so that it costs a comparison a row. The value itself is in
//! memory once more than the socket's buffer while it is cut; nothing behind this sees it whole.
//!
//! Invariant: no value is shortened in silence. A cut one says so in itself, one that cannot be cut has the placeholder of
//! values that are not there, and a record that is left out is counted and told.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use walspring_config::config::Config;
use walspring_connect::{DEBEZIUM_EXCEPTION, TaskError};
use walspring_record::{Cell, ChangeBatch, Leaf, PgType, RecordPlan, TypeKind};

pub const MAX: &str = "walspring.value.max.bytes";
pub const TOO_LARGE: &str = "walspring.value.too.large";

/// What is left of a cut value ends with its mark, which must have room.
pub const MAX_LEAST: usize = 64;

/// `walspring.value.too.large`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLarge {
    Fail,
    /// Text and bytea are cut and end with a mark; other types as [`TooLarge::Placeholder`].
    Truncate,
    /// `unavailable.value.placeholder`, as for values that the stream leaves out.
    Placeholder,
    /// No event.
    Skip,
}

/// How often it was applied.
#[derive(Debug, Default)]
pub struct Counts {
    pub truncated: AtomicU64,
    pub replaced: AtomicU64,
    pub skipped: AtomicU64,
}

impl Counts {
    pub fn each(&self) -> [(&'static str, u64); 3] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("truncated", of(&self.truncated)), ("replaced", of(&self.replaced)), ("skipped", of(&self.skipped))]
    }
}

#[derive(Debug, Clone)]
pub struct ValueLimit {
    /// `usize::MAX`: there is none.
    max: usize,
    action: TooLarge,
    pub counts: Arc<Counts>,
}

impl Default for ValueLimit {
    fn default() -> ValueLimit {
        ValueLimit { max: usize::MAX, action: TooLarge::Fail, counts: Arc::default() }
    }
}

/// Where in a batch a change's rows stand.
#[derive(Debug, Clone, Copy)]
pub struct Cells {
    /// Where their bytes begin.
    pub base: usize,
    /// The first cell of the old row, which stands before the new one.
    pub old: Option<usize>,
    /// The first cell of the new row; without one the end of the old row.
    pub first: usize,
    /// The end of their cells: what follows is no row's.
    pub last: usize,
}

/// What has become of a row, or of the old and the new one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Limited {
    /// The change is to be left out. Its large values are gone already.
    pub skipped: bool,
    /// Something was cut or replaced: what is left does not tell whether the value has changed.
    pub altered: bool,
    /// Places, among the batch's cells, of values that have the placeholder. Until [`Limited::put_placeholders`] they are
    /// NULL, so that nothing else takes them for values that the stream has left out.
    placeholders: Vec<usize>,
}

/// What is done with one value.
enum Treatment {
    /// Nothing of it gets into the event, or only so much as the column's own settings say.
    Keep,
    CutText,
    CutBytea,
    Replace,
    Refuse(&'static str),
}

impl ValueLimit {
    pub fn parse(config: &Config) -> Result<ValueLimit, String> {
        let Some(max) = config.get(MAX).map(str::trim).filter(|max| !max.is_empty()) else {
            return Ok(ValueLimit::default());
        };
        let max = max.parse().ok().filter(|max| *max >= MAX_LEAST);
        let max = max.ok_or_else(|| format!("{MAX} has to be a number of bytes, at least {MAX_LEAST}"))?;
        let action = match config.get(TOO_LARGE).map_or("fail", str::trim).to_ascii_lowercase().as_str() {
            "" | "fail" => TooLarge::Fail,
            "truncate" => TooLarge::Truncate,
            "placeholder" => TooLarge::Placeholder,
            "skip" => TooLarge::Skip,
            other => return Err(format!("{TOO_LARGE} is {other}: it has to be fail, truncate, placeholder or skip")),
        };
        Ok(ValueLimit { max, action, counts: Arc::default() })
    }

    /// Whether a row of so many bytes may have a value that is too large.
    #[inline]
    pub fn concerns(&self, row_bytes: usize) -> bool {
        row_bytes > self.max
    }

    /// Looks at what a change has added to the batch last. `place`: where the change is, for whoever reads of it.
    #[cold]
    pub fn apply(
        &self,
        batch: &mut ChangeBatch,
        plan: &RecordPlan,
        cells: &Cells,
        place: &dyn Fn() -> String,
    ) -> Result<Limited, TaskError> {
        let Cells { base, old, first, last } = *cells;
        let first = old.unwrap_or(first);
        let columns = plan.relation.columns.len();
        let mut limited = Limited::default();
        // Spans stand in the order of the cells, so that what is kept moves to the front.
        let mut end = base;
        for at in first..batch.cells.len() {
            let Some(span) = batch.cells[at].span() else { continue };
            let column = (at - first) % columns.max(1);
            let mut kept = span.clone();
            if span.len() > self.max && at < last {
                let bytes = size(&plan.relation.columns[column].ty, span.len());
                if bytes > self.max {
                    match self.treatment(plan, column) {
                        Treatment::Keep => {}
                        // Without its event nobody would learn that the row is another one now, or gone.
                        Treatment::Refuse(_) if self.action == TooLarge::Skip && at < cells.first => {
                            if !in_key(plan, column) {
                                self.tell("it is replaced", &self.counts.replaced, plan, column, bytes, place);
                                batch.cells[at] = Cell::NULL;
                                limited.altered = true;
                                if has_placeholder(plan, column) {
                                    limited.placeholders.push(at);
                                }
                                continue;
                            }
                        }
                        _ if self.action == TooLarge::Skip => {
                            if !limited.skipped {
                                self.tell("the row is left out", &self.counts.skipped, plan, column, bytes, place);
                            }
                            batch.cells[at] = Cell::NULL;
                            limited.skipped = true;
                            continue;
                        }
                        Treatment::Refuse(why) => return Err(self.refused(plan, column, bytes, why, place)),
                        Treatment::Replace => {
                            self.tell("it is replaced", &self.counts.replaced, plan, column, bytes, place);
                            batch.cells[at] = Cell::NULL;
                            limited.placeholders.push(at);
                            limited.altered = true;
                            continue;
                        }
                        Treatment::CutText => kept.end = self.cut_text(&mut batch.bytes, &span, bytes),
                        Treatment::CutBytea => kept.end = self.cut_bytea(&mut batch.bytes, &span, bytes),
                    }
                    if kept.end < span.end {
                        self.tell("it is cut", &self.counts.truncated, plan, column, bytes, place);
                        limited.altered = true;
                    }
                }
            }
            batch.bytes.copy_within(kept.clone(), end);
            batch.cells[at] = Cell::text(end, kept.len());
            end += kept.len();
        }
        batch.bytes.truncate(end);
        // What was read for one huge row is not kept for the rows behind it.
        batch.bytes.shrink_to(2 * end.max(self.max.min(KEPT_BYTES)));
        Ok(limited)
    }

    /// A value that was read again; `None`: it is not taken, and the row stays as the stream gave it. Else its new end.
    #[cold]
    pub fn read_again(
        &self,
        bytes: &mut [u8],
        plan: &RecordPlan,
        column: usize,
        span: Range<usize>,
    ) -> Result<Option<usize>, TaskError> {
        let place = || ", read again for post.processors".to_owned();
        let size = size(&plan.relation.columns[column].ty, span.len());
        if size <= self.max {
            return Ok(Some(span.end));
        }
        let end = match self.treatment(plan, column) {
            Treatment::Keep => return Ok(Some(span.end)),
            Treatment::CutText => self.cut_text(bytes, &span, size),
            Treatment::CutBytea => self.cut_bytea(bytes, &span, size),
            Treatment::Refuse(why) if self.action == TooLarge::Fail => {
                return Err(self.refused(plan, column, size, why, &place));
            }
            Treatment::Refuse(_) | Treatment::Replace => {
                self.tell("it is replaced", &self.counts.replaced, plan, column, size, &place);
                return Ok(None);
            }
        };
        self.tell("it is cut", &self.counts.truncated, plan, column, size, &place);
        Ok(Some(end))
    }

    fn treatment(&self, plan: &RecordPlan, column: usize) -> Treatment {
        let field = plan.row.fields.iter().find(|field| field.column == column);
        if in_key(plan, column) {
            return Treatment::Refuse("the column is of the key, which is not shortened; ");
        }
        let Some(field) = field else { return Treatment::Keep };
        let leaf = match &field.leaf {
            Leaf::Strict(strict) => &strict.leaf,
            leaf => leaf,
        };
        match (leaf, self.action) {
            (Leaf::Truncated(_) | Leaf::Hashed(_) | Leaf::Constant(_), _) => Treatment::Keep,
            (_, TooLarge::Fail | TooLarge::Skip) => Treatment::Refuse(""),
            (Leaf::Text, TooLarge::Truncate) if is_character(&plan.relation.columns[column].ty) => Treatment::CutText,
            (Leaf::Bytea(_), TooLarge::Truncate) => Treatment::CutBytea,
            _ if field.unavailable.is_null() => {
                Treatment::Refuse("the type has no placeholder, so that it cannot be replaced; ")
            }
            _ => Treatment::Replace,
        }
    }

    /// At the end of a character, with the mark behind it; answers the new end.
    fn cut_text(&self, bytes: &mut [u8], span: &Range<usize>, size: usize) -> usize {
        let mark = mark(size);
        let mut end = span.start + self.max - mark.len();
        while end > span.start && bytes[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        bytes[end..end + mark.len()].copy_from_slice(mark.as_bytes());
        end + mark.len()
    }

    /// The text form is `\x` and two digits a byte, and the mark is bytes too.
    fn cut_bytea(&self, bytes: &mut [u8], span: &Range<usize>, size: usize) -> usize {
        let mark: String = mark(size).bytes().map(|byte| format!("{byte:02x}")).collect();
        let end = span.start + 2 + 2 * self.max - mark.len();
        bytes[end..end + mark.len()].copy_from_slice(mark.as_bytes());
        end + mark.len()
    }

    fn refused(
        &self,
        plan: &RecordPlan,
        column: usize,
        bytes: usize,
        why: &str,
        place: &dyn Fn() -> String,
    ) -> TaskError {
        let (table, name) = (plan.relation.qualified_name(), &plan.relation.columns[column].name);
        let error = TaskError::definite(
            DEBEZIUM_EXCEPTION,
            format!(
                "The value of column \"{name}\" of table {table} has {bytes} bytes, more than {MAX} ({}) allows{}",
                self.max,
                place()
            ),
        );
        error.hint(format!("{why}raise {MAX}, or set {TOO_LARGE} to truncate, placeholder or skip"))
    }

    /// Large values are rare and slow by themselves: each is a line, so that none is missed.
    fn tell(
        &self,
        what: &str,
        count: &AtomicU64,
        plan: &RecordPlan,
        column: usize,
        bytes: usize,
        place: &dyn Fn() -> String,
    ) {
        count.fetch_add(1, Ordering::Relaxed);
        let (table, column) = (plan.relation.qualified_name(), &plan.relation.columns[column].name);
        tracing::warn!(%table, %column, bytes, max = self.max, "a value is too large, {what}{}", place());
    }
}

/// Not worth giving back.
const KEPT_BYTES: usize = 1 << 20;

impl Limited {
    /// Takes the rows of a change that is left out off the batch's end again; whether it is.
    pub fn take_off_skipped(&self, batch: &mut ChangeBatch, cells: &Cells) -> bool {
        if self.skipped {
            batch.cells.truncate(cells.old.unwrap_or(cells.first));
            batch.bytes.truncate(cells.base);
        }
        self.skipped
    }

    /// Once nothing reads the row as the stream has it any more.
    pub fn put_placeholders(&self, batch: &mut ChangeBatch) {
        for &at in &self.placeholders {
            batch.cells[at] = Cell::UNCHANGED;
        }
    }
}

fn in_key(plan: &RecordPlan, column: usize) -> bool {
    let of_key = plan.key.iter().any(|key| key.fields.iter().any(|field| field.column == column));
    of_key || plan.relation.key.contains(&column)
}

fn has_placeholder(plan: &RecordPlan, column: usize) -> bool {
    plan.row.fields.iter().any(|field| field.column == column && !field.unavailable.is_null())
}

fn mark(size: usize) -> String {
    format!(" [truncated: {size} bytes]")
}

/// Of bytea the bytes, of all others the text's.
fn size(ty: &PgType, text: usize) -> usize {
    if is_builtin(base(ty), &["bytea"]) { text.saturating_sub(2) / 2 } else { text }
}

/// Whose text may be cut anywhere.
fn is_character(ty: &PgType) -> bool {
    let ty = base(ty);
    is_builtin(ty, &["text", "varchar", "bpchar"]) || &*ty.name == "citext"
}

fn is_builtin(ty: &PgType, names: &[&str]) -> bool {
    &*ty.namespace == "pg_catalog" && names.contains(&&*ty.name)
}

fn base(ty: &PgType) -> &PgType {
    match &ty.kind {
        TypeKind::Domain(of, _) => base(of),
        _ => ty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ValueLimit, String> {
        ValueLimit::parse(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn without_the_option_there_is_no_limit() {
        assert!(!parse(&[]).unwrap().concerns(1 << 30));
        assert!(!parse(&[(MAX, " "), (TOO_LARGE, "skip")]).unwrap().concerns(1 << 30));
        let limit = parse(&[(MAX, "1000"), (TOO_LARGE, " Skip ")]).unwrap();
        assert_eq!((limit.concerns(1000), limit.concerns(1001), limit.action), (false, true, TooLarge::Skip));
        for wrong in [&[(MAX, "63")][..], &[(MAX, "-1")], &[(MAX, "1 MB")], &[(MAX, "64"), (TOO_LARGE, "shrink")]] {
            assert!(parse(wrong).unwrap_err().contains(wrong.last().unwrap().0));
        }
    }

    #[test]
    fn a_cut_value_is_as_long_as_is_allowed_and_ends_at_a_character() {
        let limit = parse(&[(MAX, "64")]).unwrap();
        for start in 0..4 {
            let text = format!("{}{}", "a".repeat(start), "🦀".repeat(50));
            let mut bytes = format!("before{text}").into_bytes();
            let span = 6..bytes.len();
            let end = limit.cut_text(&mut bytes, &span, span.len());
            let cut = std::str::from_utf8(&bytes[6..end]).expect("UTF-8");
            let (kept, mark) = cut.split_once(" [").expect("a mark");
            assert!(text.starts_with(kept) && cut.len() <= 64 && cut.len() > 60, "{cut}");
            assert_eq!(mark, format!("truncated: {} bytes]", text.len()));
        }
        let mut bytes = format!("\\x{}", "00ff".repeat(500)).into_bytes();
        let span = 0..bytes.len();
        let end = limit.cut_bytea(&mut bytes, &span, 1000);
        let text = std::str::from_utf8(&bytes[2..end]).expect("digits");
        let value: Vec<u8> =
            (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("a byte")).collect();
        assert_eq!(value.len(), 64);
        assert!(value.starts_with(&[0, 255, 0, 255]) && value.ends_with(b" [truncated: 1000 bytes]"));
    }
}
