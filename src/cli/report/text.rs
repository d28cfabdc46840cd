//! A line for each object, in columns, for people.

use anstyle::{AnsiColor, Style};

use super::{Answer, CUT_OFF, Line, Place};
use crate::words;

/// The widest that a column of signers or times is padded to, in characters.
const MAXIMUM_WIDTH: usize = 72;

/// The lines of one batch; what is not known leaves its column blank. Tags that a commit holds stand under it.
pub(super) fn table(lines: &[Line], colours: bool) -> String {
    let lines: Vec<&Line> = lines.iter().flat_map(|line| std::iter::once(line).chain(&line.merged)).collect();
    let cells: Vec<[String; 2]> = lines.iter().map(|line| [line.signer(), line.time()]).collect();
    let width = |column: usize| {
        let widths = cells.iter().map(|cells| cells[column].chars().count());
        widths.filter(|width| *width <= MAXIMUM_WIDTH).max().unwrap_or(0)
    };
    let widths = [width(0), width(1)];
    let mut text = String::new();
    for (line, cells) in lines.iter().zip(&cells) {
        let (status, cause) = line.status();
        let style = if colours { style(status) } else { Style::new() };
        let short = &line.id.to_string()[..12];
        let mut row = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            if width > 0 || !cell.is_empty() {
                row.push_str(&format!("{cell:<width$} "));
            }
        }
        if let Some(cause) = cause.filter(|_| !matches!(line.answer, Answer::Unsigned)) {
            row.push_str(&format!("[{}] ", words::escape(&cause)));
        }
        if line.place == Place::CutOff {
            row.push_str(&format!("[{CUT_OFF}] "));
        }
        let is_merged = line.place == Place::Merged;
        row.push_str(if is_merged { "merged tag " } else { "" });
        row.push_str(&line.title);
        let blank = " ".repeat(11_usize.saturating_sub(status.len()));
        let indent = if is_merged { "  " } else { "" };
        let row = format!("{indent}{style}{status}{style:#}{blank} {short} {row}");
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn style(status: &str) -> Style {
    let colour = match status {
        "good" => AnsiColor::Green,
        "cannot-tell" | "proven" => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    colour.on_default().bold()
}

#[cfg(test)]
mod tests {
    use gix::objs::Kind;

    use super::*;
    use crate::object::ObjectId;

    #[test]
    fn only_the_status_is_coloured_and_columns_stay_in_line() {
        let id = ObjectId::from_bytes_or_panic(&[1; 20]);
        let line = |answer| Line {
            id,
            kind: Kind::Tag,
            title: "v1".to_owned(),
            place: Place::Named,
            answer,
            merged: Vec::new(),
        };
        let lines = [line(Answer::Unsigned), line(Answer::Bad("b\u{1b}".to_owned()))];
        assert_eq!(
            table(&lines, false),
            "unsigned    010101010101 v1\nbad         010101010101 [b\\u{1b}] v1\n"
        );
        let coloured = table(&lines, true);
        assert!(
            coloured.starts_with("\u{1b}[1m\u{1b}[31munsigned\u{1b}[0m    010101010101 v1\n"),
            "{coloured:?}"
        );
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), table(&lines, false));
    }
}
