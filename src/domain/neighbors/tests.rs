//! Against the sum over the lattice, written as plainly as it can be.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{Cluster, LANES, NeighborSearch, PairList, Pairs, Progress, Reach, Scratch};
use crate::domain::cell::{Cell, dot, norm};
use crate::domain::frame::Frame;

/// One pair, the smaller of its two spellings.
type Key = (u32, u32, [i32; 3]);

fn key(i: u32, j: u32, s: [i32; 3]) -> Key {
    (i, j, s).min((j, i, s.map(|x| -x)))
}

/// Every (i, j, S) with `|r_j - r_i + S @ H| < cutoff`, in the given cell, without wrapping or reducing anything.
fn lattice_sum(positions: &[[f64; 3]], cell: &Cell, cutoff: f64) -> BTreeSet<Key> {
    let full = cell.completed();
    let reciprocal = full.reciprocal();
    let mut pairs = BTreeSet::new();
    for (i, a) in positions.iter().enumerate() {
        for (j, b) in positions.iter().enumerate() {
            let r = [0, 1, 2].map(|d| b[d] - a[d]);
            let range = [0, 1, 2].map(|k| {
                if !cell.periodic[k] {
                    return 0..=0;
                }
                let u = dot(reciprocal[k], r);
                let reach = cutoff * norm(reciprocal[k]) + 1e-6;
                (-u - reach).ceil() as i32..=(-u + reach).floor() as i32
            });
            for x in range[0].clone() {
                for y in range[1].clone() {
                    for z in range[2].clone() {
                        let s = [x, y, z];
                        if i == j && s == [0; 3] {
                            continue;
                        }
                        let v = [0, 1, 2].map(|d| {
                            r[d] + (0..3)
                                .map(|k| f64::from(s[k]) * full.vectors[k][d])
                                .sum::<f64>()
                        });
                        if norm(v) < cutoff {
                            pairs.insert(key(i as u32, j as u32, s));
                        }
                    }
                }
            }
        }
    }
    pairs
}

/// The list of `search`, checked for doubles and for vectors that are not `r_j - r_i + S @ H`.
fn listed(
    search: &mut NeighborSearch,
    list: &mut PairList,
    frame: &Frame<'_>,
    cutoff: f64,
) -> BTreeSet<Key> {
    search.update(frame, cutoff).unwrap();
    list.fill(search).unwrap();
    check_sieve(search, list, cutoff);
    let mut pairs = BTreeSet::new();
    for p in 0..list.len() {
        let (i, j, s) = (list.first[p], list.second[p], list.images[p]);
        for d in 0..3 {
            let shift: f64 = (0..3)
                .map(|k| f64::from(s[k]) * frame.cell.vectors[k][d])
                .sum();
            let r = frame.positions[j as usize][d] - frame.positions[i as usize][d] + shift;
            assert!(
                (r - list.vectors[p][d]).abs() < 1e-9,
                "{r} {:?}",
                list.vectors[p]
            );
        }
        assert!(pairs.insert(key(i, j, s)), "pair {i} {j} {s:?} twice");
    }
    pairs
}

/// The pairs that the sieve leaves are those of `list`, in the same order.
fn check_sieve(search: &NeighborSearch, list: &PairList, cutoff: f64) {
    let (mut pairs, mut found) = (Pairs::default(), 0);
    search.for_each_center(&mut Scratch::default(), |center| {
        let mut progress = Progress::new(&center);
        while search.next_pairs(&center, &mut progress, &mut pairs) {
            let (rows, second, vectors) = pairs.parts();
            for row in rows {
                let end = row.end.next_multiple_of(LANES as u32);
                for p in row.start as usize..end as usize {
                    let r = [0, 1, 2].map(|d| vectors[d][p]);
                    if norm(r) >= cutoff {
                        continue;
                    }
                    assert!(p < row.end as usize, "what fills up the row is near");
                    let ends = [row.first, second[p]].map(|n| search.order()[n as usize]);
                    assert_eq!(ends, [list.first[found], list.second[found]]);
                    let difference = [0, 1, 2].map(|d| (r[d] - list.vectors[found][d]).abs());
                    assert!(difference.iter().all(|d| *d < 1e-9), "{difference:?}");
                    found += 1;
                }
            }
        }
    });
    assert_eq!(found, list.len());
}

