//! What a well-behaved other side sends: where mutation begins.

use crate::input::put_counted;

/// Bytes of a message, put together.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn of(tag: u8) -> Bytes {
        Bytes(vec![tag])
    }

    fn byte(mut self, byte: u8) -> Bytes {
        self.0.push(byte);
        self
    }

    fn short(mut self, n: u16) -> Bytes {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn int(mut self, n: u32) -> Bytes {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn long(mut self, n: u64) -> Bytes {
        self.0.extend(n.to_be_bytes());
        self
    }

    fn text(mut self, text: &str) -> Bytes {
        self.0.extend_from_slice(text.as_bytes());
        self.byte(0)
    }

    /// `N`, `K` or `O`, and a tuple: `?` is unchanged, `-` null.
    fn tuple(self, kind: u8, cells: &[&str]) -> Bytes {
        cells.iter().fold(self.byte(kind).short(cells.len() as u16), |out, cell| match *cell {
            "?" => out.byte(b'u'),
            "-" => out.byte(b'n'),
            text => {
                let mut out = out.byte(b't').int(text.len() as u32);
                out.0.extend_from_slice(text.as_bytes());
                out
            }
        })
    }
}

fn begin() -> Vec<u8> {
    Bytes::of(b'B').long(900).long(1).int(7).0
}

fn commit() -> Vec<u8> {
    Bytes::of(b'C').byte(0).long(900).long(950).long(1).0
}

/// Nine columns of the nine types that the target knows; `xid`: inside a block.
fn relation(xid: Option<u32>, identity: u8) -> Vec<u8> {
    let mut out = with_xid(b'R', xid).int(100).text("public").text("t").byte(identity).short(9);
    for (n, name) in ["id", "n", "num", "raw", "at", "many", "mood", "doc", "f"].iter().enumerate() {
        out = out.byte(u8::from(n == 0)).text(name).int(n as u32).int(u32::MAX);
    }
    out.0
}

fn with_xid(tag: u8, xid: Option<u32>) -> Bytes {
    match xid {
        Some(xid) => Bytes::of(tag).int(xid),
        None => Bytes::of(tag),
    }
}

const ROW: [&str; 9] =
    ["key", "-42", "12.50", "\\x00ff", "2024-02-29 13:14:15.5+00", "{1,NULL,-3}", "a", "{\"a\": [1]}", "1.5"];
const LATER: [&str; 9] = ["other", "-", "NaN", "?", "infinity", "{}", "c", "?", "-Infinity"];

fn insert(xid: Option<u32>) -> Vec<u8> {
    with_xid(b'I', xid).int(100).tuple(b'N', &ROW).0
}

fn updates(xid: Option<u32>) -> [Vec<u8>; 3] {
    [
        with_xid(b'U', xid).int(100).tuple(b'N', &ROW).0,
        with_xid(b'U', xid)
            .int(100)
            .tuple(b'K', &["key", "-", "-", "-", "-", "-", "-", "-", "-"])
            .tuple(b'N', &LATER)
            .0,
        with_xid(b'U', xid).int(100).tuple(b'O', &ROW).tuple(b'N', &LATER).0,
    ]
}

fn deletes(xid: Option<u32>) -> [Vec<u8>; 2] {
    [
        with_xid(b'D', xid).int(100).tuple(b'K', &["key", "-", "-", "-", "-", "-", "-", "-", "-"]).0,
        with_xid(b'D', xid).int(100).tuple(b'O', &ROW).0,
    ]
}

fn others(xid: Option<u32>) -> Vec<Vec<u8>> {
    vec![
        with_xid(b'T', xid).int(1).byte(3).int(100).0,
        with_xid(b'M', xid).byte(u8::from(xid.is_some())).long(800).text("prefix").int(3).byte(1).byte(2).byte(3).0,
        with_xid(b'Y', xid).int(6).text("public").text("mood").0,
    ]
}

fn in_block(xid: u32, first: bool) -> Vec<u8> {
    Bytes::of(b'S').int(xid).byte(u8::from(first)).0
}

/// Payloads of every kind, each behind a byte that says whether it stands in a block.
pub fn payloads() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (flags, xid) in [(0u8, None), (1u8, Some(9))] {
        let mut of = vec![relation(xid, b'd'), relation(xid, b'f'), insert(xid)];
        of.extend(updates(xid));
        of.extend(deletes(xid));
        of.extend(others(xid));
        all.extend(of.into_iter().map(|payload| [vec![flags], payload].concat()));
    }
    let outside = [
        begin(),
        commit(),
        Bytes::of(b'O').long(5).text("origin").0,
        in_block(9, true),
        Bytes::of(b'c').int(9).byte(0).long(900).long(950).long(1).0,
        Bytes::of(b'A').int(9).int(10).0,
        Bytes::of(b'A').int(9).int(10).long(900).long(1).0,
        Bytes::of(b'b').long(900).long(950).long(1).int(9).text("gid").0,
        Bytes::of(b'P').byte(0).long(900).long(950).long(1).int(9).text("gid").0,
        Bytes::of(b'K').byte(0).long(900).long(950).long(1).int(9).text("gid").0,
        Bytes::of(b'r').byte(0).long(900).long(950).long(1).long(1).int(9).text("gid").0,
        Bytes::of(b'p').byte(0).long(900).long(950).long(1).int(9).text("gid").0,
    ];
    all.extend(outside.into_iter().map(|payload| [vec![0], payload].concat()));
    all.push(vec![1, b'E']);
    all
}

