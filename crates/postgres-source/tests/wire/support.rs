//! Servers and configurations the tests share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;
use walspring_postgres_source::wire::{ConnectConfig, Connection, ReplicationStream, Secret, SslMode};
use walspring_testkit::{Certificates, Postgres, TempDatabase};

/// A database of one's own on the shared server of the version that ships most.
pub fn database() -> TempDatabase {
    walspring_testkit::postgres(15).database()
}

pub fn config(db: &TempDatabase) -> ConnectConfig {
    ConnectConfig::from_url(&db.url()).expect("a connection URI")
}

pub fn connect(db: &TempDatabase) -> Connection {
    Connection::connect(&config(db)).expect("a connection")
}

pub fn walsender(db: &TempDatabase) -> Connection {
    let config = ConnectConfig { replication: true, ..config(db) };
    Connection::connect(&config).expect("a replication connection")
}

/// A server with TLS, and roles that must authenticate: the password of each is `secret`.
pub struct Secured {
    pub server: Postgres,
    pub certificates: Certificates,
}

pub fn secured() -> Arc<Secured> {
    static SECURED: OnceLock<Arc<Secured>> = OnceLock::new();
    SECURED.get_or_init(|| Arc::new(start_secured())).clone()
}

fn start_secured() -> Secured {
    let certificates = Certificates::new("cert_user");
    let builder = Postgres::builder(15)
        .option("ssl", "on")
        .option("ssl_ca_file", "ca.crt")
        .file("server.crt", certificates.server_certificate.clone())
        .file("server.key", certificates.server_key.clone())
        .file("ca.crt", certificates.ca.clone())
        .hba("host all scram_user 127.0.0.1/32 scram-sha-256")
        .hba("host replication scram_user 127.0.0.1/32 scram-sha-256")
        .hba("host all rotated_user 127.0.0.1/32 scram-sha-256")
        .hba("host all md5_user 127.0.0.1/32 md5")
        .hba("host all plain_user 127.0.0.1/32 password")
        .hba("hostssl all cert_user 127.0.0.1/32 cert")
        .hba("hostssl all ssl_only 127.0.0.1/32 trust")
        .hba("hostnossl all ssl_only 127.0.0.1/32 reject")
        .hba("hostnossl all plain_only 127.0.0.1/32 trust")
        .hba("hostssl all plain_only 127.0.0.1/32 reject");
    let server = Postgres::start(builder);
    let roles = "
        create role scram_user login replication password 'secret';
        create role rotated_user login replication password 'secret';
        create role plain_user login password 'secret';
        create role cert_user login;
        create role ssl_only login;
        create role plain_only login;
        set password_encryption = 'md5';
        create role md5_user login password 'secret';";
    server.sql("postgres", roles);
    Secured { server, certificates }
}

impl Secured {
    pub fn config(&self, user: &str, mode: SslMode) -> ConnectConfig {
        let mut config = ConnectConfig::new(self.server.host(), self.server.port(), user, "postgres");
        config.password = Some(Secret::new("secret"));
        config.ssl.mode = mode;
        config.connect_timeout = Some(Duration::from_secs(20));
        config
    }
}

/// Makes a publication and a slot in the database, and starts a stream with these further options.
pub fn replicate(db: &TempDatabase, options: &str) -> (String, ReplicationStream) {
    db.sql("create publication p for all tables");
    let slot = db.slot("s");
    let mut connection = walsender(db);
    let create = format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput NOEXPORT_SNAPSHOT");
    connection.batch_execute(&create).expect("a slot");
    let stream = start(connection, &slot, options);
    (slot, stream)
}

pub fn start(connection: Connection, slot: &str, options: &str) -> ReplicationStream {
    let sql = format!("START_REPLICATION SLOT {slot} LOGICAL 0/0 (publication_names '\"p\"', {options})");
    connection.start_replication(&sql).expect("a stream")
}