/// The first few pairs that only one of the two sets has.
fn difference(found: &BTreeSet<Key>, expected: &BTreeSet<Key>) -> Vec<Key> {
    found
        .symmetric_difference(expected)
        .copied()
        .take(5)
        .collect()
}

/// Cells of every shape: random rows (either handedness), and skewed by whole numbers.
fn any_cell() -> impl Strategy<Value = Cell> {
    let row = prop::array::uniform3(-1.0..1.0_f64);
    (
        prop::array::uniform3(row),
        2.0..14.0_f64,
        prop::array::uniform3(any::<bool>()),
        prop::array::uniform3(-3..=3_i8),
    )
        .prop_map(|(rows, size, periodic, skew)| {
            let mut v = rows.map(|r| r.map(|x| x * size));
            for k in 0..3 {
                v[k][k] += size * if rows[k][k] < 0.0 { -1.2 } else { 1.2 };
            }
            for d in 0..3 {
                v[1][d] += f64::from(skew[0]) * v[0][d];
                v[2][d] += f64::from(skew[1]) * v[0][d] + f64::from(skew[2]) * v[1][d];
            }
            Cell {
                vectors: v,
                periodic,
            }
        })
        .prop_filter("nearly flat", |cell| {
            let reciprocal = cell.completed().reciprocal();
            cell.defect().is_none() && reciprocal.iter().all(|g| norm(*g) < 4.0)
        })
}

