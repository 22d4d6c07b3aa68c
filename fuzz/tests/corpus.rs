//! Every input of the corpus once more, so that what was found stays mended on machines without a fuzzer.

use std::{fs, path::Path};

use depinmesh_fuzz::TARGETS;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| fs::read(file.expect("an entry").path()).expect("a file")).collect()
}

#[test]
fn the_corpus_breaks_no_promise() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 8, "{name} has {} inputs only", inputs.len());
        for input in &inputs {
            target(input);
            // And the next best thing to each of them.
            (0..input.len()).for_each(|length| target(&input[..length]));
        }
    }
}
