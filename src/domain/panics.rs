//! Panics of code that is not ours, a calculator's or a library's, cost what was asked of it and no more.

use std::any::Any;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

thread_local! {
    static GUARDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs foreign code; a panic comes back as its text. What the code was working on may be in any state then.
pub fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(code));
    GUARDED.set(before);
    result.map_err(|payload| text(payload.as_ref()))
}

fn text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or(payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

/// One line for a panic that nobody will catch: a defect of ours. `None` for one that is [`guarded`].
pub fn describe(panic: &PanicHookInfo<'_>) -> Option<String> {
    if GUARDED.get() {
        return None;
    }
    let place = panic
        .location()
        .map(|l| format!(" at {}:{}", l.file(), l.line()))
        .unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or("no message");
    Some(format!("internal error{place}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_as_its_text() {
        assert_eq!(guarded(|| 7), Ok(7));
        assert_eq!(guarded(|| panic!("plain")).unwrap_err(), "plain");
        assert_eq!(guarded(|| panic!("number {}", 3)).unwrap_err(), "number 3");
        let inner = guarded(|| guarded(|| panic!("inner")).unwrap_err());
        assert_eq!(inner.unwrap(), "inner");
        assert!(!GUARDED.get());
    }
}
