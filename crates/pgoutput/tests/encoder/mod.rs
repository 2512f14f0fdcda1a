//! The other direction, for tests: owned messages, their encoding as `proto.c` writes it, and strategies for them.

use proptest::prelude::*;
use walspring_pgoutput::*;

#[derive(Clone, Debug, PartialEq)]
pub enum OwnedCell {
    Null,
    Unchanged,
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

pub type Row = Vec<OwnedCell>;

#[derive(Clone, Debug)]
pub enum OwnedOld {
    None,
    Key(Row),
    Full(Row),
}

/// Changes carry an xid that is written only inside a streamed block.
#[derive(Clone, Debug)]
pub enum OwnedMessage {
    Insert { xid: u32, relation: u32, new: Row },
    Update { xid: u32, relation: u32, old: OwnedOld, new: Row },
    Delete { xid: u32, relation: u32, old: OwnedOld },
    Truncate { xid: u32, options: u8, relations: Vec<u32> },
    Relation { xid: u32, oid: u32, namespace: Vec<u8>, name: Vec<u8>, identity: u8, columns: Vec<OwnedColumn> },
    Type { xid: u32, oid: u32, namespace: Vec<u8>, name: Vec<u8> },
    Logical { xid: u32, flags: u8, lsn: u64, prefix: Vec<u8>, content: Vec<u8> },
    Origin { lsn: u64, name: Vec<u8> },
    Begin(Begin),
    Commit(Commit),
    StreamStart(StreamStart),
    StreamStop,
    StreamCommit(StreamCommit),
    StreamAbort(StreamAbort),
    BeginPrepare { lsn: u64, end: u64, ts: i64, xid: u32, gid: Vec<u8> },
    Prepare { tag: u8, flags: u8, lsn: u64, end: u64, ts: i64, xid: u32, gid: Vec<u8> },
    RollbackPrepared { flags: u8, lsn: u64, end: u64, prepare_ts: i64, ts: i64, xid: u32, gid: Vec<u8> },
}

pub type OwnedColumn = (u8, Vec<u8>, u32, i32);

/// A decoder in the wanted state.
pub fn decoder(in_stream: bool) -> Decoder {
    let mut decoder = Decoder::new();
    if in_stream {
        decoder.decode(b"S\0\0\0\x01\x01").expect("stream start");
    }
    decoder
}

impl OwnedMessage {
    /// Where the message may stand. Changes stand in both places; one is chosen by their xid.
    pub fn in_stream(&self) -> bool {
        match self {
            Self::Insert { xid, .. }
            | Self::Update { xid, .. }
            | Self::Delete { xid, .. }
            | Self::Truncate { xid, .. }
            | Self::Relation { xid, .. }
            | Self::Type { xid, .. }
            | Self::Logical { xid, .. } => xid % 2 == 0,
            Self::StreamStop => true,
            _ => false,
        }
    }

    /// Brings the decoder to the right state, decodes, and compares.
    pub fn check(&self, decoder: &mut Decoder) {
        if decoder.in_stream() != self.in_stream() {
            let switch: &[u8] = if self.in_stream() { b"S\0\0\0\x01\0" } else { b"E" };
            decoder.decode(switch).expect("stream start or stop");
        }
        let payload = encode(self, self.in_stream());
        let message = decoder.decode(&payload).expect("decodes");
        super::read_everything(&payload, message);
        self.compare(message);
    }

