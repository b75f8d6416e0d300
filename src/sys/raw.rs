//! A terminal that hands over each key as it is pressed, for a line editor; and how wide it is.

use std::sync::{Mutex, Once, PoisonError};

use crate::exit::Errno;
use crate::sys::checked;

/// How the terminal was before. A panic aborts, and then nothing but a hook can put it right.
static BEFORE: Mutex<Option<libc::termios>> = Mutex::new(None);

/// Standard input without line editing, echo and signal keys, until this is dropped.
pub struct Raw(());

impl Raw {
    /// Takes the terminal over. ENOTTY if standard input is none.
    pub fn enter() -> Result<Raw, Errno> {
        // SAFETY: termios is plain data, for which all zeros is a value.
        let mut state: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the call writes one termios to `state`.
        checked(unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut state) })?;
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                usual(panic);
            }));
        });
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        // Output is left as it is: a newline goes on meaning a new line.
        state.c_iflag &= !(libc::BRKINT | libc::ICRNL | libc::INLCR | libc::ISTRIP | libc::IXON);
        state.c_lflag &= !(libc::ECHO | libc::ICANON | libc::IEXTEN | libc::ISIG);
        state.c_cc[libc::VMIN] = 1;
        state.c_cc[libc::VTIME] = 0;
        set(&state)?;
        Ok(Raw(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was.
fn restore() {
    if let Some(state) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that has gone needs nothing any more.
        let _ = set(&state);
    }
}

/// What was typed ahead is kept.
fn set(state: &libc::termios) -> Result<(), Errno> {
    // SAFETY: the call reads one termios, which lives until it returns.
    checked(unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, state) }).map(drop)
}

/// The columns of the terminal at standard output; 80 if it does not say.
pub fn columns() -> usize {
    // SAFETY: winsize is plain data, for which all zeros is a value.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ writes one winsize to `size`.
    let asked = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    match checked(asked) {
        Ok(_) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => 80,
    }
}
