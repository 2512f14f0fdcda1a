//! Each surprise of values in both modes: what the original writes (recorded in `conformance/cases/types_*` and
//! `filter_column_truncate`), that it is told, and what strict mode writes or refuses.

use std::sync::Arc;

use proptest::prelude::*;
use walspring_record::leaf::{
    ArrayLeaf, DateForm, IntervalForm, MoneyForm, Reader, Scratch, Strict, TimeForm, TimestampForm, Truncated,
    ZonedForm,
};
use walspring_record::{Leaf, Surprise, Value};

fn strict(leaf: Leaf) -> Leaf {
    Leaf::Strict(Arc::new(Strict { leaf, column: "public.t.c".into() }))
}

fn array(element: Leaf, null_fails: bool) -> Leaf {
    Leaf::Array(Arc::new(ArrayLeaf { element, null_fails }))
}

/// The value, and what surprised.
fn read(leaf: &Leaf, text: &str) -> (Result<Value, String>, Option<Surprise>) {
    let mut scratch = Scratch::default();
    let value = leaf.read(text.as_bytes(), &mut scratch).map(|s| s.into_value()).map_err(|e| e.to_string());
    let surprise = match &value {
        Ok(_) => scratch.take_surprise(),
        Err(_) => Some(Surprise::of_failure(leaf, text.as_bytes())),
    };
    (value, surprise)
}

/// `original`, `exact`: `None` where there is an error.
#[track_caller]
fn check(leaf: Leaf, text: &str, original: Option<Value>, surprise: Surprise, exact: Option<Value>) {
    let (value, told) = read(&leaf, text);
    assert_eq!((value.ok(), told), (original, Some(surprise)), "{leaf:?} of {text}");
    let leaf = match leaf {
        Leaf::Array(of) => strict(array(strict(of.element.clone()), false)),
        leaf => strict(leaf),
    };
    match (read(&leaf, text).0, exact) {
        (Ok(value), Some(exact)) => assert_eq!(value, exact, "{leaf:?} of {text}"),
        (Err(why), None) => {
            assert!(why.starts_with("public.t.c: ") && why.contains(surprise.mend_strict()), "{why}");
        }
        (got, exact) => panic!("{leaf:?} of {text}: {got:?}, not {exact:?}"),
    }
}

fn text(text: &str) -> Option<Value> {
    Some(Value::string(text))
}

fn int(value: i64) -> Option<Value> {
    Some(Value::Int64(value))
}

fn timestamp(form: TimestampForm) -> Leaf {
    Leaf::Timestamp { form, precision: 6 }
}

#[test]
fn numbers() {
    use Surprise::*;
    for number in ["NaN", "Infinity", "-Infinity"] {
        check(Leaf::Decimal { scale: 2 }, number, None, NumericNan, None);
        check(Leaf::VariableScaleDecimal, number, None, NumericNan, None);
    }
    let double = |f| Some(Value::Float64(f));
    check(Leaf::DecimalDouble, "12345678901234567890", double(1.2345678901234567e19), NumericRounded, None);
    check(Leaf::DecimalDouble, "0.12345678901234567890", double(0.12345678901234568), NumericRounded, None);
    check(
        Leaf::Money(MoneyForm::Double),
        "$92,233,720,368,547,758.07",
        double(9.223372036854776e16),
        NumericRounded,
        None,
    );
    let rounded = Leaf::Money(MoneyForm::Decimal { scale: 1 });
    check(rounded, "$9.95", Some(Value::bytes([100])), MoneyRounded, None);
}

#[test]
fn numbers_that_are_whole_surprise_nobody() {
    for (leaf, text) in [
        (Leaf::DecimalDouble, "NaN"),
        (Leaf::DecimalDouble, "-0.100000000000000000000"),
        (Leaf::DecimalDouble, "100000000000000000000000"),
        (Leaf::DecimalDouble, "-123456789012.345"),
        (Leaf::Money(MoneyForm::Decimal { scale: 1 }), "$9.90"),
        (Leaf::Money(MoneyForm::Decimal { scale: 2 }), "-$1,234.56"),
    ] {
        let (value, surprise) = read(&leaf, text);
        assert_eq!(surprise, None, "{text}");
        let exact = read(&strict(leaf), text).0;
        assert!(value.is_ok() && format!("{exact:?}") == format!("{value:?}"), "{text}: {exact:?}");
    }
}

