//! Blocks as a server might send them, and as none would.

use proptest::prelude::*;
use walspring_connect::Kind;

use super::*;

fn spill(memory_max: usize, disk_max: u64) -> Spill {
    Spill { dir: std::env::temp_dir(), memory_max, disk_max }
}

fn start(xid: u32, first: bool) -> Vec<u8> {
    let mut payload = vec![b'S'];
    payload.extend(xid.to_be_bytes());
    payload.push(u8::from(first));
    payload
}

fn message(tag: u8, xid: u32, rest: &[u8]) -> Vec<u8> {
    let mut payload = vec![tag];
    payload.extend(xid.to_be_bytes());
    payload.extend(rest);
    payload
}

fn abort(xid: u32, subxid: u32) -> Vec<u8> {
    message(b'A', xid, &subxid.to_be_bytes())
}

fn commit(xid: u32) -> Vec<u8> {
    message(b'c', xid, &[0; 25])
}

/// Takes them all; what the last became.
fn take(streamed: &mut Streamed, payloads: &[Vec<u8>]) -> Result<Taken, TaskError> {
    let mut relations = 0;
    let mut last = Taken::Kept;
    for payload in payloads {
        assert!(streamed.is_streamed(payload), "{payload:?}");
        last = streamed.take(1, payload, &mut relations)?;
    }
    Ok(last)
}

/// The messages of a transaction that committed.
fn released(taken: Taken) -> Vec<Vec<u8>> {
    let Taken::Committed(Some(mut release), _) = taken else { panic!("{taken:?}") };
    let mut all = Vec::new();
    while let Some((_, payload)) = release.next().unwrap() {
        all.push(payload.to_vec());
    }
    all
}

#[test]
fn blocks_of_two_transactions_come_out_at_their_commits() {
    for memory_max in [0, 30, 1000] {
        let mut streamed = Streamed::new(spill(memory_max, 1000));
        let row = |xid, text: &[u8]| message(b'I', xid, text);
        let stop = || vec![b'E'];
        let taken = take(
            &mut streamed,
            &[
                start(5, true),
                message(b'R', 5, b"table"),
                row(5, b"a"),
                stop(),
                start(6, true),
                row(6, b"b"),
                stop(),
                start(5, false),
                row(7, b"undone"),
                stop(),
                abort(5, 7),
                start(5, false),
                row(5, b"c"),
                stop(),
                commit(5),
            ],
        );
        assert_eq!(released(taken.unwrap()), [&b"Rtable"[..], b"Ia", b"Ic"]);
        let numbers = streamed.numbers(None);
        assert_eq!((numbers.transactions, numbers.open, numbers.rolled_back), (2, 1, 0));
        assert_eq!(numbers.spilled_bytes > 0, memory_max < 1000);
        assert!(matches!(take(&mut streamed, &[abort(6, 6)]), Ok(Taken::Kept)));
        let left = StreamedNumbers { spilled_bytes: numbers.spilled_bytes, ..StreamedNumbers::default() };
        assert_eq!(streamed.numbers(None), StreamedNumbers { transactions: 2, rolled_back: 1, ..left });
        assert!(!streamed.is_streamed(b"I"));
    }
}

#[test]
fn a_transaction_without_events_leaves_nothing() {
    let mut streamed = Streamed::new(spill(1000, 1000));
    let taken = take(
        &mut streamed,
        &[
            start(5, true),
            message(b'R', 6, b"table"),
            message(b'I', 6, b"a"),
            vec![b'E'],
            abort(5, 6),
            start(5, false),
            message(b'Y', 5, b"type"),
            vec![b'E'],
            commit(5),
        ],
    );
    assert!(matches!(taken, Ok(Taken::Committed(None, _))), "{taken:?}");
}

