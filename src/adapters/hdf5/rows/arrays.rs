//! Arrays that parameters name: `FILE.h5:DATASET`, or `DATASET` of the input.

use std::path::{Path, PathBuf};

use crate::domain::kernel::{Array, Arrays, Element};

use super::{RowInput, ffi};

/// Arrays beside the one that is mapped.
#[derive(Clone, Debug)]
pub struct BesideInput {
    /// The input.
    pub input: PathBuf,
}

/// An array that is larger is not what a parameter is for.
const MOST_BYTES: usize = 1 << 30;

impl Arrays for BesideInput {
    fn load(&self, place: &str) -> Result<Array, String> {
        let (file, name) = match place.split_once(':') {
            Some((file, name)) => (Path::new(file), name),
            None => (self.input.as_path(), place),
        };
        let mut input = RowInput::open(file, name).map_err(|e| e.to_string())?;
        let element = Element::widest(input.stored());
        input.hand_over_as(element).map_err(|e| e.to_string())?;
        let bytes = input.row_bytes() * input.rows() as usize;
        if bytes > MOST_BYTES {
            return Err(format!(
                "{place} takes {bytes} bytes: too large for a parameter"
            ));
        }
        let mut words = vec![0u64; bytes.div_ceil(8)];
        let all = 0..input.rows();
        let into = zerocopy::IntoBytes::as_mut_bytes(&mut words[..]);
        ffi::read_bytes(
            &input.dataset,
            &[all],
            (&input.memory.1, &mut into[..bytes]),
        )
        .map_err(|e| e.to_string())?;
        Ok(Array {
            shape: input.dataset.shape(),
            complex: element.is_complex(),
            values: words.into_iter().map(f64::from_bits).collect(),
        })
    }
}
