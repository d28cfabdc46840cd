//! Why the ref that a repository keeps its policy in may not be given another value.

use std::fmt;

use crate::words::escape;

/// What is wrong with a change of the policy. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyFault {
    /// The ref would go away.
    Deleted,
    /// The new policy does not follow from the present one.
    Refused(String),
    /// The ref would not hold the present policy any more.
    Rewound,
}

impl fmt::Display for PolicyFault {
    /// Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => formatter.write_str("the ref holds the policy, which is never deleted"),
            Self::Refused(reason) => {
                write!(formatter, "the policy may not be changed so: {}", escape(reason))
            }
            Self::Rewound => formatter
                .write_str("the ref holds the policy, and its new value does not follow the present one"),
        }
    }
}

impl PolicyFault {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Deleted => "the server's administrator alone can take the gate away",
            Self::Refused(_) => {
                "have the next policy published with 'countersign policy publish' by whom the present one names"
            }
            Self::Rewound => {
                "fetch the ref and publish on top of it with 'countersign policy publish', with a greater serial"
            }
        }
    }
}
