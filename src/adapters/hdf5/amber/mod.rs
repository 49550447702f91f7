//! `/AMBER`: the frames once more, as netCDF and AMBER's convention name them, so that OVITO opens the file.
//!
//! <https://ambermd.org/netcdf/nctraj.xhtml>. Positions, forces and species are hard links; only the cells, as lengths and
//! angles, are datasets of their own. The dimensions are dimension scales as netCDF makes them (HDF5 Dimension Scale
//! Specification 1.0), written without the high-level library of HDF5: what netCDF reads is `CLASS` and `NAME` of a scale
//! and `DIMENSION_LIST` of what uses it.
//!
//! AMBER keeps no directions: a is understood to lie along x, and b in the plane of x and y. A cell that lies otherwise would be
//! drawn across its atoms, so it is given as none.

mod ffi;

use ::hdf5::types::VarLenArray;
use ::hdf5::{Dataset, File, Group, ObjectReference1};

use crate::domain::cell::Cell;

use super::create::{group, zeroed};
use super::layout::{self, AMBER};

/// How far a vector may be from where AMBER has it, as a part of its length.
const UPRIGHT: f64 = 1e-6;

/// What a dimension without values is called.
fn nameless(length: usize) -> String {
    format!("This is a netCDF dimension but not a netCDF variable. {length:10}")
}

/// Lengths (Å) and angles (degrees) of cells, (F,3) each.
pub(super) struct Cells {
    pub(super) lengths: Dataset,
    pub(super) angles: Dataset,
}

impl Cells {
    /// Datasets of zeros: no cell.
    pub(super) fn create(file: &File, frames: usize) -> ::hdf5::Result<Self> {
        let amber = group(file, AMBER)?;
        Ok(Self {
            lengths: zeroed::<f64>(&amber, "cell_lengths", &[frames, 3])?,
            angles: zeroed::<f64>(&amber, "cell_angles", &[frames, 3])?,
        })
    }
}

/// Lengths of the vectors that repeat, 0 for the others, and the angles between them: alpha, beta, gamma. All zero where
/// AMBER has no words for the cell.
pub(super) fn parameters(cell: &Cell) -> ([f64; 3], [f64; 3]) {
    const NONE: ([f64; 3], [f64; 3]) = ([0.0; 3], [0.0; 3]);
    let norm = |v: &[f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut lengths = [0.0; 3];
    for (k, v) in cell.vectors.iter().enumerate() {
        if !cell.periodic[k] {
            continue;
        }
        lengths[k] = norm(v);
        let astray = v[k + 1..].iter().any(|x| x.abs() > UPRIGHT * lengths[k]);
        if v[k] <= 0.0 || astray {
            return NONE;
        }
    }
    if lengths == [0.0; 3] {
        return NONE;
    }
    let mut angles = [90.0; 3];
    for (k, angle) in angles.iter_mut().enumerate() {
        let (i, j) = ((k + 1) % 3, (k + 2) % 3);
        let product = lengths[i] * lengths[j];
        if product > 0.0 {
            let pairs = cell.vectors[i].iter().zip(&cell.vectors[j]);
            let cosine = pairs.map(|(x, y)| x * y).sum::<f64>() / product;
            *angle = cosine.clamp(-1.0, 1.0).acos().to_degrees();
        }
    }
    (lengths, angles)
}

/// Links what is in the file by now, and gives all of it its dimensions.
pub(super) fn link(file: &File, frames: usize, atoms: usize) -> ::hdf5::Result<()> {
    let amber = group(file, AMBER)?;
    ffi::write_text(&amber, "Conventions", "AMBER")?;
    ffi::write_text(&amber, "ConventionVersion", "1.0")?;
    for (name, length) in [
        ("frame", frames),
        ("atom", atoms),
        ("spatial", 3),
        ("cell_spatial", 3),
        ("cell_angular", 3),
    ] {
        // Nobody reads the values.
        let scale = zeroed::<f32>(&amber, name, &[length])?;
        ffi::write_text(&scale, "CLASS", "DIMENSION_SCALE")?;
        ffi::write_text(&scale, "NAME", &nameless(length))?;
    }
    for (name, path) in [
        ("coordinates", layout::POSITION),
        ("forces", layout::FORCES),
        ("atom_types", layout::SPECIES),
    ] {
        amber.link_hard(&format!("{path}/value"), name)?;
    }
    for (name, dimensions) in [
        ("coordinates", &["frame", "atom", "spatial"][..]),
        ("forces", &["frame", "atom", "spatial"]),
        ("atom_types", &["frame", "atom"]),
        ("cell_lengths", &["frame", "cell_spatial"]),
        ("cell_angles", &["frame", "cell_angular"]),
    ] {
        attach(file, &amber, name, dimensions)?;
    }
    Ok(())
}

fn attach(file: &File, amber: &Group, name: &str, dimensions: &[&str]) -> ::hdf5::Result<()> {
    let mut scales = Vec::new();
    for dimension in dimensions {
        let scale = file.reference::<ObjectReference1>(&format!("{AMBER}/{dimension}"))?;
        scales.push(VarLenArray::from_slice(&[scale]));
    }
    amber
        .dataset(name)?
        .new_attr::<VarLenArray<ObjectReference1>>()
        .shape(scales.len())
        .create("DIMENSION_LIST")?
        .write_raw(&scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(vectors: [[f64; 3]; 3], periodic: [bool; 3]) -> ([f64; 3], [f64; 3]) {
        parameters(&Cell { vectors, periodic })
    }

    #[test]
    fn cells_are_lengths_and_angles_where_amber_has_words_for_them() {
        let hexagonal = [
            [3.0, 0.0, 0.0],
            [-1.5, 1.5 * 3f64.sqrt(), 0.0],
            [0.0, 0.0, 5.0],
        ];
        let (lengths, angles) = of(hexagonal, [true; 3]);
        for (found, expected) in lengths
            .iter()
            .chain(&angles)
            .zip([3.0, 3.0, 5.0, 90.0, 90.0, 120.0])
        {
            assert!((found - expected).abs() < 1e-12, "{lengths:?} {angles:?}");
        }
        let slab = of(hexagonal, [true, true, false]);
        assert_eq!((slab.0[2], slab.1[0], slab.1[1]), (0.0, 90.0, 90.0));
        assert_eq!(of(hexagonal, [false; 3]), ([0.0; 3], [0.0; 3]));
        let turned = [[0.0, 3.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 5.0]];
        assert_eq!(of(turned, [true; 3]), ([0.0; 3], [0.0; 3]));
        let left_handed = [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, -5.0]];
        assert_eq!(of(left_handed, [true; 3]), ([0.0; 3], [0.0; 3]));
    }
}
