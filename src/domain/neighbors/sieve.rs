//! From candidates to pairs: rough distances of sixteen candidates at once, exact vectors of those that are left.
//!
//! Most candidates are beyond the cutoff. They are looked at in numbers of 32 bits, twice as many at a time as
//! doubles; the limit is wider than the cutoff by more than the rounding of these numbers, so that no pair is
//! lost, and who takes the [`Pairs`] compares the exact distance.
//!
//! - Fixed image: single-precision positions.
//! - Nearest image: whole numbers, 2³² of them along each periodic cell vector. Their differences overflow where
//!   the nearest image is another one, and so are those of the nearest image.

use multiversion::multiversion;

use super::rough::WIDTH;
use super::{Candidates, Center, Image, LANES, NeighborSearch};

/// Pairs that are handed over together at most.
pub const MOST_PAIRS: usize = 256;

/// Rows that are handed over together at most.
pub const MOST_ROWS: usize = 32;

/// Candidates looked at before the near ones are picked out.
const STRETCH: usize = 128;

const CAPACITY: usize = MOST_PAIRS + WIDTH;

/// Component of the vectors that fill up [`Pairs`]: beyond every cutoff, while its square is still finite.
const FAR: f64 = 1e150;

/// Lane numbers, to mask those beyond the end of a row.
const LANE: [f64; LANES] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];

/// Adding and subtracting this rounds a small number to the nearest whole one (ties to even), in vector
/// instructions of every processor.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// Candidates of a linked cell side by side: copies of the atoms around it, each in its image.
#[derive(Clone, Debug, Default)]
pub struct Neighborhood {
    single: [Vec<f32>; 3],
    places: Vec<[f64; 4]>,
    /// Sorted index of each.
    sorted: Vec<u32>,
}

impl Neighborhood {
    /// Copies the candidates; their images are fixed ones.
    pub(super) fn gather(&mut self, places: &[[f64; 4]], candidates: &[Candidates]) {
        self.places.clear();
        self.sorted.clear();
        for range in candidates {
            let Image::Fixed {
                shift: [x, y, z], ..
            } = range.image
            else {
                continue;
            };
            let atoms = &places[range.second.clone()];
            self.places
                .extend(atoms.iter().map(|r| [r[0] + x, r[1] + y, r[2] + z, 0.0]));
            self.sorted
                .extend(range.second.start as u32..range.second.end as u32);
        }
        for d in 0..3 {
            let array = &mut self.single[d];
            array.clear();
            array.extend(self.places.iter().map(|r| r[d] as f32));
            array.extend([f32::INFINITY; WIDTH]);
        }
    }
}

/// Pairs of a few atoms, one array per component.
///
/// The pairs of each first atom are a [`Row`]. Between the end of a row and the next multiple of [`LANES`], where the
/// next one begins, there are vectors beyond every cutoff; some of the pairs may be a little beyond it too.
#[derive(Clone, Debug)]
pub struct Pairs {
    rows: [Row; MOST_ROWS],
    count: usize,
    /// Where the next row begins.
    len: usize,
    /// Sorted index of the second atom.
    pub second: [u32; CAPACITY],
    /// `r_ij` in Å.
    pub vectors: [[f64; CAPACITY]; 3],
}

/// Pairs of one atom, or a part of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// Sorted index of the first atom.
    pub first: u32,
    /// Where the pairs begin: a multiple of [`LANES`].
    pub start: u32,
    /// Where they end.
    pub end: u32,
}

impl Default for Pairs {
    fn default() -> Self {
        Self {
            rows: [Row::default(); MOST_ROWS],
            count: 0,
            len: 0,
            second: [0; CAPACITY],
            vectors: [[0.0; CAPACITY]; 3],
        }
    }
}

impl Pairs {
    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows[..self.count]
    }

    /// Everything there is: rows, second atoms, vectors.
    pub fn parts(&mut self) -> (&[Row], &[u32], &mut [[f64; CAPACITY]; 3]) {
        (&self.rows[..self.count], &self.second, &mut self.vectors)
    }
}

