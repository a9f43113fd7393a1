use super::*;

const LARGE: u64 = 1 << 20;

fn read(text: &str) -> std::result::Result<Value, Fault> {
    let mut reader = Reader::new(text.as_bytes(), LARGE);
    let value = reader.value()?;
    reader.finish()?;
    Ok(value)
}

/// What Python's `json.dumps(json.loads(text))` gives.
fn again(text: &str) -> String {
    let mut out = Vec::new();
    push_value(&mut out, &read(text).unwrap());
    String::from_utf8(out).unwrap()
}

#[test]
fn floats_have_the_layout_of_repr() {
    for (text, expected) in [
        ("0.0", "0.0"),
        ("-0.0", "-0.0"),
        ("1E7", "10000000.0"),
        ("1e15", "1000000000000000.0"),
        ("9999999999999998.0", "9999999999999998.0"),
        ("1e16", "1e+16"),
        ("1e22", "1e+22"),
        ("123456789012345680.0", "1.2345678901234568e+17"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("1.5E-7", "1.5e-07"),
        // 2^-24 ends in 0625: the even neighbour of so many digits is another double.
        ("5.9604644775390625e-08", "5.960464477539063e-08"),
        ("0.000244140625", "0.000244140625"),
        ("9.999999999999999e-05", "9.999999999999999e-05"),
        ("-1.25e-10", "-1.25e-10"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1e-400", "0.0"),
        ("0.1", "0.1"),
        ("100.5", "100.5"),
        ("2159578233759682.25", "2159578233759682.2"),
        ("2159578233759682.75", "2159578233759682.8"),
        ("-1125899906842624.25", "-1125899906842624.2"),
        ("126063014269854.125", "126063014269854.12"),
        ("126063014269854.375", "126063014269854.38"),
        ("1125899906842624.5", "1125899906842624.5"),
        ("1125899906842625.0", "1125899906842625.0"),
    ] {
        assert_eq!(again(text), expected, "{text}");
    }
}

#[test]
fn what_only_python_reads_is_read_and_kept() {
    assert_eq!(
        again("[NaN, Infinity, -Infinity, 1e400, -1e400]"),
        "[NaN, Infinity, -Infinity, Infinity, -Infinity]"
    );
    let big = "-123456789012345678901234567890";
    assert_eq!(again(big), big);
    assert_eq!(again("-0"), "0");
    assert_eq!(
        again(r#""\ud800x\udc00\ud83d\ude00""#),
        r#""\ud800x\udc00\ud83d\ude00""#
    );
    assert_eq!(again(r#""\ud800\ud83d\ude00""#), r#""\ud800\ud83d\ude00""#);
}

#[test]
fn strings_are_escaped_as_ascii() {
    assert_eq!(
        again("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\u{7f}é\u{2028}😀\""),
        r#""\"\\/\b\f\n\r\t\u0000\u007f\u00e9\u2028\ud83d\ude00""#
    );
}

#[test]
fn what_python_refuses_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[1",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "'a'",
        "01",
        "1.",
        ".5",
        "1e",
        "+1",
        "-",
        "-NaN",
        "nan",
        "nul",
        "tru",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a",
        "\"a\nb\"",
        "1 2",
        "{} {}",
        "[1 2]",
        "-Infinit",
    ] {
        assert!(read(text).is_err(), "{text:?}");
    }
    let long = "1".repeat(4301);
    assert!(read(&long).is_err());
    assert!(read(&long[1..]).is_ok());
    assert!(read(&"[".repeat(65)).is_err());
}

#[test]
fn raw_bytes_that_are_not_utf8_are_refused() {
    for bytes in [&b"\"\xff\""[..], b"\"\xed\xa0\x80\""] {
        let mut reader = Reader::new(bytes, LARGE);
        assert!(matches!(reader.value(), Err(Fault::Syntax(_))));
    }
}

#[test]
fn a_key_that_is_there_twice_is_told() {
    let mut reader = Reader::new(
        &br#"[{"a": 1, "b": 2}, {"a": {"b": 1, "b": 2}}]"#[..],
        LARGE,
    );
    reader.value().unwrap();
    assert_eq!(reader.take_repeated().as_deref(), Some("b"));
    assert_eq!(reader.take_repeated(), None);
}

#[test]
fn one_value_takes_no_more_memory_than_it_may() {
    let text = format!("[\"{}\"]", "x".repeat(1 << 20));
    let mut reader = Reader::new(text.as_bytes(), 1 << 16);
    let Err(Fault::Syntax(error)) = reader.value() else {
        panic!("a megabyte passed as 64 KiB");
    };
    assert_eq!(error.what, "one record is larger than the limit");
}

#[test]
fn an_error_says_in_which_line_and_byte_it_is() {
    let Err(Fault::Syntax(error)) = read("{\n \"a\": x}") else {
        panic!("it passed");
    };
    assert_eq!(
        error.to_string(),
        "line 2, byte 7: a value is expected here"
    );
}

#[test]
fn a_path_is_shown_as_one_would_look_it_up_and_never_long() {
    let root = Path::root("positions");
    let miner = root.key("5DE6");
    let list = miner.key("a b");
    assert_eq!(list.index(3).to_string(), "positions.5DE6[\"a b\"][3]");
    let long = "\n".repeat(1000);
    assert!(root.key(&long).to_string().len() < 200);
}

proptest::proptest! {
    /// However the bytes arrive, the value is the same.
    #[test]
    fn reading_does_not_depend_on_how_the_bytes_arrive(text in r#"\[("[a-zé\\\\n]{0,9}"|-?[1-9][0-9]{0,20}(\.[0-9]{1,9})?|null|\{"k": \[true\]\})(, 1)?\]"#, step in 1_usize..7) {
        struct Slow<'a>(&'a [u8], usize);
        impl std::io::Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let count = self.1.min(self.0.len()).min(buffer.len());
                buffer[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let whole = read(&text).ok();
        let slow = Reader::new(Slow(text.as_bytes(), step), LARGE).value().ok();
        proptest::prop_assert_eq!(whole, slow);
    }

    /// The shortest digits are those that read back the same.
    #[test]
    fn a_float_reads_back_the_same(bits in proptest::num::u64::ANY) {
        let float = f64::from_bits(bits);
        proptest::prop_assume!(float.is_finite());
        let mut out = Vec::new();
        push_float(&mut out, float);
        let back: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
        proptest::prop_assert_eq!(back.to_bits(), float.to_bits());
    }
}

/// The quick way of a number that is copied, where it takes one. One that ends with the text never does.
fn copied(text: &str) -> Option<String> {
    let text = format!("{text},");
    let mut reader = Reader::new(text.as_bytes(), LARGE);
    reader.head().unwrap();
    let mut out = Vec::new();
    reader.copy_plain_number(&mut out)?;
    assert_eq!(reader.offset() as usize, text.len() - 1, "{text}");
    Some(String::from_utf8(out).unwrap())
}

#[test]
fn a_number_that_is_copied_quickly_is_what_the_long_way_makes_of_it() {
    let shapes = [
        "0",
        "-0",
        "1",
        "-17",
        "012",
        "1.",
        ".5",
        "-",
        "1e5",
        "1e",
        "1.5e-07",
        "0.1e+3",
        "00.1",
        "0.0",
        "-0.0",
        "0.00",
        "0.10",
        "12.0",
        "0.0001",
        "0.00010",
        "0.00001",
        "0.00012345",
        "999999999999999.0",
        "99999999999999.9",
        "1000000000000000.0",
        "123456789012345678",
        "1234567890123456789",
        "0.12345678901234567890",
        "9007199254740993.0",
        "0.9946390274885941",
        "900719925474099.3",
        "900719925474099.31",
        "1e400",
        "5e-324",
        "1-2",
        "1.2.3",
        "0.100000000000000005",
        "0.0008707768053748211",
        "-3.6032943489000347e-07",
        "3.60329434890003470e-07",
        "36.032943489000347e-07",
        "3.6032943489000347e-7",
        "3.6032943489000347E-07",
        "0.36e-07",
        "1e-05",
        "1e-04",
        "2e-99",
        "5e-100",
        "126063014269854.125",
        "126063014269854.12",
        "5.960464477539063e-08",
        "1234567890123456.5",
        "12345678901234567.5",
    ];
    for text in shapes {
        if let Some(quick) = copied(text) {
            assert_eq!(quick, again(text), "{text}");
        }
    }
    for text in [
        "-17",
        "0.0",
        "12.0",
        "0.00012345",
        "99999999999999.9",
        "0.0008707768053748211",
        "-3.6032943489000347e-07",
        "1e-05",
    ] {
        assert!(copied(text).is_some(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_decimal_is_copied_as_the_long_way_has_it(
        digits in 0_u64..10_000_000_000_000_000_000,
        decimals in 1_usize..22,
        zeros in 0_usize..6,
        negative: bool,
    ) {
        let digits = format!("{digits:0decimals$}{}", "0".repeat(zeros));
        let digits = format!("{:0>1$}", digits, decimals + 1);
        let (whole, rest) = digits.split_at(digits.len() - decimals);
        let sign = if negative { "-" } else { "" };
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let power = digits.len() + zeros;
        for text in [
            format!("{sign}{whole}.{rest}"),
            format!("{sign}{whole}"),
            format!("{sign}{}.{rest}e-{power:02}", &digits[..1]),
        ] {
            if let Some(quick) = copied(&text) {
                proptest::prop_assert_eq!(&quick, &again(&text), "{}", text);
            }
        }
    }
}
