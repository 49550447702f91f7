//! A histogram of pairs whose range is not known beforehand, in fixed memory.

/// One axis: cell `i` holds `i * 2^exponent <= x < (i + 1) * 2^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    exponent: i32,
    low: i64,
    high: i64,
}

/// Finest cells that matter for a number: 2^-40 of its size.
const FINEST: i32 = 40;
/// And of all numbers.
const SMALLEST: i32 = -60;

impl Axis {
    fn of(x: f64) -> Self {
        let exponent = finest(x);
        let at = cell(x, exponent);
        Self {
            exponent,
            low: at,
            high: at,
        }
    }

    fn coarsen(&mut self) {
        self.exponent += 1;
        self.low >>= 1;
        self.high >>= 1;
    }

    fn with(&self, at: i64) -> (i64, i64) {
        (self.low.min(at), self.high.max(at))
    }

    /// The range of the occupied cells.
    fn range(&self) -> (f64, f64) {
        let width = f64::powi(2.0, self.exponent);
        (self.low as f64 * width, (self.high + 1) as f64 * width)
    }
}

fn finest(x: f64) -> i32 {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    (exponent - FINEST).max(SMALLEST)
}

fn cell(x: f64, exponent: i32) -> i64 {
    (x * f64::powi(2.0, -exponent)).floor() as i64
}

/// Counts of pairs in `side` times `side` cells, whose widths are powers of two: they double when a pair lies outside,
/// and in the end they are the same in whatever order the pairs came.
#[derive(Clone, Debug)]
pub struct Density {
    side: i64,
    /// Whether both axes have cells of one width.
    square: bool,
    axes: Option<[Axis; 2]>,
    /// Cell (x, y) is at (x mod side, y mod side), row after row.
    counts: Vec<u64>,
    n: u64,
}

/// A cell that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Lower edges.
    pub corner: [f64; 2],
    /// Pairs in it.
    pub count: u64,
}

impl Density {
    /// No pair yet.
    pub fn new(side: u16, square: bool) -> Self {
        Self {
            side: i64::from(side),
            square,
            axes: None,
            counts: Vec::new(),
            n: 0,
        }
    }

    /// Counts a pair of finite numbers.
    #[inline]
    pub fn add(&mut self, pair: [f64; 2]) {
        let axes = match self.axes {
            Some(axes) => axes,
            None => self.start(pair),
        };
        let at = [0, 1].map(|d| cell(pair[d], axes[d].exponent));
        let inside = |d: usize| {
            axes[d].low <= at[d] && at[d] <= axes[d].high && finest(pair[d]) <= axes[d].exponent
        };
        let at = if inside(0) && inside(1) {
            at
        } else {
            self.stretch(pair)
        };
        let place = self.place(at);
        self.counts[place] += 1;
        self.n += 1;
    }

    #[cold]
    fn start(&mut self, pair: [f64; 2]) -> [Axis; 2] {
        self.counts.resize((self.side * self.side) as usize, 0);
        let mut axes = pair.map(Axis::of);
        let coarsest = axes[0].exponent.max(axes[1].exponent);
        for axis in &mut axes {
            while self.square && axis.exponent < coarsest {
                axis.coarsen();
            }
        }
        *self.axes.insert(axes)
    }

    /// Makes room for `pair` and returns its cell.
    #[cold]
    fn stretch(&mut self, pair: [f64; 2]) -> [i64; 2] {
        let Some(mut axes) = self.axes else {
            return [0, 0];
        };
        loop {
            let at = [0, 1].map(|d| cell(pair[d], axes[d].exponent));
            let fits = [0, 1].map(|d| {
                let (low, high) = axes[d].with(at[d]);
                finest(pair[d]) <= axes[d].exponent && high.saturating_sub(low) < self.side
            });
            let coarser = [0, 1].map(|d| {
                let behind = self.square && axes[d].exponent < axes[1 - d].exponent;
                !fits[d] || behind
            });
            if coarser == [false, false] {
                for d in [0, 1] {
                    (axes[d].low, axes[d].high) = axes[d].with(at[d]);
                }
                self.axes = Some(axes);
                return at;
            }
            for d in [0, 1] {
                if coarser[d] {
                    self.merge(d, &axes);
                    axes[d].coarsen();
                }
            }
        }
    }

