//! Values of any kind a trajectory file can hold.

/// Kind of a value, as extended XYZ distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Double precision.
    Real,
    /// 64-bit integer.
    Integer,
    /// True or false.
    Logical,
    /// Text.
    Text,
}

/// Many values of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Double precision.
    Real(Vec<f64>),
    /// 64-bit integers.
    Integer(Vec<i64>),
    /// True or false.
    Logical(Vec<bool>),
    /// Texts.
    Text(Texts),
}

/// Many short texts in one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    joined: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Appends one.
    pub fn push(&mut self, text: &str) {
        self.joined.push_str(text);
        self.ends.push(self.joined.len());
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        self.joined.clear();
        self.ends.clear();
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The one with this index.
    pub fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.joined[start..self.ends[index]]
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.joined[start..*end])
    }
}

impl Values {
    /// No values of this kind.
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Real => Self::Real(Vec::new()),
            Kind::Integer => Self::Integer(Vec::new()),
            Kind::Logical => Self::Logical(Vec::new()),
            Kind::Text => Self::Text(Texts::default()),
        }
    }

    /// One text.
    pub fn text(text: &str) -> Self {
        let mut texts = Texts::default();
        texts.push(text);
        Self::Text(texts)
    }

    /// Their kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Real(_) => Kind::Real,
            Self::Integer(_) => Kind::Integer,
            Self::Logical(_) => Kind::Logical,
            Self::Text(_) => Kind::Text,
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Real(v) => v.len(),
            Self::Integer(v) => v.len(),
            Self::Logical(v) => v.len(),
            Self::Text(v) => v.len(),
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all, keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Real(v) => v.clear(),
            Self::Integer(v) => v.clear(),
            Self::Logical(v) => v.clear(),
            Self::Text(v) => v.clear(),
        }
    }

    /// Becomes `once`, which is of the same kind, `times` times, one after the other.
    pub fn set_repeated(&mut self, once: &Self, times: usize) {
        fn fill<T: Copy>(v: &mut Vec<T>, once: &[T], times: usize) {
            v.clear();
            (0..times).for_each(|_| v.extend_from_slice(once));
        }
        match (self, once) {
            (Self::Real(v), Self::Real(once)) => fill(v, once, times),
            (Self::Integer(v), Self::Integer(once)) => fill(v, once, times),
            (Self::Logical(v), Self::Logical(once)) => fill(v, once, times),
            (Self::Text(v), Self::Text(once)) => {
                v.clear();
                for _ in 0..times {
                    once.iter().for_each(|text| v.push(text));
                }
            }
            (to, from) => unreachable!("{:?} of {:?}", to.kind(), from.kind()),
        }
    }

    /// Keeps the first of each row of `width` values, as many as `kept` says.
    pub fn keep_first(&mut self, width: usize, kept: impl Iterator<Item = usize>) {
        fn keep<T: Copy>(v: &mut Vec<T>, width: usize, kept: impl Iterator<Item = usize>) {
            let mut to = 0;
            for (row, n) in kept.enumerate() {
                v.copy_within(row * width..row * width + n, to);
                to += n;
            }
            v.truncate(to);
        }
        match self {
            Self::Real(v) => keep(v, width, kept),
            Self::Integer(v) => keep(v, width, kept),
            Self::Logical(v) => keep(v, width, kept),
            Self::Text(v) => {
                let all = std::mem::take(v);
                for (row, n) in kept.enumerate() {
                    (row * width..row * width + n).for_each(|k| v.push(all.get(k)));
                }
            }
        }
    }

    /// Rows and columns exchanged, for a matrix of `n` by `n`.
    #[must_use]
    pub fn transposed(self, n: usize) -> Self {
        fn turn<T: Copy>(v: &[T], n: usize) -> Vec<T> {
            (0..n * n).map(|k| v[(k % n) * n + k / n]).collect()
        }
        match self {
            Self::Real(v) => Self::Real(turn(&v, n)),
            Self::Integer(v) => Self::Integer(turn(&v, n)),
            Self::Logical(v) => Self::Logical(turn(&v, n)),
            Self::Text(_) => self,
        }
    }
}

/// A double, exactly rounded; Fortran's `D` exponents too.
pub fn parse_real(word: &str) -> Option<f64> {
    // As the standard library parses it, to the last bit, in less time.
    if let Ok(x) = fast_float2::parse(word) {
        return Some(x);
    }
    let has_digit = word.bytes().any(|b| b.is_ascii_digit());
    let exponent = word.find(['d', 'D'])?;
    if !has_digit {
        return None;
    }
    let mut spelled = word.to_owned();
    spelled.replace_range(exponent..=exponent, "e");
    spelled.parse().ok()
}

/// A truth value as extended XYZ spells it.
pub fn parse_logical(word: &str) -> Option<bool> {
    match word {
        "T" | "true" | "True" | "TRUE" => Some(true),
        "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// Words as values of the first kind that fits all of them: integer, real, logical, text. Integers too long for 64 bits are
/// text, which keeps their digits.
pub fn parse_words(words: &[&str]) -> Values {
    fn all<T>(words: &[&str], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        words.iter().map(|w| parse(w)).collect()
    }
    let is_whole = |word: &&str| {
        let digits = word.trim_start_matches(['+', '-']);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    if let Some(v) = all(words, |w| w.parse().ok()) {
        Values::Integer(v)
    } else if let Some(v) = all(words, parse_real).filter(|_| !words.iter().all(is_whole)) {
        Values::Real(v)
    } else if let Some(v) = all(words, parse_logical) {
        Values::Logical(v)
    } else {
        let mut texts = Texts::default();
        for word in words {
            texts.push(word);
        }
        Values::Text(texts)
    }
}
