//! Connections that break at a chosen message, fall silent, are slow or lie; to PostgreSQL and to Kafka.

use std::sync::Arc;
use std::time::{Duration, Instant};

use walspring_faults::proxy::{Action, Proxy, Rule, Seen, Weather, api};
use walspring_faults::rig::{Delivery, PATIENCE, Rig, Setup};
use walspring_testkit::{Postgres, kafka, postgres};

use crate::{assert_good, light, program};

/// A worker on the embedded log that reaches PostgreSQL through a proxy, under load, streaming.
fn before_postgres(server: &Arc<Postgres>, act: impl FnOnce(&Proxy, &Rig)) {
    let proxy = Proxy::postgres(&format!("127.0.0.1:{}", server.port()));
    let mut setup = Setup::new(program(), server);
    setup.postgres_port = Some(proxy.port());
    let mut rig = setup.rig();
    let load = rig.load(light(6));
    let _worker = rig.start();
    rig.wait_streaming();
    act(&proxy, &rig);
    proxy.heal();
    let recovering = Instant::now();
    rig.wait_confirmed(rig.confirmed().unwrap_or_default());
    eprintln!("confirmed again after {:?}", recovering.elapsed());
    load.stop();
    assert_good(&mut rig, 0);
}

#[test]
fn cut_after_the_first_the_second_up_to_the_fifth_commit() {
    before_postgres(&postgres(15), |proxy, _| {
        for k in 1..=5 {
            proxy.add(Rule::once(Seen::Commit, k, Action::CutAfter));
            proxy.wait_fired(k, PATIENCE);
        }
    });
}

#[test]
fn cut_before_a_commit_inside_a_change_and_before_a_standby_status() {
    before_postgres(&postgres(18), |proxy, _| {
        let rules = [
            Rule::once(Seen::Commit, 2, Action::CutBefore),
            Rule::once(Seen::Change, 7, Action::CutInside(11)),
            Rule::once(Seen::Change, 5, Action::CutInside(usize::MAX)),
            Rule::once(Seen::StandbyStatus, 2, Action::CutBefore),
            Rule::once(Seen::Keepalive, 1, Action::CutAfter),
        ];
        for (rule, fired) in rules.into_iter().zip(1..) {
            proxy.add(rule);
            proxy.wait_fired(fired, PATIENCE);
        }
    });
}

#[test]
fn cut_after_any_number_of_bytes() {
    before_postgres(&postgres(15), |proxy, _| {
        for (bytes, fired) in [1000, 4321, 20_011].into_iter().zip(1..) {
            proxy.cut_after_bytes(bytes);
            proxy.wait_fired(fired, PATIENCE);
        }
    });
}

#[test]
fn refused_for_a_while_it_knocks_ever_less_often_and_goes_on() {
    before_postgres(&postgres(15), |proxy, rig| {
        proxy.refuse(true);
        proxy.cut_all();
        // Between half and the whole of a step that doubles: the fourth is at least 0.8 s.
        let waits = || {
            let log = rig.program.log();
            log.split("\"wait_ms\":").skip(1).filter_map(|rest| rest.split([',', '}']).next()?.parse().ok()).max()
        };
        walspring_testkit::wait_for("a longer wait", PATIENCE, || waits().filter(|ms: &u64| *ms >= 800));
    });
}

#[test]
fn byte_by_byte_and_slow_it_only_takes_longer() {
    before_postgres(&postgres(15), |proxy, rig| {
        proxy.set_weather(Weather { slices: true, ..Weather::default() });
        rig.wait_confirmed(rig.confirmed().unwrap_or_default());
        proxy.set_weather(Weather { latency: Duration::from_millis(20), bytes_per_second: 200_000, slices: false });
        rig.wait_confirmed(rig.confirmed().unwrap_or_default());
    });
}

#[test]
fn a_half_open_connection_to_postgres_is_found_within_twice_wal_sender_timeout() {
    let timeout = Duration::from_secs(2);
    let server = Arc::new(Postgres::start(Postgres::builder(15).option("wal_sender_timeout", "2s")));
    before_postgres(&server, |proxy, rig| {
        // Streaming, and past what is asked of the catalog before each table's first row.
        for _ in 0..5 {
            rig.wait_confirmed(rig.confirmed().unwrap_or_default());
        }
        let before = proxy.accepted();
        let begun = Instant::now();
        proxy.half_open_all(false);
        walspring_testkit::wait_for("another connection", PATIENCE, || (proxy.accepted() > before).then_some(()));
        // And much more for a machine that does other things too: TCP would find it after a quarter of an hour.
        assert!(begun.elapsed() < timeout * 2 + Duration::from_secs(30), "{:?}", begun.elapsed());
    });
}

/// A worker whose Kafka is reached through a proxy.
fn before_kafka(delivery: Delivery, act: impl FnOnce(&Proxy, &Rig)) -> usize {
    let (server, kafka) = (postgres(17), kafka());
    let proxy = Proxy::kafka(&kafka.bootstrap());
    let mut setup = Setup::new(program(), &server);
    setup.bootstrap = Some(proxy.address());
    setup.read_from = Some(kafka.bootstrap());
    setup.delivery = delivery;
    let mut rig = setup.rig();
    let load = rig.load(light(7));
    let _worker = rig.start();
    rig.wait_streaming();
    rig.wait_confirmed(rig.confirmed().unwrap_or_default());
    act(&proxy, &rig);
    proxy.heal();
    rig.wait_confirmed(rig.confirmed().unwrap_or_default());
    load.stop();
    let fired = proxy.fired() as usize;
    assert_good(&mut rig, fired);
    fired
}

#[test]
fn the_reply_to_the_end_of_a_transaction_is_lost() {
    before_kafka(Delivery::ExactlyOnce, |proxy, _| {
        for fired in 1..=3 {
            proxy.add(Rule::once(Seen::Request(api::END_TXN), 2, Action::LoseReply));
            proxy.wait_fired(fired, PATIENCE);
        }
    });
}

#[test]
fn requests_and_replies_of_a_transaction_are_lost() {
    before_kafka(Delivery::ExactlyOnce, |proxy, _| {
        let rules = [
            Rule::once(Seen::Request(api::PRODUCE), 3, Action::LoseReply),
            Rule::once(Seen::Request(api::END_TXN), 2, Action::CutBefore),
            Rule::once(Seen::Request(api::INIT_PRODUCER_ID), 1, Action::LoseReply),
            Rule::once(Seen::Request(api::PRODUCE), 2, Action::CutInside(40)),
        ];
        for (rule, fired) in rules.into_iter().zip(1..) {
            proxy.add(rule);
            proxy.wait_fired(fired, PATIENCE);
        }
    });
}

#[test]
fn replies_are_lost_at_least_once() {
    before_kafka(Delivery::AtLeastOnce, |proxy, _| {
        proxy.add(Rule { at: Seen::Request(api::PRODUCE), nth: 5, times: 6, action: Action::LoseReply });
        proxy.wait_fired(6, PATIENCE);
    });
}
