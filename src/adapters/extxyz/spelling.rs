//! Values as words of a text: what the readers of this format, ASE's and ours, take back to the same bits.

use std::io::{self, Write};

use crate::adapters::source::properties::Property;
use crate::adapters::source::values::Values;

/// Numbers with blanks between them.
pub fn write_numbers(out: &mut impl Write, numbers: &[f64]) -> io::Result<()> {
    for (k, x) in numbers.iter().enumerate() {
        let blank = if k == 0 { "" } else { " " };
        write!(out, "{blank}{x:?}")?;
    }
    Ok(())
}

/// ` name=value` of one frame, as our reader and ASE's take it back with its shape.
pub fn write_key(out: &mut impl Write, property: &Property, row: usize) -> io::Result<()> {
    let width = property.width();
    let first = row * width;
    write!(out, " ")?;
    write_quoted(out, &property.name)?;
    write!(out, "=")?;
    match (&property.shape[..], &property.values) {
        ([], Values::Text(texts)) => write_quoted(out, texts.get(first)),
        ([], values) => write_word(out, values, first),
        ([3, 3], Values::Real(numbers)) if is_tensor(&property.name) => {
            write!(out, "\"")?;
            write_numbers(out, &columns_first(&numbers[first..first + width]))?;
            write!(out, "\"")
        }
        ([n], Values::Real(_) | Values::Integer(_) | Values::Logical(_)) if *n > 1 => {
            write!(out, "\"")?;
            for k in first..first + width {
                let blank = if k == first { "" } else { " " };
                write!(out, "{blank}")?;
                write_word(out, &property.values, k)?;
            }
            write!(out, "\"")
        }
        (shape, values) => {
            let mut text = String::from("_JSON ");
            write_nested(&mut text, shape, values, first);
            write_quoted(out, &text)
        }
    }
}

/// What is written as nine numbers, columns first.
fn is_tensor(name: &str) -> bool {
    matches!(name, "stress" | "virial")
}

/// A matrix as this format has it.
pub fn columns_first(rows: &[f64]) -> [f64; 9] {
    std::array::from_fn(|k| rows[k % 3 * 3 + k / 3])
}

/// An array of any rank, in JSON but for numbers that are none.
fn write_nested(text: &mut String, shape: &[usize], values: &Values, first: usize) {
    use std::fmt::Write as _;
    let Some((n, inner)) = shape.split_first() else {
        let done = match values {
            Values::Real(v) if v[first].is_infinite() => {
                write!(text, "{}Infinity", if v[first] < 0.0 { "-" } else { "" })
            }
            Values::Real(v) => write!(text, "{:?}", v[first]),
            Values::Integer(v) => write!(text, "{}", v[first]),
            Values::Logical(v) => write!(text, "{}", v[first]),
            Values::Text(v) => write!(text, "{}", serde_json::Value::from(v.get(first))),
        };
        return done.unwrap_or_default();
    };
    text.push('[');
    for k in 0..*n {
        if k > 0 {
            text.push_str(", ");
        }
        write_nested(
            text,
            inner,
            values,
            first + k * inner.iter().product::<usize>(),
        );
    }
    text.push(']');
}

/// One value without blanks in it.
pub fn write_word(out: &mut impl Write, values: &Values, k: usize) -> io::Result<()> {
    match values {
        Values::Real(v) => write!(out, "{:?}", v[k]),
        Values::Integer(v) => write!(out, "{}", v[k]),
        Values::Logical(v) => write!(out, "{}", if v[k] { 'T' } else { 'F' }),
        // Columns end at blanks, and a word has to be there.
        Values::Text(v) if v.get(k).is_empty() => write!(out, "_"),
        Values::Text(v) => write!(out, "{}", v.get(k).replace(char::is_whitespace, "_")),
    }
}

/// Whether a text is a word that needs no quotes.
pub fn is_plain(text: &str) -> bool {
    let special = |c: char| c.is_whitespace() || "\"'{}[]=\\,".contains(c);
    !text.is_empty() && !text.contains(special)
}

/// A text as one word of the comment line.
fn write_quoted(out: &mut impl Write, text: &str) -> io::Result<()> {
    if is_plain(text) {
        return write!(out, "{text}");
    }
    write!(out, "\"")?;
    for c in text.chars() {
        match c {
            '\n' | '\r' => write!(out, "\\n")?,
            '"' | '\\' => write!(out, "\\{c}")?,
            _ => write!(out, "{c}")?,
        }
    }
    write!(out, "\"")
}
