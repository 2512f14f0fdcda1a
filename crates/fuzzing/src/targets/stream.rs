//! A whole stream: tables described, rows, transactions, also in progress; read into batches, and every change made into its
//! records as JSON, by the compiled encoder and by the tree.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use walspring_connect::{Converter, RowEncoder, Side};
use walspring_converters::converter;
use walspring_postgres_source::fuzzing;
use walspring_record::{Change, ChangeBatch, ChangeKind, RecordPlan, Warnings};

use crate::input::Input;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let limit = match input.byte() {
        flags if flags & 1 == 1 => Some((usize::from(input.short()), flags >> 1)),
        _ => None,
    };
    let mut lsn = 0u64;
    let payloads = std::iter::from_fn(|| {
        // Places in the log go up by a byte, so that several share one.
        let step = input.byte();
        let payload = input.counted();
        lsn = lsn.wrapping_add(u64::from(step));
        (!payload.is_empty()).then_some((lsn, payload))
    });
    let mut encoders = Encoders { converter: converter("JsonConverter", Side::Value, &[]).ok(), of: HashMap::new() };
    let _ = fuzzing::stream(payloads, limit, |batch| {
        if let Some(change) = batch.changes.last() {
            encoders.encode(batch, change);
        }
    });
}

struct Encoders {
    converter: Option<Box<dyn Converter>>,
    of: HashMap<u64, Option<Box<dyn RowEncoder>>>,
}

impl Encoders {
    fn encode(&mut self, batch: &ChangeBatch, change: &Change) {
        let Some(converter) = &self.converter else { return };
        if change.kind == ChangeKind::Record {
            return;
        }
        let plan: &Arc<RecordPlan> = &batch.plans[change.plan as usize];
        let encoder = self.of.entry(plan.id).or_insert_with(|| converter.row_encoder(plan, Side::Value));
        thread_local!(static OUT: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::default());
        OUT.with_borrow_mut(|(by_row, by_tree)| {
            for step in plan.steps(batch, change).iter().filter(|step| !step.tombstone) {
                by_row.clear();
                by_tree.clear();
                let mut warnings = Warnings::default();
                let tree = plan.value_tree(batch, change, step, &mut warnings).ok();
                let tree = tree.and_then(|tree| converter.encode("t", Some(&plan.envelope), &tree, by_tree).ok());
                let Some(encoder) = encoder else { continue };
                let row = encoder.encode(batch, change, step, by_row, &mut warnings).ok();
                assert_eq!(row, tree, "one of row and tree is refused");
                assert!(row.is_none() || by_row == by_tree, "row and tree differ");
            }
        });
    }
}
