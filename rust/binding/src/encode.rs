//! Python values as JSON text: strict, so that what arrives is what was sent, and everything else is refused by name.

use std::io::Write as _;

use depinmesh_core::error::{Error, ErrorKind};
use pyo3::{
    prelude::*,
    types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple},
};

use crate::path::{Path, Segment};

/// Containers in containers, also what receivers take. It ends cycles, too.
const MAX_DEPTH: usize = 128;
/// Digits of an integer, also what receivers take.
const MAX_DIGITS: usize = 4300;
/// The bits of the smallest integer that certainly has more digits: 10^4300 has 14,285.
const MAX_BITS: usize = 14_285;
/// Far above what the wire carries, which the core refuses with exact numbers. This only ends the encoding of small
/// values that become endless text, such as lists of lists that share their items.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Floats, and so the numbers of Go receivers, are exact up to here.
const MAX_EXACT_IN_FLOAT: u64 = 1 << 53;

/// The JSON text of a value.
pub(crate) struct Encoded {
    pub(crate) json: Vec<u8>,
    /// Has an integer that receivers with 64-bit floats round.
    pub(crate) has_wide_integer: bool,
}

/// Encodes a value; errors call it `message`.
pub(crate) fn encode(value: &Bound<'_, PyAny>) -> Result<Encoded, Error> {
    let mut encoder = Encoder { out: Vec::with_capacity(256), has_wide_integer: false };
    match encoder.value(value, 0) {
        Ok(()) => Ok(Encoded { json: encoder.out, has_wide_integer: encoder.has_wide_integer }),
        Err(refused) => Err(refused.into()),
    }
}

/// Why a value cannot be encoded, and where it is: the path grows from the inside on the way out.
struct Refused {
    reason: Reason,
    path: Path,
}

enum Reason {
    Value(String),
    TooLarge { size: usize },
}

impl From<Box<Refused>> for Error {
    fn from(refused: Box<Refused>) -> Self {
        let path = refused.path.to_string();
        match refused.reason {
            Reason::Value(problem) => {
                Self::new(ErrorKind::Encode, format!("{path} cannot be sent: {problem}")).with("path", path)
            }
            Reason::TooLarge { size } => {
                Self::new(ErrorKind::MessageTooLarge, format!("the message is more than {MAX_BYTES} bytes of JSON"))
                    .with("size", size)
                    .with("limit", MAX_BYTES)
            }
        }
    }
}

fn refuse<T>(problem: impl Into<String>) -> Result<T, Box<Refused>> {
    Err(Box::new(Refused { reason: Reason::Value(problem.into()), path: Path::default() }))
}

fn check_depth(depth: usize) -> Result<(), Box<Refused>> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    refuse(format!("it is nested deeper than {MAX_DEPTH}, or contains itself"))
}

struct Encoder {
    out: Vec<u8>,
    has_wide_integer: bool,
}

impl Encoder {
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Box<Refused>> {
        // Comparing the exact type is one pointer; what is none of these is looked at again, with its bases.
        if let Ok(text) = value.cast_exact::<PyString>() {
            self.text(text)
        } else if let Ok(int) = value.cast_exact::<PyInt>() {
            self.int(int)
        } else if let Ok(dict) = value.cast_exact::<PyDict>() {
            self.dict(dict, depth)
        } else if let Ok(float) = value.cast_exact::<PyFloat>() {
            self.float(float)
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            self.items(list.iter(), depth)
        } else if value.is_none() {
            self.out.extend_from_slice(b"null");
            Ok(())
        } else if let Ok(bool) = value.cast_exact::<PyBool>() {
            self.out.extend_from_slice(if bool.is_true() { b"true" } else { b"false" });
            Ok(())
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.items(tuple.iter(), depth)
        } else {
            self.derived(value, depth)
        }
    }

