//! Rows of any shape as selections of a dataset's space.

use std::ops::Range;
use std::ptr::null_mut;

use hdf5::Dataset;
use hdf5_sys::h5::hsize_t;
use hdf5_sys::h5d::H5Dget_space;
use hdf5_sys::h5s::{
    H5S_SELECT_OR, H5S_SELECT_SET, H5Scopy, H5Screate_simple, H5Sget_simple_extent_dims,
    H5Sget_simple_extent_ndims, H5Smodify_select, H5Sselect_hyperslab, H5Sselect_none,
};

use crate::domain::error::Result;

use super::handle::{Handle, check};

/// The dataset's space with `rows` selected.
pub(super) fn select(dataset: &Dataset, rows: &[Range<u64>]) -> Result<Handle> {
    // SAFETY: the dataset is open as long as `dataset` lives.
    let space = Handle::space(unsafe { H5Dget_space(dataset.id()) })?;
    // SAFETY: the space is open; `dims` has room for its rank.
    let dims = unsafe {
        let rank = H5Sget_simple_extent_ndims(space.id);
        let mut dims = vec![0 as hsize_t; usize::try_from(rank).unwrap_or(0).max(1)];
        H5Sget_simple_extent_dims(space.id, dims.as_mut_ptr(), null_mut());
        dims
    };
    if rows.is_empty() {
        // SAFETY: the space is open.
        check(unsafe { H5Sselect_none(space.id) }, "empty selection")?;
        return Ok(space);
    }
    if let Some((stride, block)) = regular(rows) {
        slab(
            &space,
            &dims,
            rows[0].start,
            rows.len() as u64,
            stride,
            block,
        )?;
        return Ok(space);
    }
    union(&space, &dims, rows)
}

/// Stride and block when the runs are equally long and equally spaced: one strided hyperslab says it all.
fn regular(rows: &[Range<u64>]) -> Option<(u64, u64)> {
    let block = rows[0].end - rows[0].start;
    let stride = rows
        .get(1)
        .map_or(block, |second| second.start - rows[0].start);
    let even = rows.iter().all(|r| r.end - r.start == block)
        && rows.windows(2).all(|w| w[1].start - w[0].start == stride);
    even.then_some((stride.max(1), block))
}

/// Selects `count` blocks of `block` rows, `stride` apart.
fn slab(
    space: &Handle,
    dims: &[u64],
    start: u64,
    count: u64,
    stride: u64,
    block: u64,
) -> Result<()> {
    let rank = dims.len();
    let mut starts = vec![0; rank];
    let mut strides = vec![1; rank];
    let mut counts = vec![1; rank];
    let mut blocks = dims.to_vec();
    (starts[0], strides[0], counts[0], blocks[0]) = (start, stride, count, block);
    // SAFETY: the space is open and the four arrays have one entry per dimension.
    let code = unsafe {
        H5Sselect_hyperslab(
            space.id,
            H5S_SELECT_SET,
            starts.as_ptr(),
            strides.as_ptr(),
            counts.as_ptr(),
            blocks.as_ptr(),
        )
    };
    check(code, "row selection")
}

/// Selects irregular runs as a recursive union of halves: O(n log n), where adding run after run to one
/// selection is worse than quadratic.
fn union(space: &Handle, dims: &[u64], rows: &[Range<u64>]) -> Result<Handle> {
    // SAFETY: the space is open.
    let copy = Handle::space(unsafe { H5Scopy(space.id) })?;
    if let Some((stride, block)) = regular(rows) {
        slab(&copy, dims, rows[0].start, rows.len() as u64, stride, block)?;
        return Ok(copy);
    }
    let (left, right) = rows.split_at(rows.len() / 2);
    let left = union(&copy, dims, left)?;
    let right = union(&copy, dims, right)?;
    // SAFETY: both spaces are open, have the same extent and hyperslab selections.
    let code = unsafe { H5Smodify_select(left.id, H5S_SELECT_OR, right.id) };
    check(code, "row selection")?;
    Ok(left)
}

/// The space of so many elements in memory, none included.
pub(super) fn memory_space(elements: usize) -> Result<Handle> {
    let length = [elements.max(1) as hsize_t];
    // SAFETY: `length` has the one entry that rank 1 asks for.
    let space = Handle::space(unsafe { H5Screate_simple(1, length.as_ptr(), std::ptr::null()) })?;
    if elements == 0 {
        // SAFETY: the space is open.
        check(unsafe { H5Sselect_none(space.id) }, "empty selection")?;
    }
    Ok(space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_runs_are_recognised() {
        assert_eq!(regular(&[3..5]), Some((2, 2)));
        assert_eq!(regular(&[0..1, 7..8, 14..15]), Some((7, 1)));
        assert_eq!(regular(&[0..1, 7..8, 15..16]), None);
        assert_eq!(regular(&[0..2, 7..8]), None);
    }
}
