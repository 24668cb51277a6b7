//! JSON as Python's `json.dumps` writes it: a space after `,` and `:`, and nothing but ASCII.
//! Scripts in guests grep these documents line-free, so the bytes follow Nova's, not only the values.

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for c in fragment.chars() {
            if (' '..='~').contains(&c) {
                writer.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// The JSON text of `value`.
pub(crate) fn dump<T: Serialize>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut out, Python))
        .expect("documents have string keys and a Vec takes every write");
    out
}

#[cfg(test)]
mod tests {
    use super::dump;

    #[test]
    fn bytes_are_those_of_python() {
        let value = serde_json::json!({"a": [1, "é\u{1F600}\n\u{7f}"], "b": {}, "c": null, "d": []});
        let text = String::from_utf8(dump(&value)).unwrap_or_default();
        assert_eq!(text, "{\"a\": [1, \"\\u00e9\\ud83d\\ude00\\n\\u007f\"], \"b\": {}, \"c\": null, \"d\": []}");
    }
}
