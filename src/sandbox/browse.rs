//! The browser of the demonstration: gets a page of this machine and goes where it is sent.

use ureq::http::{Uri, header::LOCATION};

/// How often it lets itself be sent elsewhere.
const MAXIMUM_REDIRECTS: usize = 5;
/// The longest page that is read, in bytes.
const MAXIMUM_PAGE: u64 = 1024 * 1024;

/// Why there is no page at the end. One cause, one variant.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrowseError {
    /// The page is not one of this machine.
    #[error("'{0}' is not an address of this machine")]
    Elsewhere(String),
    /// The exchange broke off.
    #[error("'{url}': {source}")]
    Exchange { url: String, source: Box<ureq::Error> },
    /// The answer is neither a page nor a way to another one.
    #[error("'{url}' answered {status}")]
    Status { url: String, status: u16 },
    /// One redirect after another.
    #[error("'{0}' sends from one page to the next without end")]
    TooManyRedirects(String),
}

/// Gets `url` and whatever it redirects to; the page at the end.
pub(super) fn browse(url: &str) -> Result<String, BrowseError> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build().into();
    let mut address = url.to_owned();
    for _ in 0..=MAXIMUM_REDIRECTS {
        if !is_of_this_machine(&address) {
            return Err(BrowseError::Elsewhere(address));
        }
        let failed = |source| BrowseError::Exchange { url: address.clone(), source: Box::new(source) };
        let mut response = agent.get(&address).call().map_err(failed)?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        match (status.is_redirection(), location) {
            (true, Some(location)) => address = location.to_owned(),
            (false, _) if status.is_success() => {
                let body = response.body_mut().with_config().limit(MAXIMUM_PAGE);
                return body.read_to_string().map_err(failed);
            }
            _ => return Err(BrowseError::Status { url: address, status: status.as_u16() }),
        }
    }
    Err(BrowseError::TooManyRedirects(url.to_owned()))
}

fn is_of_this_machine(url: &str) -> bool {
    let parsed = url.parse::<Uri>().ok();
    parsed.is_some_and(|uri| {
        uri.scheme_str() == Some("http") && matches!(uri.host(), Some("127.0.0.1" | "localhost"))
    })
}

#[cfg(test)]
mod tests {
    use super::{BrowseError, browse};

    #[test]
    fn only_this_machine_is_asked() {
        for url in ["http://example.com/", "https://localhost/", "file:///etc/passwd", "http://[::1", ""] {
            assert!(matches!(browse(url), Err(BrowseError::Elsewhere(_))), "{url}");
        }
    }

    #[test]
    fn redirects_are_followed_and_end() {
        let authority = crate::sandbox::Authority::new(crate::sandbox::Options::default()).unwrap();
        let running = authority.serve(0).unwrap();
        let page = browse(&format!("{}/device", running.url())).unwrap();
        assert!(page.contains("<form"), "{page}");
        let missing = browse(&format!("{}/nothing", running.url()));
        assert!(matches!(missing, Err(BrowseError::Status { status: 404, .. })), "{missing:?}");
    }
}
