//! Memory that the ranks of a node share.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU64;

use mpi::topology::SimpleCommunicator;
use mpi::traits::{AsRaw, Communicator};
use mpi_sys::{MPI_Aint, MPI_Win};

/// One stretch of memory that all ranks of a node see: a slot for each of them, and behind the slots the data.
#[derive(Debug)]
pub struct Window {
    raw: MPI_Win,
    base: *mut AtomicU64,
    slot: usize,
    ranks: usize,
    data: usize,
}

impl Window {
    /// Slots of `slot` numbers and `data` bytes for all ranks together. Collective over `node`, whose ranks share memory;
    /// the sizes are the same on all. `None` where MPI has no such memory.
    pub fn allocate(node: &SimpleCommunicator, slot: usize, data: usize) -> Option<Self> {
        let ranks = node.size() as usize;
        let bytes = match node.rank() {
            0 => ranks * slot * size_of::<AtomicU64>() + data,
            _ => 0,
        };
        let mut base: *mut c_void = ptr::null_mut();
        // SAFETY: the communicator is alive; an error of it is to be an answer, not the end of the job.
        unsafe { mpi_sys::MPI_Comm_set_errhandler(node.as_raw(), mpi_sys::RSMPI_ERRORS_RETURN) };
        // SAFETY: reading a constant that the MPI headers define.
        let mut raw = unsafe { mpi_sys::RSMPI_WIN_NULL };
        // SAFETY: the communicator is alive and its ranks share memory; both places are valid for writing.
        let code = unsafe {
            mpi_sys::MPI_Win_allocate_shared(
                bytes as MPI_Aint,
                1,
                mpi_sys::RSMPI_INFO_NULL,
                node.as_raw(),
                (&raw mut base).cast(),
                &raw mut raw,
            )
        };
        if code != 0 {
            return None;
        }
        let (mut size, mut unit) = (0 as MPI_Aint, 0 as c_int);
        // SAFETY: the window was just made, all of it by rank 0; the places are valid. An epoch of passive access then lasts
        // as long as the window.
        unsafe {
            mpi_sys::MPI_Win_shared_query(
                raw,
                0,
                &raw mut size,
                &raw mut unit,
                (&raw mut base).cast(),
            );
            mpi_sys::MPI_Win_lock_all(mpi_sys::MPI_MODE_NOCHECK as c_int, raw);
        }
        let base: *mut AtomicU64 = base.cast();
        base.is_aligned().then_some(Self {
            raw,
            base,
            slot,
            ranks,
            data,
        })
    }

    /// Bytes of the data of all ranks together.
    pub fn capacity(&self) -> usize {
        self.data
    }

    /// The numbers of a rank, which all may read and write; the barriers of the node say who does when.
    pub fn slot(&self, rank: usize) -> &[AtomicU64] {
        assert!(rank < self.ranks);
        // SAFETY: the slots are the first `ranks * slot` numbers of the memory, which is aligned (checked when it was made)
        // and lives as long as the window; whoever writes them does it with atomic operations.
        unsafe { slice::from_raw_parts(self.base.add(rank * self.slot), self.slot) }
    }

    fn place(&self, at: usize, length: usize) -> *mut u8 {
        assert!(at.checked_add(length).is_some_and(|end| end <= self.data));
        // SAFETY: the data are behind the slots, and the place is within them, as just checked.
        unsafe { self.base.add(self.ranks * self.slot).cast::<u8>().add(at) }
    }

    /// Puts bytes into the data at `at`: a place that the protocol of the node gives to this rank alone, while nobody
    /// reads it.
    pub fn put(&self, at: usize, bytes: &[u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: the place has room for them (checked there), nobody else uses it now, and `bytes` are elsewhere: slices of
        // the data are made by `data` alone, whose readers do not put.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) }
    }

    /// Bytes of the data, between two barriers in which nobody puts any.
    pub fn data(&self, range: Range<usize>) -> &[u8] {
        let place = self.place(range.start, range.len());
        // SAFETY: the place is within the data (checked there), which live as long as the window; by the protocol of the
        // node nobody writes them now.
        unsafe { slice::from_raw_parts(place, range.len()) }
    }

    /// Gives the memory back. Collective over the node.
    pub fn free(mut self) {
        // SAFETY: the epoch of `allocate` ends, then the window; slices of its memory borrow `self`.
        unsafe {
            mpi_sys::MPI_Win_unlock_all(self.raw);
            mpi_sys::MPI_Win_free(&raw mut self.raw);
        }
    }

    /// Before and after a barrier: what was written on one side of it is read on the other (MPI-4.0, 12.7).
    pub fn settle(&self) {
        // SAFETY: the window is open and within an epoch.
        unsafe { mpi_sys::MPI_Win_sync(self.raw) };
    }
}
