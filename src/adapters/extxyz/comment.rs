//! The second line of a frame: `key=value` pairs.
//!
//! | spelling | value |
//! |---|---|
//! | `key` | true |
//! | `key=word`, `key = word` | integer, real, logical or text, the first that fits |
//! | `key="..."`, `'...'`, `{...}` | the same, or a vector of several; `\` escapes a character, `\n` is a newline |
//! | `key=[a, b, c]` | vector |
//! | `key=[[a, b], [c, d]]` | matrix, rows first |
//! | `key="_JSON ..."` | array of numbers of any rank, as ASE writes it |
//!
//! Nine numbers of `stress` or `virial` in one row are a matrix, columns first, as everywhere in this format.
//! A key given twice has its last value. A line that is not made of pairs is a comment: it is kept as the
//! text `comment`.

use crate::adapters::source::Key;
use crate::adapters::source::values::{Kind, Texts, Values, parse_words};

/// A line with more pairs is no comment line.
const MOST_PAIRS: usize = 4096;

/// Keys of a comment line, or what is wrong with it and what was expected.
pub fn parse(line: &str) -> Result<Vec<Key>, String> {
    let line = line.trim();
    let keys = match pairs(line) {
        Ok(pairs) if !is_prose(&pairs) => pairs.into_iter().map(Pair::into_key).collect(),
        Err(why) if mentions_geometry(line) => return Err(why),
        _ => vec![comment(line)],
    };
    Ok(last_of_each(keys))
}

/// Words that say that a line means to be extended XYZ.
fn mentions_geometry(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["lattice=", "properties=", "pbc="]
        .iter()
        .any(|key| line.contains(key))
}

/// A line for people: no pair at all, or bare words that are no names between the pairs.
fn is_prose(pairs: &[Pair]) -> bool {
    let is_name = |key: &str| {
        key.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && !key.ends_with([':', ',', '.', ';'])
    };
    let geometry = ["lattice", "properties", "pbc"];
    if pairs
        .iter()
        .any(|p| geometry.iter().any(|g| p.key.eq_ignore_ascii_case(g)))
    {
        return false;
    }
    !pairs.is_empty()
        && (pairs.iter().all(|p| p.value.is_none())
            || pairs.iter().any(|p| p.value.is_none() && !is_name(&p.key)))
}

fn comment(line: &str) -> Key {
    Key {
        name: "comment".into(),
        shape: Vec::new(),
        values: Values::text(line),
        text: line.into(),
    }
}

fn last_of_each(keys: Vec<Key>) -> Vec<Key> {
    let mut kept: Vec<Key> = Vec::with_capacity(keys.len());
    for key in keys {
        match kept.iter_mut().find(|k| k.name == key.name) {
            Some(before) => *before = key,
            None => kept.push(key),
        }
    }
    kept
}

struct Pair {
    key: String,
    value: Option<Written>,
}

enum Written {
    Text(String),
    /// What stands between the outermost brackets.
    Bracketed(String),
}

impl Pair {
    fn into_key(self) -> Key {
        let (text, parsed) = match self.value {
            None => (
                "T".to_owned(),
                Some((Vec::new(), Values::Logical(vec![true]))),
            ),
            Some(Written::Text(text)) => {
                let parsed = json(&text).or_else(|| vector(&text, true));
                (text, parsed)
            }
            Some(Written::Bracketed(inner)) => {
                let parsed = if inner.trim_start().starts_with('[') {
                    matrix(&inner)
                } else {
                    vector(&inner, false)
                };
                (format!("[{inner}]"), parsed)
            }
        };
        let (shape, values) = parsed.unwrap_or_else(|| (Vec::new(), Values::text(&text)));
        let is_tensor = matches!(self.key.as_str(), "stress" | "virial")
            && shape == [9]
            && values.kind() != Kind::Text;
        let (shape, values) = if is_tensor {
            (vec![3, 3], values.transposed(3))
        } else {
            (shape, values)
        };
        Key {
            name: self.key,
            shape,
            values,
            text,
        }
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| c.is_ascii_whitespace() || c == ',')
        .filter(|w| !w.is_empty())
        .collect()
}

/// Numbers or logicals side by side; `None` when the value is text as a whole.
fn vector(text: &str, one_is_scalar: bool) -> Option<(Vec<usize>, Values)> {
    let words = words(text);
    if words.is_empty() {
        return None;
    }
    let values = parse_words(&words);
    match (values.kind(), words.len()) {
        (Kind::Text, _) => None,
        (_, 1) if one_is_scalar => Some((Vec::new(), values)),
        (_, n) => Some((vec![n], values)),
    }
}