    fn compare(&self, found: Message<'_>) {
        let streamed = |xid: &u32| self.in_stream().then_some(*xid);
        match (self, found) {
            (Self::Insert { xid, relation, new }, Message::Insert(m)) => {
                assert_eq!((m.xid, m.relation, row(m.new)), (streamed(xid), *relation, new.clone()));
            }
            (Self::Update { xid, relation, old, new }, Message::Update(m)) => {
                assert_eq!((m.xid, m.relation, row(m.new)), (streamed(xid), *relation, new.clone()));
                compare_old(old, m.old);
            }
            (Self::Delete { xid, relation, old }, Message::Delete(m)) => {
                assert_eq!((m.xid, m.relation), (streamed(xid), *relation));
                compare_old(old, m.old);
            }
            (Self::Truncate { xid, options, relations }, Message::Truncate(m)) => {
                assert_eq!((m.xid, m.options), (streamed(xid), *options));
                assert_eq!(m.relations().collect::<Vec<_>>(), *relations);
            }
            (Self::Relation { xid, oid, namespace, name, identity, columns }, Message::Relation(m)) => {
                assert_eq!((m.xid, m.oid, m.namespace, m.name), (streamed(xid), *oid, &namespace[..], &name[..]));
                assert_eq!(Some(m.replica_identity), ReplicaIdentity::from_letter(*identity));
                let found = m.columns().map(|c| (c.flags, c.name.to_vec(), c.type_oid, c.type_modifier));
                assert_eq!(found.collect::<Vec<_>>(), *columns);
            }
            (Self::Type { xid, oid, namespace, name }, Message::Type(m)) => {
                assert_eq!((m.xid, m.oid, m.namespace, m.name), (streamed(xid), *oid, &namespace[..], &name[..]));
            }
            (Self::Logical { xid, flags, lsn, prefix, content }, Message::Logical(m)) => {
                assert_eq!((m.xid, m.flags, m.lsn), (streamed(xid), *flags, *lsn));
                assert_eq!((m.prefix, m.content), (&prefix[..], &content[..]));
            }
            (Self::Origin { lsn, name }, Message::Origin(m)) => {
                assert_eq!((m.commit_lsn, m.name), (*lsn, &name[..]));
            }
            (Self::Begin(m), Message::Begin(found)) => assert_eq!(*m, found),
            (Self::Commit(m), Message::Commit(found)) => assert_eq!(*m, found),
            (Self::StreamStart(m), Message::StreamStart(found)) => assert_eq!(*m, found),
            (Self::StreamStop, Message::StreamStop) => {}
            (Self::StreamCommit(m), Message::StreamCommit(found)) => assert_eq!(*m, found),
            (Self::StreamAbort(m), Message::StreamAbort(found)) => assert_eq!(*m, found),
            (Self::BeginPrepare { lsn, end, ts, xid, gid }, Message::BeginPrepare(m)) => {
                assert_eq!((m.prepare_lsn, m.end_lsn, m.prepare_ts.0, m.xid), (*lsn, *end, *ts, *xid));
                assert_eq!(m.gid, gid);
            }
            (
                Self::Prepare { tag: b'P' | b'p', flags, lsn, end, ts, xid, gid },
                Message::Prepare(m) | Message::StreamPrepare(m),
            ) => {
                assert_eq!((m.flags, m.prepare_lsn, m.end_lsn), (*flags, *lsn, *end));
                assert_eq!((m.prepare_ts.0, m.xid, m.gid), (*ts, *xid, &gid[..]));
            }
            (Self::Prepare { tag: b'K', flags, lsn, end, ts, xid, gid }, Message::CommitPrepared(m)) => {
                assert_eq!((m.flags, m.commit_lsn, m.end_lsn), (*flags, *lsn, *end));
                assert_eq!((m.commit_ts.0, m.xid, m.gid), (*ts, *xid, &gid[..]));
            }
            (Self::RollbackPrepared { flags, lsn, end, prepare_ts, ts, xid, gid }, Message::RollbackPrepared(m)) => {
                assert_eq!((m.flags, m.prepare_end_lsn, m.rollback_end_lsn), (*flags, *lsn, *end));
                assert_eq!((m.prepare_ts.0, m.rollback_ts.0), (*prepare_ts, *ts));
                assert_eq!((m.xid, m.gid), (*xid, &gid[..]));
            }
            (expected, found) => panic!("{expected:?} became {found:?}"),
        }
    }
}

fn row(tuple: Tuple<'_>) -> Row {
    tuple
        .iter()
        .map(|cell| match cell {
            Cell::Null => OwnedCell::Null,
            Cell::Unchanged => OwnedCell::Unchanged,
            Cell::Text(bytes) => OwnedCell::Text(bytes.to_vec()),
            Cell::Binary(bytes) => OwnedCell::Binary(bytes.to_vec()),
        })
        .collect()
}

fn compare_old(expected: &OwnedOld, found: OldTuple<'_>) {
    match (expected, found) {
        (OwnedOld::None, OldTuple::None) => {}
        (OwnedOld::Key(expected), OldTuple::Key(found)) => assert_eq!(*expected, row(found)),
        (OwnedOld::Full(expected), OldTuple::Full(found)) => assert_eq!(*expected, row(found)),
        _ => panic!("{expected:?} became {found:?}"),
    }
}

/// What `proto.c` would write.
pub fn encode(message: &OwnedMessage, in_stream: bool) -> Vec<u8> {
    let mut out = Out(Vec::new());
    let xid = |xid: u32| in_stream.then(|| xid.to_be_bytes());
    match message {
        OwnedMessage::Insert { xid: x, relation, new } => {
            out.u8(b'I').opt(xid(*x)).u32(*relation).u8(b'N').row(new);
        }
        OwnedMessage::Update { xid: x, relation, old, new } => {
            out.u8(b'U').opt(xid(*x)).u32(*relation).old(old).u8(b'N').row(new);
        }
        OwnedMessage::Delete { xid: x, relation, old } => {
            out.u8(b'D').opt(xid(*x)).u32(*relation).old(old);
        }
        OwnedMessage::Truncate { xid: x, options, relations } => {
            out.u8(b'T').opt(xid(*x)).u32(relations.len() as u32).u8(*options);
            relations.iter().for_each(|oid| {
                out.u32(*oid);
            });
        }
        OwnedMessage::Relation { xid: x, oid, namespace, name, identity, columns } => {
            out.u8(b'R').opt(xid(*x)).u32(*oid).str(namespace).str(name).u8(*identity).u16(columns.len() as u16);
            columns.iter().for_each(|(flags, name, oid, modifier)| {
                out.u8(*flags).str(name).u32(*oid).u32(*modifier as u32);
            });
        }
        OwnedMessage::Type { xid: x, oid, namespace, name } => {
            out.u8(b'Y').opt(xid(*x)).u32(*oid).str(namespace).str(name);
        }
        OwnedMessage::Logical { xid: x, flags, lsn, prefix, content } => {
            out.u8(b'M').opt(xid(*x)).u8(*flags).u64(*lsn).str(prefix).u32(content.len() as u32).raw(content);
        }
        OwnedMessage::Origin { lsn, name } => {
            out.u8(b'O').u64(*lsn).str(name);
        }
        OwnedMessage::Begin(m) => {
            out.u8(b'B').u64(m.final_lsn).i64(m.commit_ts.0).u32(m.xid);
        }
        OwnedMessage::Commit(m) => {
            out.u8(b'C').u8(m.flags).u64(m.commit_lsn).u64(m.end_lsn).i64(m.commit_ts.0);
        }
        OwnedMessage::StreamStart(m) => {
            out.u8(b'S').u32(m.xid).u8(u8::from(m.first_segment));
        }
        OwnedMessage::StreamStop => {
            out.u8(b'E');
        }
        OwnedMessage::StreamCommit(m) => {
            out.u8(b'c').u32(m.xid).u8(m.flags).u64(m.commit_lsn).u64(m.end_lsn).i64(m.commit_ts.0);
        }
        OwnedMessage::StreamAbort(m) => {
            out.u8(b'A').u32(m.xid).u32(m.subxid);
            if let Some((lsn, ts)) = m.abort {
                out.u64(lsn).i64(ts.0);
            }
        }
        OwnedMessage::BeginPrepare { lsn, end, ts, xid, gid } => {
            out.u8(b'b').u64(*lsn).u64(*end).i64(*ts).u32(*xid).str(gid);
        }
        OwnedMessage::Prepare { tag, flags, lsn, end, ts, xid, gid } => {
            out.u8(*tag).u8(*flags).u64(*lsn).u64(*end).i64(*ts).u32(*xid).str(gid);
        }
        OwnedMessage::RollbackPrepared { flags, lsn, end, prepare_ts, ts, xid, gid } => {
            out.u8(b'r').u8(*flags).u64(*lsn).u64(*end).i64(*prepare_ts).i64(*ts).u32(*xid).str(gid);
        }
    }
    out.0
}

struct Out(Vec<u8>);

impl Out {
    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
    fn opt(&mut self, bytes: Option<[u8; 4]>) -> &mut Self {
        bytes.iter().for_each(|bytes| self.0.extend_from_slice(bytes));
        self
    }
    fn u8(&mut self, v: u8) -> &mut Self {
        self.raw(&[v])
    }
    fn u16(&mut self, v: u16) -> &mut Self {
        self.raw(&v.to_be_bytes())
    }
    fn u32(&mut self, v: u32) -> &mut Self {
        self.raw(&v.to_be_bytes())
    }
    fn u64(&mut self, v: u64) -> &mut Self {
        self.raw(&v.to_be_bytes())
    }
    fn i64(&mut self, v: i64) -> &mut Self {
        self.raw(&v.to_be_bytes())
    }
    fn str(&mut self, v: &[u8]) -> &mut Self {
        self.raw(v).u8(0)
    }
    fn row(&mut self, row: &Row) -> &mut Self {
        self.u16(row.len() as u16);
        for cell in row {
            match cell {
                OwnedCell::Null => self.u8(b'n'),
                OwnedCell::Unchanged => self.u8(b'u'),
                OwnedCell::Text(v) => self.u8(b't').u32(v.len() as u32).raw(v),
                OwnedCell::Binary(v) => self.u8(b'b').u32(v.len() as u32).raw(v),
            };
        }
        self
    }
    fn old(&mut self, old: &OwnedOld) -> &mut Self {
        match old {
            OwnedOld::None => self,
            OwnedOld::Key(row) => self.u8(b'K').row(row),
            OwnedOld::Full(row) => self.u8(b'O').row(row),
        }
    }
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1u8.., 0..64)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..64)
}

