//! The shims beside pre-receive: templates with paths written in, as [`super::Shim`] is one.

use std::path::{Path, PathBuf};

use super::{
    ShimError,
    shim::{quote, unquote},
};

/// A hook of the server's that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum HookName {
    /// Judges a push; without it there is no gate.
    PreReceive,
    /// Lets no ref be moved that was not judged.
    Update,
    /// Settles the ledger when a push is done.
    PostReceive,
    /// Settles the ledger as soon as refs have moved.
    ReferenceTransaction,
}

impl HookName {
    /// Those that stand beside pre-receive.
    pub const COMPANIONS: [Self; 3] = [Self::Update, Self::PostReceive, Self::ReferenceTransaction];

    /// The file's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreReceive => "pre-receive",
            Self::Update => "update",
            Self::PostReceive => "post-receive",
            Self::ReferenceTransaction => "reference-transaction",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::PreReceive => include_str!("../../hooks/pre-receive"),
            Self::Update => include_str!("../../hooks/update"),
            Self::PostReceive => include_str!("../../hooks/post-receive"),
            Self::ReferenceTransaction => include_str!("../../hooks/reference-transaction"),
        }
    }

    /// Whether a hook's text is a shim of this name.
    #[must_use]
    pub fn is_shim(self, text: &[u8]) -> bool {
        let mark = format!("# countersign {} shim ", self.name());
        text.split(|byte| *byte == b'\n').nth(1).is_some_and(|line| line.starts_with(mark.as_bytes()))
    }
}

/// The paths that such a shim holds; all are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Which hook it is; not pre-receive.
    pub hook: HookName,
    /// The program.
    pub program: PathBuf,
    /// The repository's git directory.
    pub repository: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The hook that was there before and runs first.
    pub before: Option<PathBuf>,
    /// Of reference-transaction: the pre-receive hook that judges what moves refs without a push, if anything does.
    pub gate: Option<PathBuf>,
}

impl Companion {
    /// The shim's text.
    ///
    /// # Errors
    /// A path cannot be written into it.
    pub fn render(&self) -> Result<Vec<u8>, ShimError> {
        let before = self.before.as_deref().unwrap_or(Path::new(""));
        let gate = self.gate.as_deref().unwrap_or(Path::new(""));
        let mut text = Vec::new();
        for line in self.hook.template().split_inclusive('\n') {
            let value = match line.trim_end() {
                "program=@PROGRAM@" => &self.program,
                "repository=@REPOSITORY@" => &self.repository,
                "state=@STATE@" => &self.state,
                "before=@BEFORE@" => before,
                "gate=@GATE@" => gate,
                _ => {
                    text.extend(line.as_bytes());
                    continue;
                }
            };
            let name = line.split('@').next().unwrap_or_default();
            text.extend([name.as_bytes(), &quote(value.as_os_str())?, b"\n"].concat());
        }
        Ok(text)
    }

    /// Read the shim of `hook` back.
    ///
    /// # Errors
    /// It is not exactly what [`Self::render`] would write with the paths that it holds.
    pub fn parse(hook: HookName, text: &[u8]) -> Result<Self, ShimError> {
        let value = |name: &str| {
            let mut lines = text.split(|byte| *byte == b'\n');
            let value = lines.find_map(|line| line.strip_prefix(name.as_bytes()));
            value.and_then(unquote).map(PathBuf::from).ok_or(ShimError::Edited)
        };
        let set = |path: PathBuf| (!path.as_os_str().is_empty()).then_some(path);
        let gate = if hook == HookName::ReferenceTransaction { set(value("gate=")?) } else { None };
        let shim = Self {
            hook,
            program: value("program=")?,
            repository: value("repository=")?,
            state: value("state=")?,
            before: set(value("before=")?),
            gate,
        };
        if shim.render().as_deref() == Ok(text) { Ok(shim) } else { Err(ShimError::Edited) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_reads_back_and_an_edited_shim_is_noticed() {
        for hook in HookName::COMPANIONS {
            for before in [None, Some(PathBuf::from("/r/hooks/it's before"))] {
                let shim = Companion {
                    hook,
                    program: "/p '\\''".into(),
                    repository: "/r/before=@BEFORE@.git".into(),
                    state: "/s $(x) \"y\"".into(),
                    gate: before.clone().filter(|_| hook == HookName::ReferenceTransaction),
                    before,
                };
                let text = shim.render().unwrap();
                assert!(hook.is_shim(&text) && !HookName::PreReceive.is_shim(&text));
                assert_eq!(Companion::parse(hook, &text).unwrap(), shim);
                let edited = [text.as_slice(), b"#\n"].concat();
                assert_eq!(Companion::parse(hook, &edited), Err(ShimError::Edited));
            }
        }
        assert!(!HookName::Update.is_shim(b"#!/bin/sh\nexit 0\n"));
    }
}
