//! The progress bar, also where standard error is a pipe to a terminal, as under a launcher.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// Redraws per second.
const RATE: u8 = 5;
/// Columns where nobody can be asked.
const WIDTH: u16 = 80;

/// A bar of `planned` frames or rows.
pub fn make(planned: u64, item: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr_with_hz(RATE)
    } else {
        ProgressDrawTarget::term_like_with_hz(Box::new(Piped), RATE)
    };
    let bar = ProgressBar::with_draw_target(Some(planned), target);
    let counts = "{bar:30} {percent:>3}% {human_pos}/{human_len}";
    let template = format!("{counts} {item}s {{per_sec}} ETA {{eta}} {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}

/// Standard error that leads to a terminal through a launcher: it is asked for nothing and told what ANSI
/// terminals understand (ECMA-48).
#[derive(Debug)]
struct Piped;

impl Piped {
    fn send(text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }
}

impl TermLike for Piped {
    fn width(&self) -> u16 {
        WIDTH
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        if n == 0 {
            Ok(())
        } else {
            Self::send(&format!("\x1b[{n}A"))
        }
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        if n == 0 {
            Ok(())
        } else {
            Self::send(&format!("\x1b[{n}B"))
        }
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        if n == 0 {
            Ok(())
        } else {
            Self::send(&format!("\x1b[{n}C"))
        }
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        if n == 0 {
            Ok(())
        } else {
            Self::send(&format!("\x1b[{n}D"))
        }
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        Self::send(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        Self::send(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        Self::send("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
