//! Memory that outlives the process, and what a dying process can still write into it.
//!
//! The handlers here run in a process that is about to die, perhaps with a broken heap or in the middle of a lock: they
//! use only atomic stores, `write`, `mmap` and `sigaction`, which POSIX or Linux allow there, and then hand the signal
//! on to whoever had it before (MPI prints a stack, the kernel ends the process), so that the launcher sees the death.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU};

use crate::adapters::mpi;
use crate::planning::suspects::EXIT;

use super::record::word;

/// Signals that a crashing engine raises.
const CRASHES: [c_int; 5] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGABRT,
];
/// Signals that ask to stop.
const STOPS: [c_int; 5] = [SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGXCPU];

/// Maps `bytes` of the file, shared with it, for the rest of the process's life.
pub fn map(file: &File, offset: u64, bytes: usize) -> std::io::Result<&'static [AtomicU64]> {
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a new mapping at a place the kernel chooses; it aliases nothing of this process.
    let place = unsafe { rustix::mm::mmap(null_mut(), bytes, protection, flags, file, offset)? };
    // SAFETY: the mapping is `bytes` long, page-aligned and never unmapped; other processes may change it, which
    // atomics allow. A page that is lost later (file cut, disk full) is replaced in `crashed`.
    Ok(unsafe { std::slice::from_raw_parts(place.cast::<AtomicU64>(), bytes / 8) })
}

thread_local! {
    /// The place of this thread's frame. Without a destructor and of constant begin: safe to read in a handler.
    static PLACE: Cell<Option<&'static [AtomicU64]>> = const { Cell::new(None) };
}

/// From now on the calling thread's crashes are of the frame in this place (frame plus one, mark).
pub fn bind(place: Option<&'static [AtomicU64]>) {
    if place.is_some() {
        need_stack_for_handlers();
    }
    PLACE.set(place);
}

/// Bytes of a stack for handlers: those of MPI print a trace of calls.
const STACK: usize = 256 << 10;

/// Gives the calling thread a stack for its handlers, kept for the rest of its life, unless it has one: its own may be what
/// has overflowed. The standard library sees to that only where it has a handler of its own for it, and not where a
/// library had one before it (UCX, below MPICH).
fn need_stack_for_handlers() {
    let mut now = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: a null stack only asks; `now` is a valid place for the answer.
    let asked = unsafe { libc::sigaltstack(null(), now.as_mut_ptr()) };
    // SAFETY: zeroed, which is a valid value, and filled where the call succeeded.
    let now = unsafe { now.assume_init() };
    if asked != 0 || now.ss_flags & libc::SS_DISABLE == 0 {
        return;
    }
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a new mapping at a place the kernel chooses.
    let place = unsafe { rustix::mm::mmap_anonymous(null_mut(), STACK, protection, flags) };
    // Without memory for it, a stack that overflows is a death without a word.
    let Ok(place) = place else { return };
    let stack = libc::stack_t {
        ss_sp: place,
        ss_flags: 0,
        ss_size: STACK,
    };
    // SAFETY: the mapping is as long as it says, is never unmapped and belongs to this thread alone.
    unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
}

/// What the handlers need; never changed.
struct Guard {
    words: &'static [AtomicU64],
    prefix: String,
    previous: [libc::sigaction; CRASHES.len()],
}

static GUARD: OnceLock<Guard> = OnceLock::new();