/// How far the candidates of a center have been gone through.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    first: usize,
    at: usize,
}

impl Progress {
    /// At the beginning.
    pub fn new(center: &Center<'_>) -> Self {
        Self {
            first: center.first.start,
            at: 0,
        }
    }
}

/// For every byte the positions of its ones, and how many there are.
pub(super) static ONES: [([u8; 8], u8); 256] = ones();

const fn ones() -> [([u8; 8], u8); 256] {
    let mut table = [([0; 8], 0); 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut bit, mut n) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[byte].0[n] = bit;
                n += 1;
            }
            bit += 1;
        }
        table[byte].1 = n as u8;
        byte += 1;
    }
    table
}

/// Whether a candidate may be near, for a stretch of candidates.
type Flags = [[u8; WIDTH]; STRETCH / WIDTH + 1];

impl Pairs {
    /// Appends those of `count` candidates from `at` on that are flagged.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn append(&mut self, at: usize, count: usize, flags: &Flags) {
        let mut len = self.len;
        let (eights, _) = flags.as_flattened().as_chunks::<8>();
        for (n, eight) in eights.iter().enumerate().take(count.div_ceil(8)) {
            // Moves the lowest bit of every byte into the highest byte.
            let bits = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            let (places, ones) = &ONES[bits as usize & 255];
            let first = (at + 8 * n) as u32;
            if let Some(chunk) = self.second.get_mut(len..len + 8) {
                for k in 0..8 {
                    chunk[k] = first + u32::from(places[k]);
                }
            }
            len += usize::from(*ones);
        }
        self.len = len;
    }

    /// Exact vectors from `r` to the pairs from `before` on.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn fill(&mut self, r: [f64; 4], before: usize, places: &[[f64; 4]]) {
        let range = before..self.len;
        let [x, y, z] = &mut self.vectors;
        let (x, y, z) = (
            &mut x[range.clone()],
            &mut y[range.clone()],
            &mut z[range.clone()],
        );
        let vectors = x.iter_mut().zip(y).zip(z);
        for (j, ((x, y), z)) in self.second[range].iter().zip(vectors) {
            let other = &places[*j as usize];
            (*x, *y, *z) = (other[0] - r[0], other[1] - r[1], other[2] - r[2]);
        }
    }
}

