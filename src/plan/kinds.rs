//! What can happen to a service: the words of `ctl events --kind` and of `<on …>`.
//!
//! One happening may be of several kinds: a process ends, and its service rests because it flaps. A kind is here
//! exactly if it happens.

use super::{Label, Standing};

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $word:literal [$($field:ident)*];)*) => {
        /// A kind of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum EventKind { $($(#[doc = $doc])+ $kind,)* }

        impl EventKind {
            /// Every kind, in the order in which one record names its own.
            pub const ALL: &[EventKind] = &[$(EventKind::$kind,)*];

            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self { $(EventKind::$kind => $word,)* }
            }

            /// When it happens, in one line.
            pub const fn about(self) -> &'static str {
                match self { $(EventKind::$kind => concat!($($doc),+).trim_ascii_start(),)* }
            }

            /// What its record holds besides what all have.
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(EventKind::$kind => &[$(stringify!($field),)*],)* }
            }
        }
    };
}

kinds! {
    /// an instance is new: by `add`, `scale` or `apply`
    Created "created" [];
    /// an instance has another configuration
    Updated "updated" [];
    /// its process was sent a signal, by an operator or on its stop ladder
    Signalled "signalled" [pid signal];
    /// its process runs
    Spawned "spawned" [pid];
    /// its process has ended, however
    Exited "exited" [pid exit_code signal core life_ms];
    /// what that left of its process group is gone, too
    Reaped "reaped" [];
    /// it was asked, or said itself, that it is ready; with the key `ready` only
    Ready "ready" [pid];
    /// it died too often within a while: it rests, or was given up on
    Flapping "flapping" [];
    /// it died, and its rules say: not again
    GaveUp "gave-up" [];
    /// it is stopped in order to be started again
    Restarting "restarting" [pid];
    /// the manager ends and leaves it running
    Left "left" [pid];
    /// it is in state `waiting` now
    Waiting "waiting" [];
    /// it is in state `starting` now
    Starting "starting" [];
    /// it is in state `running` now
    Running "running" [pid];
    /// it is in state `unhealthy` now: it runs, but too many answers in a row were bad
    Unhealthy "unhealthy" [pid];
    /// it is in state `stopping` now
    Stopping "stopping" [pid];
    /// it is in state `backoff` now
    Backoff "backoff" [next_ms];
    /// it is in state `cooldown` now
    Cooldown "cooldown" [next_ms];
    /// it is in state `exited` now: its work is done, or its rules leave it
    Finished "finished" [];
    /// it is in state `failed` now
    Failed "failed" [];
    /// it is in state `stopped` now
    Stopped "stopped" [];
    /// an instance is no more: by `remove`, `scale` or `apply`
    Removed "removed" [];
}

impl EventKind {
    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<EventKind> {
        EventKind::ALL.iter().copied().find(|kind| kind.word().eq_ignore_ascii_case(word))
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u32);

const _: () = assert!(EventKind::ALL.len() <= u32::BITS as usize);

impl Kinds {
    /// No kind.
    pub const NONE: Kinds = Kinds(0);

    /// Every kind.
    pub const ALL: Kinds = Kinds(u32::MAX >> (u32::BITS as usize - EventKind::ALL.len()));

    /// Only this one.
    pub const fn of(kind: EventKind) -> Kinds {
        Kinds(1 << kind as u32)
    }

    /// These, and `kind`.
    #[must_use]
    pub const fn with(self, kind: EventKind) -> Kinds {
        Kinds(self.0 | Kinds::of(kind).0)
    }

    /// These, and `kind` if that `holds`.
    #[must_use]
    pub const fn with_if(self, holds: bool, kind: EventKind) -> Kinds {
        if holds { self.with(kind) } else { self }
    }

    /// Whether it is one of them.
    pub const fn has(self, kind: EventKind) -> bool {
        self.0 & Kinds::of(kind).0 != 0
    }

    /// Whether both have one in common.
    pub const fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = EventKind> {
        EventKind::ALL.iter().copied().filter(move |&kind| self.has(kind))
    }
}

/// `exited,reaped,backoff`.
impl core::fmt::Display for Kinds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (at, kind) in self.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            f.write_str(kind.word())?;
        }
        Ok(())
    }
}

