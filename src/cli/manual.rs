//! The manual pages of the command line: what clap knows of each command, and hand-written sections.
//!
//! A section file begins with what is added to DESCRIPTION; from its first `.SH` on it stands behind
//! the options and commands. `man/` holds what comes out of it, and a test holds the two together.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::{Arguments, Outcome, World, exit};
use crate::words::Failure;

/// What clap does not know, by the name of the page.
const SECTIONS: &[(&str, &str)] = &[
    ("countersign", include_str!("manual/countersign.roff")),
    ("countersign-agent", include_str!("manual/countersign-agent.roff")),
    ("countersign-agent-forward", include_str!("manual/countersign-agent-forward.roff")),
    ("countersign-agent-lock", include_str!("manual/countersign-agent-lock.roff")),
    ("countersign-agent-place", include_str!("manual/countersign-agent-place.roff")),
    ("countersign-agent-run", include_str!("manual/countersign-agent-run.roff")),
    ("countersign-agent-status", include_str!("manual/countersign-agent-status.roff")),
    ("countersign-agent-stop", include_str!("manual/countersign-agent-stop.roff")),
    ("countersign-approve", include_str!("manual/countersign-approve.roff")),
    ("countersign-check", include_str!("manual/countersign-check.roff")),
    ("countersign-completions", include_str!("manual/countersign-completions.roff")),
    ("countersign-doctor", include_str!("manual/countersign-doctor.roff")),
    ("countersign-fetch", include_str!("manual/countersign-fetch.roff")),
    ("countersign-hook", include_str!("manual/countersign-hook.roff")),
    ("countersign-hook-admit", include_str!("manual/countersign-hook-admit.roff")),
    ("countersign-hook-install", include_str!("manual/countersign-hook-install.roff")),
    ("countersign-hook-pre-push", include_str!("manual/countersign-hook-pre-push.roff")),
    ("countersign-hook-pre-receive", include_str!("manual/countersign-hook-pre-receive.roff")),
    ("countersign-hook-status", include_str!("manual/countersign-hook-status.roff")),
    ("countersign-hook-uninstall", include_str!("manual/countersign-hook-uninstall.roff")),
    ("countersign-init", include_str!("manual/countersign-init.roff")),
    ("countersign-inspect", include_str!("manual/countersign-inspect.roff")),
    ("countersign-login", include_str!("manual/countersign-login.roff")),
    ("countersign-logout", include_str!("manual/countersign-logout.roff")),
    ("countersign-policy", include_str!("manual/countersign-policy.roff")),
    ("countersign-policy-check", include_str!("manual/countersign-policy-check.roff")),
    ("countersign-policy-explain", include_str!("manual/countersign-policy-explain.roff")),
    ("countersign-policy-test", include_str!("manual/countersign-policy-test.roff")),
    ("countersign-policy-init", include_str!("manual/countersign-policy-init.roff")),
    ("countersign-protect", include_str!("manual/countersign-protect.roff")),
    ("countersign-remote", include_str!("manual/countersign-remote.roff")),
    ("countersign-remote-allow-unverified", include_str!("manual/countersign-remote-allow-unverified.roff")),
    ("countersign-remote-forget", include_str!("manual/countersign-remote-forget.roff")),
    ("countersign-remote-trust", include_str!("manual/countersign-remote-trust.roff")),
    ("countersign-remote-status", include_str!("manual/countersign-remote-status.roff")),
    ("countersign-proof", include_str!("manual/countersign-proof.roff")),
    ("countersign-proof-fetch", include_str!("manual/countersign-proof-fetch.roff")),
    ("countersign-proof-merge", include_str!("manual/countersign-proof-merge.roff")),
    ("countersign-policy-pin", include_str!("manual/countersign-policy-pin.roff")),
    ("countersign-policy-publish", include_str!("manual/countersign-policy-publish.roff")),
    ("countersign-policy-show", include_str!("manual/countersign-policy-show.roff")),
    ("countersign-sandbox", include_str!("manual/countersign-sandbox.roff")),
    ("countersign-trust", include_str!("manual/countersign-trust.roff")),
    ("countersign-trust-add", include_str!("manual/countersign-trust-add.roff")),
    ("countersign-trust-list", include_str!("manual/countersign-trust-list.roff")),
    ("countersign-trust-pin", include_str!("manual/countersign-trust-pin.roff")),
    ("countersign-trust-remove", include_str!("manual/countersign-trust-remove.roff")),
    ("countersign-trust-show", include_str!("manual/countersign-trust-show.roff")),
    ("countersign-trust-update", include_str!("manual/countersign-trust-update.roff")),
    ("countersign-verify", include_str!("manual/countersign-verify.roff")),
    ("countersign-ledger", include_str!("manual/countersign-ledger.roff")),
    ("countersign-ledger-enter", include_str!("manual/countersign-ledger-enter.roff")),
    ("countersign-ledger-log", include_str!("manual/countersign-ledger-log.roff")),
    ("countersign-ledger-settle", include_str!("manual/countersign-ledger-settle.roff")),
    ("countersign-ledger-show", include_str!("manual/countersign-ledger-show.roff")),
    ("countersign-ledger-verify", include_str!("manual/countersign-ledger-verify.roff")),
    ("countersign-hook-update", include_str!("manual/countersign-hook-update.roff")),
    ("countersign-hook-post-receive", include_str!("manual/countersign-hook-post-receive.roff")),
    (
        "countersign-hook-reference-transaction",
        include_str!("manual/countersign-hook-reference-transaction.roff"),
    ),
];

