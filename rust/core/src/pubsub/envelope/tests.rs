use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const AUTHOR: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
const OTHER: &str = "12D3KooWACYe5My5onRbaGgkSwzM9jtVYUQW5C34oKmwo1oDiRCX";

/// The id, the text of the message, and the timestamp.
fn read(data: &[u8]) -> Result<(String, Option<&str>, i64), Defect> {
    let Envelope { id, message, timestamp } = decode(data, AUTHOR)?;
    Ok((id, message.map(|range| std::str::from_utf8(&data[range]).unwrap()), timestamp))
}

/// An event with this message.
fn with_message(message: &str) -> Vec<u8> {
    encode("a", "", message.as_bytes(), 1)
}

fn defect_of(data: impl AsRef<[u8]>) -> Option<Defect> {
    decode(data.as_ref(), AUTHOR).err()
}

#[test]
fn an_event_has_exactly_these_bytes() {
    let data = encode("6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b", AUTHOR, br#"{"a":1}"#, 1_752_700_000);
    let expected = concat!(
        r#"{"id":"6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b","#,
        r#""from_peer":"12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB","message":{"a":1},"timestamp":1752700000}"#,
    );
    assert_eq!(String::from_utf8(data.clone()).unwrap(), expected);
    assert_eq!(data.len(), 153);
    assert_eq!(read(&data), Ok(("6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b".into(), Some(r#"{"a":1}"#), 1_752_700_000)));
    assert_eq!(encode("a", "", b"1", 1), br#"{"id":"a","from_peer":"","message":1,"timestamp":1}"#);
    assert_eq!(encode("a", "", b"1", 1).len(), 51);
}

#[test]
fn an_event_is_written_without_growing() {
    let data = encode(&new_id(), AUTHOR, b"null", i64::MIN);
    assert_eq!(data.capacity(), 80 + 36 + AUTHOR.len() + 4);
}

#[test]
fn ids_are_lower_case_uuids_of_version_4() {
    let id = new_id();
    assert_eq!(id.len(), 36);
    assert_eq!(id, id.to_lowercase());
    assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
    assert_ne!(id, new_id());
}

#[test]
fn keys_come_in_any_order_case_and_number() {
    let same = Ok(("a".to_owned(), Some("2"), 3));
    for data in [
        r#"{"timestamp":3,"message":2,"from_peer":"","id":"a"}"#,
        " \n\t\r{ \"id\" : \"a\" , \"message\" : 2 , \"timestamp\" : 3 } \n",
        r#"{"ID":"a","Message":2,"TimeStamp":3,"From_Peer":""}"#,
        r#"{"id":"a","meſſage":2,"timeſtamp":3}"#,
        r#"{"\u0069d":"\u0061","m\u0045ssage":2,"time\u017ftamp":3}"#,
        r#"{"id":"x","message":1,"timestamp":1,"ID":"a","MESSAGE":2,"TIMESTAMP":3}"#,
        r#"{"id":"a","id":null,"message":2,"timestamp":3,"timestamp":null,"from_peer":null}"#,
        r#"{"id":"a","message":2,"timestamp":3,"version":{"a":[1e999,"\ud800"]},"":0,"\ud800":1}"#,
        r#"{"id":"a","message":2,"timestamp":3,"from_peer":"12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"}"#,
        r#"{"id":"a","message":2,"timestamp":3,"from_peer":"\u00312D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"}"#,
    ] {
        assert_eq!(read(data.as_bytes()), same, "{data}");
    }
    for data in [r#"{"ıd":"a","timestamp":1}"#, r#"{"id ":"a","timestamp":1}"#, r#"{"i":"a","timestamp":1}"#] {
        assert_eq!(defect_of(data), Some(Defect::Id), "{data}");
    }
}

#[test]
fn the_message_is_given_as_it_stands() {
    for message in ["null", "true", "-0", "[ 1 , 2 ]", r#"" \ud83d\ude00 ""#, "{\n}", "123456789012345678901234567890"]
    {
        assert_eq!(read(&with_message(message)), Ok(("a".into(), Some(message), 1)));
    }
    assert_eq!(read(br#"{"id":"a","timestamp":1}"#), Ok(("a".into(), None, 1)));
    assert_eq!(read(br#"{"id":"a","timestamp":1,"message":1,"message":null}"#), Ok(("a".into(), Some("null"), 1)));
}

#[test]
fn what_is_not_one_json_object_is_refused() {
    for data in [
        "",
        " ",
        "null",
        "1",
        "\"a\"",
        "[]",
        "[{}]",
        "{",
        "}",
        "{}}",
        "{} {}",
        "{},",
        "{}x",
        "{id:1}",
        "{'id':1}",
        r#"{"id":"a","timestamp":1"#,
        r#"{"id":"a","timestamp":1,}"#,
        r#"{"id":"a" "timestamp":1}"#,
        r#"{"id":"a","timestamp":01}"#,
        r#"{"id":"a","timestamp":+1}"#,
        r#"{"id":"a","timestamp":1,"message":NaN}"#,
        r#"{"id":"a","timestamp":1,"message":[1,]}"#,
        r#"{"id":"a","timestamp":1,"message":"\x"}"#,
        r#"{"id":"a","timestamp":1,"message":"\u12g4"}"#,
        r#"{"id":"a","timestamp":1,"message":.5}"#,
        r#"{"id":"a","timestamp":1,"message":1.}"#,
        r#"{"id":"a","timestamp":1,"message":Infinity}"#,
        "{\"id\":\"a\",\"timestamp\":1,\"message\":\"\n\"}",
        "\u{feff}{\"id\":\"a\",\"timestamp\":1}",
    ] {
        assert_eq!(defect_of(data), Some(Defect::Json), "{data}");
    }
    for data in [&b"\xb1\x01\x33{}"[..], b"\xff", b"{\"id\":\"\xed\xa0\x80\",\"timestamp\":1}", b"{\"\xc0\x80\":1}"] {
        assert_eq!(defect_of(data), Some(Defect::Utf8));
    }
}

#[test]
fn an_id_is_text_and_not_empty() {
    for id in ["\"\"", "null", "1", "true", "[]", "{}", r#""\ud800""#] {
        assert_eq!(defect_of(format!(r#"{{"id":{id},"timestamp":1}}"#)), Some(Defect::Id), "{id}");
    }
    assert_eq!(defect_of(r#"{"timestamp":1}"#), Some(Defect::Id));
    assert_eq!(read(br#"{"id":"\u0000\"\ud83d\ude00","timestamp":1}"#).unwrap().0, "\0\"😀");
}

#[test]
fn nobody_speaks_for_another() {
    let padded = format!(" {AUTHOR}");
    for from_peer in
        [&json!(OTHER), &json!(AUTHOR.to_lowercase()), &json!(padded), &json!(1), &json!([]), &json!({}), &json!(false)]
    {
        let data = json!({"id": "a", "from_peer": from_peer, "timestamp": 1}).to_string();
        assert_eq!(defect_of(data), Some(Defect::FromPeer), "{from_peer}");
    }
    assert_eq!(defect_of(r#"{"id":"a","from_peer":"\ud800","timestamp":1}"#), Some(Defect::FromPeer));
}

#[test]
fn a_timestamp_is_an_integer_that_a_date_can_hold() {
    for timestamp in [
        "null",
        "1.0",
        "1e9",
        "1E9",
        "-1.5",
        "\"1\"",
        "true",
        "[1]",
        "{}",
        "253402300800",
        "-62135596801",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "1000000000000000000000000",
    ] {
        assert_eq!(
            defect_of(format!(r#"{{"id":"a","timestamp":{timestamp}}}"#)),
            Some(Defect::Timestamp),
            "{timestamp}"
        );
    }
    assert_eq!(defect_of(r#"{"id":"a"}"#), Some(Defect::Timestamp));
    for timestamp in [0, 1, -1, 1_752_700_000, *TIMESTAMPS.start(), *TIMESTAMPS.end()] {
        assert_eq!(read(&encode("a", "", b"1", timestamp)).unwrap().2, timestamp);
    }
    assert_eq!(read(br#"{"id":"a","timestamp":-0}"#).unwrap().2, 0);
}

#[test]
fn hostile_nesting_does_not_recurse() {
    let deep = "[".repeat(1_000_000);
    assert_eq!(defect_of(&deep), Some(Defect::Json));
    assert_eq!(defect_of(format!(r#"{{"id":"a","timestamp":1,"message":{deep}"#)), Some(Defect::Json));
    assert_eq!(defect_of(r#"{"a":"#.repeat(1_000_000)), Some(Defect::Json));
    let closed = format!("{deep}{}", "]".repeat(1_000_000));
    assert_eq!(defect_of(with_message(&closed)), Some(Defect::Depth));
    assert_eq!(defect_of(format!(r#"{{"id":"a","timestamp":1,"x":{closed}}}"#)), None);
}

#[test]
fn the_message_must_be_readable() {
    for (message, defect) in [
        ("[1e999]", Defect::Number),
        (r#"{"a":"\ud800"}"#, Defect::Surrogate),
        (r#"{"\ud800":"a"}"#, Defect::Surrogate),
        (&format!("{}{}", "[".repeat(129), "]".repeat(129)), Defect::Depth),
    ] {
        assert_eq!(defect_of(with_message(message)), Some(defect), "{message}");
    }
}

#[test]
fn every_defect_has_a_name_of_its_own() {
    use Defect::*;
    let names = [Utf8, Json, Depth, Number, Surrogate, Id, FromPeer, Timestamp].map(Defect::as_str);
    assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), names.len());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in value(), timestamp in TIMESTAMPS, pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&message) } else { serde_json::to_string(&message) }.unwrap();
        let id = new_id();
        let data = encode(&id, AUTHOR, text.as_bytes(), timestamp);
        prop_assert_eq!(read(&data), Ok((id.clone(), Some(&*text), timestamp)));
        let message: Value = serde_json::from_str(&text).unwrap();
        let whole: Value = serde_json::from_slice(&data).unwrap();
        prop_assert_eq!(whole, json!({"id": id, "from_peer": AUTHOR, "message": message, "timestamp": timestamp}));
    }

    #[test]
    fn a_foreign_event_is_read_as_serde_json_wrote_it(message in value(), id in ".+", timestamp in TIMESTAMPS) {
        let data = json!({"id": id, "from_peer": AUTHOR, "message": message, "timestamp": timestamp, "x": [message]}).to_string();
        prop_assert_eq!(read(data.as_bytes()), Ok((id, Some(&*message.to_string()), timestamp)));
    }

    #[test]
    fn garbage_does_no_harm(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&data, AUTHOR);
    }

    /// Strings made of the characters that the grammar cares for reach every branch far more often than random bytes do.
    #[test]
    fn what_passes_can_be_read(message in r#"[\[\]{}",:0-9eE+\-.\\u ad8cf]{0,24}"#) {
        let data = with_message(&message);
        if let Ok((_, Some(text), _)) = read(&data) {
            prop_assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
        }
    }
}
