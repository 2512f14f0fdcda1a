//! `Object[]` in Java's serialization, in hexadecimal: how the original keeps keys of rows in its offset. Written are the
//! classes that its driver gives for keys of the usual types; read are those, and nothing else.
//!
//! Source: Java Object Serialization Specification, chapter 6 ("Object Serialization Stream Protocol").

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JavaValue {
    Null,
    /// `java.lang.Integer`
    Int(i32),
    /// `java.lang.Long`
    Long(i64),
    /// `java.lang.String`
    Text(String),
    /// `java.util.UUID`
    Uuid(u128),
    /// `java.lang.Boolean`
    Bool(bool),
    /// `java.lang.Double`, its bits.
    Double(u64),
    /// `byte[]`
    Bytes(Vec<u8>),
}

/// Not an array of the classes above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

const MAGIC: [u8; 4] = [0xAC, 0xED, 0, 5];
const NULL: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const END_BLOCK: u8 = 0x78;
const LONG_STRING: u8 = 0x7C;
const FIRST_HANDLE: u32 = 0x7E_0000;

const OBJECTS: (&str, u64) = ("[Ljava.lang.Object;", 0x90CE_589F_1073_296C);
const INTEGER: (&str, u64) = ("java.lang.Integer", 0x12E2_A0A4_F781_8738);
const LONG: (&str, u64) = ("java.lang.Long", 0x3B8B_E490_CC8F_23DF);
const NUMBER: (&str, u64) = ("java.lang.Number", 0x86AC_951D_0B94_E08B);
const UUID: (&str, u64) = ("java.util.UUID", 0xBC99_03F7_986D_852F);

const BOOLEAN: (&str, u64) = ("java.lang.Boolean", 0xCD20_7280_D59C_FAEE);
const DOUBLE: (&str, u64) = ("java.lang.Double", 0x80B3_C24A_296B_FB04);
const BYTES: (&str, u64) = ("[B", 0xACF3_17F8_0608_54E0);

/// The array, or Java's null.
pub fn write_array(values: Option<&[JavaValue]>) -> String {
    let mut writer = Writer { out: MAGIC.to_vec(), handles: FIRST_HANDLE, classes: Vec::new(), boxed: Vec::new() };
    match values {
        None => writer.out.push(NULL),
        Some(values) => writer.array(values),
    }
    writer.out.iter().map(|b| format!("{b:02x}")).collect()
}

struct Writer {
    out: Vec<u8>,
    handles: u32,
    classes: Vec<(&'static str, u32)>,
    /// Small numbers are one object each in Java, so that a second one refers to the first.
    boxed: Vec<(JavaValue, u32)>,
}

impl Writer {
    fn array(&mut self, values: &[JavaValue]) {
        self.out.push(ARRAY);
        self.class(OBJECTS, &[], None);
        self.handle();
        self.out.extend((values.len() as u32).to_be_bytes());
        for value in values {
            self.value(value);
        }
    }

