//! Memory that the processes of a node share: a file of which each has mapped the whole.

use std::fs::File;
use std::ops::Range;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// One stretch of memory that all ranks of a node see: a slot for each of them, and behind the slots the data.
#[derive(Debug)]
pub struct Window {
    base: *mut AtomicU64,
    slot: usize,
    ranks: usize,
    data: usize,
}

impl Window {
    /// Bytes of a window with slots of `slot` numbers for `ranks` ranks and `data` bytes for all of them together.
    pub fn bytes(ranks: usize, slot: usize, data: usize) -> usize {
        ranks * slot * size_of::<AtomicU64>() + data
    }

    /// Maps `file`, which has as many [`bytes`](Self::bytes) on reserved space: so that no access finds the disk full, which
    /// would be a bus error.
    pub fn map(file: &File, ranks: usize, slot: usize, data: usize) -> std::io::Result<Self> {
        let bytes = Self::bytes(ranks, slot, data);
        if file.metadata()?.len() < bytes as u64 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at a place of the system's choice; the file has the length that is mapped (checked above), and
        // nobody shortens it: it loses its name once all ranks have opened it.
        let base = unsafe { mmap(ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0)? };
        Ok(Self {
            // Mappings begin at pages.
            base: base.cast(),
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
        // SAFETY: the slots are the first `ranks * slot` numbers of the memory, which is aligned and lives as long as the
        // window; whoever writes them does it with atomic operations.
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
}

impl Drop for Window {
    fn drop(&mut self) {
        let bytes = Self::bytes(self.ranks, self.slot, self.data);
        // SAFETY: mapped by `map` with this length; slices of the memory borrow `self`. That it fails is not possible then.
        let _ = unsafe { munmap(self.base.cast(), bytes) };
    }
}