fn some_row() -> impl Strategy<Value = Row> {
    let cell = prop_oneof![
        Just(OwnedCell::Null),
        Just(OwnedCell::Unchanged),
        bytes().prop_map(OwnedCell::Text),
        bytes().prop_map(OwnedCell::Binary),
    ];
    prop::collection::vec(cell, 0..12)
}

fn some_old() -> impl Strategy<Value = OwnedOld> {
    prop_oneof![some_row().prop_map(OwnedOld::Key), some_row().prop_map(OwnedOld::Full)]
}

fn ts() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

/// Any message of versions 1 to 4.
pub fn message() -> impl Strategy<Value = OwnedMessage> {
    prop_oneof![changes(), descriptions(), one_phase(), two_phase()]
}

fn changes() -> impl Strategy<Value = OwnedMessage> {
    prop_oneof![
        (any::<u32>(), any::<u32>(), some_row()).prop_map(|(xid, relation, new)| OwnedMessage::Insert {
            xid,
            relation,
            new
        }),
        (any::<u32>(), any::<u32>(), prop_oneof![Just(OwnedOld::None), some_old()], some_row())
            .prop_map(|(xid, relation, old, new)| OwnedMessage::Update { xid, relation, old, new }),
        (any::<u32>(), any::<u32>(), some_old()).prop_map(|(xid, relation, old)| OwnedMessage::Delete {
            xid,
            relation,
            old
        }),
        (any::<u32>(), any::<u8>(), prop::collection::vec(any::<u32>(), 0..5))
            .prop_map(|(xid, options, relations)| OwnedMessage::Truncate { xid, options, relations }),
    ]
}

