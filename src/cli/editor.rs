//! A small line editor for the two shells: cursor keys, history and completion on a terminal; plain lines from
//! anything else.
//!
//! The terminal is taken over only while a line is typed, and given back whatever ends that: a key, the terminal's
//! end, a signal. A character is one column here, so wide ones put the cursor beside its place.

mod buffer;
mod keys;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use buffer::{Buffer, History};
use keys::{Decoder, Key};

use crate::signal::Signal;
use crate::sys::ear::{self, Ear, Heard};
use crate::sys::raw::{self, Raw};

/// What has been typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C: the line is not wanted.
    Cancelled,
    /// Ctrl-D on an empty line, or the end of the input.
    End,
}

/// For the text before the cursor: what its last word may become.
pub type Complete<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// Reads lines, and remembers them.
#[derive(Debug, Default)]
pub struct Editor {
    history: History,
}

/// What happens to the line.
enum Step {
    Key(Key),
    /// The terminal is another one now: it has another width, or was used by others meanwhile.
    Redraw {
        again: bool,
    },
    /// A signal that ends lar, once the terminal is given back.
    Die(Signal),
    End,
}

impl Editor {
    /// Without a history.
    pub fn new() -> Editor {
        Editor::default()
    }

    /// The next line of standard input. EIO and the like, if it can't be read.
    pub fn read(&mut self, prompt: &str, complete: Complete) -> io::Result<Typed> {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return plain(prompt);
        }
        let typed = self.edit(prompt, complete);
        if let Ok(Typed::Line(line)) = &typed {
            self.history.keep(line);
        }
        typed
    }

    fn edit(&mut self, prompt: &str, complete: Complete) -> io::Result<Typed> {
        use Signal as S;
        let mut buffer = Buffer::default();
        let mut decoder = Decoder::default();
        self.history.begin();
        ear::outlive(S::INT).map_err(raised)?;
        let heard = [S::TERM, S::HUP, S::INT, S::QUIT, S::WINCH, S::CONT];
        // From here on no signal ends lar before the terminal is given back.
        let mut ear = Ear::open(&heard).map_err(raised)?;
        let mut terminal = Terminal::enter(prompt)?;
        loop {
            terminal.draw(&buffer)?;
            let key = match step(&mut ear, &mut decoder)? {
                None => continue,
                Some(Step::Key(key)) => key,
                Some(Step::Redraw { again }) => {
                    if again {
                        terminal.again()?;
                    }
                    continue;
                }
                Some(Step::Die(signal)) => {
                    drop((terminal, ear));
                    raise(signal);
                    return Ok(Typed::End);
                }
                Some(Step::End) => return terminal.leave("", Typed::End),
            };
            match key {
                Key::Enter => {
                    let line = buffer.line();
                    buffer.press(Key::End);
                    terminal.draw(&buffer)?;
                    return terminal.leave("\n", Typed::Line(line));
                }
                Key::Cancel => return terminal.leave("^C\n", Typed::Cancelled),
                Key::DeleteOrEnd if buffer.is_empty() => return terminal.leave("", Typed::End),
                Key::Suspend => {
                    terminal.give_back();
                    raise(Signal::TSTP);
                    terminal.again()?;
                }
                Key::Redraw => terminal.clear()?,
                Key::Up => buffer = self.history.up(buffer.line()).unwrap_or(buffer),
                Key::Down => buffer = self.history.down().unwrap_or(buffer),
                Key::Complete => {
                    let choice = expand(&mut buffer, complete);
                    if !choice.is_empty() {
                        terminal.list(&choice)?;
                    }
                }
                key => buffer.press(key),
            }
        }
    }
}

/// Puts in what is sure about the last word; if that is nothing, what it may become.
fn expand(buffer: &mut Buffer, complete: Complete) -> Vec<String> {
    let before = buffer.before();
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let mut choices = complete(&before);
    choices.retain(|choice| choice.starts_with(word));
    let Some(first) = choices.first() else { return choices };
    let common = choices.iter().fold(first.as_str(), |common, choice| {
        let same = common.char_indices().zip(choice.chars()).find(|((_, a), b)| a != b);
        &common[..same.map_or(common.len().min(choice.len()), |((at, _), _)| at)]
    });
    let rest = common[word.len()..].to_owned();
    match (choices.len(), rest.is_empty()) {
        (1, _) => buffer.insert(&format!("{rest} ")),
        (_, false) => buffer.insert(&rest),
        (_, true) => return choices,
    }
    Vec::new()
}

