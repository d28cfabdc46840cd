//! `forge_users`: which accounts of which forge count as an identity where somebody pushes.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{PolicyError, check_name, moment::WindowText};
use crate::{
    policy::{Account, ForgeUser, NamedIdentity, Window},
    words::escape,
};

/// The keys of the table, besides [`super::moment::WINDOW_KEYS`].
pub(super) const KEYS: [&str; 3] = ["forge", "user", "id"];

#[derive(Deserialize)]
pub(super) struct ForgeUserText {
    forge: String,
    user: Option<String>,
    id: Option<String>,
    #[serde(flatten)]
    pub(super) window: WindowText,
}

/// The account that a table names: by its name or by its number.
pub(super) fn forge_user(
    text: ForgeUserText,
    window: Window,
    place: impl Fn() -> String,
) -> Result<ForgeUser, PolicyError> {
    let ForgeUserText { forge, user, id, window: _ } = text;
    check_name(&forge)?;
    let account = match (user, id) {
        (Some(user), None) => Account::User(user),
        (None, Some(id)) => Account::Id(id),
        _ => return Err(PolicyError::ForgeAccount { place: place() }),
    };
    let (Account::User(written) | Account::Id(written)) = &account;
    if written.contains('*') {
        return Err(PolicyError::SignerPattern(escape(written)));
    }
    check_name(written)?;
    Ok(ForgeUser { forge, account, window })
}

/// Refuse an account that is listed twice: whose it is would be left to the order.
pub(super) fn refuse_shared(identities: &[NamedIdentity]) -> Result<(), PolicyError> {
    let mut seen = BTreeSet::new();
    for user in identities.iter().flat_map(|identity| &identity.forge_users) {
        if !seen.insert((&user.forge, &user.account)) {
            let (Account::User(written) | Account::Id(written)) = &user.account;
            let subject = format!("{} of {}", escape(written), escape(&user.forge));
            return Err(PolicyError::DuplicateSigner { subject });
        }
    }
    Ok(())
}
