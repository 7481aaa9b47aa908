//! `print!` and its like for this crate, in place of those of the standard library, which panic where nobody reads any
//! more: under `| head` a run must still end as it would have ended.

use std::fmt;
use std::io::{ErrorKind, Write};

macro_rules! print {
    ($($text:tt)*) => { $crate::print::to(std::io::stdout(), format_args!($($text)*)) };
}

macro_rules! println {
    ($($text:tt)*) => { $crate::print::to(std::io::stdout(), format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::print::to(std::io::stderr(), format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes a text. Where it cannot be written, all but a reader that went away is told, if it can be.
pub(crate) fn to(mut out: impl Write, text: fmt::Arguments<'_>) {
    // Lines must not be torn by those of other processes, so each goes out in one piece.
    match out.write_all(text.to_string().as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "warning  what was to be said could not be written: {error}");
        }
        _ => {}
    }
}
