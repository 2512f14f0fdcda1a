//! A connection pooler where PostgreSQL should be: `validate`, a start and the doctor name it and say what to do. The three
//! ways of poolers, as PgBouncer 1.18 answered: settings are refused; only replication is; or the wish for replication is
//! dropped, so that its commands are taken for SQL.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use walspring_connect::SourcePlugin;
use walspring_doctor::Outcome;
use walspring_postgres_source::doctor::{Examined, Thresholds, examine};
use walspring_postgres_source::{Limits, PostgresPlugin};
use walspring_testkit::postgres;

use crate::support::Connector;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    RefusesSettings,
    RefusesReplication,
    DropsReplication,
}

/// A pooler before the server at `port`; it ends with the process.
fn pooler(way: Way, port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let own = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(way, client, port));
        }
    });
    own
}

fn serve(way: Way, mut client: TcpStream, port: u16) -> std::io::Result<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut body)?;
    // The protocol's version, then names and values, each ended by a zero.
    let texts: Vec<&[u8]> = body[4..].split(|b| *b == 0).collect();
    let pairs: Vec<(&[u8], &[u8])> = texts.chunks(2).filter(|p| !p[0].is_empty()).map(|p| (p[0], p[1])).collect();
    let refused = match way {
        Way::RefusesSettings => pairs.iter().find(|(name, _)| *name == b"statement_timeout"),
        Way::RefusesReplication => pairs.iter().find(|(name, _)| *name == b"replication"),
        Way::DropsReplication => None,
    };
    if let Some((name, _)) = refused {
        let what = format!("unsupported startup parameter: {}", String::from_utf8_lossy(name));
        let fields = format!("SFATAL\0C08P01\0M{what}\0\0");
        let mut error = vec![b'E'];
        error.extend((fields.len() as u32 + 4).to_be_bytes());
        error.extend(fields.as_bytes());
        return client.write_all(&error);
    }
    let mut startup = body[..4].to_vec();
    for (name, value) in pairs.iter().filter(|(name, _)| *name != b"replication") {
        startup.extend([*name, b"\0", *value, b"\0"].concat());
    }
    startup.push(0);
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    server.write_all(&(startup.len() as u32 + 4).to_be_bytes())?;
    server.write_all(&startup)?;
    loop {
        let mut head = [0; 5];
        server.read_exact(&mut head)?;
        let mut body = vec![0; u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4];
        server.read_exact(&mut body)?;
        if head[0] == b'K' {
            // Its own, by which it would find whom to cancel.
            body[..4].copy_from_slice(&0x34e9_c1c2_u32.to_be_bytes());
        }
        client.write_all(&head)?;
        client.write_all(&body)?;
        if head[0] == b'Z' {
            break;
        }
    }
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || std::io::copy(&mut from, &mut to).and_then(|_| to.shutdown(std::net::Shutdown::Write)));
    std::io::copy(&mut server, &mut client).and_then(|_| client.shutdown(std::net::Shutdown::Both))
}

#[test]
fn a_connection_pooler_in_the_servers_place_is_refused_with_the_reason() {
    let db = postgres(15).database();
    db.sql("create table a (id int primary key)");
    let direct = Connector::new(&db, &[("database.sslmode", "disable"), ("snapshot.mode", "no_data")]);
    let mut source = direct.streaming(None);
    db.sql("insert into a values (1)");
    source.take(1);
    let stored = source.close();
    for way in [Way::RefusesSettings, Way::RefusesReplication, Way::DropsReplication] {
        let mut pooled = Connector::new(&db, &[("database.sslmode", "disable"), ("slot.name", &db.slot("pooled"))]);
        pooled.set("database.port", &pooler(way, db.server().port()).to_string());
        let says = |text: &str| {
            assert!(text.contains("pooler") && text.contains("address of PostgreSQL itself"), "{way:?}: {text}")
        };

        // A new connector, and one that goes on.
        for stored in [None, stored.as_ref()] {
            let error = pooled.refusal(stored);
            assert!(!error.is_transient(), "{way:?}: {}", error.trace());
            says(&error.trace());
        }
        let invalid = PostgresPlugin::with_limits(Limits::default()).check(&pooled.config);
        assert_eq!(invalid.len(), 1, "{way:?}: {invalid:?}");
        assert_eq!(invalid[0].0, "database.hostname");
        says(&invalid[0].1);

        let examined =
            Examined { config: &pooled.config, connect: None, bare: false, thresholds: Thresholds::default() };
        let report = examine(&examined).unwrap_or_else(|e| panic!("{e}")).report;
        let failed = if way == Way::RefusesSettings { "pg.connection" } else { "pg.replication_connection" };
        let found = report.find(failed).expect("the check");
        assert_eq!(found.outcome, Outcome::Fail, "{way:?}: {found:?}");
        says(&found.hint());
        let direct = report.find("pg.direct").expect("the check").outcome;
        assert_eq!(direct, if way == Way::RefusesSettings { Outcome::Skip } else { Outcome::Warn }, "{way:?}");
    }
    assert!(PostgresPlugin::with_limits(Limits::default()).check(&direct.config).is_empty());
}
