//! JUnit's XML, as continuous integration servers read it: a test case for each object.
//!
//! The counts stand before the cases, so these wait in a temporary file.

use std::{
    fmt::Write as _,
    io::{Read as _, Seek as _, Write as _},
};

use tempfile::SpooledTempFile;

use super::{CUT_OFF, Line, Place, Tally};
use crate::{
    cli::{World, exit},
    words::{self, Failure},
};

/// How many bytes of cases wait in memory before they go to a file.
const SPOOL: usize = 1 << 20;

/// A document that is being written.
pub(in crate::cli) struct Junit {
    cases: SpooledTempFile,
    failures: u64,
    errors: u64,
}

impl Junit {
    pub(super) fn new() -> Self {
        Self { cases: SpooledTempFile::new(SPOOL), failures: 0, errors: 0 }
    }

    /// Keep the cases of `lines`.
    pub(super) fn keep(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let mut text = String::new();
        for line in lines {
            let name = format!("{} {}", &line.id.to_string()[..12], line.title);
            write!(text, "    <testcase classname=\"{}\" name=\"{}\"", line.kind, escape(&name))
                .expect("writing to a string cannot fail");
            match self.outcome(line) {
                Some(outcome) => write!(text, ">\n      {outcome}\n    </testcase>\n"),
                None => writeln!(text, "/>"),
            }
            .expect("writing to a string cannot fail");
        }
        self.cases.write_all(text.as_bytes()).map_err(|error| unspooled(&error))
    }

    /// The element that says what is wrong with `line`, if anything is; counted.
    fn outcome(&mut self, line: &Line) -> Option<String> {
        let (status, cause) = line.status();
        let element = match line.exit() {
            exit::GOOD => return None,
            exit::BAD => {
                self.failures += 1;
                "failure"
            }
            _ => {
                self.errors += 1;
                "error"
            }
        };
        let mut message = cause.unwrap_or_default();
        if line.place == Place::CutOff {
            message = if message.is_empty() { CUT_OFF.to_owned() } else { format!("{message}; {CUT_OFF}") };
        }
        Some(format!(
            "<{element} type=\"{status}\" message=\"{}\">{}</{element}>",
            escape(&message),
            escape(format!("{} {} {}", line.id, line.signer(), line.time()).trim_end()),
        ))
    }

    /// Print the document.
    pub(super) fn write(
        mut self,
        world: &mut World<'_>,
        tally: &Tally,
        failure: Option<&Failure>,
    ) -> Result<(), Failure> {
        let mut tests = tally.total();
        if let Some(failure) = failure {
            tests += 1;
            self.errors += 1;
            let text = format!(
                "    <testcase classname=\"countersign\" name=\"verify\">\n      \
                 <error type=\"error\" message=\"{}\"/>\n    </testcase>\n",
                escape(&failure.error)
            );
            self.cases.write_all(text.as_bytes()).map_err(|error| unspooled(&error))?;
        }
        let counts = format!("tests=\"{tests}\" failures=\"{}\" errors=\"{}\"", self.failures, self.errors);
        world.say(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"countersign verify\" {counts}>\n  \
             <testsuite name=\"countersign verify\" {counts} skipped=\"0\">\n"
        ));
        self.cases.rewind().map_err(|error| unspooled(&error))?;
        let mut chunk = vec![0; 1 << 16];
        loop {
            match self.cases.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => {
                    // A reader that has gone away is not our failure.
                    let _ = world.stdout.write_all(&chunk[..length]);
                }
                Err(error) => return Err(unspooled(&error)),
            }
        }
        world.say("  </testsuite>\n</testsuites>\n");
        Ok(())
    }
}

fn unspooled(error: &std::io::Error) -> Failure {
    Failure::new(
        format!("the report cannot be kept in a temporary file: {error}"),
        "make room where TMPDIR points to, or use another '--format'",
    )
}

/// `text` for an attribute or an element: markup as entities, and what XML 1.0 has no place for (section
/// 2.2, "Char") as people are shown it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in words::escape(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => {
                write!(escaped, "\\u{{{:x}}}", u32::from(character))
                    .expect("writing to a string cannot fail");
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unescape(text: &str) -> String {
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        text.replace("&apos;", "'").replace("&amp;", "&")
    }

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            escape("]]>\"'/><x a='&#0;'>\u{0}\u{ffff}\n\u{1b}"),
            "]]&gt;&quot;&apos;/&gt;&lt;x a=&apos;&amp;#0;&apos;&gt;\\u{0}\\u{ffff}\\u{a}\\u{1b}"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_xml_and_reads_as_it_was(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let is_char = |character: char| {
                matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
            };
            prop_assert!(escaped.chars().all(is_char));
            prop_assert_eq!(
                unescape(&escaped),
                words::escape(&text).replace('\u{fffe}', "\\u{fffe}").replace('\u{ffff}', "\\u{ffff}")
            );
        }
    }
}
