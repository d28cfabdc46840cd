//! Where the demonstration plays: commands run in a folder with a home of its own, and shown as they run.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use super::DemonstrationError;

/// The folder, the environment of every command, and whom the story is told to.
pub(super) struct Stage<'a> {
    folder: PathBuf,
    program: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    output: &'a mut dyn Write,
    /// Whether the last command said something, and the next thing has to stand apart from it.
    apart: bool,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        folder: &Path,
        program: &Path,
        path: Option<OsString>,
        output: &'a mut dyn Write,
    ) -> Self {
        let mut environment: BTreeMap<OsString, OsString> = BTreeMap::new();
        // Refs as files, which is all that is read, also where git makes reftable of them by default.
        let refs = ("GIT_DEFAULT_REF_FORMAT", "files");
        for (name, value) in [("GIT_CONFIG_NOSYSTEM", "1"), refs, ("LC_ALL", "C"), ("TZ", "UTC")] {
            environment.insert(name.into(), value.into());
        }
        environment.insert("HOME".into(), folder.join("home").into());
        environment.extend(path.map(|path| ("PATH".into(), path)));
        Self { folder: folder.to_owned(), program: program.to_owned(), environment, output, apart: false }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn title(&mut self, title: &str) -> Result<(), DemonstrationError> {
        self.apart = false;
        Ok(writeln!(self.output, "\n\n== {title} ==")?)
    }

    pub(super) fn say(&mut self, words: &str) -> Result<(), DemonstrationError> {
        self.apart = false;
        Ok(writeln!(self.output, "\n{words}")?)
    }

    pub(super) fn make_folder(&self, name: &str) -> Result<(), DemonstrationError> {
        let path = self.folder.join(name);
        fs::create_dir(&path).map_err(|source| DemonstrationError::File { path, source })
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), DemonstrationError> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(|source| DemonstrationError::File { path, source })
    }

    pub(super) fn show_file(&mut self, name: &str) -> Result<(), DemonstrationError> {
        self.run("", &["cat", name])
    }

    /// Runs `command` in the folder `directory`, shows it, and wants it to end with 0.
    pub(super) fn run(&mut self, directory: &str, command: &[&str]) -> Result<(), DemonstrationError> {
        self.run_for(directory, command, 0).map(drop)
    }

    /// Runs `command`, shows it, and wants it to end with `status`; everything that it said.
    pub(super) fn run_for(
        &mut self,
        directory: &str,
        command: &[&str],
        status: i32,
    ) -> Result<String, DemonstrationError> {
        self.show_command(directory, &line(command))?;
        let output = self.start(directory, command)?;
        self.finish(&line(command), &output, status)
    }

    /// Runs a line of `sh`, shows it, and wants it to end with 0.
    pub(super) fn run_script(&mut self, directory: &str, script: &str) -> Result<(), DemonstrationError> {
        self.show_command(directory, script)?;
        let output = self.start(directory, &["sh", "-c", script])?;
        self.finish(script, &output, 0).map(drop)
    }

    /// Sets a variable, for the commands to come, to what `command` prints, and shows that.
    pub(super) fn export(
        &mut self,
        directory: &str,
        name: &str,
        command: &[&str],
    ) -> Result<(), DemonstrationError> {
        let shown = format!("export {name}=\"$({})\"", line(command));
        self.show_command(directory, &shown)?;
        let mut output = self.start(directory, command)?;
        let value = String::from_utf8_lossy(&std::mem::take(&mut output.stdout)).trim().to_owned();
        self.environment.insert(name.into(), value.into());
        self.finish(&shown, &output, 0).map(drop)
    }

    /// Takes a variable away again, and shows that.
    pub(super) fn unset(&mut self, directory: &str, name: &str) -> Result<(), DemonstrationError> {
        self.environment.remove(OsStr::new(name));
        self.show_command(directory, &format!("unset {name}"))
    }

    /// Runs `command` behind the scenes and wants it to end with 0.
    pub(super) fn run_quietly(
        &mut self,
        directory: &str,
        command: &[&str],
    ) -> Result<(), DemonstrationError> {
        let output = self.start(directory, command)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        self.must(command, output.status.success(), &said)
    }

    /// The id that a ref has in a repository, if it is there.
    pub(super) fn id(&self, directory: &str, name: &str) -> Result<Option<String>, DemonstrationError> {
        let output = self.start(directory, &["git", "rev-parse", "--verify", "--quiet", name])?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(output.status.success().then_some(id))
    }

    /// Wants `holds` of a step.
    pub(super) fn must(&self, command: &[&str], holds: bool, found: &str) -> Result<(), DemonstrationError> {
        if holds {
            return Ok(());
        }
        Err(DemonstrationError::Unexpected { step: line(command), found: found.trim().to_owned() })
    }

    fn show_command(&mut self, directory: &str, line: &str) -> Result<(), DemonstrationError> {
        let directory = if directory.is_empty() { String::new() } else { format!("{directory} ") };
        let gap = if std::mem::take(&mut self.apart) { "\n" } else { "" };
        writeln!(self.output, "{gap}{directory}$ {line}")?;
        Ok(self.output.flush()?)
    }

    fn start(&self, directory: &str, command: &[&str]) -> Result<Output, DemonstrationError> {
        let (program, arguments) = command.split_first().expect("a command has a program");
        let program = if *program == "countersign" { self.program.as_path() } else { Path::new(program) };
        Command::new(program)
            .args(arguments)
            .current_dir(self.folder.join(directory))
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| DemonstrationError::Start { program: program.display().to_string(), source })
    }

    /// Shows what a command said and how it ended.
    fn finish(&mut self, line: &str, output: &Output, wanted: i32) -> Result<String, DemonstrationError> {
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        self.apart = !said.is_empty();
        for line in said.lines() {
            writeln!(self.output, "  {}", line.trim_end())?;
        }
        if !output.status.success() {
            writeln!(self.output, "  [{}]", output.status)?;
        }
        if output.status.code() == Some(wanted) {
            return Ok(said);
        }
        let found = format!("{} instead of exit status {wanted}", output.status);
        Err(DemonstrationError::Unexpected { step: line.to_owned(), found })
    }
}

/// A command as one would type it.
fn line(command: &[&str]) -> String {
    let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// A word as a POSIX shell reads it.
pub(super) fn quote(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@+,".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