impl NeighborSearch {
    /// The next pairs of a center, [`MOST_PAIRS`] at most; `false` when there are no more. The arrays may be
    /// overwritten between calls.
    pub fn next_pairs(
        &self,
        center: &Center<'_>,
        progress: &mut Progress,
        pairs: &mut Pairs,
    ) -> bool {
        next_pairs(self, center, progress, pairs);
        pairs.count > 0
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn sieve<const WAY: u8>(
        &self,
        center: &Center<'_>,
        progress: &mut Progress,
        pairs: &mut Pairs,
    ) {
        pairs.count = 0;
        pairs.len = 0;
        let mut flags: Flags = [[0; WIDTH]; STRETCH / WIDTH + 1];
        let around = center.around;
        let whole = center.candidates.first().map_or(0..0, |c| c.second.clone());
        // Candidates of the whole frame are the sorted atoms themselves.
        let (single, places, base) = match around {
            Some(around) => (&around.single, &around.places[..], 0),
            None => (&self.rough().single, self.places(), whole.start),
        };
        let end = match around {
            Some(around) => around.places.len(),
            None => whole.end,
        };
        while progress.first < center.first.end && pairs.count < MOST_ROWS {
            let (i, start) = (progress.first, pairs.len);
            let after = match (center.triangular, around) {
                (false, _) => base,
                (true, None) => i + 1,
                // The linked cell itself comes first.
                (true, Some(_)) => i + 1 - center.first.start,
            };
            progress.at = progress.at.max(after);
            while progress.at < end && pairs.len <= MOST_PAIRS - STRETCH {
                let (at, before) = (progress.at, pairs.len);
                let count = (end - at).min(STRETCH);
                if WAY == FIXED {
                    look_fixed(
                        self.places()[i],
                        single,
                        at,
                        count,
                        self.rough().limit,
                        &mut flags,
                    );
                } else {
                    self.look_nearest::<WAY>(i, at, count, &mut flags);
                }
                clear_after(count, &mut flags);
                pairs.append(at, count, &flags);
                pairs.fill(self.places()[i], before, places);
                progress.at = at + count;
            }
            if pairs.len > start {
                pairs.rows[pairs.count] = Row {
                    first: i as u32,
                    start: start as u32,
                    end: pairs.len as u32,
                };
                pairs.count += 1;
                pairs.len = pairs.len.next_multiple_of(LANES);
            }
            if progress.at < end {
                break;
            }
            *progress = Progress {
                first: i + 1,
                at: 0,
            };
            if pairs.len > MOST_PAIRS - STRETCH {
                break;
            }
        }
        if let Some(around) = around {
            for j in pairs.second.iter_mut().take(pairs.len) {
                *j = around.sorted.get(*j as usize).copied().unwrap_or(0);
            }
        }
        if WAY != FIXED {
            self.fold::<WAY>(pairs);
        }
        let [x, y, z] = pairs.vectors.each_mut().map(|v| lanes(v));
        for row in &pairs.rows[..pairs.count] {
            let (last, used) = (row.end as usize / LANES, f64::from(row.end % LANES as u32));
            if let (Some(x), Some(y), Some(z)) = (x.get_mut(last), y.get_mut(last), z.get_mut(last))
                && used > 0.0
            {
                for k in 0..LANES {
                    x[k] = if LANE[k] < used { x[k] } else { FAR };
                    y[k] = if LANE[k] < used { y[k] } else { FAR };
                    z[k] = if LANE[k] < used { z[k] } else { FAR };
                }
            }
        }
    }

    /// As [`look_fixed`], for the nearest images.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn look_nearest<const WAY: u8>(&self, i: usize, at: usize, count: usize, flags: &mut Flags) {
        let rough = self.rough();
        let [ai, bi, ci] = [0, 1, 2].map(|k| rough.whole[k][i]);
        let [a, b, c] = [0, 1, 2].map(|k| chunks(&rough.whole[k], at));
        let (limit, m) = (rough.limit, rough.step);
        let places = a.iter().zip(b).zip(c).take(count.div_ceil(WIDTH));
        for (((a, b), c), flags) in places.zip(flags) {
            for k in 0..WIDTH {
                let da = a[k].wrapping_sub(ai) as f32;
                let db = b[k].wrapping_sub(bi) as f32;
                let dc = c[k].wrapping_sub(ci) as f32;
                let (dx, dy, dz) = if WAY == DIAGONAL {
                    (da * m[0][0], db * m[1][1], dc * m[2][2])
                } else {
                    (
                        da * m[0][0] + db * m[1][0] + dc * m[2][0],
                        da * m[0][1] + db * m[1][1] + dc * m[2][1],
                        da * m[0][2] + db * m[1][2] + dc * m[2][2],
                    )
                };
                flags[k] = u8::from(dx * dx + dy * dy + dz * dz < limit);
            }
        }
    }

