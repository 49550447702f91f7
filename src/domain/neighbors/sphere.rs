//! Which slots lie in a sphere, and which particles they are.

use multiversion::multiversion;

use super::LANES;
use super::halo::Slots;
use super::sieve::ONES;

/// Two atoms nearer than this (Å) are at the same place.
pub(super) const SAME_PLACE: f64 = 1e-7;

/// Writes the particles of the slots that were `found` into `numbers`, and says the largest. `particles` has that of each slot.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn number(found: &[u32], particles: &[u32], numbers: &mut [i32]) -> u32 {
    let mut largest = 0;
    for (slot, number) in found.iter().zip(numbers) {
        let particle = particles[*slot as usize];
        largest = largest.max(particle);
        *number = particle as i32;
    }
    largest
}

/// Writes the slots of `ranges` that are nearer to `r` than the square root of `limit` into `found`, but those at `r`
/// itself: how many, and how many of the latter.
///
/// Vectors of four: wider ones slow down what runs after them, the potential.
#[multiversion(targets("x86_64+avx2"))]
pub(super) fn sieve(
    places: &[Vec<f64>; 3],
    ranges: &[Slots],
    r: [f64; 3],
    limit: f64,
    found: &mut [u32],
) -> (usize, u32) {
    let (mut len, mut same) = (0, 0);
    let [x, y, z] = places;
    for range in ranges {
        for first in range.clone().step_by(LANES) {
            let at = first as usize;
            let (Some(x), Some(y), Some(z)) = (eight(x, at), eight(y, at), eight(z, at)) else {
                break;
            };
            // As arrays of truths, which are shifted into bytes afterwards: so the compiler takes all at once.
            let (mut is_near, mut is_same) = ([false; LANES], [false; LANES]);
            for k in 0..LANES {
                let (dx, dy, dz) = (x[k] - r[0], y[k] - r[1], z[k] - r[2]);
                let r2 = dx * dx + dy * dy + dz * dz;
                is_near[k] = r2 < limit;
                is_same[k] = r2 < SAME_PLACE * SAME_PLACE;
            }
            let (mut near, mut here) = (0_u8, 0_u8);
            for k in 0..LANES {
                near |= u8::from(is_near[k]) << k;
                here |= u8::from(is_same[k]) << k;
            }
            // The slots after the range are of other bins.
            let within = 0xff_u8 >> (LANES as u32 - (range.end - first).min(LANES as u32));
            let (places, ones) = &ONES[usize::from(near & !here & within)];
            same += (here & within).count_ones();
            if let Some((chunk, _)) = found
                .get_mut(len..)
                .and_then(<[u32]>::split_first_chunk_mut::<LANES>)
            {
                for k in 0..LANES {
                    chunk[k] = first + u32::from(places[k]);
                }
            }
            len += usize::from(*ones);
        }
    }
    (len, same)
}

/// Eight of `values`.
#[inline(always)]
#[allow(clippy::inline_always)]
fn eight(values: &[f64], at: usize) -> Option<&[f64; LANES]> {
    values.get(at..)?.first_chunk()
}