#[test]
fn dates() {
    use Surprise::*;
    let date = |form, reader| Leaf::Date { form, reader };
    let days = |d| Some(Value::Int32(d));
    use DateForm::*;
    use Reader::*;
    check(date(Days, Stream), "infinity", days(2_146_033_979), DateInfinite, days(i32::MAX));
    check(date(Days, Snapshot), "infinity", days(-622_191_234), DateInfinite, days(i32::MAX));
    check(date(Days, Snapshot), "-infinity", days(-625_821_272), DateInfinite, days(i32::MIN));
    check(date(Iso, Stream), "-infinity", text("-5877611-06-22Z"), DateInfinite, text("-infinity"));
    // 44 BC becomes 44 AD.
    check(date(Iso, Snapshot), "0044-03-15 BC", text("0044-03-15Z"), DateOld, text("-0043-03-15Z"));
    check(date(Iso, Snapshot), "1582-10-10", text("1582-10-20Z"), DateOld, text("1582-10-10Z"));
    for usual in ["1582-10-15", "1582-10-24", "0001-01-01", "5874897-12-31"] {
        assert_eq!(read(&date(Days, Snapshot), usual).1, None, "{usual}");
    }
    assert_eq!(read(&date(Days, Stream), "0044-03-15 BC").1, None);
}

#[test]
fn timestamps() {
    use Surprise::*;
    use TimestampForm::*;
    check(timestamp(Millis), "infinity", int(9_223_372_036_825_200_000), TimestampInfinite, int(i64::MAX));
    check(timestamp(Millis), "-infinity", int(-9_223_372_036_832_400_000), TimestampInfinite, int(i64::MIN));
    check(timestamp(Iso), "infinity", text("+292278994-08-16T23:00:00Z"), TimestampInfinite, text("infinity"));
    check(timestamp(Micros), "294276-12-31 23:59:59.999999", int(-9_223_372_036_853_775_810), TimestampRange, None);
    check(timestamp(Nanos), "2262-04-12 00:00:00", None, TimestampRange, None);
    // The ends of the type already, which no day reaches.
    for form in [Micros, Nanos] {
        assert_eq!(read(&timestamp(form), "infinity"), (Ok(Value::Int64(i64::MAX)), None));
        assert_eq!(read(&strict(timestamp(form)), "-infinity"), (Ok(Value::Int64(i64::MIN)), None));
    }
}

#[test]
fn times() {
    use Surprise::*;
    let time = |form| Leaf::Time { form, precision: 6 };
    check(time(TimeForm::Iso), "24:00:00", text("00:00:00Z"), TimeMidnight, text("24:00:00Z"));
    let end = [Value::Int8(24), Value::Int8(0), Value::Int8(0), Value::Int32(0), Value::Int32(6)];
    check(time(TimeForm::Structured), "24:00:00", None, TimeMidnight, Some(Value::Struct(end.into())));
    let timetz = Leaf::TimeTz { form: ZonedForm::Text, precision: 6 };
    check(timetz, "01:00:00.5+00:17:30", None, TimetzOffset, text("00:42:30.5Z"));
    let interval = Leaf::Interval(IntervalForm::Micros);
    check(interval.clone(), "1 mon", int(2_629_800_000_000), IntervalMonths, None);
    assert_eq!(read(&strict(interval), "-3 days +04:05:06.789"), (Ok(Value::Int64(-244_493_211_000)), None));
}

#[test]
fn arrays() {
    use Surprise::*;
    let list = |values: &[Value]| Some(Value::Array(values.to_vec()));
    let nulls = list(&[Value::Null, Value::Null]);
    check(array(Leaf::Int32, false), "{{1,2},{3,4}}", nulls, ArrayDimensions, None);
    check(array(Leaf::Text, true), "{{a},{b}}", None, ArrayDimensions, None);
    check(array(Leaf::Text, true), "{sad,NULL}", None, ArrayNull, list(&[Value::string("sad"), Value::Null]));
    let times = array(Leaf::Time { form: TimeForm::Micros, precision: 6 }, false);
    let exact = [Value::Int64(3_723_123_456), Value::Int64(86_400_000_000)];
    let cut = [Value::Int64(3_723_123_000), Value::Int64(0)];
    check(times, "{01:02:03.123456,24:00:00}", list(&cut), ArrayTimeCut, list(&exact));
    let decimals = array(Leaf::Decimal { scale: 0 }, false);
    check(decimals, "{1,NaN}", None, NumericNan, None);
    let zoned = array(Leaf::TimestampTz { form: ZonedForm::Text, precision: 3 }, false);
    check(
        zoned.clone(),
        r#"{"0044-03-15 12:00:00.5+00 BC"}"#,
        list(&[Value::string("0044-03-15T12:00:00.500Z")]),
        DateOld,
        list(&[Value::string("-0043-03-15T12:00:00.500Z")]),
    );
    let year = list(&[Value::string("+292269055-12-02T23:00:00.000Z")]);
    check(zoned, "{-infinity}", year, TimestampInfinite, list(&[Value::string("-infinity")]));
}

