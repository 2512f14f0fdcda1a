//! Expected values are recorded answers of the original (`conformance/cases/types_*`), unless said otherwise.

use std::sync::Arc;

use super::*;

/// The value, shortly: strings quoted, bytes in base64.
fn show(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(show).collect::<Vec<_>>().join(",");
    match value {
        Value::Null => "null".into(),
        Value::Boolean(b) => b.to_string(),
        Value::Int8(i) => i.to_string(),
        Value::Int16(i) => i.to_string(),
        Value::Int32(i) => i.to_string(),
        Value::Int64(i) => i.to_string(),
        Value::Float32(f) => format!("{f:?}"),
        Value::Float64(f) => format!("{f:?}"),
        Value::String(s) => format!("{s:?}"),
        Value::Bytes(b) => {
            let mut out = Vec::new();
            binary::write_form(b, BinaryForm::Base64, &mut out);
            String::from_utf8(out).unwrap()
        }
        Value::Array(v) => format!("[{}]", list(v)),
        Value::Map(m) => {
            format!("{{{}}}", m.iter().map(|(k, v)| format!("{}:{}", show(k), show(v))).collect::<Vec<_>>().join(","))
        }
        Value::Struct(v) => format!("({})", list(v)),
    }
}

#[track_caller]
fn check(leaf: Leaf, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let got = leaf.value(text.as_bytes()).map_or_else(|_| "error".into(), |v| show(&v));
        assert_eq!(got, *expected, "{leaf:?} of {text}");
    }
}

fn array_of(element: Leaf) -> Leaf {
    Leaf::Array(Arc::new(ArrayLeaf { element, null_fails: false }))
}

