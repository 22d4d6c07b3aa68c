//! The cost of writing and reading one event, for the event of the wire vectors (153 bytes), for larger messages of
//! different make, and for what a hostile peer could send.

use depinmesh_core::pubsub::envelope::{decode, encode};
use divan::{Bencher, black_box, counter::BytesCount};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

const ID: &str = "6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b";
const AUTHOR: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
const SIZE: usize = 1_000_000;

fn main() {
    divan::main();
}

fn event(message: &str) -> Vec<u8> {
    encode(ID, AUTHOR, message.as_bytes(), 1_752_700_000)
}

fn array_of(item: &str) -> String {
    let items = vec![item; SIZE / (item.len() + 1)];
    format!("[{}]", items.join(","))
}

fn reading(bencher: Bencher, data: Vec<u8>) {
    bencher.counter(BytesCount::of_slice(&data)).bench(|| decode(black_box(&data), AUTHOR));
}

#[divan::bench]
fn write_small(bencher: Bencher) {
    bencher.bench(|| encode(black_box(ID), AUTHOR, br#"{"a":1}"#, 1_752_700_000));
}

#[divan::bench]
fn read_small(bencher: Bencher) {
    reading(bencher, event(r#"{"a":1}"#));
}

#[divan::bench]
fn read_6_kb_of_records(bencher: Bencher) {
    let record = r#"{"node":"frankfurt-3","load":0.4375,"rooms":["a","b"],"users":112}"#;
    reading(bencher, event(&format!("[{}]", vec![record; 95].join(","))));
}

#[divan::bench(args = [r#""text""#, r#""\ud83d\ude00""#, "0.25", "1e300", "1", "[[[[]]]]"])]
fn read_1_mb_of(bencher: Bencher, item: &str) {
    reading(bencher, event(&array_of(item)));
}

#[divan::bench]
fn read_1_mb_of_one_text(bencher: Bencher) {
    reading(bencher, event(&format!("\"{}\"", "x".repeat(SIZE))));
}

#[divan::bench]
fn refuse_1_mb_of_brackets(bencher: Bencher) {
    reading(bencher, "[".repeat(SIZE).into_bytes());
}

#[divan::bench]
fn refuse_1_mb_of_nesting(bencher: Bencher) {
    let deep = format!("{}{}", "[".repeat(SIZE / 2), "]".repeat(SIZE / 2));
    reading(bencher, event(&deep));
}