    fn value(&mut self, value: &JavaValue) {
        if let Some((_, handle)) = self.boxed.iter().find(|(known, _)| known == value) {
            self.out.push(REFERENCE);
            self.out.extend(handle.to_be_bytes());
            return;
        }
        match value {
            JavaValue::Null => self.out.push(NULL),
            JavaValue::Int(n) => {
                self.object(INTEGER, &[(b'I', "value")], Some(NUMBER), value, i64::from(*n));
                self.out.extend(n.to_be_bytes());
            }
            JavaValue::Long(n) => {
                self.object(LONG, &[(b'J', "value")], Some(NUMBER), value, *n);
                self.out.extend(n.to_be_bytes());
            }
            JavaValue::Uuid(n) => {
                self.object(UUID, &[(b'J', "leastSigBits"), (b'J', "mostSigBits")], None, value, i64::MAX);
                self.out.extend((*n as u64).to_be_bytes());
                self.out.extend(((*n >> 64) as u64).to_be_bytes());
            }
            JavaValue::Bool(b) => {
                // There are two objects of the class.
                self.object(BOOLEAN, &[(b'Z', "value")], None, value, 0);
                self.out.push(u8::from(*b));
            }
            JavaValue::Double(bits) => {
                self.object(DOUBLE, &[(b'D', "value")], Some(NUMBER), value, i64::MAX);
                self.out.extend(bits.to_be_bytes());
            }
            JavaValue::Bytes(bytes) => {
                self.out.push(ARRAY);
                self.class(BYTES, &[], None);
                self.handle();
                self.out.extend((bytes.len() as u32).to_be_bytes());
                self.out.extend(bytes);
            }
            JavaValue::Text(text) => {
                self.handle();
                let bytes = modified_utf8(text);
                match u16::try_from(bytes.len()) {
                    Ok(len) => {
                        self.out.push(STRING);
                        self.out.extend(len.to_be_bytes());
                    }
                    Err(_) => {
                        self.out.push(LONG_STRING);
                        self.out.extend((bytes.len() as u64).to_be_bytes());
                    }
                }
                self.out.extend(bytes);
            }
        }
    }