/// Compares particles and lists with the sum over the lattice.
fn check_cluster(cluster: &mut Cluster, frame: &Frame<'_>, influence: f64, reaches: &[Reach]) {
    cluster.update(frame, influence, reaches).unwrap();
    let (atoms, places) = (cluster.atoms(), cluster.positions());
    assert_eq!(atoms, frame.len());
    let full = frame.cell.completed();
    let reciprocal = full.reciprocal();
    // What each particle is: atom of the frame and image in given cells.
    let particles: Vec<(usize, [i32; 3])> = cluster
        .origins()
        .zip(places)
        .map(|(atom, r)| {
            let moved = [0, 1, 2].map(|d| r[d] - frame.positions[atom][d]);
            let image = [0, 1, 2].map(|k| dot(reciprocal[k], moved).round());
            for d in 0..3 {
                let shift: f64 = (0..3).map(|k| image[k] * full.vectors[k][d]).sum();
                assert!(
                    (shift - moved[d]).abs() < 1e-9,
                    "{moved:?} is no lattice vector"
                );
            }
            (atom, image.map(|s| s as i32))
        })
        .collect();
    assert_eq!(
        particles.iter().collect::<BTreeSet<_>>().len(),
        particles.len()
    );
    let mut first: Vec<_> = particles[..atoms].iter().map(|(atom, _)| *atom).collect();
    first.sort_unstable();
    assert!(first.into_iter().eq(0..atoms));
    let seen = |i: usize, p: usize| {
        let ((a, s), (b, t)) = (particles[i], particles[p]);
        key(a as u32, b as u32, [0, 1, 2].map(|k| t[k] - s[k]))
    };
    let largest = reaches.iter().fold(influence, |r, list| r.max(list.cutoff));
    let expected = lattice_sum(frame.positions, &frame.cell, largest);
    // Of many particles some are looked at.
    let some = 1 + places.len() * atoms / 20_000;
    // Every ghost is near an atom, and every image near an atom is there.
    for p in (atoms..places.len()).step_by(some) {
        let near = (0..atoms).any(|i| expected.contains(&seen(i, p)));
        assert!(near, "particle {p} is beyond {largest}");
    }
    let found: BTreeSet<_> = (0..atoms)
        .flat_map(|i| {
            (0..places.len())
                .filter(move |p| *p != i)
                .map(move |p| (i, p))
        })
        .filter(|(i, p)| norm([0, 1, 2].map(|d| places[*p][d] - places[*i][d])) < largest)
        .map(|(i, p)| seen(i, p))
        .collect();
    assert_eq!(difference(&found, &expected), []);
    for (n, reach) in reaches.iter().enumerate() {
        for p in (0..places.len()).step_by(some) {
            let Some(list) = cluster.neighbors(n, p) else {
                assert!(p >= atoms && !reach.of_ghosts);
                continue;
            };
            assert!(p < atoms || reach.of_ghosts);
            let near = |q: &usize| {
                *q != p && norm([0, 1, 2].map(|d| places[*q][d] - places[p][d])) < reach.cutoff
            };
            let expected: Vec<_> = (0..places.len()).filter(near).collect();
            let mut list: Vec<_> = list.iter().map(|q| *q as usize).collect();
            list.sort_unstable();
            assert_eq!(list, expected, "list {n} of particle {p}");
        }
        assert_eq!(cluster.neighbors(n, places.len()), None);
    }
    assert_eq!(cluster.neighbors(reaches.len(), 0), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pairs_are_those_of_the_lattice_sum(
        cell in any_cell(),
        places in prop::collection::vec((prop::array::uniform3(-2.5..2.5_f64), 1..4_u8), 0..24),
        cutoff in 0.3..9.0_f64,
    ) {
        // Atoms far outside the cell as well as inside it.
        let full = cell.completed();
        let positions: Vec<[f64; 3]> = places
            .iter()
            .map(|(s, _)| [0, 1, 2].map(|d| (0..3).map(|k| s[k] * full.vectors[k][d]).sum()))
            .collect();
        let species: Vec<u8> = places.iter().map(|(_, z)| *z).collect();
        let frame = Frame { species: &species, positions: &positions, cell };
        let found = listed(&mut NeighborSearch::default(), &mut PairList::default(), &frame, cutoff);
        prop_assert_eq!(difference(&found, &lattice_sum(&positions, &cell, cutoff)), []);
        if positions.len() < 9 {
            let cutoff = cutoff.min(6.0);
            let reach = |share: f64, of_ghosts| Reach { cutoff: share * cutoff, of_ghosts };
            let reaches = [reach(1.0, false), reach(0.7, true), reach(1.0, true)];
            check_cluster(&mut Cluster::default(), &frame, cutoff, &reaches);
            // Lists shorter than the influence, of ghosts of ghosts.
            check_cluster(&mut Cluster::default(), &frame, 1.5 * cutoff, &reaches[1..2]);
        }
    }

    #[test]
    fn larger_sets_too(
        cell in any_cell(),
        places in prop::collection::vec(prop::array::uniform3(0.0..1.0_f64), 150..400),
        relative in 0.05..0.45_f64,
    ) {
        // Wide cells: linked cells and nearest images, by size and cutoff.
        let wide = Cell { vectors: cell.vectors.map(|v| v.map(|x| 2.0 * x)), ..cell };
        let full = wide.completed();
        let positions: Vec<[f64; 3]> = places
            .iter()
            .map(|s| [0, 1, 2].map(|d| (0..3).map(|k| s[k] * full.vectors[k][d]).sum()))
            .collect();
        let species: Vec<u8> = (0..places.len()).map(|n| [18, 18, 36][n % 3]).collect();
        let frame = Frame { species: &species, positions: &positions, cell: wide };
        let cutoff = relative * full.volume().cbrt();
        let found = listed(&mut NeighborSearch::default(), &mut PairList::default(), &frame, cutoff);
        prop_assert_eq!(difference(&found, &lattice_sum(&positions, &wide, cutoff)), []);
        let reach = |share: f64, of_ghosts| Reach { cutoff: share * cutoff, of_ghosts };
        check_cluster(&mut Cluster::default(), &frame, 0.0, &[reach(0.8, false), reach(0.6, true)]);
    }
}

#[test]
fn an_atom_meets_its_own_images() {
    // Simple cubic, cutoff beyond the second shell: 6/2 + 12/2 pairs of the one atom with itself.
    let frame = Frame {
        species: &[18],
        positions: &[[0.3, -70.0, 5.0]],
        cell: Cell::periodic([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]]),
    };
    let (mut search, mut list) = (NeighborSearch::default(), PairList::default());
    assert_eq!(listed(&mut search, &mut list, &frame, 4.5).len(), 9);
}

