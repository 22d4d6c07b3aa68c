//! One JSON object per line, flushed at once, so that a driver can wait for each.

use std::{error::Error, io::Write as _};

use serde_json::Value;

pub(crate) fn line(value: &Value) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{value}").and_then(|()| out.flush()).is_err() {
        // The driver is gone; an attacker that nobody watches is of no use.
        std::process::exit(0);
    }
}

/// The error with its causes. Layers of libp2p repeat the text of what they wrap; a cause already said is left out.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}