/// `[a, b], [c, d]`: rows of one length, or `None`.
fn matrix(inner: &str) -> Option<(Vec<usize>, Values)> {
    let mut all = Vec::new();
    let (mut rows, mut width) = (0, 0);
    let mut rest = inner.trim();
    while !rest.is_empty() {
        let (row, after) = rest.strip_prefix('[')?.split_once(']')?;
        if row.contains('[') {
            return None;
        }
        let row = words(row);
        if rows > 0 && row.len() != width {
            return None;
        }
        width = row.len();
        rows += 1;
        all.extend(row);
        let after = after.trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    let values = parse_words(&all);
    (values.kind() != Kind::Text && width > 0).then(|| (vec![rows, width], values))
}

/// ASE's `_JSON [...]` where it is an array of numbers.
fn json(text: &str) -> Option<(Vec<usize>, Values)> {
    use serde_json::Value;
    fn walk(value: &Value, depth: usize, shape: &mut Vec<usize>, flat: &mut Vec<Value>) -> bool {
        let Value::Array(items) = value else {
            flat.push(value.clone());
            return depth == shape.len();
        };
        if shape.len() == depth && flat.is_empty() {
            shape.push(items.len());
        }
        shape.get(depth) == Some(&items.len())
            && items.iter().all(|item| walk(item, depth + 1, shape, flat))
    }
    let text = text.strip_prefix("_JSON ")?;
    // JSON has no such numbers, ASE and Python write them all the same.
    let is_odd = !text.contains('"') && (text.contains("NaN") || text.contains("Infinity"));
    let value: Value = if is_odd {
        let spelled = text.replace("-Infinity", "\"-inf\"");
        let spelled = spelled.replace("Infinity", "\"inf\"");
        serde_json::from_str(&spelled.replace("NaN", "\"nan\"")).ok()?
    } else {
        serde_json::from_str(text).ok()?
    };
    let real = |value: &Value| match value {
        Value::String(word) if is_odd => word.parse().ok(),
        _ => value.as_f64(),
    };
    let (mut shape, mut flat) = (Vec::new(), Vec::new());
    if !walk(&value, 0, &mut shape, &mut flat) || flat.is_empty() {
        return None;
    }
    let values = if let Some(v) = flat.iter().map(Value::as_i64).collect::<Option<_>>() {
        Values::Integer(v)
    } else if let Some(v) = flat.iter().map(Value::as_bool).collect::<Option<_>>() {
        Values::Logical(v)
    } else if let Some(v) = flat.iter().map(real).collect::<Option<_>>() {
        Values::Real(v)
    } else if shape.is_empty() && flat.len() == 1 {
        let mut texts = Texts::default();
        texts.push(flat[0].as_str()?);
        Values::Text(texts)
    } else {
        return None;
    };
    Some((shape, values))
}

fn pairs(line: &str) -> Result<Vec<Pair>, String> {
    let mut scanner = Scanner { line, at: 0 };
    let mut pairs = Vec::new();
    loop {
        scanner.skip_blanks();
        if scanner.peek().is_none() {
            return Ok(pairs);
        }
        let column = scanner.at + 1;
        let key = scanner.word(true)?;
        scanner.skip_blanks();
        let value = if scanner.peek() == Some('=') {
            scanner.next();
            scanner.skip_blanks();
            Some(if scanner.peek() == Some('[') {
                Written::Bracketed(scanner.bracketed()?)
            } else {
                Written::Text(scanner.word(false)?)
            })
        } else {
            None
        };
        if key.is_empty() {
            return Err(format!(
                "a value without a key in column {column} of the comment line, expected key=value"
            ));
        }
        if pairs.len() == MOST_PAIRS {
            return Err(format!(
                "the comment line has more than {MOST_PAIRS} keys, expected fewer"
            ));
        }
        pairs.push(Pair { key, value });
    }
}

struct Scanner<'a> {
    line: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.line[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.next();
        }
    }

    /// Up to a blank (a key also ends at `=`), quotes taken off.
    fn word(&mut self, is_key: bool) -> Result<String, String> {
        let mut word = String::new();
        match self.peek() {
            Some('"') => self.quoted('"', &mut word)?,
            Some('\'') => self.quoted('\'', &mut word)?,
            Some('{') => self.quoted('}', &mut word)?,
            _ => {}
        }
        while let Some(c) = self.peek() {
            if c.is_ascii_whitespace() || (is_key && c == '=') {
                break;
            }
            self.next();
            match c {
                '\\' => word.push(self.escaped()?),
                _ => word.push(c),
            }
        }
        Ok(word)
    }

    fn quoted(&mut self, close: char, word: &mut String) -> Result<(), String> {
        let start = self.at + 1;
        let open = self.next();
        loop {
            match self.next() {
                None => {
                    return Err(format!(
                        "the {} opened in column {start} of the comment line is never closed, expected {close}",
                        open.unwrap_or(close)
                    ));
                }
                Some('\\') => word.push(self.escaped()?),
                Some(c) if c == close => return Ok(()),
                Some(c) => word.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        match self.next() {
            Some('n') => Ok('\n'),
            Some(c) => Ok(c),
            None => Err("the comment line ends with \\, expected a character after it".into()),
        }
    }

    /// From `[` to the `]` that closes it; returns what is between.
    fn bracketed(&mut self) -> Result<String, String> {
        let start = self.at;
        let mut depth = 0_u32;
        while let Some(c) = self.next() {
            match c {
                '"' => {
                    self.at -= 1;
                    self.quoted('"', &mut String::new())?;
                }
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(self.line[start + 1..self.at - 1].to_owned());
            }
        }
        Err(format!(
            "the [ opened in column {} of the comment line is never closed, expected ]",
            start + 1
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str) -> (String, Vec<usize>, Values) {
        let mut keys = parse(line).unwrap();
        assert_eq!(keys.len(), 1, "{line}: {keys:?}");
        let key = keys.remove(0);
        (key.name, key.shape, key.values)
    }

    #[test]
    fn each_spelling_has_its_value() {
        use Values::{Integer, Logical, Real};
        let reals = |v: &[f64]| Real(v.to_vec());
        for (line, name, shape, values) in [
            ("energy=-1.5", "energy", vec![], reals(&[-1.5])),
            ("n = 3", "n", vec![], Integer(vec![3])),
            ("x=1.0d-3", "x", vec![], reals(&[1e-3])),
            (
                "big=18446744073709551616",
                "big",
                vec![],
                Values::text("18446744073709551616"),
            ),
            ("a=\"5\"", "a", vec![], Integer(vec![5])),
            ("a={1 2 3}", "a", vec![3], Integer(vec![1, 2, 3])),
            ("a=[1, 2.5]", "a", vec![2], reals(&[1.0, 2.5])),
            ("a=[7]", "a", vec![1], Integer(vec![7])),
            ("a='T F'", "a", vec![2], Logical(vec![true, false])),
            (
                "a=[[1,2],[3,4], [5,6]]",
                "a",
                vec![3, 2],
                Integer(vec![1, 2, 3, 4, 5, 6]),
            ),
            (
                "a=\"_JSON [[1.5], [2]]\"",
                "a",
                vec![2, 1],
                reals(&[1.5, 2.0]),
            ),
            ("a=b=c", "a", vec![], Values::text("b=c")),
            ("\"a b\"=c", "a b", vec![], Values::text("c")),
            (
                r#"a="say \"hi\"\\""#,
                "a",
                vec![],
                Values::text("say \"hi\"\\"),
            ),
            (r#"a="x\ny""#, "a", vec![], Values::text("x\ny")),
            ("a=[[1,2],[3]]", "a", vec![], Values::text("[[1,2],[3]]")),
            ("a=\"\"", "a", vec![], Values::text("")),
            (
                "virial=\"1 2 3 4 5 6 7 8 9\"",
                "virial",
                vec![3, 3],
                Integer(vec![1, 4, 7, 2, 5, 8, 3, 6, 9]),
            ),
            ("a=1 a=2", "a", vec![], Integer(vec![2])),
            (
                "energy: -5.07 gnorm: 0.1",
                "comment",
                vec![],
                Values::text("energy: -5.07 gnorm: 0.1"),
            ),
            (
                "Bob's molecule, E=3",
                "comment",
                vec![],
                Values::text("Bob's molecule, E=3"),
            ),
        ] {
            assert_eq!(key(line), (name.to_owned(), shape, values), "{line}");
        }
        let names: Vec<_> = parse("i = 4, time = 0.5, E = -17.1")
            .unwrap()
            .into_iter()
            .map(|k| (k.name, k.values))
            .collect();
        assert_eq!(parse("flag q=1").unwrap()[0].values, Logical(vec![true]));
        assert_eq!(names[0], ("i".into(), Integer(vec![4])));
        assert_eq!(names[2], ("E".into(), reals(&[-17.1])));
        assert!(parse("  ").unwrap().is_empty());
    }

    #[test]
    fn mistakes_are_named_with_their_column() {
        for (line, expected) in [
            ("pbc=\"T T", "the \" opened in column 5"),
            ("pbc=[T, T", "the [ opened in column 5"),
            ("pbc={T", "is never closed, expected }"),
            ("pbc=T =3", "a value without a key in column 7"),
            ("pbc=T a=\\", "ends with \\"),
        ] {
            let why = parse(line).unwrap_err();
            assert!(why.contains(expected), "{line}: {why}");
        }
    }
}
