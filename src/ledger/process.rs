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

impl Process {
    /// The process that has started this one, where the system tells when that began.
    #[must_use]
    pub fn parent() -> Option<Self> {
        let number = parent_number()?;
        Some(Self { number, start: start(number)?, namespace: namespace()? })
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number
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

/// The number of the process that has started this one.
pub(super) fn parent_number() -> Option<u32> {
    rustix::process::getppid()?.as_raw_nonzero().get().try_into().ok()
}

fn start(number: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name in parentheses may hold anything; the state comes next.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
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
        let Some(parent) = Process::parent() else { return };
        assert_eq!(Process::parse(&parent.to_string()), Some(parent.clone()));
        assert_eq!(parent.is_over(), Some(false));
        assert_eq!(Process { start: parent.start + 1, ..parent.clone() }.is_over(), Some(true));
        assert_eq!(Process { namespace: 1, ..parent }.is_over(), None);
        for damaged in ["", "1 2", "1 2 3 4", "1 2 x"] {
            assert_eq!(Process::parse(damaged), None, "{damaged}");
        }
    }
}