/// Whom an event is to be about, as a name says it: `web`, `web@2`, `shop:*`, `all`. Unlike a list of instances it
/// also speaks of those to come. Case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Everybody.
    All,
    /// Every service of this group.
    Group(String),
    /// Every instance of this service.
    Service(String),
    /// This one, and its successor.
    Instance(String, u32),
    /// This run beside them.
    Run(String, u32),
}

impl Whom {
    /// Reads a name.
    pub fn read(name: &str) -> Whom {
        if name.eq_ignore_ascii_case("all") {
            return Whom::All;
        }
        if let Some(group) = name.strip_suffix(":*") {
            return Whom::Group(group.to_owned());
        }
        let numbered = |name: &str, sign: char| {
            let (name, number) = name.rsplit_once(sign)?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        if let Some((name, number)) = numbered(name, '+') {
            return Whom::Run(name, number);
        }
        let beside = [Label::NEXT, Label::OLD].into_iter().find_map(|tail| name.strip_suffix(tail));
        match numbered(beside.unwrap_or(name), '@') {
            Some((name, number)) => Whom::Instance(name, number),
            None => Whom::Service(name.to_owned()),
        }
    }

    /// Whether it is about this service, or about one of its instances.
    pub fn names(&self, service: &str) -> bool {
        match self {
            Whom::All => true,
            Whom::Group(group) => {
                service.split_once(':').is_some_and(|(own, _)| own.eq_ignore_ascii_case(group))
            }
            Whom::Service(name) | Whom::Instance(name, _) | Whom::Run(name, _) => {
                name.eq_ignore_ascii_case(service)
            }
        }
    }

    /// Whether it means this one.
    pub fn means(&self, label: &Label) -> bool {
        let run = label.standing == Standing::Run;
        self.names(label.service)
            && match self {
                Whom::All | Whom::Group(_) | Whom::Service(_) => true,
                Whom::Instance(_, number) => !run && *number == label.number,
                Whom::Run(_, number) => run && *number == label.number,
            }
    }
}

/// `web@2`.
impl core::fmt::Display for Whom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Whom::All => f.write_str("all"),
            Whom::Group(group) => write!(f, "{group}:*"),
            Whom::Service(name) => f.write_str(name),
            Whom::Instance(name, number) => write!(f, "{name}@{number}"),
            Whom::Run(name, number) => write!(f, "{name}+{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_knows_its_members_and_names_them_in_order() {
        let set = Kinds::of(EventKind::Backoff).with(EventKind::Exited);
        assert_eq!(set.to_string(), "exited,backoff");
        assert!(set.has(EventKind::Exited) && !set.has(EventKind::Removed));
        assert!(set.meets(Kinds::ALL) && !set.meets(Kinds::of(EventKind::Stopped)));
        assert_eq!(Kinds::ALL.iter().count(), EventKind::ALL.len());
        for &kind in EventKind::ALL {
            assert_eq!(EventKind::from_word(kind.word()), Some(kind));
        }
    }

    #[test]
    fn a_name_means_those_to_come_too() {
        fn label(service: &str, number: u32, standing: Standing) -> Label<'_> {
            Label { service, number, several: true, standing }
        }
        let means = |name: &str, service: &str, number| {
            Whom::read(name).means(&label(service, number, Standing::Regular))
        };
        assert!(means("shop:*", "Shop:web", 7) && !means("shop:*", "shop", 1));
        assert!(means("WEB", "web", 2) && !means("web", "webs", 1));
        assert!(means("web@2", "web", 2) && !means("web@2", "web", 1));
        assert!(means("all", "anything", 1));
        let run = label("web", 2, Standing::Run);
        let meant = |name: &&str| Whom::read(name).means(&run);
        let names = ["web", "web+2", "web@2", "web+1"];
        assert_eq!(names.iter().filter(|name| meant(name)).collect::<Vec<_>>(), [&"web", &"web+2"]);
        let next = label("web", 2, Standing::Next);
        assert!(Whom::read("web@2").means(&next) && Whom::read("web@2/next").means(&next));
        for name in ["all", "shop:*", "web", "shop:web@3", "web+3"] {
            assert_eq!(Whom::read(name).to_string(), name);
        }
    }
}
