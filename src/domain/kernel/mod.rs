//! What a kernel is: a row of any array goes in, one row of each declared result comes out.
//!
//! ```
//! use framewise::domain::calculator::Failure;
//! use framewise::domain::kernel::{Kernel, Row, RowResults};
//!
//! /// The sum of a row, and its largest value.
//! struct Extent;
//!
//! impl Kernel for Extent {
//!     fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure> {
//!         let values = row.reals();
//!         results.reals(0)[0] = values.iter().sum();
//!         results.reals(1)[0] = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
//!         Ok(())
//!     }
//! }
//! ```

mod element;
mod results;

use std::sync::Arc;

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use super::calculator::{Conditions, Failure, Home};
use super::parameters::{ParameterError, ParameterSpec, Parameters};

pub use element::Element;
use element::view;
pub use results::{Layout, ResultSpec, check_results};

/// What all rows of an input have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowDescription {
    /// Type of the elements as stored; `None` in an empty description.
    pub element: Option<Element>,
    /// Shape of one row.
    pub shape: Vec<usize>,
    /// Unit of the values, empty where none is given.
    pub unit: String,
    /// The physical quantity, empty where none is given.
    pub quantity: String,
    /// What the elements of a row stand for, one list as long as a row for each spectroscopic dimension: name, unit, values.
    pub axes: Vec<Axis>,
}

/// One spectroscopic dimension.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its value for each element of a row.
    pub values: Vec<f64>,
}

impl RowDescription {
    /// Elements of a row.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether elements are complex.
    pub fn is_complex(&self) -> bool {
        self.element.is_some_and(Element::is_complex)
    }

    /// The unit, "a.u." where none is given.
    pub fn unit(&self) -> &str {
        if self.unit.is_empty() {
            "a.u."
        } else {
            &self.unit
        }
    }
}

/// One row, borrowed: what a kernel sees.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Type of the elements: the one that the factory asked for.
    pub element: Element,
    /// The elements as they lie in memory, in C order.
    pub bytes: &'a [u8],
}

impl<'a> Row<'a> {
    /// The values of a row of [`Element::F64`]; both parts of each one, of [`Element::C128`].
    pub fn reals(&self) -> &'a [f64] {
        view(self.bytes)
    }

    /// The elements of a row of [`Element::C128`]: real and imaginary part.
    pub fn complex(&self) -> &'a [[f64; 2]] {
        view(self.bytes)
    }

    /// The failure of a row, of double precision, in which some number is NaN or infinite.
    pub fn require_finite(&self) -> Result<(), Failure> {
        let width = if self.element.is_complex() { 2 } else { 1 };
        match self.reals().iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Failure::Failed(format!(
                "value {} of the row is not finite ({})",
                at / width,
                self.reals()[at]
            ))),
        }
    }
}

/// Where a kernel puts the results of one row. Numbers arrive as NaN, whole numbers as zeros.
#[derive(Debug)]
pub struct RowResults<'a> {
    layout: &'a Layout,
    bytes: &'a mut [u8],
}

impl<'a> RowResults<'a> {
    /// Over the words of one row.
    pub fn new(layout: &'a Layout, words: &'a mut [u64]) -> Self {
        Self {
            layout,
            bytes: words.as_mut_bytes(),
        }
    }

    /// Result `k` as bytes.
    pub fn bytes(&mut self, k: usize) -> &mut [u8] {
        &mut self.bytes[self.layout.part(k)]
    }

    /// Result `k` as numbers of its type; empty when it has another one.
    pub fn of<T: FromBytes + IntoBytes + KnownLayout>(&mut self, k: usize) -> &mut [T] {
        <[T]>::mut_from_bytes(self.bytes(k)).unwrap_or_default()
    }

    /// Result `k`, which is of [`Element::F64`] (or [`Element::C128`]: both parts of each element).
    pub fn reals(&mut self, k: usize) -> &mut [f64] {
        self.of(k)
    }
}

/// Evaluates rows. Built on the worker thread that owns it for life, so it need not be `Send`.
///
/// Results must not depend on the rows evaluated before: the same row gives the same bytes on any rank.
pub trait Kernel {
    /// Computes the results of one row.
    fn evaluate(&mut self, row: &Row<'_>, results: &mut RowResults<'_>) -> Result<(), Failure>;

    /// How many rows it likes to be told of at once, see [`announce`](Self::announce); 1: none beforehand.
    fn appetite(&self) -> usize {
        1
    }

    /// The rows that [`evaluate`](Self::evaluate) will be called for next, in this order: one that computes many as fast
    /// as one can do so now, and hand out what it has found when it is asked. Fewer than announced may be asked for: then
    /// the next announcement comes.
    fn announce(&mut self, rows: &mut dyn Iterator<Item = Row<'_>>) {
        let _ = rows;
    }
}