#[test]
fn frames_do_not_remember_each_other() {
    let small = Cell::periodic([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]]);
    let positions: Vec<[f64; 3]> = (0..30)
        .map(|n| [f64::from(n) * 0.7, f64::from(n * n % 17), f64::from(n % 5)])
        .collect();
    let (mut search, mut list) = (NeighborSearch::default(), PairList::default());
    for (cell, atoms, cutoff) in [
        (small, 30, 6.0),
        (Cell::OPEN, 7, 2.0),
        (small, 0, 3.0),
        (Cell::OPEN, 30, 1.0),
        (small, 1, 8.0),
    ] {
        let frame = Frame {
            species: &[18; 30][..atoms],
            positions: &positions[..atoms],
            cell,
        };
        let reused = listed(&mut search, &mut list, &frame, cutoff);
        assert_eq!(reused, lattice_sum(frame.positions, &cell, cutoff));
    }
}

#[test]
fn absurd_requests_are_errors_and_wide_open_space_is_none() {
    let mut search = NeighborSearch::default();
    let cell = Cell::periodic([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
    let mut frame = Frame {
        species: &[18],
        positions: &[[0.0; 3]],
        cell,
    };
    let message = search.update(&frame, 60.0).unwrap_err().0;
    assert!(message.contains("images of the cell"), "{message}");
    frame.positions = &[[1e12, 0.0, 0.0]];
    let message = search.update(&frame, 1.0).unwrap_err().0;
    assert!(
        message.starts_with("atom 0 at [1000000000000 0 0]"),
        "{message}"
    );

    // A thousand atoms near the origin and one at 1e9 Å: linked cells, and not many.
    let mut positions: Vec<[f64; 3]> = (0..1000)
        .map(|n| [n % 10, n / 10 % 10, n / 100].map(f64::from))
        .collect();
    positions.push([1e9, -1e9, 1e9]);
    let frame = Frame {
        species: &[18; 1001],
        positions: &positions,
        cell: Cell::OPEN,
    };
    let mut list = PairList::default();
    assert_eq!(listed(&mut search, &mut list, &frame, 1.1).len(), 2700);
}

#[test]
fn candidates_grow_in_proportion_to_the_atoms() {
    let per_atom = |n: u32| {
        let edge = 4.0 * f64::from(n);
        let positions: Vec<[f64; 3]> = (0..n * n * n)
            .map(|site| [site % n, site / n % n, site / (n * n)].map(|x| 4.0 * f64::from(x)))
            .collect();
        let frame = Frame {
            species: &vec![18; positions.len()],
            positions: &positions,
            cell: Cell::periodic([[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]]),
        };
        let mut search = NeighborSearch::default();
        search.update(&frame, 8.5).unwrap();
        let (mut candidates, mut blocks) = (0, 0);
        search.for_each_center(&mut Scratch::default(), |center| {
            let a = center.first.len();
            for (n, range) in center.candidates.iter().enumerate() {
                blocks += 1;
                candidates += a * range.second.len();
                if n == 0 && center.triangular {
                    candidates -= a * (a + 1) / 2;
                }
            }
        });
        (candidates as f64 / positions.len() as f64, blocks)
    };
    // Few atoms are one range of all pairs; these tests reach both ways.
    assert_eq!(per_atom(5), (62.0, 1));
    let (small, _) = per_atom(12);
    let (large, blocks) = per_atom(24);
    assert!(blocks > 1000);
    assert!(large < 1.3 * small && large < 400.0, "{small} {large}");
}