    fn place(&self, at: [i64; 2]) -> usize {
        let [x, y] = at.map(|i| i.rem_euclid(self.side));
        (y * self.side + x) as usize
    }

    /// Brings pairs of cells together along axis `d`.
    fn merge(&mut self, d: usize, axes: &[Axis; 2]) {
        let across = axes[1 - d];
        let mut line = vec![0; self.side as usize];
        for j in across.low..=across.high {
            line.fill(0);
            let at = |i: i64| if d == 0 { [i, j] } else { [j, i] };
            for i in axes[d].low..=axes[d].high {
                let place = self.place(at(i));
                line[(i >> 1).rem_euclid(self.side) as usize] +=
                    std::mem::take(&mut self.counts[place]);
            }
            for (i, count) in line.iter().enumerate() {
                let place = self.place(at(i as i64));
                self.counts[place] += count;
            }
        }
    }

    /// Number of pairs.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// From the lower edge of the first occupied cell to the upper one of the last, of both axes; none without pairs.
    pub fn ranges(&self) -> Option<[(f64, f64); 2]> {
        self.axes.map(|axes| axes.map(|axis| axis.range()))
    }

    /// Widths of the cells.
    pub fn widths(&self) -> [f64; 2] {
        self.axes
            .map_or([1.0; 2], |axes| axes.map(|a| f64::powi(2.0, a.exponent)))
    }

    /// The occupied cells, row after row.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let widths = self.widths();
        let columns = self.axes.map_or(0..0, |[x, _]| x.low..x.high + 1);
        let rows = self.axes.map_or(0..0, |[_, y]| y.low..y.high + 1);
        let all = rows.flat_map(move |y| columns.clone().map(move |x| [x, y]));
        all.filter_map(move |at| {
            let count = self.counts[self.place(at)];
            let corner = [at[0] as f64 * widths[0], at[1] as f64 * widths[1]];
            (count > 0).then_some(Cell { corner, count })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(0.0),
            -1.0..1.0,
            -1e6..1e6,
            999.0..1001.0,
            -1e-9..1e-9,
            -1e100..1e100
        ]
    }

    proptest! {
        #[test]
        fn every_pair_is_in_its_cell_whatever_came_first(
            mut pairs in prop::collection::vec([number(), number()], 1..60),
            square in any::<bool>(),
        ) {
            let fill = |pairs: &[[f64; 2]]| {
                let mut found = Density::new(32, square);
                for pair in pairs {
                    found.add(*pair);
                }
                found
            };
            let found = fill(&pairs);
            let cells: Vec<_> = found.cells().collect();
            let widths = found.widths();
            prop_assert_eq!(cells.iter().map(|c| c.count).sum::<u64>(), pairs.len() as u64);
            for cell in &cells {
                let inside = pairs.iter().filter(|pair| {
                    (0..2).all(|d| cell.corner[d] <= pair[d] && pair[d] < cell.corner[d] + widths[d])
                });
                prop_assert_eq!(inside.count() as u64, cell.count);
            }
            prop_assert!(!square || widths[0] == widths[1]);
            pairs.reverse();
            let other = fill(&pairs);
            prop_assert_eq!(other.widths(), widths);
            prop_assert_eq!(other.cells().collect::<Vec<_>>(), cells);
        }
    }

    #[test]
    fn the_range_is_told_apart_by_half_of_the_cells_at_least() {
        let mut found = Density::new(256, true);
        for k in 0..1000 {
            let x = 0.001 * f64::from(k);
            found.add([x, -100.0 + x]);
        }
        let [(low, high), _] = found.ranges().unwrap();
        let cells = (high - low) / found.widths()[0];
        assert!((128.0..=256.0).contains(&cells), "{cells}");
        assert_eq!(found.n(), 1000);
    }
}