/// Makes kernels, one per worker thread, from parameters and an input that were checked before.
pub trait KernelFactory: Send + Sync {
    /// A new kernel for the calling thread.
    fn build(&self) -> Result<Box<dyn Kernel>, String>;

    /// What each row gives.
    fn results(&self) -> Vec<ResultSpec>;

    /// What decides the results besides parameters and rows, as the content of a file that a parameter names: name and
    /// value of each. Recorded with the parameters: a run with other ones is another job.
    fn identity(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The type in which rows are handed over, where they are stored as `stored`: HDF5 converts. Double precision, unless
    /// a kernel wants it otherwise.
    fn takes(&self, stored: Element) -> Element {
        stored.widest()
    }
}

/// A whole array of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether each element is a pair of values.
    pub complex: bool,
    /// Its values in C order.
    pub values: Vec<f64>,
}

/// Arrays that parameters name.
pub trait Arrays {
    /// The array at `place`: `FILE:DATASET`, or `DATASET` of the input.
    fn load(&self, place: &str) -> Result<Array, String>;
}

/// What a kernel is made for.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// What the rows have in common.
    pub rows: &'a RowDescription,
    /// Arrays that parameters name.
    pub arrays: &'a dyn Arrays,
    /// What the job asks besides.
    pub conditions: &'a Conditions,
}

/// Makes a factory of checked parameters for rows like these, or says what is wrong.
pub type MakeKernel = fn(&Parameters, &Given<'_>) -> Result<Arc<dyn KernelFactory>, ParameterError>;

/// One kind of kernel: its name, its parameters and how to make it. Each kernel's file exports one.
pub struct KernelKind {
    /// The name after `--kernel`.
    pub name: &'static str,
    /// The name of the process in the group of results, `<Dataset>-<Process>_000`.
    pub process: &'static str,
    /// One line for `framewise kernels`.
    pub summary: &'static str,
    /// What it takes and what it gives.
    pub supports: &'static str,
    /// The page about it. Markdown.
    pub page: &'static str,
    /// Where its code runs.
    pub home: Home,
    /// Its parameters.
    pub parameters: &'static [ParameterSpec],
    /// The parameter that can be given with the name: `--kernel NAME:VALUE`.
    pub subject: Option<&'static str>,
    /// Parameters that decide how it is computed, not what: a run may go on with others.
    pub settings: &'static [&'static str],
    /// Checks parameters beyond their types, and the input.
    pub factory: MakeKernel,
}

impl KernelKind {
    /// Checks parameters as typed.
    pub fn parse(&self, typed: &[(String, String)]) -> Result<Parameters, ParameterError> {
        Parameters::parse(&format!("kernel {}", self.name), self.parameters, typed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, element: Element, shape: &[usize]) -> ResultSpec {
        ResultSpec {
            element,
            ..ResultSpec::real(name, shape, "", "")
        }
    }

    #[test]
    fn results_of_any_type_lie_beside_each_other_and_begin_as_nothing() {
        let layout = Layout::new(vec![
            spec("n", Element::U16, &[3]),
            spec("a", Element::F64, &[2, 2]),
            spec("z", Element::C64, &[]),
            spec("f", Element::F32, &[]).optional(),
        ]);
        assert_eq!(layout.words(), 1 + 4 + 1 + 1);
        let mut words = vec![7; layout.words()];
        layout.blank(&mut words);
        assert_eq!(layout.hole(&words).unwrap().name, "a");
        let mut results = RowResults::new(&layout, &mut words);
        assert_eq!(results.of::<u16>(0), [0; 3]);
        assert!(results.reals(1).iter().all(|x| x.is_nan()));
        assert!(results.of::<f32>(3)[0].is_nan());
        assert!(results.of::<f64>(0).is_empty(), "another type");
        results.reals(1).fill(1.0);
        assert_eq!(layout.hole(&words).unwrap().name, "z");
        RowResults::new(&layout, &mut words).of::<f32>(2).fill(2.0);
        assert_eq!(layout.hole(&words), None, "the last one may be NaN");
    }

    #[test]
    fn a_row_that_is_not_finite_says_where() {
        let values = [1.0, 2.0, f64::NAN, 4.0];
        let row = |element| Row {
            element,
            bytes: values.as_bytes(),
        };
        let why = |element| match row(element).require_finite() {
            Err(Failure::Failed(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(why(Element::F64).starts_with("value 2 "));
        assert!(why(Element::C128).starts_with("value 1 "));
        assert_eq!(row(Element::C128).complex()[0], [1.0, 2.0]);
    }
}