/// The next thing that happens; `None`: a part of a key.
fn step(ear: &mut Ear, decoder: &mut Decoder) -> io::Result<Option<Step>> {
    let stdin = io::stdin();
    match ear.wait(Some(stdin.as_fd()), None).map_err(raised)? {
        Heard::Signal(heard) => Ok(Some(match heard.signal {
            Signal::WINCH => Step::Redraw { again: false },
            Signal::CONT => Step::Redraw { again: true },
            Signal::INT => Step::Key(Key::Cancel),
            signal => Step::Die(signal),
        })),
        Heard::Silence => Ok(None),
        Heard::Ready => Ok(match byte()? {
            None => Some(Step::End),
            Some(byte) => decoder.feed(byte).map(Step::Key),
        }),
    }
}

/// One byte and no more: what comes behind the line belongs to whatever the line starts.
fn byte() -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match nix::unistd::read(io::stdin(), &mut byte) {
            Ok(0) | Err(nix::errno::Errno::EIO) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A line from something that is no terminal.
fn plain(prompt: &str) -> io::Result<Typed> {
    write(prompt)?;
    let mut line = Vec::new();
    loop {
        match byte()? {
            None if line.is_empty() => return Ok(Typed::End),
            None | Some(b'\n') => {
                return Ok(Typed::Line(String::from_utf8_lossy(&line).into_owned()));
            }
            Some(byte) => line.push(byte),
        }
    }
}

/// The terminal while it is ours.
struct Terminal<'a> {
    raw: Option<Raw>,
    prompt: &'a str,
}

impl Terminal<'_> {
    fn enter(prompt: &str) -> io::Result<Terminal<'_>> {
        Ok(Terminal { raw: Some(Raw::enter().map_err(raised)?), prompt })
    }

    /// Takes it over once more.
    fn again(&mut self) -> io::Result<()> {
        self.give_back();
        self.raw = Some(Raw::enter().map_err(raised)?);
        Ok(())
    }

    fn give_back(&mut self) {
        self.raw = None;
    }

    /// Shows the line in one row of the terminal, with the cursor in its place.
    fn draw(&self, buffer: &Buffer) -> io::Result<()> {
        let prompt = self.prompt.chars().count();
        // The last column is left free: a cursor behind it would be in the next row.
        let (shown, cursor) = buffer.window(raw::columns().saturating_sub(prompt + 1));
        let column = prompt + cursor;
        write(&format!("\r\x1b[K{}{shown}", self.prompt))?;
        match column < prompt + shown.chars().count() {
            true => write(&format!("\r\x1b[{column}C")),
            // The prompt is the last thing that is shown, for those who wait for it.
            false => Ok(()),
        }
    }

    fn clear(&self) -> io::Result<()> {
        write("\x1b[H\x1b[2J")
    }

    /// Shows what may be meant, below the line.
    fn list(&self, choices: &[String]) -> io::Result<()> {
        write(&format!("\r\n{}\n", choices.join("  ")))
    }

    /// Only a terminal that has been given back takes Ctrl-C for a signal, so that comes before the line's end.
    fn leave(mut self, text: &str, typed: Typed) -> io::Result<Typed> {
        self.give_back();
        write(text)?;
        Ok(typed)
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn raised(errno: crate::exit::Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.0)
}

/// Does to lar what the signal does to everybody.
fn raise(signal: Signal) {
    if let Ok(signal) = nix::sys::signal::Signal::try_from(signal.number()) {
        let _ = nix::sys::signal::raise(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, choices: &[&str]) -> (String, Vec<String>) {
        let mut buffer = Buffer::of(text);
        let complete = |_: &str| choices.iter().map(|choice| choice.to_string()).collect();
        let left = expand(&mut buffer, &complete);
        (buffer.line(), left)
    }

    #[test]
    fn completion_puts_in_what_is_sure() {
        let commands = ["start", "status", "stop"];
        assert_eq!(after("r", &["restart"]), ("restart ".into(), vec![]));
        assert_eq!(after("s", &commands), ("st".into(), vec![]));
        assert_eq!(after("st", &commands).1, commands);
        assert_eq!(after("sta", &commands[..2]).1.len(), 2);
        assert_eq!(after("show p", &["python"]), ("show python ".into(), vec![]));
        assert_eq!(after("x", &["restart"]), ("x".into(), vec![]));
        assert_eq!(after("é", &["éa", "éb"]).1.len(), 2);
    }
}