/// Installs the handlers; after `MPI_Init`, whose own are handed on to.
pub fn guard(words: &'static [AtomicU64], prefix: String) -> std::io::Result<()> {
    let mut previous = [MaybeUninit::<libc::sigaction>::zeroed(); CRASHES.len()];
    for (signal, old) in CRASHES.iter().zip(&mut previous) {
        // SAFETY: a null action only asks; `old` is a valid place for the answer.
        if unsafe { libc::sigaction(*signal, null(), old.as_mut_ptr()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    let guard = Guard {
        words,
        prefix,
        // SAFETY: zeroed, and filled by the successful calls above.
        previous: previous.map(|old| unsafe { old.assume_init() }),
    };
    if GUARD.set(guard).is_err() {
        return Err(std::io::Error::other("the journal is guarded already"));
    }
    for signal in CRASHES {
        // SAFETY: all-zero is a valid sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = crashed;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler has the type that SA_SIGINFO asks for and does only what may be done in one (see
        // there); GUARD is set.
        if unsafe { libc::sigaction(signal, &raw const action, null_mut()) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    for signal in STOPS {
        let asked = || {
            if let Some(guard) = GUARD.get() {
                guard.words[word::ASKED].store(1, Ordering::Release);
            }
        };
        // SAFETY: the action is a few atomic operations.
        unsafe { signal_hook::low_level::register(signal, asked)? };
    }
    // SAFETY: a function without arguments that lives as long as the process.
    if unsafe { libc::atexit(leaving) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Marks the calling thread's frame, if it has one in hand and it has no mark yet; says which. Handlers that are handed
/// a signal on may crash themselves, or abort.
fn mark(guard: &Guard, mark: u32) -> Option<u64> {
    let place = PLACE.get();
    if let Some([frame, marked]) = place
        && let Some(frame) = frame.load(Ordering::Relaxed).checked_sub(1)
    {
        let order = (Ordering::Release, Ordering::Relaxed);
        let first = marked.compare_exchange(0, u64::from(mark), order.0, order.1);
        return first.is_ok().then_some(frame);
    }
    // SAFETY: neither call has preconditions.
    let coordinator = unsafe { libc::syscall(libc::SYS_gettid) == i64::from(libc::getpid()) };
    if coordinator || place.is_some() {
        // Not the fault of a frame.
        guard.words[word::STATE].store(word::LEFT, Ordering::Release);
    } else if mark != EXIT {
        guard.words[word::STRAY].store(u64::from(mark), Ordering::Release);
    }
    None
}

extern "C" fn crashed(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(guard) = GUARD.get() else { return };
    // SAFETY: the kernel passes a valid siginfo to a handler with SA_SIGINFO.
    let (code, address, sender) = unsafe { ((*info).si_code, (*info).si_addr(), (*info).si_pid()) };
    let sent = code <= 0;
    if signal == libc::SIGBUS && !sent && replace(guard.words, address) {
        return;
    }
    // A signal that another process has sent says nothing of the frame.
    // SAFETY: no preconditions.
    if !sent || sender == unsafe { libc::getpid() } {
        let frame = mark(guard, signal as u32);
        if let Some(frame) = frame {
            tell(guard, frame, signal);
        }
    }
    let position = CRASHES.iter().position(|s| *s == signal).unwrap_or(0);
    let previous = &guard.previous[position];
    let handler = previous.sa_sigaction;
    if handler != libc::SIG_DFL && handler != libc::SIG_IGN {
        if previous.sa_flags & libc::SA_SIGINFO == 0 {
            // SAFETY: without SA_SIGINFO the stored value is a handler of one argument.
            let call: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            call(signal);
        } else {
            // SAFETY: with SA_SIGINFO the stored value is a handler of three arguments.
            let call: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            call(signal, info, context);
        }
        if !sent {
            // The instruction is tried again, with whatever handler is there now.
            return;
        }
    }
    // SAFETY: back to the default action, and once more, when this handler returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Puts ordinary memory in the place of a mapped journal that has lost its pages: the run goes on, without it.
fn replace(words: &'static [AtomicU64], address: *mut c_void) -> bool {
    let range = words.as_ptr_range();
    if !(range.start as usize..range.end as usize).contains(&(address as usize)) {
        return false;
    }
    let (protection, flags) = (
        ProtFlags::READ | ProtFlags::WRITE,
        MapFlags::PRIVATE | MapFlags::FIXED,
    );
    let (start, bytes) = (words.as_ptr().cast_mut().cast(), size_of_val(words));
    // SAFETY: exactly the pages of our own mapping, of which only atomics are in use, are replaced by zeros.
    unsafe { rustix::mm::mmap_anonymous(start, bytes, protection, flags).is_ok() }
}

/// One line on standard error, put together without memory from the heap.
fn tell(guard: &Guard, frame: u64, signal: c_int) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = frame;
    while at == digits.len() || rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let name: &[u8] = match signal {
        libc::SIGSEGV => b"SIGSEGV",
        libc::SIGBUS => b"SIGBUS",
        libc::SIGILL => b"SIGILL",
        libc::SIGFPE => b"SIGFPE",
        _ => b"SIGABRT",
    };
    let parts: [&[u8]; 6] = [
        b"error: ",
        guard.prefix.as_bytes(),
        b"the engine crashed (",
        name,
        b") with frame ",
        &digits[at..],
    ];
    let end: &[u8] =
        b" in hand; what was committed is safe, the same command goes on and computes it last\n";
    for part in parts.into_iter().chain([end]) {
        // SAFETY: pointer and length of one slice; `write` may be called in a handler.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
}

/// Runs at `exit`. An engine that calls it would have the libraries' own handlers close files together with ranks that
/// do not know: the job is aborted instead.
extern "C" fn leaving() {
    let Some(guard) = GUARD.get() else { return };
    if let Some(frame) = mark(guard, EXIT) {
        eprintln!(
            "error: {}the engine ended the process with frame {frame} in hand; what was committed is safe, the same command \
             goes on and computes it last",
            guard.prefix
        );
        mpi::abort_from_anywhere(1);
    }
}
