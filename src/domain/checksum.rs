//! The checksum that tells whether a frame's results on disk are the ones that were computed.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};
use zerocopy::IntoBytes as _;

use super::kernel::Layout;

/// Numbers up to which a frame is copied together and hashed at once: setting up a running hash takes longer.
const AT_ONCE: usize = 128;

/// XXH3-64 over the little-endian bytes of energy, forces (row by row) and stress (row by row), in this order,
/// exactly as they are stored (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).
pub fn checksum(energy: f64, forces: &[[f64; 3]], stress: &[[f64; 3]; 3]) -> u64 {
    let (energy, forces, stress) = ([energy], forces.as_flattened(), stress.as_flattened());
    let little = cfg!(target_endian = "little");
    let mut numbers = [0.0; AT_ONCE];
    if little && forces.len() + 10 <= AT_ONCE {
        let together = &mut numbers[..forces.len() + 10];
        together[0] = energy[0];
        together[1..=forces.len()].copy_from_slice(forces);
        together[forces.len() + 1..].copy_from_slice(stress);
        return xxh3_64(together.as_bytes());
    }
    let mut hash = Xxh3::new();
    for part in [&energy[..], forces, stress] {
        if little {
            hash.update(part.as_bytes());
        } else {
            for x in part {
                hash.update(&x.to_le_bytes());
            }
        }
    }
    hash.digest()
}

/// XXH3-64 over the bytes of the results of a row, one after the other, exactly as they are stored: in the byte order of
/// the machine that computed them.
pub fn checksum_of_row(layout: &Layout, words: &[u64]) -> u64 {
    let bytes = words.as_bytes();
    let mut hash = Xxh3::new();
    for k in 0..layout.specs().len() {
        hash.update(&bytes[layout.part(k)]);
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_plain_bytes_and_sees_every_bit() {
        for atoms in [0, 1, 2, 39, 40, 400] {
            let forces: Vec<_> = (0..atoms).map(|n| [f64::from(n), -1.5, 1e-9]).collect();
            let stress = [[0.1, 2.0, 3.0]; 3];
            let numbers = [&[7.25][..], forces.as_flattened(), stress.as_flattened()].concat();
            let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(
                checksum(7.25, &forces, &stress),
                xxh3_64(&bytes),
                "{atoms} atoms"
            );
        }
        let forces = [[1.0, -2.0, 3.5], [0.0, -0.0, f64::NAN]];
        let stress = [[0.1; 3]; 3];
        let mut bytes = 7.25f64.to_le_bytes().to_vec();
        for row in forces.iter().chain(&stress) {
            bytes.extend(row.iter().flat_map(|x| x.to_le_bytes()));
        }
        let expected = xxhash_rust::xxh3::xxh3_64(&bytes);
        assert_eq!(checksum(7.25, &forces, &stress), expected);
        let mut other = forces;
        other[1][1] = 0.0;
        assert_ne!(checksum(7.25, &other, &stress), expected);
    }
}
