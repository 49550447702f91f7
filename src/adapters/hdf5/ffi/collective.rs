//! Collective transfers, and the question whether one really was collective.

use hdf5::Dataset;
use hdf5_sys::h5::herr_t;
use hdf5_sys::h5d::H5D_mpio_actual_io_mode_t;
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5p::{
    H5FD_mpio_xfer_t, H5P_CLS_DATASET_XFER, H5Pclose, H5Pcreate, H5Pset_dxpl_mpio,
};

use crate::domain::error::{Error, Result};

use super::handle::{Handle, check};

unsafe extern "C" {
    // In no -sys crate. HDF5 reference manual: H5Pget_mpio_actual_io_mode, H5Pget_mpio_no_collective_cause.
    fn H5Pget_mpio_actual_io_mode(plist: hid_t, mode: *mut H5D_mpio_actual_io_mode_t) -> herr_t;
    fn H5Pget_mpio_no_collective_cause(plist: hid_t, local: *mut u32, global: *mut u32) -> herr_t;
}

/// How rows travel to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// All ranks call together; the MPI-IO layer merges what they bring.
    Collective,
    /// Each rank for itself.
    Independent,
}

/// A property list for transfers.
pub(super) fn transfer_list(transfer: Transfer) -> Result<Handle> {
    // SAFETY: the class identifier is a global that the library sets when it is opened, which `sync` ensures.
    let id = unsafe { H5Pcreate(*H5P_CLS_DATASET_XFER) };
    let plist = Handle {
        id,
        close: H5Pclose,
    }
    .valid("transfer property list")?;
    if transfer == Transfer::Collective {
        // SAFETY: the list is open and of the transfer class.
        let code = unsafe { H5Pset_dxpl_mpio(plist.id, H5FD_mpio_xfer_t::H5FD_MPIO_COLLECTIVE) };
        check(code, "collective transfer")?;
    }
    Ok(plist)
}

/// "Asked for collective" is not "was collective": HDF5 falls back without a word.
pub(super) fn check_collective(dataset: &Dataset, plist: &Handle) -> Result<()> {
    let mut mode = H5D_mpio_actual_io_mode_t::H5D_MPIO_NO_COLLECTIVE;
    let (mut local, mut global) = (0u32, 0u32);
    // SAFETY: the list was used for the transfer just made; the three places are valid for writing.
    let code =
        unsafe {
            H5Pget_mpio_actual_io_mode(plist.id, &raw mut mode).min(
                H5Pget_mpio_no_collective_cause(plist.id, &raw mut local, &raw mut global),
            )
        };
    check(code, "asking HDF5 whether a write was collective")?;
    let collective = matches!(
        mode,
        H5D_mpio_actual_io_mode_t::H5D_MPIO_CONTIGUOUS_COLLECTIVE
            | H5D_mpio_actual_io_mode_t::H5D_MPIO_CHUNK_COLLECTIVE
    );
    if collective && global == 0 {
        return Ok(());
    }
    Err(Error::failure(format!(
        "the write of {} was not collective: {}; use --io independent if this is intended",
        dataset.name(),
        causes(local | global)
    )))
}

/// The bits of `H5Pget_mpio_no_collective_cause` in words (`H5D_mpio_no_collective_cause_t`).
fn causes(bits: u32) -> String {
    const WORDS: [&str; 9] = [
        "independent transfer was set",
        "the stored type differs from the type in memory",
        "data transforms are set",
        "HDF5_MPI_OPT_TYPES switches optimised MPI types off",
        "a dataspace is neither simple nor scalar",
        "the dataset is neither contiguous nor chunked",
        "filtered writes are not available in this HDF5",
        "an error occurred while the cause was looked for",
        "HDF5 did not use its selection I/O",
    ];
    let named: Vec<_> = WORDS
        .iter()
        .enumerate()
        .filter(|(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, word)| *word)
        .collect();
    if named.is_empty() {
        return "HDF5 gives no cause".into();
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_words() {
        assert_eq!(causes(0), "HDF5 gives no cause");
        assert_eq!(
            causes(1 | 64),
            "independent transfer was set, filtered writes are not available in this HDF5"
        );
    }
}
