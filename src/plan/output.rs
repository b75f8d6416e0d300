//! What happens to what a service writes: data only, `output` does it.

/// How an instance's output is treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `[web@2] ` before each line; `None`: yes on stdout, no in files.
    pub prefix: Option<bool>,
    /// Whether the prefix has a colour on a terminal: each instance its own.
    pub colour: bool,
    /// A time before each line, in this format (strftime's words, UTC).
    pub timestamp: Option<String>,
    /// Text, or one JSON object a line.
    pub format: Format,
    /// When a file is put aside.
    pub rotate: Option<Rotate>,
    /// How many of the latest bytes are kept for `ctl logs`; 0 keeps none.
    pub ring: u32,
    /// What happens when the target takes no more.
    pub on_full: OnFull,
}

impl Default for Output {
    fn default() -> Output {
        Output {
            prefix: None,
            colour: false,
            timestamp: None,
            format: Format::Text,
            rotate: None,
            ring: 16 * 1024,
            on_full: OnFull::Drop,
        }
    }
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// As the manager runs: [`Target::Stdout`] in the foreground, else [`Target::None`].
    #[default]
    Default,
    /// A file, opened for appending.
    File(String),
    /// lar's own standard output.
    Stdout,
    /// The process gets lar's own fd; lar sees nothing of it.
    Inherit,
    /// Nowhere; the ring is kept.
    None,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As they are.
    Text,
    /// One JSON object each.
    Json,
}

/// `rotate SIZE keep N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// The size in bytes at which a file is put aside.
    pub size: u64,
    /// How many old files are kept.
    pub keep: u32,
}

/// What happens when the target takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Bytes are dropped and counted.
    Drop,
    /// The service is held back.
    Block,
}
