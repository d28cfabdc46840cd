//! The way to an instance's servers: which authorities vouch for them, and as whom they are spoken to.
//!
//! Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`), as everywhere.

use super::{World, settings};
use crate::{
    repository::Configuration,
    service::{
        http::{Bounds, Http},
        tls::{Tls, TlsFiles},
    },
    words::Failure,
};

/// The files that protected configuration names for the servers of the instance `name`.
pub(super) fn files(
    world: &World<'_>,
    configuration: &Configuration,
    name: &str,
) -> Result<TlsFiles, Failure> {
    // What is said of one instance goes before what is said of all.
    let file = |key: &str| {
        let own = key.replacen("countersign.", &format!("countersign.{name}."), 1);
        match settings::path(world, configuration, &own)? {
            Some(own) => Ok(Some(own)),
            None => settings::path(world, configuration, key),
        }
    };
    let authorities = file("countersign.caFile")?;
    let client = match (file("countersign.clientCertificate")?, file("countersign.clientKey")?) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => {
            return Err(Failure::new(
                "of client certificate and key only one is configured",
                "set both 'countersign.clientCertificate' and 'countersign.clientKey', or neither",
            ));
        }
    };
    Ok(TlsFiles { authorities, client })
}

/// A client for the servers of the instance `name`.
pub(super) fn http(
    world: &World<'_>,
    configuration: &Configuration,
    name: &str,
    bounds: Bounds,
) -> Result<Http, Failure> {
    client(&files(world, configuration, name)?, bounds)
}

/// A client that goes by `files`.
pub(super) fn client(files: &TlsFiles, bounds: Bounds) -> Result<Http, Failure> {
    let tls = Tls::load(files).map_err(|error| {
        Failure::new(
            error,
            "see what 'countersign.caFile', 'countersign.clientCertificate' and 'countersign.clientKey' name",
        )
    })?;
    Ok(Http::with_tls(bounds, tls))
}
