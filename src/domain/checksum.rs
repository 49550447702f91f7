//! The checksum that tells whether a frame's results on disk are the ones that were computed.

use xxhash_rust::xxh3::Xxh3;

/// XXH3-64 over the little-endian bytes of energy, forces (row by row) and stress (row by row), in this order,
/// exactly as they are stored (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).
pub fn checksum(energy: f64, forces: &[[f64; 3]], stress: &[[f64; 3]; 3]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&energy.to_le_bytes());
    for row in forces.iter().chain(stress) {
        let mut bytes = [0u8; 24];
        for (chunk, x) in bytes.chunks_exact_mut(8).zip(row) {
            chunk.copy_from_slice(&x.to_le_bytes());
        }
        hash.update(&bytes);
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_plain_bytes_and_sees_every_bit() {
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
