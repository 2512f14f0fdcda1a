//! Decoding and encoding a row does not become more expensive unnoticed.

use std::io::Write as _;
use std::path::Path;

use walspring_bench::{budget, instructions};

#[test]
fn a_row_takes_no_more_instructions_than_recorded() {
    let program = Path::new(env!("CARGO_BIN_EXE_walspring-bench"));
    for schemas in [false, true] {
        let counted = match instructions::count(program, schemas) {
            Ok(counted) => counted,
            Err(e) => {
                // Past the capture of a test that passes.
                let _ = writeln!(
                    std::io::stderr(),
                    "\n!!! NOT CHECKED: the instructions of the record path cannot be counted here: {e}\n"
                );
                return;
            }
        };
        let recorded = budget::recorded(schemas).unwrap_or_else(|e| panic!("{e}; counted: {counted:?}"));
        let (form, profile) = (budget::form(schemas), budget::profile());
        println!("{profile} {form}: {:.0} instructions a row by {}, {recorded} recorded", counted.per_row, counted.by);
        assert!(
            counted.per_row <= recorded * (1.0 + budget::SLACK),
            "{profile} {form}: {:.0} instructions a row, {recorded} are recorded in {}. If there is a good reason, record \
             the new number in the same change, and say why",
            counted.per_row,
            budget::path().display()
        );
    }
}
