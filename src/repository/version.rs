//! Which git there is: what it can do depends on its version.

use std::{fmt, process::Command};

/// What git calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitVersion {
    text: String,
    numbers: Option<(u32, u32)>,
}

impl GitVersion {
    /// Ask the git that is found first. `None` if none can be run.
    #[must_use]
    pub fn ask() -> Option<Self> {
        let output = Command::new("git").arg("version").output().ok()?;
        output.status.success().then(|| Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Read the answer of `git version`, such as `git version 2.55.0` or `git version 2.39.5 (Apple Git-154)`.
    #[must_use]
    pub fn parse(answer: &str) -> Self {
        let text = answer.trim();
        let text = text.strip_prefix("git version ").unwrap_or(text).to_owned();
        let mut numbers = text.split('.').map(|number| number.parse::<u32>().ok());
        let numbers = numbers.next().flatten().zip(numbers.next().flatten());
        Self { text, numbers }
    }

    /// Major and minor number, where it says any.
    #[must_use]
    pub fn numbers(&self) -> Option<(u32, u32)> {
        self.numbers
    }

    /// Whether it is known to be `version` or newer.
    #[must_use]
    pub fn is_at_least(&self, version: (u32, u32)) -> bool {
        self.numbers.is_some_and(|numbers| numbers >= version)
    }
}

impl fmt::Display for GitVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_gits_of_all_kinds_write_them() {
        for (answer, numbers) in [
            ("git version 2.55.0\n", Some((2, 55))),
            ("git version 2.39.5 (Apple Git-154)\n", Some((2, 39))),
            ("git version 2.54.0.windows.1", Some((2, 54))),
            ("git version 2.54.0-rc1", Some((2, 54))),
            ("git version 3.0.0", Some((3, 0))),
            ("git version 2.55.GIT", Some((2, 55))),
            ("git version next", None),
            ("hub version 2", None),
            ("", None),
        ] {
            let version = GitVersion::parse(answer);
            assert_eq!(version.numbers(), numbers, "{answer}");
            assert_eq!(version.is_at_least((2, 54)), numbers.is_some_and(|numbers| numbers >= (2, 54)));
        }
        assert_eq!(
            GitVersion::parse("git version 2.39.5 (Apple Git-154)\n").to_string(),
            "2.39.5 (Apple Git-154)"
        );
    }
}
