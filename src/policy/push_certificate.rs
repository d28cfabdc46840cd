//! What may be wrong with a push certificate as such, whoever signed it.

use std::fmt;

use crate::{
    object::ObjectError,
    words::{escape, time},
};

/// Why a push certificate does not vouch for its push. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The nonce was given out too long ago, or is of a time to come.
    Age {
        /// When it was given out, in seconds since 1970.
        issued: i64,
        /// When it came back.
        now: i64,
    },
    /// A command of it is not the one that git carries out, or stands elsewhere; counted from 1.
    Command(usize),
    /// It has another number of commands than git carries out.
    Commands {
        /// How many stand in it.
        certified: usize,
        /// How many git carries out.
        pushed: usize,
    },
    /// It is for another server or repository.
    ForeignPushee(String),
    /// Which certificates were used at its time is not known any more.
    Forgotten {
        /// The server's file that says so.
        file: String,
        /// Up to when nothing is known, in seconds since 1970.
        until: i64,
    },
    /// The installation does not say which addresses are the server's own.
    NoAddresses,
    /// It cannot be parsed strictly.
    Malformed(ObjectError),
    /// The server gave out no nonce.
    NoNonce,
    /// It does not say where the push goes.
    NoPushee,
    /// Its nonce is not one of git's.
    NonceForm,
    /// git says something else of the nonce than that it is the server's own and fresh.
    NonceStatus(String),
    /// It holds other push options than the push.
    PushOptions,
    /// It has vouched for a push before.
    Replayed,
    /// The nonce came back later than the server allows, by so many seconds.
    Slop(String),
    /// Where it says that the push goes cannot be compared with the server's addresses.
    UnclearPushee {
        /// What it says.
        pushee: String,
        /// Why not.
        reason: String,
    },
    /// That it was used cannot be written down, so that it could be used again.
    Unnoted(String),
    /// The certificate that git names cannot be had.
    Unreadable(String),
}

impl CertificateFault {
    /// Whether it contradicts the push or itself, so that nobody who means well has made it: such a push is
    /// refused even where nobody asks for a certificate.
    #[must_use]
    pub fn is_contradiction(&self) -> bool {
        matches!(
            self,
            Self::Command(_)
                | Self::Commands { .. }
                | Self::Malformed(_)
                | Self::PushOptions
                | Self::Unreadable(_)
        )
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Age { .. } => "push again; where it is always so, the clocks of server and hook differ",
            Self::Command(_) | Self::Commands { .. } | Self::PushOptions => {
                "push again with git itself; the server got another push than the one that was signed"
            }
            Self::ForeignPushee(_) | Self::NoPushee | Self::UnclearPushee { .. } => {
                "push to the server's whole address; if it is one of its own, ask the administrator to install the hook again with '--address'"
            }
            Self::Forgotten { .. } => {
                "ask the server's administrator to look at its clock; where it was ahead once, they remove that file a day after it is right again"
            }
            Self::Malformed(_) | Self::NonceForm | Self::Unreadable(_) => {
                "push again with 'git push --signed'"
            }
            Self::NoAddresses => {
                "ask the server's administrator to install the hook again with '--address', once for each address of the repository"
            }
            Self::NoNonce | Self::NonceStatus(_) => {
                "push again; ask the server's administrator to set 'receive.certNonceSeed'"
            }
            Self::Replayed => "push again, a second later; a certificate is good for one push",
            Self::Slop(_) => {
                "push again; ask the server's administrator to set 'receive.certNonceSlop', in seconds"
            }
            Self::Unnoted(_) => "ask the server's administrator to see to the hook's state folder",
        }
    }
}

impl fmt::Display for CertificateFault {
    /// Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age { issued, now } => {
                write!(formatter, "its nonce was given out at {}, and it is {}", time(*issued), time(*now))
            }
            Self::Command(number) => {
                write!(formatter, "its command {number} is not the one that git carries out")
            }
            Self::Commands { certified, pushed } => {
                write!(formatter, "it holds {certified} commands, and git carries out {pushed}")
            }
            Self::ForeignPushee(pushee) => {
                write!(formatter, "it is for '{}', which is no address of this server", escape(pushee))
            }
            Self::Forgotten { file, until } => write!(
                formatter,
                "what was used up to {} is forgotten, as '{}' says",
                time(*until),
                escape(file)
            ),
            Self::Malformed(cause) => write!(formatter, "it is malformed: {cause}"),
            Self::NoAddresses => {
                write!(formatter, "which addresses are the server's own is not known to the hook")
            }
            Self::NoNonce => write!(formatter, "the server gave out no nonce for it"),
            Self::NoPushee => write!(formatter, "it does not say where the push goes"),
            Self::NonceForm => write!(formatter, "its nonce is not one that git gives out"),
            Self::NonceStatus(status) => write!(formatter, "its nonce is '{}' for git", escape(status)),
            Self::PushOptions => write!(formatter, "it holds other push options than the push"),
            Self::Replayed => write!(formatter, "it has been used before"),
            Self::Slop(seconds) => {
                write!(formatter, "its nonce came back after {} seconds", escape(seconds))
            }
            Self::UnclearPushee { pushee, reason } => write!(
                formatter,
                "it is for '{}', which cannot be compared: {}",
                escape(pushee),
                escape(reason)
            ),
            Self::Unnoted(reason) => {
                write!(formatter, "that it is used cannot be written down: {}", escape(reason))
            }
            Self::Unreadable(reason) => write!(formatter, "it cannot be read: {}", escape(reason)),
        }
    }
}