/// Transactions, plain and in progress, with and without a limit on values.
pub fn streams() -> Vec<Vec<u8>> {
    let plain = |identity| {
        let mut payloads = vec![begin(), relation(None, identity), insert(None)];
        payloads.extend(updates(None));
        payloads.extend(deletes(None));
        payloads.extend(others(None));
        payloads.push(commit());
        payloads
    };
    let mut in_progress = vec![in_block(9, true), relation(Some(9), b'f'), insert(Some(9)), insert(Some(10))];
    in_progress.extend(updates(Some(9)));
    in_progress.push(vec![b'E']);
    in_progress.push(Bytes::of(b'A').int(9).int(10).0);
    in_progress.push(in_block(9, false));
    in_progress.extend(deletes(Some(9)));
    in_progress.push(vec![b'E']);
    in_progress.push(Bytes::of(b'c').int(9).byte(0).long(900).long(950).long(1).0);
    let mut all = Vec::new();
    for payloads in [plain(b'd'), plain(b'f'), [in_progress.clone(), plain(b'n')].concat(), in_progress] {
        for limit in [&[0u8][..], &[1, 0, 64], &[3, 0, 64], &[7, 0, 64]] {
            let mut stream = limit.to_vec();
            for (n, payload) in payloads.iter().enumerate() {
                stream.push((n % 3) as u8);
                put_counted(&mut stream, payload);
            }
            all.push(stream);
        }
    }
    all
}

/// A message of a server with its length.
fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend((body.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(body);
    message
}

pub fn backends() -> Vec<Vec<u8>> {
    let columns = Bytes::default().short(2);
    let columns = ["a", "b"]
        .iter()
        .fold(columns, |out, name| out.text(name).int(0).short(0).int(25).short(u16::MAX).int(u32::MAX).short(0));
    let row = Bytes::default().short(2).int(1).byte(b'x').int(u32::MAX);
    let data = Bytes::of(b'w').long(1).long(2).long(3).0;
    let keepalive = Bytes::of(b'k').long(1).long(2).byte(1).0;
    let error = b"SERROR\0VERROR\0C42P01\0Mno such table\0Ddetail\0Hhint\0P15\0Wcontext\0ss\0tt\0cc\0nn\0\0";
    let session = [
        message(b'R', &[0; 4]),
        message(b'S', b"server_version\x0015.20\0"),
        message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]),
        message(b'Z', b"I"),
        message(b'T', &columns.0),
        message(b'D', &row.0),
        message(b'C', b"SELECT 1\0"),
        message(b'N', error),
        message(b'E', error),
        message(b'd', &data),
        message(b'd', &keepalive),
        message(b'c', b""),
    ]
    .concat();
    let mut all = Vec::new();
    for flags in [0, 1] {
        for piece in [1, 7, session.len()] {
            let mut seed = vec![flags];
            session.chunks(piece).for_each(|piece| put_counted(&mut seed, piece));
            all.push(seed);
        }
    }
    for bodies in [
        &[&b"\0\0\0\x03"[..], b"\0\0\0\0"][..],
        &[b"\0\0\0\x05salt", b"\0\0\0\0"],
        &[b"\0\0\0\x0aSCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0", b"\0\0\0\x0br=x,s=c2FsdA==,i=4096", b"\0\0\0\x0cv=eA=="],
    ] {
        let mut seed = vec![2];
        bodies.iter().for_each(|body| put_counted(&mut seed, body));
        all.push(seed);
    }
    all
}

pub fn copies() -> Vec<Vec<u8>> {
    [
        &b"\x031\tabc\t\\N\n"[..],
        b"\x01\n",
        b"\x00\n",
        b"\x02a\\tb\\nc\\\\d\t\\\\N\n",
        b"\x04\\x00\t\\\\x00ff\t\t{\"a\\\\\"}",
    ]
    .iter()
    .map(|row| row.to_vec())
    .collect()
}

pub fn offsets() -> Vec<Vec<u8>> {
    [
        r#"{"lsn_proc":24023128,"messageType":"INSERT","lsn_commit":24023128,"lsn":24023128,"txId":555,"ts_usec":1700000000000000}"#,
        r#"{"last_snapshot_record":true,"lsn":23,"txId":5,"ts_usec":1,"snapshot":"INITIAL","snapshot_completed":true}"#,
        r#"{"snapshot":true,"lsn":"23","lsn_events_processed":"7","xmin":null}"#,
        r#"{"lsn":-1,"incremental_snapshot_collections":"[{\"incremental_snapshot_collections_id\":\"public.t\",\"incremental_snapshot_collections_additional_condition\":null}]","incremental_snapshot_maximum_key":"aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000001737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b0200007870000003e8","incremental_snapshot_primary_key":"aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c02000078700000000170","transaction_id":null}"#,
        r#"{"transaction_id":"555:24023128","transaction_data_collection_order_public.t":3,"lsn":1}"#,
        r#"{"walspring_snapshot":"1","lsn":5,"snapshot":"BLOCKING","blocking_snapshots":"[]"}"#,
    ]
    .iter()
    .map(|offset| offset.as_bytes().to_vec())
    .collect()
}

pub fn signals() -> Vec<Vec<u8>> {
    [
        r#"{"id":"a","type":"execute-snapshot","data":{"data-collections":["public.t","s1.*"],"type":"INCREMENTAL","additional-conditions":[{"data-collection":"public.t","filter":"a = 'x'; drop table y"}],"surrogate-key":"k"}}"#,
        r#"{"type":"execute-snapshot","data":"{\"data-collections\": [\"t\"], \"type\": \"blocking\"}"}"#,
        r#"[{"type":"stop-snapshot","data":{"data-collections":["("]}},{"id":7,"type":"log","data":{"message":"at {}"}}]"#,
        r#"{"id":"w","type":"snapshot-window-open","data":{}}"#,
        r#"{"type":"pause-snapshot"}"#,
    ]
    .iter()
    .map(|signal| signal.as_bytes().to_vec())
    .collect()
}
