//! What a certificate's own statements come to: may this key have signed at this time?
//!
//! As gpg reads them: the newest self-signature that has not expired decides, also about the time
//! before it was made; expiry is judged at the time that the signature states. A revocation counts for
//! all times whatever its reason: gpg says so too, and a time that is only stated cannot tell before
//! from after.

use super::certificate::{Certificate, ProvenUser, Statement};
use crate::verify::CannotTell;

/// A key that was fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// It has expired since.
    pub(super) expired_since: bool,
    /// When it expires or expired, if ever, in seconds since 1970.
    pub(super) expires: Option<i64>,
}

impl Certificate {
    /// Whether the primary key (`subkey` is `None`) or a subkey may have signed at `stated`; both times
    /// in seconds since 1970.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn fitness(&self, subkey: Option<usize>, stated: i64, now: i64) -> Result<Fit, CannotTell> {
        let proven = self.proven();
        if proven.revoked || subkey.is_some_and(|index| proven.subkeys[index].revoked) {
            return Err(CannotTell::KeyRevoked);
        }
        let direct = newest(&proven.direct, now);
        let users = self.current_users(now);
        if direct.is_none() && users.is_empty() {
            return Err(CannotTell::KeyUnfit);
        }
        let primary_lifetime = direct
            .and_then(|statement| statement.lifetime)
            .or_else(|| latest(&users, |statement| statement.lifetime));
        let primary_expires = primary_lifetime.map(|lifetime| self.primary.created() + lifetime);
        let (key, expires, may_sign) = match subkey {
            None => {
                let may_sign = direct
                    .and_then(|statement| statement.may_sign)
                    .or_else(|| latest(&users, |statement| statement.may_sign));
                (&self.primary, primary_expires, may_sign.unwrap_or(true))
            }
            Some(index) => {
                let key = &self.subkeys[index].key;
                let binding = newest(&proven.subkeys[index].statements, now).ok_or(CannotTell::KeyUnfit)?;
                let own = binding.lifetime.map(|lifetime| key.created() + lifetime);
                let expires = [own, primary_expires].into_iter().flatten().min();
                (key, expires, binding.may_sign.unwrap_or(true) && binding.is_mutual)
            }
        };
        if !may_sign || stated < key.created() || stated < self.primary.created() {
            return Err(CannotTell::KeyUnfit);
        }
        if expires.is_some_and(|expires| expires <= stated) {
            return Err(CannotTell::KeyExpired);
        }
        Ok(Fit { expired_since: expires.is_some_and(|expires| expires <= now), expires })
    }

    /// The first moment after `now` at which another of its statements counts than does now.
    pub(super) fn changes_after(&self, now: i64) -> Option<i64> {
        let proven = self.proven();
        let of_users = proven.users.iter().flat_map(|user| &user.statements);
        let of_subkeys = proven.subkeys.iter().flat_map(|subkey| &subkey.statements);
        let moments = proven.direct.iter().chain(of_users).chain(of_subkeys).flat_map(|statement| {
            let begins = statement.created.saturating_sub(crate::verify::FUTURE_SKEW);
            std::iter::once(begins).chain(statement.expires)
        });
        moments.filter(|moment| *moment > now).min()
    }

    /// The user id to show: the newest of those that are marked, or the newest.
    pub(super) fn user_id(&self, now: i64) -> Option<&str> {
        let users = self.current_users(now);
        let shown = users.iter().max_by_key(|(_, statement)| (statement.is_primary, statement.created));
        let any = self.proven().users.first();
        shown.map(|(user, _)| user.name.as_str()).or(any.map(|user| user.name.as_str()))
    }

    /// The user ids that count, each with the statement that decides.
    fn current_users(&self, now: i64) -> Vec<(&ProvenUser, &Statement)> {
        let current = self.proven().users.iter().filter_map(|user| {
            let statement = newest(&user.statements, now)?;
            user.revoked.is_none_or(|revoked| revoked < statement.created).then_some((user, statement))
        });
        current.collect()
    }
}

/// The newest statement that counts at `now`.
fn newest(statements: &[Statement], now: i64) -> Option<&Statement> {
    let counts = |statement: &&Statement| {
        statement.created <= now.saturating_add(crate::verify::FUTURE_SKEW)
            && statement.expires.is_none_or(|expires| expires > now)
    };
    statements.iter().filter(counts).max_by_key(|statement| statement.created)
}

/// What the newest statement that says anything says.
fn latest<T>(users: &[(&ProvenUser, &Statement)], says: impl Fn(&Statement) -> Option<T>) -> Option<T> {
    let saying = users.iter().filter_map(|(_, statement)| Some((statement.created, says(statement)?)));
    saying.max_by_key(|(created, _)| *created).map(|(_, said)| said)
}