#[test]
fn what_cannot_be_kept_or_is_not_sure_is_given_up() {
    let give_up = |spill: Spill, payloads: &[Vec<u8>]| {
        let mut streamed = Streamed::new(spill);
        match take(&mut streamed, payloads).unwrap() {
            Taken::GiveUp(why) => {
                let error = why.error();
                assert_eq!(error.kind, Kind::Transient);
                error.to_string()
            }
            other => panic!("{other:?}"),
        }
    };
    let begin = || start(5, true);
    let row = || message(b'I', 5, b"row");
    let text = give_up(spill(0, 30), &[begin(), row(), row()]);
    assert!(text.contains("walspring.spill.max.bytes (30)"), "{text}");
    let nowhere = Spill { dir: "/nowhere".into(), ..spill(0, 1000) };
    let text = give_up(nowhere, &[begin(), row()]);
    assert!(text.contains("walspring.spill.dir"), "{text}");
    let text = give_up(spill(1000, 1000), &[begin(), vec![b'O', 0, 0]]);
    assert!(text.contains("another node"), "{text}");
    let unsure = [begin(), message(b'M', 5, b"m"), vec![b'E'], abort(5, 6), start(5, false), row(), vec![b'E']];
    let text = give_up(spill(1000, 1000), &[&unsure[..], &[commit(5)]].concat());
    assert!(text.contains("logical message"), "{text}");
    // Rolled back as a whole it makes no difference.
    let taken = take(&mut Streamed::new(spill(1000, 1000)), &[&unsure[..], &[abort(5, 5)]].concat());
    assert!(matches!(taken, Ok(Taken::Kept)), "{taken:?}");
}

#[test]
fn a_server_that_is_out_of_turn_is_an_error() {
    for payloads in [
        &[start(5, false)][..],
        &[start(5, true), vec![b'E'], start(5, true)],
        &[start(5, true), start(6, true)],
        &[start(5, true), b"B".to_vec()],
        &[start(5, true), b"I\0\0".to_vec()],
        &[commit(5)],
        &[vec![b'E']],
        &[start(5, true), vec![b'E', 0]],
    ] {
        let mut streamed = Streamed::new(spill(1000, 1000));
        let error = take(&mut streamed, payloads).expect_err("an error");
        assert_eq!(error.kind, Kind::Transient, "{payloads:?}");
    }
    // A rollback of what has not come is none of ours.
    assert!(matches!(take(&mut Streamed::new(spill(1000, 1000)), &[abort(5, 6)]), Ok(Taken::Kept)));
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let xid = 1u32..6;
    prop_oneof![
        (xid.clone(), any::<bool>()).prop_map(|(xid, first)| start(xid, first)),
        Just(vec![b'E']),
        xid.clone().prop_map(commit),
        (xid.clone(), xid.clone()).prop_map(|(xid, sub)| abort(xid, sub)),
        (prop::sample::select(b"IIIUDTMRY".to_vec()), xid, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(tag, xid, rest)| message(tag, xid, &rest)),
        prop::collection::vec(any::<u8>(), 1..30),
    ]
}

proptest! {
    #[test]
    fn no_order_of_messages_breaks_the_account(
        payloads in prop::collection::vec(payload(), 0..60),
        memory_max in 0usize..200,
        disk_max in 0u64..500,
    ) {
        let mut streamed = Streamed::new(spill(memory_max, disk_max));
        let mut relations = 0;
        for payload in payloads.iter().filter(|payload| !payload.is_empty()) {
            if !streamed.is_streamed(payload) {
                continue;
            }
            match streamed.take(1, payload, &mut relations) {
                Ok(Taken::Committed(Some(mut release), _)) => while release.next().unwrap().is_some() {},
                Ok(Taken::GiveUp(_)) => return Ok(()),
                Ok(_) | Err(_) => {}
            }
            let sum = |of: fn(&Held) -> usize| streamed.open.values().map(of).sum::<usize>();
            prop_assert_eq!(sum(|held| held.tail.len()), streamed.memory);
            prop_assert_eq!(sum(|held| held.flushed as usize), streamed.disk as usize);
            prop_assert_eq!(sum(|held| held.subs()), streamed.subs);
            prop_assert!(streamed.memory <= memory_max && streamed.disk <= disk_max);
        }
    }
}
