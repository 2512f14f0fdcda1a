//! `skip.messages.without.change`: whether an update changes what is written. As in the original the values are compared
//! that would be written: after masks, and without the columns that are left out.

use walspring_record::{ChangeBatch, ConversionFailure, FieldPlan, RecordPlan, RowRef, Value};

/// Whether `before` and `after` of the two rows would be equal. Rows are given by their first cells' places.
pub fn is_unchanged(plan: &RecordPlan, batch: &ChangeBatch, old: u32, new: u32) -> bool {
    let columns = plan.relation.columns.len();
    let (old, new) = (batch.row(old, columns), batch.row(new, columns));
    plan.row.fields.iter().all(|field| {
        let (before, after) = (old.get(field.column), new.get(field.column));
        // Equal texts, or values that are equal all the same: cut, masked, or 1.0 and 1.00.
        (before.is_some() && before == after)
            || value(field, old).is_some_and(|before| value(field, new) == Some(before))
    })
}

/// `None`: it cannot be converted, which is for the encoder to say.
fn value(field: &FieldPlan, row: RowRef<'_>) -> Option<Value> {
    let cell = row.cells[field.column];
    match cell.get(row.bytes) {
        Some(text) => match field.leaf.value(text) {
            Ok(value) => Some(value),
            Err(_) if field.on_error == ConversionFailure::Fail => None,
            Err(_) => Some(field.null.clone()),
        },
        None if cell.is_unchanged() => Some(field.unavailable.clone()),
        None => Some(field.null.clone()),
    }
}
