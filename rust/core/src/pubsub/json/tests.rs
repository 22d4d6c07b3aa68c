use serde_json::{Value, value::RawValue};

use super::*;

/// The defect of a text that is valid JSON.
fn defect_of(text: impl AsRef<str>) -> Option<Defect> {
    let text = text.as_ref();
    assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
    check(text).err()
}

#[test]
fn values_may_be_128_deep() {
    let arrays = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth| format!("{}1{}", r#"{"[{\"[":"#.repeat(depth), "}".repeat(depth));
    assert_eq!(defect_of(arrays(128)), None);
    assert_eq!(defect_of(objects(128)), None);
    assert_eq!(defect_of(arrays(129)), Some(Defect::Depth));
    assert_eq!(defect_of(objects(129)), Some(Defect::Depth));
    let wide = format!("[{}[]]", "[[]],".repeat(10_000));
    assert_eq!(defect_of(&wide), None);
}

#[test]
fn numbers_can_be_held() {
    let digits = |count| "7".repeat(count);
    let good = [
        "0",
        "-0",
        "-0.0",
        "1e308",
        "1.7976931348623157e308",
        "-1E+308",
        "1e-400",
        "0e99999999999999999999",
        "1e-99999999999999999999",
        &digits(4_300),
        &format!("-{}", digits(4_300)),
        &format!("0.{}", digits(100_000)),
        &format!("{}.5", digits(308)),
        &format!("{}.5", digits(309).replace('7', "1")),
        &format!("{}e-4000", digits(4_300)),
        &format!("[{},\"{}\"]", digits(4_300), digits(9_999)),
    ];
    for number in good {
        assert_eq!(defect_of(number), None, "{number:.40}");
    }
    let bad = [
        "1e309",
        "-1e309",
        "1.0e400",
        "1.7976931348623159e308",
        "1e99999999999999999999",
        &digits(4_301),
        &format!("-{}", digits(4_301)),
        &format!("{}.5", digits(309)),
        &format!("{}.5", digits(5_000)),
        // It would be finite, but the reader counts the digits before the point only.
        &format!("{}e-4301", digits(4_301)),
        "[1,2,{\"a\":[-1e999]}]",
    ];
    for number in bad {
        assert_eq!(defect_of(number), Some(Defect::Number), "{number:.40}");
    }
}

#[test]
fn surrogates_come_in_pairs() {
    for text in [
        r"\ud83d\ude00",
        r"\uD83D\uDE00x",
        r"\udbff\udfff",
        r"\ud800\udc00",
        r"\ud7ff\ue000",
        r"\\ud800",
        r#"\"\\\\ud800"#,
    ] {
        for message in [format!("\"{text}\""), format!("{{\"{text}\":[\"{text}\"]}}")] {
            assert_eq!(defect_of(&message), None, "{message}");
            assert!(serde_json::from_str::<Value>(&message).is_ok());
        }
    }
    for text in [
        r"\ud800",
        r"\udc00",
        r"\uDBFFx",
        r"\ud800\ud800\udc00",
        r"\ude00\ud83d",
        r"\ud800\u0041",
        r"\ud800\\udc00",
        r"\\\udfff",
        r"\ud800\n",
    ] {
        for message in [format!("\"{text}\""), format!("{{\"{text}\":1}}"), format!("[1,\"{text}\"]")] {
            assert_eq!(defect_of(&message), Some(Defect::Surrogate), "{message}");
        }
    }
}
