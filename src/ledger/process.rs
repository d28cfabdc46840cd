//! Whether the process that was to move the refs still runs: as long as it does, what has not happened may
//! happen yet.

use std::fmt;

/// A process of this machine, told from others that get the same number later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    number: u32,
    /// When it began, in ticks since the machine did (proc(5), `/proc/pid/stat`, field 22).
    start: u64,
    /// The namespace in which the number counts (`/proc/self/ns/pid`).
    namespace: u64,
}

impl fmt::Display for Process {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.number, self.start, self.namespace)
    }
}

/// How far up it is looked for who runs a hook.
const MAXIMUM_ANCESTORS: usize = 32;

impl Process {
    /// The receive-pack on whose behalf this process runs, if the system tells: the nearest one above. What is
    /// in between may be a forge's script, which ends with its hook and long before any ref has moved. A
    /// service that outlives its pushes by weeks moves no refs itself, and so is never taken for it.
    #[must_use]
    pub fn receiving() -> Option<Self> {
        let own = Ancestor::of(std::process::id())?;
        Self::of(nearest_receiver(own.parent, Ancestor::of)?)
    }

    /// Who moves the refs: [`Self::receiving`], or where nobody has pushed the git that runs the hook.
    #[must_use]
    pub fn moving() -> Option<Self> {
        let by_git = || {
            let parent = Ancestor::of(std::process::id())?.parent;
            Ancestor::of(parent)?.is_git().then(|| Self::of(parent))?
        };
        Self::receiving().or_else(by_git)
    }

    fn of(number: u32) -> Option<Self> {
        Some(Self { number, start: start(number)?, namespace: namespace()? })
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether it has started this process.
    pub(super) fn is_parent(&self) -> bool {
        Ancestor::of(std::process::id()).is_some_and(|own| own.parent == self.number)
    }

    /// What tells it from every other that has its number, wherever and whenever, in words that a script can put together
    /// from `/proc`: the id of the system's start, when the process began in it, and where its stack does (proc(5),
    /// `/proc/sys/kernel/random/boot_id` and `/proc/pid/stat`, fields 22 and 28).
    pub(super) fn identity(&self) -> Option<String> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let stat = stat(self.number)?;
        let mut fields = stat.split(' ').skip(19);
        let start = fields.next().filter(|start| start.parse() == Ok(self.start))?;
        Some(format!("{} {start} {}", boot.strip_suffix('\n')?, fields.nth(5)?))
    }

    /// Read what is written for one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        let number = fields.next()?.parse().ok()?;
        let (start, namespace) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        fields.next().is_none().then_some(Self { number, start, namespace })
    }

    /// Whether it has ended; `None` where that cannot be told from here.
    #[must_use]
    pub fn is_over(&self) -> Option<bool> {
        let is_here = namespace()? == self.namespace;
        is_here.then(|| start(self.number) != Some(self.start))
    }
}

/// A process above.
struct Ancestor {
    parent: u32,
    /// Its words, each ended by NUL (proc(5), `/proc/pid/cmdline`). Its name would not do: the kernel keeps 15
    /// characters of it, and `git-receive-pack` has 16.
    words: Vec<u8>,
}

impl Ancestor {
    fn of(number: u32) -> Option<Self> {
        let stat = stat(number)?;
        // The state comes first, then the parent.
        let parent = stat.split(' ').nth(1)?.parse().ok()?;
        Some(Self { parent, words: std::fs::read(format!("/proc/{number}/cmdline")).ok()? })
    }

    /// Whether it is git at all.
    fn is_git(&self) -> bool {
        let program = self.words.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        name == b"git" || name.starts_with(b"git-")
    }

    /// Whether it is git's receive-pack: `git-receive-pack …` or `git … receive-pack …`.
    fn is_receiver(&self) -> bool {
        let mut words = self.words.split(|byte| *byte == 0);
        let program = words.next().unwrap_or_default();
        match program.rsplit(|byte| *byte == b'/').next() {
            Some(b"git-receive-pack") => true,
            Some(b"git") => words.any(|word| word == b"receive-pack"),
            _ => false,
        }
    }
}