fn descriptions() -> impl Strategy<Value = OwnedMessage> {
    let columns = prop::collection::vec((any::<u8>(), name(), any::<u32>(), any::<i32>()), 0..10);
    let identity = prop::sample::select(b"dnfi".as_slice());
    prop_oneof![
        (any::<u32>(), any::<u32>(), name(), name(), identity, columns).prop_map(
            |(xid, oid, namespace, name, identity, columns)| {
                OwnedMessage::Relation { xid, oid, namespace, name, identity, columns }
            }
        ),
        (any::<u32>(), any::<u32>(), name(), name()).prop_map(|(xid, oid, namespace, name)| OwnedMessage::Type {
            xid,
            oid,
            namespace,
            name
        }),
        (any::<u32>(), any::<u8>(), any::<u64>(), name(), bytes())
            .prop_map(|(xid, flags, lsn, prefix, content)| OwnedMessage::Logical { xid, flags, lsn, prefix, content }),
        (any::<u64>(), name()).prop_map(|(lsn, name)| OwnedMessage::Origin { lsn, name }),
    ]
}

fn one_phase() -> impl Strategy<Value = OwnedMessage> {
    prop_oneof![
        (any::<u64>(), ts(), any::<u32>()).prop_map(|(final_lsn, commit_ts, xid)| OwnedMessage::Begin(Begin {
            final_lsn,
            commit_ts,
            xid
        })),
        (any::<u8>(), any::<u64>(), any::<u64>(), ts()).prop_map(|(flags, commit_lsn, end_lsn, commit_ts)| {
            OwnedMessage::Commit(Commit { flags, commit_lsn, end_lsn, commit_ts })
        }),
        (any::<u32>(), any::<bool>())
            .prop_map(|(xid, first_segment)| OwnedMessage::StreamStart(StreamStart { xid, first_segment })),
        Just(OwnedMessage::StreamStop),
        (any::<u32>(), any::<u8>(), any::<u64>(), any::<u64>(), ts()).prop_map(
            |(xid, flags, commit_lsn, end_lsn, commit_ts)| {
                OwnedMessage::StreamCommit(StreamCommit { xid, flags, commit_lsn, end_lsn, commit_ts })
            }
        ),
        (any::<u32>(), any::<u32>(), prop::option::of((any::<u64>(), ts())))
            .prop_map(|(xid, subxid, abort)| OwnedMessage::StreamAbort(StreamAbort { xid, subxid, abort })),
    ]
}

fn two_phase() -> impl Strategy<Value = OwnedMessage> {
    let tag = prop::sample::select(b"PpK".as_slice());
    prop_oneof![
        (any::<u64>(), any::<u64>(), any::<i64>(), any::<u32>(), name())
            .prop_map(|(lsn, end, ts, xid, gid)| OwnedMessage::BeginPrepare { lsn, end, ts, xid, gid }),
        (tag, any::<u8>(), any::<u64>(), any::<u64>(), any::<i64>(), any::<u32>(), name()).prop_map(
            |(tag, flags, lsn, end, ts, xid, gid)| OwnedMessage::Prepare { tag, flags, lsn, end, ts, xid, gid }
        ),
        (any::<u8>(), any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>(), any::<u32>(), name()).prop_map(
            |(flags, lsn, end, prepare_ts, ts, xid, gid)| OwnedMessage::RollbackPrepared {
                flags,
                lsn,
                end,
                prepare_ts,
                ts,
                xid,
                gid
            }
        ),
    ]
}
