//! Which of the pins that protected configuration holds is a repository's, if one is.

use super::{
    InCommit, Pin,
    chain::{ChainError, commits, tip},
    read_policy,
};
use crate::repository::{ObjectReadError, ObjectReader, References};

/// The pin that is meant for this repository: its root is here, or the policy that its ref holds says
/// that it is for that repository. `None` where no pin is.
///
/// # Errors
/// Several are, its root is not here, or what is here cannot be read.
pub fn find_pin<'p>(
    reader: &ObjectReader,
    references: &References,
    pins: &'p [Pin],
) -> Result<Option<&'p Pin>, ChainError> {
    let mut fitting: Vec<&Pin> = Vec::new();
    for pin in pins.iter().filter(|pin| pin.root.kind() == reader.hash()) {
        if !fitting.contains(&pin) && (is_here(reader, pin)? || is_claimed(reader, references, pin)) {
            fitting.push(pin);
        }
    }
    if fitting.len() > 1 {
        // The root of a fork's origin may be here without being the root of what the ref holds now.
        let leads = |pin: &&Pin| {
            tip(references, &pin.reference).and_then(|tip| commits(reader, tip, Some(pin.root))).is_ok()
        };
        let leading: Vec<&Pin> = fitting.iter().copied().filter(leads).collect();
        let [pin] = leading.as_slice() else {
            return Err(ChainError::Ambiguous { one: fitting[0].to_string(), other: fitting[1].to_string() });
        };
        return Ok(Some(pin));
    }
    let Some(pin) = fitting.first() else { return Ok(None) };
    if is_here(reader, pin)? {
        return Ok(Some(pin));
    }
    Err(ChainError::NoRoot { root: pin.root, repository: pin.repository.clone() })
}

fn is_here(reader: &ObjectReader, pin: &Pin) -> Result<bool, ChainError> {
    match reader.kind(pin.root) {
        Ok(_) => Ok(true),
        Err(ObjectReadError::Missing(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether the ref of `pin` holds a policy that says that it is for the pin's repository.
fn is_claimed(reader: &ObjectReader, references: &References, pin: &Pin) -> bool {
    let read = || {
        let source = InCommit::new(reader, tip(references, &pin.reference).ok()?).ok()?;
        read_policy(&source).ok()
    };
    read().is_some_and(|(policy, _)| policy.repository() == Some(pin.repository.as_str()))
}
