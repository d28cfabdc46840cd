//! One object's entry in the log: which log to ask, and which of its answers is a proof.

use std::collections::BTreeMap;

use super::{Became, refused};
use crate::{
    cli::{World, signing, transport},
    encoding::sha256,
    object::Signed,
    repository::Configuration,
    service::{
        http::{Bounds, Http, HttpError},
        rekor_v1::{self, RekorError},
    },
    verify::{TimeNotProven, Verifier},
    words::Failure,
};

/// The logs of every instance.
pub(super) struct Lookup<'a> {
    verifier: &'a Verifier,
    /// Clients by the name of the instance.
    clients: BTreeMap<String, Http>,
    /// Base URLs by the name of the instance.
    logs: BTreeMap<String, Vec<String>>,
    now: i64,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(
        world: &World<'_>,
        configuration: &Configuration,
        verifier: &'a Verifier,
    ) -> Result<Self, Failure> {
        let (mut logs, mut clients) = (BTreeMap::new(), BTreeMap::new());
        for instance in verifier.instances() {
            let urls = signing::rekor_v1_urls(world, configuration, instance)?;
            let http = transport::http(world, configuration, instance.name(), Bounds::default())?;
            clients.insert(instance.name().to_owned(), http);
            logs.insert(instance.name().to_owned(), urls);
        }
        Ok(Self { verifier, clients, logs, now: world.now })
    }

    /// Look for the entry about `signed`, which is `judged`; with it the bytes to keep.
    pub(super) fn find(
        &self,
        signed: &Signed<'_>,
        judged: &TimeNotProven,
    ) -> Result<(Became, Option<Vec<u8>>), Failure> {
        let instance = &judged.identity().instance;
        let mut cause = None;
        let mut asked = false;
        for url in self.logs.get(instance).into_iter().flatten() {
            let Some(http) = self.clients.get(instance) else { break };
            match self.ask(http, url, signed, judged, &mut cause) {
                Ok(Some((became, bytes))) => return Ok((became, Some(bytes))),
                Ok(None) => asked = true,
                // Something that is no Rekor v1, or one without an index.
                Err(RekorError::Refused(refusal)) if matches!(refusal.status, 404 | 405 | 501) => {}
                Err(error) => {
                    return Err(Failure::new(
                        format!("the log at '{url}' cannot be asked: {error}"),
                        "try again when the network and the log are there; what was found is kept",
                    ));
                }
            }
        }
        if !asked {
            return Err(Failure::new(
                format!("no log of the instance '{instance}' can be searched"),
                format!(
                    "name its Rekor v1 in 'countersign.{instance}.signingConfig', or in 'countersign.rekor'"
                ),
            ));
        }
        Ok((cause.unwrap_or(Became::NotInTheLog), None))
    }

    /// Ask one log. The first cause for which something is no proof is left in `cause`.
    fn ask(
        &self,
        http: &Http,
        url: &str,
        signed: &Signed<'_>,
        judged: &TimeNotProven,
        cause: &mut Option<Became>,
    ) -> Result<Option<(Became, Vec<u8>)>, RekorError> {
        for id in signed.logged_ids() {
            let digest = sha256(&[id.to_hex().to_string().as_bytes()]);
            let found = match rekor_v1::search(http, url, &digest, judged.certificate()) {
                Err(RekorError::Http(error @ HttpError::TooLarge { .. })) => {
                    cause.get_or_insert(Became::Refused(error.to_string()));
                    continue;
                }
                found => found?,
            };
            for id in &found.ids {
                let bytes = match rekor_v1::fetch(http, url, id) {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => continue,
                    Err(RekorError::Http(error @ HttpError::TooLarge { .. })) => {
                        cause.get_or_insert(Became::Refused(error.to_string()));
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                match self.verifier.check_proof(signed, &bytes, self.now) {
                    Ok(proven) => return Ok(Some((Became::Kept(Box::new(proven)), bytes))),
                    Err(error) => {
                        cause.get_or_insert(refused(error));
                    }
                }
            }
            if found.more {
                let words = format!(
                    "none of the first {} entries that the log has for it is a proof",
                    rekor_v1::MAXIMUM_FOUND
                );
                cause.get_or_insert(Became::Refused(words));
            }
        }
        Ok(None)
    }
}
