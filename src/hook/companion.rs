//! The shims beside pre-receive: templates with paths written in, as [`super::Shim`] is one.

use std::path::{Path, PathBuf};

use super::{
    ShimError,
    template::{assigned, fill, is_marked, quote},
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

    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::PreReceive, Self::Update, Self::PostReceive, Self::ReferenceTransaction];

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
        is_marked(text, &format!("# countersign {} shim ", self.name()))
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
        let path = |path: &Path| quote(path.as_os_str());
        let or_none = |path: &Option<PathBuf>| quote(path.as_deref().unwrap_or(Path::new("")).as_os_str());
        let (program, repository) = (path(&self.program)?, path(&self.repository)?);
        let (state, before, gate) = (path(&self.state)?, or_none(&self.before)?, or_none(&self.gate)?);
        Ok(fill(self.hook.template(), &|name| {
            let value = match name {
                "PROGRAM" => &program,
                "REPOSITORY" => &repository,
                "STATE" => &state,
                "BEFORE" => &before,
                "GATE" => &gate,
                _ => return None,
            };
            Some(value.clone())
        }))
    }

    /// Read the shim of `hook` back.
    ///
    /// # Errors
    /// It is not exactly what [`Self::render`] would write with the paths that it holds.
    pub fn parse(hook: HookName, text: &[u8]) -> Result<Self, ShimError> {
        let shim = Self::parse_any(hook, text)?;
        if shim.render().as_deref() == Ok(text) { Ok(shim) } else { Err(ShimError::Edited) }
    }

    /// Read the paths of a shim of `hook` that another version of the program may have written.
    ///
    /// # Errors
    /// It is no shim, or does not hold them.
    pub(super) fn parse_any(hook: HookName, text: &[u8]) -> Result<Self, ShimError> {
        if !hook.is_shim(text) {
            return Err(ShimError::Edited);
        }
        let set = |path: PathBuf| (!path.as_os_str().is_empty()).then_some(path);
        let gate = if hook == HookName::ReferenceTransaction { set(assigned(text, "gate")?) } else { None };
        Ok(Self {
            hook,
            program: assigned(text, "program")?,
            repository: assigned(text, "repository")?,
            state: assigned(text, "state")?,
            before: set(assigned(text, "before")?),
            gate,
        })
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
