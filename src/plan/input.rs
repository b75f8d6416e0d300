//! What a service is sent, and how that stands: data only, `input` does it.

/// The ways into an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// What it reads from.
    pub stdin: Stdin,
    /// The names of its streams: two-way fds from 3 on, in this order.
    pub streams: Vec<String>,
}

/// What a service's standard input is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// /dev/null.
    #[default]
    Null,
    /// A pipe that `lar ctl send` writes to; each process has its own.
    Pipe,
}

impl Input {
    /// The number of the way that is called `name`: 0 is `stdin`, then come the streams.
    pub fn way(&self, name: &str) -> Option<u32> {
        if name == "stdin" {
            return (self.stdin == Stdin::Pipe).then_some(0);
        }
        (1..).zip(&self.streams).find(|(_, known)| *known == name).map(|(number, _)| number)
    }

    /// Whether there is any way in.
    pub fn is_none(&self) -> bool {
        self.stdin == Stdin::Null && self.streams.is_empty()
    }
}

/// The variable in which a process finds the fd of a stream.
pub fn variable(stream: &str) -> String {
    format!("LAR_STREAM_{}", stream.to_ascii_uppercase().replace('-', "_"))
}

/// Whether a program can be sent anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// There is no process.
    Nobody,
    /// Yes.
    Open,
    /// It was told that nothing more comes.
    Finished,
    /// It reads no more.
    Refused,
}

/// How a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Tells the process from those before and after it.
    pub serial: u64,
    /// Whether it can be sent anything.
    pub door: Door,
    /// How many bytes were ever taken for this channel. Those that were dropped do not count.
    pub taken: u64,
    /// How many of them are with the program, or in its pipe.
    pub written: u64,
    /// How many more would be taken.
    pub room: usize,
}