    /// Turns vectors into those of the nearest images.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn fold<const WAY: u8>(&self, pairs: &mut Pairs) {
        let lattice = self.lattice();
        let v = &lattice.vectors;
        // No image lies along an open direction.
        let g = [0, 1, 2].map(|k| {
            if lattice.periodic[k] {
                lattice.reciprocal[k]
            } else {
                [0.0; 3]
            }
        });
        let chunks = pairs.len.div_ceil(LANES);
        let [x, y, z] = &mut pairs.vectors;
        if WAY == DIAGONAL {
            for (k, array) in [x, y, z].into_iter().enumerate() {
                let (g, length) = (g[k][k], v[k][k]);
                for x in array.iter_mut().take(chunks * LANES) {
                    *x -= (*x * g + ROUND - ROUND) * length;
                }
            }
            return;
        }
        let (x, y, z) = (lanes(x), lanes(y), lanes(z));
        for ((x, y), z) in x.iter_mut().zip(y).zip(z).take(chunks) {
            let (dx, dy, dz) = (*x, *y, *z);
            let (mut rx, mut ry, mut rz) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
            for k in 0..LANES {
                let (dx, dy, dz): (f64, f64, f64) = (dx[k], dy[k], dz[k]);
                let a = dx * g[0][0] + dy * g[0][1] + dz * g[0][2] + ROUND - ROUND;
                let b = dx * g[1][0] + dy * g[1][1] + dz * g[1][2] + ROUND - ROUND;
                let c = dx * g[2][0] + dy * g[2][1] + dz * g[2][2] + ROUND - ROUND;
                rx[k] = dx - (a * v[0][0] + b * v[1][0] + c * v[2][0]);
                ry[k] = dy - (a * v[0][1] + b * v[1][1] + c * v[2][1]);
                rz[k] = dz - (a * v[0][2] + b * v[1][2] + c * v[2][2]);
            }
            (*x, *y, *z) = (rx, ry, rz);
        }
    }
}

/// Which image candidates are in: the one that is given.
const FIXED: u8 = 0;
/// The nearest, in a cell along x, y and z.
const DIAGONAL: u8 = 1;
/// The nearest, in any cell.
const SKEWED: u8 = 2;

/// Looks at `count` candidates from `at` on, from the place `r`.
#[inline(always)]
#[allow(clippy::inline_always)]
fn look_fixed(
    r: [f64; 4],
    single: &[Vec<f32>; 3],
    at: usize,
    count: usize,
    limit: f32,
    flags: &mut Flags,
) {
    let [x, y, z] = [
        chunks(&single[0], at),
        chunks(&single[1], at),
        chunks(&single[2], at),
    ];
    let (xi, yi, zi) = (r[0] as f32, r[1] as f32, r[2] as f32);
    let places = x.iter().zip(y).zip(z).take(count.div_ceil(WIDTH));
    for (((x, y), z), flags) in places.zip(flags) {
        for k in 0..WIDTH {
            let (dx, dy, dz) = (x[k] - xi, y[k] - yi, z[k] - zi);
            flags[k] = u8::from(dx * dx + dy * dy + dz * dz < limit);
        }
    }
}

/// Compiled for several generations of processors; every one of them finds the same pairs.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw", "x86_64+avx2"))]
fn next_pairs(
    search: &NeighborSearch,
    center: &Center<'_>,
    progress: &mut Progress,
    pairs: &mut Pairs,
) {
    let nearest = matches!(center.candidates.first(), Some(c) if c.image == Image::Nearest);
    match (nearest, search.rough().diagonal) {
        (false, _) => search.sieve::<FIXED>(center, progress, pairs),
        (true, true) => search.sieve::<DIAGONAL>(center, progress, pairs),
        (true, false) => search.sieve::<SKEWED>(center, progress, pairs),
    }
}

/// Forgets what was seen beyond the last candidate.
#[inline(always)]
#[allow(clippy::inline_always)]
fn clear_after(count: usize, flags: &mut Flags) {
    if let Some(rest) = flags.as_flattened_mut().get_mut(count..)
        && let Some(rest) = rest.first_chunk_mut::<WIDTH>()
    {
        *rest = [0; WIDTH];
    }
}

/// Whole chunks from `at` on.
#[inline(always)]
#[allow(clippy::inline_always)]
fn chunks<T>(values: &[T], at: usize) -> &[[T; WIDTH]] {
    values.get(at..).unwrap_or_default().as_chunks().0
}

#[inline(always)]
#[allow(clippy::inline_always)]
fn lanes(values: &mut [f64]) -> &mut [[f64; LANES]] {
    values.as_chunks_mut().0
}
