//! The fuzz targets as usual tests: on their seeds, on seeds that were changed, on bytes by chance, on what was ever found.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use walspring_fuzzing::{TARGETS, Target, target};

/// One change of an input, as a fuzzer makes them.
fn changed(mut seed: Vec<u8>, edits: &[(usize, u8, u8)]) -> Vec<u8> {
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\\', b'{'];
    for &(at, how, byte) in edits {
        let at = at % (seed.len() + 1);
        match how % 6 {
            0 => seed.truncate(at),
            1 => seed.insert(at, byte),
            2 => seed.insert(at, TELLING[usize::from(byte % 8)]),
            3 if at < seed.len() => seed[at] = byte,
            4 if at < seed.len() => seed[at] ^= 1 << (byte % 8),
            5 => {
                let copy = seed[at..(at + usize::from(byte)).min(seed.len())].to_vec();
                seed.splice(at..at, copy);
            }
            _ => {}
        }
    }
    seed
}

fn check(target: &Target) {
    for seed in (target.seeds)() {
        (target.run)(&seed);
    }
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(target.name);
    for file in std::fs::read_dir(found).into_iter().flatten() {
        (target.run)(&std::fs::read(file.expect("a file").path()).expect("its bytes"));
    }
    let seeds = (target.seeds)();
    let edit = (any::<usize>(), any::<u8>(), any::<u8>());
    let edited = (prop::sample::select(seeds), prop::collection::vec(edit, 1..6)).prop_map(|(s, e)| changed(s, &e));
    let input = prop_oneof![4 => edited, 1 => prop::collection::vec(any::<u8>(), 0..200)];
    let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let result = runner.run(&input, |input| {
        (target.run)(&input);
        Ok(())
    });
    if let Err(e) = result {
        panic!("{}: {e}", target.name);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(target(stringify!($name)));
        })*

        #[test]
        fn each_target_is_tried() {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets!(pgoutput stream backend copy values offsets signals);