/// The pages of the programs that are started by names of their own, whole.
const PROGRAMS: [(&str, &str); 2] = [
    ("countersign-gate", include_str!("manual/countersign-gate.roff")),
    ("git-remote-verified", include_str!("manual/git-remote-verified.roff")),
];

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a page is told what an apostrophe is.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Write `countersign.1` and a page for each command into `directory`.
pub(super) fn write(_world: &mut World<'_>, directory: &Path) -> Outcome {
    let mut command = without_help(Arguments::command());
    command.build();
    let written = PROGRAMS.iter().try_for_each(|(name, text)| {
        let path = directory.join(format!("{name}.1"));
        fs::write(&path, [PREAMBLE, &title(name), text].concat()).map_err(|error| (path, error))
    });
    written.and_then(|()| write_page(&command, directory)).map_err(|(path, error)| {
        Failure::new(
            format!("the manual page '{}' cannot be written: {error}", path.display()),
            "name a directory that you can write to",
        )
    })?;
    Ok(exit::GOOD)
}

/// `help` is every command's option, and no page of its own.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

fn write_page(command: &Command, directory: &Path) -> Result<(), (PathBuf, io::Error)> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_page(below, directory)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = directory.join(format!("{name}.1"));
    let written = page(command, name).and_then(|page| fs::write(&path, page));
    written.map_err(|error| (path, error))
}

/// One page; `name` is its own, with dashes.
fn page(command: &Command, name: &str) -> io::Result<String> {
    let man = Man::new(command.clone());
    let sections = SECTIONS.iter().find(|(page, _)| *page == name).map_or("", |(_, sections)| sections);
    let (described, behind) = sections.split_at(sections.find(".SH").unwrap_or(sections.len()));
    let mut page = Vec::new();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    if described.is_empty() {
        man.render_description_section(&mut page)?;
    } else {
        page.extend(b".SH DESCRIPTION\n");
        page.extend(described.as_bytes());
    }
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(behind.as_bytes());
    if name != "countersign" {
        page.extend(b".SH SEE ALSO\n\\fBcountersign\\fR(1), \\fBcountersign\\-policy\\fR(5)\n");
    }
    // Each section that clap_mangen renders brings the preamble; one is enough.
    let body = String::from_utf8_lossy(&page).replace(PREAMBLE, "");
    let page = [PREAMBLE, &title(name), &body].concat();
    Ok(page)
}

fn title(name: &str) -> String {
    format!(".TH {} 1 \"\" \"countersign {VERSION}\" \"countersign manual\"\n", name.to_uppercase())
}