/// The first from `number` upwards that is git's receive-pack.
fn nearest_receiver(mut number: u32, look: impl Fn(u32) -> Option<Ancestor>) -> Option<u32> {
    for _ in 0..MAXIMUM_ANCESTORS {
        let ancestor = look(number)?;
        if ancestor.is_receiver() {
            return Some(number);
        }
        number = ancestor.parent;
    }
    None
}

/// What stands behind the name in `/proc/pid/stat`, which is in parentheses and may hold anything.
fn stat(number: u32) -> Option<String> {
    let text = std::fs::read(format!("/proc/{number}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.rsplit_once(") ").map(|(_, rest)| rest.to_owned())
}

fn start(number: u32) -> Option<u64> {
    let stat = stat(number)?;
    let mut fields = stat.split(' ');
    // A zombie moves no refs.
    let is_dead = matches!(fields.next()?, "Z" | "X");
    if is_dead { None } else { fields.nth(18)?.parse().ok() }
}

fn namespace() -> Option<u64> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_one_that_has_its_number_later() {
        let Some(own) = Process::of(std::process::id()) else {
            eprintln!("SKIPPED: a_process_is_told_from_one_that_has_its_number_later: /proc not found");
            return;
        };
        assert_eq!(Process::parse(&own.to_string()), Some(own.clone()));
        assert_eq!(own.is_over(), Some(false));
        assert_eq!(Process { start: own.start + 1, ..own.clone() }.is_over(), Some(true));
        assert_eq!(Process { namespace: 1, ..own }.is_over(), None);
        for damaged in ["", "1 2", "1 2 3 4", "1 2 x"] {
            assert_eq!(Process::parse(damaged), None, "{damaged}");
        }
    }

    /// Who is found above process 10; each line is a process, `<number> <parent> <words>`.
    fn found(processes: &[&str]) -> Option<u32> {
        nearest_receiver(10, |number| {
            let line = processes.iter().find(|line| line.starts_with(&format!("{number} ")))?;
            let mut fields = line.splitn(3, ' ').skip(1);
            let parent = fields.next().unwrap().parse().unwrap();
            Some(Ancestor { parent, words: fields.next().unwrap().replace(' ', "\0").into_bytes() })
        })
    }

    #[test]
    fn receive_pack_is_found_behind_whatever_runs_the_hook() {
        for receiver in [
            "git receive-pack /srv/a.git",
            "git-receive-pack /srv/a.git",
            "/usr/lib/git-core/git-receive-pack a.git",
            "/usr/bin/git -c x.y=z receive-pack --stateless-rpc .",
        ] {
            let receiver = format!("10 9 {receiver}");
            let sshd = "9 1 sshd: git";
            assert_eq!(found(&[&receiver, sshd]), Some(10), "{receiver}");
            // A script of a forge's, and one that runs hooks by git's own means.
            let receiver = receiver.replace("10 9 ", "7 6 ");
            let above = ["10 9 sh /srv/a.git/hooks/pre-receive", "9 8 git hook run pre-receive", "8 7 sh x"];
            assert_eq!(found(&[&above[..], &[receiver.as_str()]].concat()), Some(7), "{receiver}");
        }
        // A service of the forge's runs it, and receive-pack is somewhere else.
        assert_eq!(found(&["10 9 gitaly serve config.toml", "9 1 supervise", "1 0 init"]), None);
        // It is not what the program is about that counts.
        assert_eq!(
            found(&["10 9 sh -c git-receive-pack", "9 8 vi receive-pack", "8 1 gitx receive-pack"]),
            None
        );
        assert_eq!(found(&[]), None);
        // Above itself nobody stands, whatever the system says.
        assert_eq!(found(&["10 10 sh"]), None);
    }
}