    fn object(
        &mut self,
        class: (&'static str, u64),
        fields: &[(u8, &str)],
        parent: Option<(&'static str, u64)>,
        value: &JavaValue,
        number: i64,
    ) {
        self.out.push(OBJECT);
        self.class(class, fields, parent);
        let handle = self.handle();
        if (-128..=127).contains(&number) {
            self.boxed.push((value.clone(), handle));
        }
    }

    fn class(&mut self, (name, id): (&'static str, u64), fields: &[(u8, &str)], parent: Option<(&'static str, u64)>) {
        if let Some((_, handle)) = self.classes.iter().find(|(known, _)| *known == name) {
            self.out.push(REFERENCE);
            self.out.extend(handle.to_be_bytes());
            return;
        }
        self.out.push(CLASS);
        self.text(name);
        self.out.extend(id.to_be_bytes());
        let handle = self.handle();
        self.classes.push((name, handle));
        self.out.push(2); // SC_SERIALIZABLE
        self.out.extend((fields.len() as u16).to_be_bytes());
        for (kind, field) in fields {
            self.out.push(*kind);
            self.text(field);
        }
        self.out.push(END_BLOCK);
        match parent {
            Some(parent) => self.class(parent, &[], None),
            None => self.out.push(NULL),
        }
    }

    fn text(&mut self, text: &str) {
        self.out.extend((text.len() as u16).to_be_bytes());
        self.out.extend(text.as_bytes());
    }

    fn handle(&mut self) -> u32 {
        self.handles += 1;
        self.handles - 1
    }
}

/// As Java's `DataOutput` writes text: zero as two bytes, what is beyond the first plane as two surrogates.
fn modified_utf8(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match unit {
            1..=0x7F => out.push(unit as u8),
            0 | 0x80..=0x7FF => out.extend([0xC0 | (unit >> 6) as u8, 0x80 | (unit & 0x3F) as u8]),
            _ => out.extend([0xE0 | (unit >> 12) as u8, 0x80 | ((unit >> 6) & 0x3F) as u8, 0x80 | (unit & 0x3F) as u8]),
        }
    }
    out
}

fn from_modified_utf8(bytes: &[u8]) -> Option<String> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().map(|b| u16::from(*b));
    while let Some(first) = rest.next() {
        let mut more = || rest.next().filter(|b| b & 0xC0 == 0x80).map(|b| b & 0x3F);
        units.push(match first {
            0..=0x7F => first,
            0xC0..=0xDF => (first & 0x1F) << 6 | more()?,
            0xE0..=0xEF => (first & 0xF) << 12 | more()? << 6 | more()?,
            _ => return None,
        });
    }
    String::from_utf16(&units).ok()
}

/// What [`write_array`] wrote, or Java. `None`: null.
pub fn read_array(hex: &str) -> Result<Option<Vec<JavaValue>>, Unreadable> {
    read(hex).ok_or(Unreadable)
}

fn read(hex: &str) -> Option<Option<Vec<JavaValue>>> {
    let digit = |d: u8| char::from(d).to_digit(16).map(|d| d as u8);
    let bytes: Option<Vec<u8>> =
        hex.as_bytes().chunks(2).map(|p| Some(digit(p[0])? << 4 | digit(*p.get(1)?)?)).collect();
    let bytes = bytes?;
    let mut reader = Reader { rest: bytes.strip_prefix(&MAGIC)?, handles: Vec::new() };
    match reader.byte()? {
        NULL => Some(None),
        ARRAY => {
            reader.class(0)?;
            reader.handles.push(Handle::Other);
            let len = u32::from_be_bytes(reader.take()?) as usize;
            // A key has at most 32 columns in PostgreSQL.
            (0..Some(len).filter(|len| *len <= 64)?).map(|_| reader.value()).collect::<Option<Vec<_>>>().map(Some)
        }
        _ => None,
    }
}

#[derive(Clone)]
enum Handle {
    Class(String),
    Value(JavaValue),
    Other,
}

struct Reader<'a> {
    rest: &'a [u8],
    handles: Vec<Handle>,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[b]| b)
    }

    fn bytes(&mut self, len: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn short_text(&mut self) -> Option<String> {
        let len = u16::from_be_bytes(self.take()?);
        from_modified_utf8(self.bytes(usize::from(len))?)
    }

    fn reference(&mut self) -> Option<Handle> {
        let at = u32::from_be_bytes(self.take()?).checked_sub(FIRST_HANDLE)?;
        self.handles.get(at as usize).cloned()
    }

    /// The class's name; empty: none.
    fn class(&mut self, depth: u32) -> Option<String> {
        match self.byte()? {
            NULL => Some(String::new()),
            REFERENCE => match self.reference()? {
                Handle::Class(name) => Some(name),
                _ => None,
            },
            CLASS if depth < 4 => {
                let name = self.short_text()?;
                self.take::<8>()?;
                self.handles.push(Handle::Class(name.clone()));
                self.byte().filter(|flags| *flags == 2)?;
                for _ in 0..u16::from_be_bytes(self.take()?) {
                    self.byte().filter(|kind| matches!(kind, b'I' | b'J' | b'Z' | b'D'))?;
                    self.short_text()?;
                }
                self.byte().filter(|end| *end == END_BLOCK)?;
                self.class(depth + 1)?;
                Some(name)
            }
            _ => None,
        }
    }

    fn value(&mut self) -> Option<JavaValue> {
        let tag = self.byte()?;
        match tag {
            NULL => Some(JavaValue::Null),
            REFERENCE => match self.reference()? {
                Handle::Value(value) => Some(value),
                _ => None,
            },
            STRING | LONG_STRING => {
                let text = if tag == STRING {
                    self.short_text()?
                } else {
                    let len = u64::from_be_bytes(self.take()?);
                    from_modified_utf8(self.bytes(usize::try_from(len).ok()?)?)?
                };
                self.handles.push(Handle::Value(JavaValue::Text(text.clone())));
                Some(JavaValue::Text(text))
            }
            OBJECT => {
                let class = self.class(0)?;
                let at = self.handles.len();
                self.handles.push(Handle::Other);
                let value = match class.as_str() {
                    "java.lang.Integer" => JavaValue::Int(i32::from_be_bytes(self.take()?)),
                    "java.lang.Long" => JavaValue::Long(i64::from_be_bytes(self.take()?)),
                    "java.util.UUID" => {
                        let (least, most) = (u64::from_be_bytes(self.take()?), u64::from_be_bytes(self.take()?));
                        JavaValue::Uuid(u128::from(most) << 64 | u128::from(least))
                    }
                    "java.lang.Boolean" => JavaValue::Bool(self.byte()? != 0),
                    "java.lang.Double" => JavaValue::Double(u64::from_be_bytes(self.take()?)),
                    _ => return None,
                };
                self.handles[at] = Handle::Value(value.clone());
                Some(value)
            }
            ARRAY => {
                self.class(0).filter(|class| class == BYTES.0)?;
                let at = self.handles.len();
                self.handles.push(Handle::Other);
                let len = u32::from_be_bytes(self.take()?);
                let value = JavaValue::Bytes(self.bytes(usize::try_from(len).ok()?)?.to_vec());
                self.handles[at] = Handle::Value(value.clone());
                Some(value)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arrays_are_spelled_as_the_original_spells_them() {
        let n = 5;
        let values = [
            JavaValue::Long(n),
            JavaValue::Text("k5".into()),
            JavaValue::Uuid(0x4000_8000_0000_0000_0005),
            JavaValue::Int(n as i32),
            JavaValue::Int(n as i32),
        ];
        // Recorded: conformance/cases/signal_incremental_offsets.
        let recorded = "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c02000078700000000573720\
            00e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c7565787200106a6176612e6c616e672e4e756d62657286a\
            c951d0b94e08b020000787000000000000000057400026b357372000e6a6176612e7574696c2e55554944bc9903f7986d852f0200024a000\
            c6c65617374536967426974734a000b6d6f737453696742697473787080000000000000050000000000004000737200116a6176612e6c616\
            e672e496e746567657212e2a0a4f781873802000149000576616c75657871007e00030000000571007e0009";
        assert_eq!(write_array(Some(&values)), recorded);
        assert_eq!(read_array(recorded), Ok(Some(values.to_vec())));
        assert_eq!(write_array(None), "aced000570");
        assert_eq!(read_array("aced000570"), Ok(None));
    }

    /// As the original stored the first keys of tables with one column of these types.
    #[test]
    fn keys_of_other_types_are_spelled_as_the_original_spells_them() {
        let head = "aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c020000787000000001";
        for (value, recorded) in [
            (
                JavaValue::Bool(true),
                "737200116a6176612e6c616e672e426f6f6c65616ecd207280d59cfaee0200015a000576616c7565787001",
            ),
            (
                JavaValue::Double(2.5f64.to_bits()),
                "737200106a6176612e6c616e672e446f75626c6580b3c24a296bfb0402000144000576616c7565787200106a6176612e6c616e672e4e75\
                 6d62657286ac951d0b94e08b02000078704004000000000000",
            ),
            (JavaValue::Bytes(vec![0, 255]), "757200025b42acf317f8060854e002000078700000000200ff"),
        ] {
            let recorded = format!("{head}{recorded}");
            assert_eq!(write_array(Some(std::slice::from_ref(&value))), recorded);
            assert_eq!(read_array(&recorded), Ok(Some(vec![value])));
        }
    }

    fn value() -> impl Strategy<Value = JavaValue> {
        prop_oneof![
            Just(JavaValue::Null),
            any::<i32>().prop_map(JavaValue::Int),
            (-2i32..2).prop_map(JavaValue::Int),
            any::<i64>().prop_map(JavaValue::Long),
            any::<String>().prop_map(JavaValue::Text),
            any::<u128>().prop_map(JavaValue::Uuid),
            any::<bool>().prop_map(JavaValue::Bool),
            any::<u64>().prop_map(JavaValue::Double),
            any::<Vec<u8>>().prop_map(JavaValue::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(values in prop::collection::vec(value(), 0..6)) {
            prop_assert_eq!(read_array(&write_array(Some(&values))), Ok(Some(values)));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let hex: String = MAGIC.iter().chain(&bytes).map(|b| format!("{b:02x}")).collect();
            let _ = read_array(&hex);
        }
    }
}