#[test]
fn simple_types() {
    check(Leaf::Boolean, &[("t", "true"), ("f", "false"), ("x", "error")]);
    check(Leaf::Int16, &[("-32768", "-32768"), ("32767", "32767"), ("32768", "error"), ("", "error"), ("-", "error")]);
    check(Leaf::Int64, &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775808", "error")]);
    check(Leaf::Float64, &[("1e+300", "1e300"), ("NaN", "NaN"), ("-Infinity", "-inf"), ("", "error")]);
    check(Leaf::Text, &[("é\n", r#""é\n""#)]);
}

#[test]
fn bits() {
    check(
        Leaf::Bits,
        &[
            ("1010", "Cg=="),
            ("1100000001", "AQM="),
            ("101", "BQ=="),
            ("100000001", "AQE="),
            ("0000", ""),
            ("", ""),
            ("0000000000000001", "AQ=="),
            ("2", "error"),
        ],
    );
    check(Leaf::Bits, &[(&"10".repeat(32), "qqqqqqqqqqo="), (&"1".repeat(64), "//////////8=")]);
    check(Leaf::Bit, &[("1", "true"), ("0", "false"), ("", "error")]);
}

#[test]
fn bytes() {
    let hex = r"\xfffefdfcfbfa";
    check(Leaf::Bytea(BinaryForm::Bytes), &[(hex, "//79/Pv6"), (r"\x", ""), (r"\x0", "error"), ("abc", "error")]);
    check(Leaf::Bytea(BinaryForm::Base64), &[(hex, r#""//79/Pv6""#), (r"\xff", r#""/w==""#)]);
    check(Leaf::Bytea(BinaryForm::Base64Url), &[(hex, r#""__79_Pv6""#), (r"\xff", r#""_w==""#)]);
    check(Leaf::Bytea(BinaryForm::Hex), &[(hex, r#""fffefdfcfbfa""#), (r"\x", r#""""#)]);
    check(Leaf::TextBytes(BinaryForm::Bytes), &[("(1,x)", "KDEseCk=")]);
    check(Leaf::TextBytes(BinaryForm::Hex), &[("{[1,3)}", r#""7b5b312c33297d""#)]);
    check(
        array_of(Leaf::Bytea(BinaryForm::Bytes)),
        &[(r#"{"\\x01","\\xff"}"#, "[AQ==,/w==]"), (r#"{NULL,"\\x00ff"}"#, "[null,AP8=]")],
    );
}

#[test]
fn decimals() {
    check(
        Leaf::Decimal { scale: 2 },
        &[
            ("123.45", "MDk="),
            ("-999.99", "/nlh"),
            ("0.00", "AA=="),
            ("0.01", "AQ=="),
            ("1", "ZA=="),
            ("1.000", "ZA=="),
            ("1.001", "error"),
            ("NaN", "error"),
            ("Infinity", "error"),
            ("1e3", "error"),
            (".", "error"),
        ],
    );
    check(
        Leaf::Decimal { scale: 10 },
        &[("1234567890123456789012345678.0123456789", "CUmw9vACMxPESZBOzGdFFQ=="), ("-0.0000000001", "/w==")],
    );
    check(Leaf::Decimal { scale: 5 }, &[("0.00999", "A+c=")]);
    check(
        Leaf::VariableScaleDecimal,
        &[
            ("1.50", "(1,Dw==)"),
            ("0", "(0,AA==)"),
            ("-1.50", "(1,8Q==)"),
            ("12345678901234567890123456789.987654321", "(9,CUmw9vACMxPESZBRGFr6sQ==)"),
            ("0.00000000000000000001", "(20,AQ==)"),
            ("1000000000000000000000000000000", "(0,DJ8snNBGdO3qQAAAAA==)"),
            ("NaN", "error"),
        ],
    );
    check(
        Leaf::DecimalText,
        &[("1.50", r#""1.50""#), ("NaN", r#""NAN""#), ("-Infinity", r#""NEGATIVE_INFINITY""#), ("x", "error")],
    );
    check(Leaf::DecimalDouble, &[("1234567890123456789012345678.0123456789", "1.2345678901234569e27"), ("NaN", "NaN")]);
}

#[test]
fn a_scale_far_beyond_what_postgresql_means() {
    // numeric(5,-2), whose scale the JDBC driver reports as 2046.
    let Ok(Value::Bytes(got)) = (Leaf::Decimal { scale: 2046 }).value(b"1234600") else { panic!() };
    let expected = num_bigint::BigInt::from(1234600) * num_bigint::BigInt::from(10).pow(2046);
    assert_eq!(*got, *expected.to_signed_bytes_be());
}

#[test]
fn money() {
    let decimal = Leaf::Money(MoneyForm::Decimal { scale: 2 });
    check(
        decimal,
        &[
            ("$1,234.56", "AeJA"),
            ("$0.00", "AA=="),
            ("-$0.01", "/w=="),
            ("$92,233,720,368,547,758.07", "f/////////8="),
            ("-$92,233,720,368,547,758.08", "gAAAAAAAAAA="),
            ("", "error"),
        ],
    );
    check(
        Leaf::Money(MoneyForm::Decimal { scale: 1 }),
        &[("$1,234.56", "MDo="), ("-$0.01", "AA=="), ("-$92,233,720,368,547,758.08", "8zMzMzMzMzM=")],
    );
    check(Leaf::Money(MoneyForm::Text), &[("-$92,233,720,368,547,758.08", r#""-92233720368547758.08""#)]);
    check(Leaf::Money(MoneyForm::Double), &[("$1,234.56", "1234.56"), ("-$0.01", "-0.01")]);
}

#[test]
fn dates() {
    let days = |reader| Leaf::Date { form: DateForm::Days, reader };
    let iso = |reader| Leaf::Date { form: DateForm::Iso, reader };
    check(
        days(Reader::Stream),
        &[
            ("2024-02-29", "19782"),
            ("1969-12-31", "-1"),
            ("9999-12-31", "2932896"),
            ("5874897-12-31", "2145042905"),
            ("4713-01-01 BC", "-2440550"),
            ("infinity", "2146033979"),
            ("-infinity", "-2147472691"),
            ("2023-02-29", "error"),
            ("2024-02-29 ", "error"),
        ],
    );
    check(days(Reader::Snapshot), &[("infinity", "-622191234"), ("-infinity", "-625821272"), ("2024-01-01", "19723")]);
    check(
        iso(Reader::Stream),
        &[
            ("2024-02-29", r#""2024-02-29Z""#),
            ("0044-03-15 BC", r#""-0043-03-15Z""#),
            ("0001-12-31 BC", r#""0000-12-31Z""#),
            ("10000-01-01", r#""+10000-01-01Z""#),
            ("5874897-12-31", r#""+5874897-12-31Z""#),
            ("4713-01-01 BC", r#""-4712-01-01Z""#),
            ("infinity", r#""+5877611-06-21Z""#),
        ],
    );
    check(iso(Reader::Snapshot), &[("0044-03-15 BC", r#""0044-03-15Z""#), ("-infinity", r#""+292269055-12-02Z""#)]);
    let structured = Leaf::Date { form: DateForm::Structured, reader: Reader::Stream };
    check(structured, &[("2024-02-29", "(2024,2,29,null)"), ("infinity", r#"(null,null,null,"POSITIVE_INFINITY")"#)]);
}

#[test]
fn times() {
    let time = |form| Leaf::Time { form, precision: 6 };
    let micros = "13:14:15.123456";
    check(time(TimeForm::Micros), &[(micros, "47655123456"), ("23:59:59.999999", "86399999999")]);
    check(time(TimeForm::Millis), &[(micros, "47655123"), ("24:00:00", "86400000"), ("01:02:03.5", "3723500")]);
    check(time(TimeForm::Nanos), &[(micros, "47655123456000"), ("24:00:01", "error"), ("1:00", "error")]);
    check(
        time(TimeForm::Iso),
        &[("13:14:15.12345", r#""13:14:15.12345Z""#), ("00:00:00", r#""00:00:00Z""#), ("24:00:00", r#""00:00:00Z""#)],
    );
    check(time(TimeForm::Structured), &[(micros, "(13,14,15,123456000,6)"), ("24:00:00", "error")]);
    let zoned = |form| Leaf::TimeTz { form, precision: 6 };
    check(
        zoned(ZonedForm::Text),
        &[
            ("13:14:15.123456+02", r#""11:14:15.123456Z""#),
            ("23:59:59.999999-15:59", r#""15:58:59.999999Z""#),
            ("00:00:00+00", r#""00:00:00Z""#),
            ("01:02:03.5+02", r#""23:02:03.5Z""#),
            ("24:00:00+00", r#""24:00:00Z""#),
            ("24:00:00-05", r#""05:00:00Z""#),
            ("12:00:00.5+05:30:15", "error"),
        ],
    );
    check(
        zoned(ZonedForm::Structured),
        &[
            ("13:14:15.123456+02", "(13,14,15,123456000,7200,6)"),
            ("23:59:59.999999-15:59", "(23,59,59,999999000,-57540,6)"),
        ],
    );
}

#[test]
fn timestamps() {
    let timestamp = |form| Leaf::Timestamp { form, precision: 6 };
    let (leap, before) = ("2024-02-29 13:14:15.123456", "1969-12-31 23:59:59.999999");
    check(
        timestamp(TimestampForm::Micros),
        &[
            (leap, "1709212455123456"),
            (before, "-1"),
            ("infinity", "9223372036854775807"),
            ("-infinity", "-9223372036854775808"),
            // The original's overflow.
            ("294276-12-31 23:59:59.999999", "-9223372036853775810"),
            ("2024-02-29 13:14:15.1234567", "error"),
            ("2024-02-29 25:00:00", "error"),
        ],
    );
    check(
        timestamp(TimestampForm::Millis),
        &[
            (leap, "1709212455123"),
            (before, "-1"),
            ("1969-12-31 23:59:59", "-1000"),
            ("infinity", "9223372036825200000"),
            ("-infinity", "-9223372036832400000"),
        ],
    );
    check(
        timestamp(TimestampForm::Nanos),
        &[
            (leap, "1709212455123456000"),
            (before, "-1000"),
            ("9999-12-31 23:59:59.999999", "error"),
            ("2262-04-11 23:47:16.854775", "9223372036854775000"),
        ],
    );
    check(
        timestamp(TimestampForm::Iso),
        &[
            ("2024-02-29 13:14:15.12345", r#""2024-02-29T13:14:15.12345Z""#),
            ("1970-01-01 00:00:00", r#""1970-01-01T00:00:00Z""#),
            ("0044-03-15 12:00:00.5 BC", r#""-0043-03-15T12:00:00.5Z""#),
            ("294276-12-31 23:59:59.999999", r#""+294276-12-31T23:59:59.999999Z""#),
            ("4713-01-01 00:00:00 BC", r#""-4712-01-01T00:00:00Z""#),
            ("infinity", r#""+292278994-08-16T23:00:00Z""#),
        ],
    );
    check(timestamp(TimestampForm::Structured), &[(leap, "(2024,2,29,13,14,15,123456000,null,6)")]);
}

#[test]
fn timestamps_with_a_zone() {
    let zoned = |precision| Leaf::TimestampTz { form: ZonedForm::Text, precision };
    check(
        zoned(6),
        &[
            ("2024-02-29 13:14:15.123456+05:30", r#""2024-02-29T07:44:15.123456Z""#),
            ("1970-01-01 00:00:00+00", r#""1970-01-01T00:00:00.000000Z""#),
            ("0044-03-15 12:00:00.5+00 BC", r#""-0043-03-15T12:00:00.500000Z""#),
            ("10000-01-01 00:00:00+00", r#""+10000-01-01T00:00:00.000000Z""#),
            ("1880-01-01 00:00:00+00:17:30", r#""1879-12-31T23:42:30.000000Z""#),
            ("infinity", r#""infinity""#),
            ("-infinity", r#""-infinity""#),
        ],
    );
    check(zoned(3), &[("2024-02-29 07:44:15.123+00", r#""2024-02-29T07:44:15.123Z""#)]);
    check(zoned(3), &[("2024-02-29 07:44:15+00", r#""2024-02-29T07:44:15.000Z""#)]);
    check(zoned(0), &[("2024-02-29 07:44:15+00", r#""2024-02-29T07:44:15Z""#)]);
    check(
        Leaf::TimestampTz { form: ZonedForm::Structured, precision: 6 },
        &[("2024-02-29 07:44:15.123456+00", r#"(2024,2,29,7,44,15,123456000,0,"Z",null,6)"#)],
    );
}

#[test]
fn intervals() {
    check(
        Leaf::Interval(IntervalForm::Micros),
        &[
            ("1 year 2 mons 3 days 04:05:06.789", "37091106789000"),
            ("00:00:00", "0"),
            ("-1 years -2 mons +3 days -04:05:06.789", "-36572706789000"),
            ("1 mon", "2629800000000"),
            ("1 day", "86400000000"),
            ("00:00:00.000001", "1"),
            ("178000000 years", "9223372036854775807"),
            ("1 year -1 days", "31471200000000"),
            ("1 fortnight", "error"),
        ],
    );
    check(
        Leaf::Interval(IntervalForm::Iso),
        &[
            ("1 year 2 mons 3 days 04:05:06.789", r#""P1Y2M3DT4H5M6.789S""#),
            ("00:00:00", r#""P0Y0M0DT0H0M0S""#),
            ("-1 years -2 mons +3 days -04:05:06.789", r#""P-1Y-2M3DT-4H-5M-6.789S""#),
            ("00:00:00.000001", r#""P0Y0M0DT0H0M0.000001S""#),
            ("178000000 years", r#""P178000000Y0M0DT0H0M0S""#),
            ("1 year -1 days", r#""P1Y0M-1DT0H0M0S""#),
        ],
    );
}

#[test]
fn hstores() {
    let text = r#""e"=>"", "é"=>"ü", "k\"q"=>"v\\s""#;
    check(
        Leaf::Hstore(HstoreForm::Json),
        &[
            (r#""a"=>"1", "b"=>NULL"#, r#""{\"a\":\"1\",\"b\":null}""#),
            ("", r#""{}""#),
            (text, r#""{\"e\":\"\",\"é\":\"ü\",\"k\\\"q\":\"v\\\\s\"}""#),
            (r#""a""#, "error"),
        ],
    );
    check(Leaf::Hstore(HstoreForm::Map), &[(text, r#"{"e":"","é":"ü","k\"q":"v\\s"}"#)]);
    let array = array_of(Leaf::Hstore(HstoreForm::Json));
    check(array, &[(r#"{NULL,"\"y\"=>\"2\""}"#, r#"[null,"{\"y\":\"2\"}"]"#)]);
}

#[test]
fn shapes() {
    let geometry = Leaf::Geometry { extensions: true };
    check(
        geometry,
        &[
            ("0101000000000000000000F03F0000000000000040", "(AQEAAAAAAAAAAADwPwAAAAAAAABA,null,null)"),
            ("0101000020E6100000000000000000F03F0000000000000040", "(AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==,4326,null)"),
            ("01", "error"),
            ("", "error"),
        ],
    );
    check(
        Leaf::Geometric(Shape::Box),
        &[(
            "(1,1),(0,0)",
            "(AQMAAAABAAAABQAAAAAAAAAAAPA/AAAAAAAA8D8AAAAAAADwPwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA8D8AAAAAAADwPwAAAAAAAPA/,null,{\"type\":\"box\"})",
        )],
    );
    check(
        Leaf::Geometric(Shape::Circle),
        &[("<(0,0),1>", "((0.0,0.0,AQEAAAAAAAAAAAAAAAAAAAAAAAAA,null),1.0)"), ("<(0,0)>", "error")],
    );
    check(Leaf::Geometric(Shape::Line), &[("{1,-1,0}", "(1.0,-1.0,0.0)")]);
    check(Leaf::Point, &[("(1,2)", "(1.0,2.0,AQEAAAAAAAAAAADwPwAAAAAAAABA,null)")]);
}

#[test]
fn vectors() {
    check(Leaf::Vector, &[("[1,2.5]", "[1.0,2.5]"), ("1", "error")]);
    check(Leaf::HalfVector, &[("[1,2.5]", "[1.0,2.5]")]);
    check(Leaf::SparseVector, &[("{1:1.5,3:2}/5", "(5,{1:1.5,3:2.0})"), ("{}/5", "(5,{})")]);
}

#[test]
fn arrays() {
    check(
        array_of(Leaf::Int32),
        &[
            ("{1,2}", "[1,2]"),
            ("{}", "[]"),
            ("{NULL,1}", "[null,1]"),
            ("[0:1]={7,8}", "[7,8]"),
            ("{{1,2},{3,4}}", "[null,null]"),
            ("{1", "error"),
            ("{1,}", "error"),
            ("", "error"),
        ],
    );
    check(
        array_of(Leaf::Text),
        &[
            (r#"{"a,b","c\"d","e\\f","{g}",NULL}"#, r#"["a,b","c\"d","e\\f","{g}",null]"#),
            (r#"{"null",""}"#, r#"["null",""]"#),
            (r#"[5:5]={z}"#, r#"["z"]"#),
            (r#"{"[1,2)","(,5)"}"#, r#"["[1,2)","(,5)"]"#),
        ],
    );
    let strict = Leaf::Array(Arc::new(ArrayLeaf { element: Leaf::Text, null_fails: true }));
    check(strict, &[(r#"{sad,"Very Happy"}"#, r#"["sad","Very Happy"]"#), (r#"{NULL,"com,ma"}"#, "error")]);
}

/// Recorded from 3.7.0.Final by hand: elements of arrays come through the JDBC driver's objects.
#[test]
fn arrays_of_moments() {
    check(
        array_of(Leaf::Time { form: TimeForm::Micros, precision: 6 }),
        &[("{01:02:03.123456,24:00:00}", "[3723123000,0]")],
    );
    check(
        array_of(Leaf::Timestamp { form: TimestampForm::Micros, precision: 6 }),
        &[(
            r#"{infinity,-infinity,"0044-03-15 12:00:00.5 BC","2024-01-01 01:02:03.456789"}"#,
            "[9223372036854775807,-9223372036854775808,-63517953599500000,1704070923456789]",
        )],
    );
    check(
        array_of(Leaf::TimestampTz { form: ZonedForm::Text, precision: 3 }),
        &[(
            r#"{infinity,-infinity,"2023-12-31 23:02:03.5+00","0044-03-15 12:00:00.5+00 BC"}"#,
            r#"["infinity","+292269055-12-02T23:00:00.000Z","2023-12-31T23:02:03.500Z","0044-03-15T12:00:00.500Z"]"#,
        )],
    );
    check(
        Leaf::Date { form: DateForm::Days, reader: Reader::Snapshot },
        &[("1582-10-10", "-141422"), ("1582-10-15", "-141427"), ("1582-10-04", "-141438")],
    );
}

mod properties {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    fn every_leaf() -> Vec<Leaf> {
        use Leaf::*;
        let mut leaves = vec![Text, Unconvertible, Boolean, Bit, Int16, Int32, Int64, Float32, Float64, Bits];
        for form in [BinaryForm::Bytes, BinaryForm::Base64, BinaryForm::Base64Url, BinaryForm::Hex] {
            leaves.extend([Bytea(form), TextBytes(form)]);
        }
        leaves.extend([Decimal { scale: 0 }, Decimal { scale: 5 }, VariableScaleDecimal, DecimalDouble, DecimalText]);
        leaves.extend([MoneyForm::Decimal { scale: 1 }, MoneyForm::Double, MoneyForm::Text].map(Money));
        for form in [DateForm::Days, DateForm::Iso, DateForm::Structured] {
            leaves.extend([Reader::Stream, Reader::Snapshot].map(|reader| Date { form, reader }));
        }
        use TimeForm as T;
        leaves.extend([T::Millis, T::Micros, T::Nanos, T::Iso, T::Structured].map(|form| Time { form, precision: 3 }));
        use TimestampForm as Ts;
        leaves.extend(
            [Ts::Millis, Ts::Micros, Ts::Nanos, Ts::Iso, Ts::Structured].map(|form| Timestamp { form, precision: 3 }),
        );
        for form in [ZonedForm::Text, ZonedForm::Structured] {
            leaves.extend([TimeTz { form, precision: 6 }, TimestampTz { form, precision: 6 }]);
        }
        leaves
            .extend([IntervalForm::Micros, IntervalForm::Iso, IntervalForm::Structured { precision: 6 }].map(Interval));
        leaves.extend([HstoreForm::Json, HstoreForm::Map].map(Hstore));
        leaves.extend([Point, Geometry { extensions: true }, Vector, HalfVector, SparseVector]);
        use Shape as S;
        leaves.extend([S::Box, S::Lseg, S::Path, S::Polygon, S::Circle, S::Line].map(Geometric));
        let arrays: Vec<Leaf> = leaves.iter().cloned().map(array_of).collect();
        leaves.extend(arrays);
        leaves
    }

    fn no_panic(text: &[u8]) {
        for leaf in every_leaf() {
            let _ = leaf.value(text);
        }
    }

    proptest! {
        #[test]
        fn no_leaf_panics_on_bytes(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            no_panic(&text);
        }

        #[test]
        fn no_leaf_panics_on_what_looks_right(
            text in r#"[-+]?[0-9]{0,8}[-:. ]?[0-9]{0,3}[-:., ]?[0-9]{0,3}[ T]?[0-9:.+-]{0,20}( BC)?"#,
        ) {
            no_panic(text.as_bytes());
        }

        #[test]
        fn no_leaf_panics_on_punctuation(text in r#"[]{}\[()<>",\\=:;/$NUL0-9xt. -]{0,30}"#) {
            no_panic(text.as_bytes());
        }

        #[test]
        fn decimals_are_what_a_big_integer_says(text in "-?[0-9]{1,80}(\\.[0-9]{1,40})?", extra in 0u32..20) {
            let fraction = text.split_once('.').map_or(0, |(_, f)| f.len()) as u32;
            let scale = fraction + extra;
            let unscaled: BigInt = text.replace('.', "").parse().unwrap();
            let expected = (unscaled * BigInt::from(10).pow(extra)).to_signed_bytes_be();
            prop_assert_eq!(Leaf::Decimal { scale }.value(text.as_bytes()), Ok(Value::bytes(expected)));
        }

        #[test]
        fn days_and_dates_are_inverse(days in -700_000_000i64..700_000_000) {
            prop_assert_eq!(days_from_civil(civil::civil_from_days(days)), days);
            prop_assert_eq!(civil::days_from_julian(civil::julian_from_days(days)), days);
        }

        #[test]
        fn timestamps_are_what_jiff_says(micros in -62_135_596_800_000_000i64..253_370_764_800_000_000) {
            let at = jiff::Timestamp::from_microsecond(micros).unwrap();
            let text = at.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
            let leaf = Leaf::Timestamp { form: TimestampForm::Micros, precision: 6 };
            prop_assert_eq!(leaf.value(text.as_bytes()), Ok(Value::Int64(micros)));
            let zoned = Leaf::TimestampTz { form: ZonedForm::Text, precision: 6 };
            let expected = at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            prop_assert_eq!(zoned.value(format!("{text}+00").as_bytes()), Ok(Value::string(expected)));
        }
    }
}