    /// Subclasses are encoded as what they hold, whatever methods they override: `IntEnum`, named tuples, `OrderedDict`.
    #[cold]
    fn derived(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Box<Refused>> {
        if let Ok(text) = value.cast::<PyString>() {
            self.text(text)
        } else if let Ok(int) = value.cast::<PyInt>() {
            self.int(int)
        } else if let Ok(float) = value.cast::<PyFloat>() {
            self.float(float)
        } else if let Ok(dict) = value.cast::<PyDict>() {
            self.dict(dict, depth)
        } else if let Ok(list) = value.cast::<PyList>() {
            self.items(list.iter(), depth)
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.items(tuple.iter(), depth)
        } else {
            refuse(unknown(value))
        }
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: usize) -> Result<(), Box<Refused>> {
        check_depth(depth)?;
        self.out.push(b'{');
        let mut first = true;
        for (key, value) in dict {
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            self.check_size(0)?;
            let Ok(text) = key.cast::<PyString>() else {
                return refuse(format!("its key {} is {}, and keys are str", shown(&key), type_name(&key)));
            };
            self.text(text)?;
            self.out.push(b':');
            self.value(&value, depth + 1).map_err(|mut refused| {
                refused.path.push_outer(Segment::Key(text.to_string_lossy().into_owned()));
                refused
            })?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn items<'py>(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> Result<(), Box<Refused>> {
        check_depth(depth)?;
        self.out.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.check_size(0)?;
            self.value(&item, depth + 1).map_err(|mut refused| {
                refused.path.push_outer(Segment::Index(index));
                refused
            })?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn check_size(&self, more: usize) -> Result<(), Box<Refused>> {
        let size = self.out.len().saturating_add(more);
        if size > MAX_BYTES {
            return Err(Box::new(Refused { reason: Reason::TooLarge { size }, path: Path::default() }));
        }
        Ok(())
    }

    fn int(&mut self, int: &Bound<'_, PyInt>) -> Result<(), Box<Refused>> {
        let Ok(small) = int.extract::<i64>() else {
            return self.large_int(int);
        };
        self.has_wide_integer |= small.unsigned_abs() > MAX_EXACT_IN_FLOAT;
        // Writing into a vector does not fail.
        let _ = write!(self.out, "{small}");
        Ok(())
    }

    #[cold]
    fn large_int(&mut self, int: &Bound<'_, PyInt>) -> Result<(), Box<Refused>> {
        let too_many = || refuse(format!("an integer of more than {MAX_DIGITS} digits"));
        self.has_wide_integer = true;
        // Bits first: the digits of a huge integer take seconds. The methods of `int` itself, not of a subclass.
        let class = int.py().get_type::<PyInt>();
        let bits = class.call_method1("bit_length", (int,)).and_then(|bits| bits.extract::<usize>());
        if bits.is_ok_and(|bits| bits > MAX_BITS) {
            return too_many();
        }
        let digits = match class.call_method1("__repr__", (int,)).and_then(|digits| digits.extract::<String>()) {
            Ok(digits) => digits,
            // Python's words name its own limit, which is as high as ours unless a program has set it.
            Err(error) if digits_of_python(int.py()) < MAX_DIGITS => return refuse(error.value(int.py()).to_string()),
            Err(_) => return too_many(),
        };
        if digits.trim_start_matches('-').len() > MAX_DIGITS {
            return too_many();
        }
        self.out.extend_from_slice(digits.as_bytes());
        Ok(())
    }

    fn float(&mut self, float: &Bound<'_, PyFloat>) -> Result<(), Box<Refused>> {
        let number = float.value();
        if !number.is_finite() {
            return refuse(format!("JSON has no {}", if number.is_nan() { "NaN" } else { "infinity" }));
        }
        // The shortest text that gives the same float, always with a point or an exponent: 1.0 stays a float.
        let _ = write!(self.out, "{number:?}");
        Ok(())
    }

    fn text(&mut self, text: &Bound<'_, PyString>) -> Result<(), Box<Refused>> {
        let Ok(text) = text.to_str() else {
            return refuse("its text has a lone surrogate, which UTF-8 cannot carry");
        };
        let bytes = text.as_bytes();
        self.check_size(bytes.len())?;
        self.out.reserve(bytes.len() + 2);
        self.out.push(b'"');
        // Without an early exit the compiler looks at many bytes at once, and mostly there is nothing to find.
        if bytes.iter().fold(false, |found, byte| found | needs_escape(*byte)) {
            self.escaped(bytes);
        } else {
            self.out.extend_from_slice(bytes);
        }
        self.out.push(b'"');
        Ok(())
    }

    #[cold]
    fn escaped(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().copied() {
            match byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                0..0x20 => {
                    let _ = write!(self.out, "\\u{byte:04x}");
                }
                _ => self.out.push(byte),
            }
        }
    }
}

/// Only what JSON demands: signatures cover the raw text, so nothing is escaped for the sake of HTML.
const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many digits of an integer Python writes.
fn digits_of_python(py: Python<'_>) -> usize {
    let limit = py.import("sys").and_then(|sys| sys.call_method0("get_int_max_str_digits")?.extract());
    limit.unwrap_or(usize::MAX)
}

#[cold]
fn unknown(value: &Bound<'_, PyAny>) -> String {
    let name = type_name(value);
    if value.is_instance_of::<PyBytes>()
        || value.is_instance_of::<PyByteArray>()
        || value.is_instance_of::<PyMemoryView>()
    {
        return format!("JSON has no {name}; send Base64 text: base64.b64encode(data).decode()");
    }
    format!("JSON has no {name}; send None, bool, int, float, str, list, tuple or dict")
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().fully_qualified_name().map_or_else(|_| "value of unknown type".to_owned(), |name| name.to_string())
}

/// A key for a sentence: keys can be of any type and size, and their `repr` can raise.
fn shown(key: &Bound<'_, PyAny>) -> String {
    let text = key.repr().map_or_else(|_| "?".to_owned(), |repr| repr.to_string_lossy().into_owned());
    text.chars().take(40).collect()
}