#[test]
fn cut_text() {
    let truncated = |length_max| Leaf::Truncated(Arc::new(Truncated { leaf: Leaf::Text, length_max, bytes: true }));
    check(truncated(3), "😀😀😀😀", text("😀"), Surprise::TruncateUnits, text("😀😀😀"));
    for plain in ["éééé", "abc😀", "abcdef😀"] {
        assert_eq!(read(&truncated(3), plain).1, None, "{plain}");
    }
}

/// Leaves that strict mode makes exact, and usual text of them.
fn usual() -> impl Strategy<Value = (Leaf, String)> {
    let moment = (1700..2200i32, 1..=12u8, 1..=28u8, 0..24u8, 0..60u8, 0..60u8, 0..1_000_000u32);
    let timestamp_leaf = prop::sample::select(vec![
        TimestampForm::Millis,
        TimestampForm::Micros,
        TimestampForm::Nanos,
        TimestampForm::Iso,
        TimestampForm::Structured,
    ]);
    let time_leaf = prop::sample::select(vec![
        TimeForm::Millis,
        TimeForm::Micros,
        TimeForm::Nanos,
        TimeForm::Iso,
        TimeForm::Structured,
    ]);
    let date_leaf = prop::sample::select(vec![DateForm::Days, DateForm::Iso, DateForm::Structured]);
    let reader = prop::sample::select(vec![Reader::Stream, Reader::Snapshot]);
    prop_oneof![
        (moment.clone(), timestamp_leaf).prop_map(|((y, mo, d, h, mi, s, us), form)| {
            (timestamp(form), format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}.{us:06}"))
        }),
        (moment.clone(), date_leaf, reader)
            .prop_map(|((y, mo, d, ..), form, reader)| (Leaf::Date { form, reader }, format!("{y:04}-{mo:02}-{d:02}"))),
        (moment, time_leaf).prop_map(|((_, _, _, h, mi, s, us), form)| {
            (Leaf::Time { form, precision: 6 }, format!("{h:02}:{mi:02}:{s:02}.{us:06}"))
        }),
        (any::<i64>(), 0..4u32).prop_map(|(n, scale)| (Leaf::Decimal { scale }, n.to_string())),
        any::<i128>().prop_map(|n| (Leaf::VariableScaleDecimal, n.to_string())),
        (-999_999_999_999_999..=999_999_999_999_999i64).prop_map(|n| (Leaf::DecimalDouble, n.to_string())),
        prop::collection::vec(prop::option::of(any::<i32>()), 0..5).prop_map(|values| {
            let values = values.iter().map(|v| v.map_or("NULL".to_owned(), |v| v.to_string()));
            (array(Leaf::Int32, false), format!("{{{}}}", values.collect::<Vec<_>>().join(",")))
        }),
        (-100_000..100_000i32).prop_map(|days| (Leaf::Interval(IntervalForm::Micros), format!("{days} days"))),
    ]
}

proptest! {
    /// What surprises nobody is the same in both modes.
    #[test]
    fn usual_values_are_the_same_in_both_modes((leaf, text) in usual()) {
        let (value, surprise) = read(&leaf, &text);
        prop_assert_eq!(surprise, None);
        prop_assert_eq!(read(&strict(leaf), &text).0, value);
    }

    /// Whatever surprises, strict mode never gives the original's value without a word.
    #[test]
    fn a_double_is_told_where_digits_are_lost(number in "[1-9][0-9]{0,30}(\\.[0-9]{1,20})?") {
        let (value, surprise) = read(&Leaf::DecimalDouble, &number);
        let Ok(Value::Float64(double)) = value else { panic!("{value:?}") };
        // PostgreSQL and Java agree on the shortest text of a double, which is what a consumer can get back.
        let shortest = double.to_string();
        let trim = |s: &str| match s.split_once('.') {
            Some((whole, fraction)) => format!("{whole}.{}", fraction.trim_end_matches('0')),
            None => format!("{s}."),
        };
        prop_assert_eq!(surprise.is_some(), trim(&shortest) != trim(&number), "{} {}", number, shortest);
    }

    #[test]
    fn no_text_makes_a_strict_leaf_panic(text in "[-0-9 :.{},\"A-Za-z+$]{0,30}", which in 0..8usize) {
        let leaves = [
            timestamp(TimestampForm::Micros),
            Leaf::Date { form: DateForm::Iso, reader: Reader::Snapshot },
            Leaf::Time { form: TimeForm::Structured, precision: 0 },
            Leaf::TimeTz { form: ZonedForm::Text, precision: 0 },
            Leaf::Interval(IntervalForm::Micros),
            Leaf::Money(MoneyForm::Decimal { scale: 0 }),
            Leaf::DecimalDouble,
            array(Leaf::Int32, true),
        ];
        let leaf = leaves[which].clone();
        let _ = read(&leaf, &text);
        let _ = read(&strict(leaf), &text);
    }
}
