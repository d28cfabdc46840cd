//! The pages that a browser shows at the end of a login. Nothing loaded, all text escaped, and at most one
//! script, which closes the page and is named to the browser by its hash.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::token::Claims;
use crate::service::base64;

/// A page, and what it may do.
pub(super) struct Page {
    /// The whole document.
    pub(super) html: String,
    /// The value of `Content-Security-Policy`.
    pub(super) policy: String,
}

/// Who has signed in, plainly, so that a wrong account is noticed; closed after a while where the browser
/// lets a page do that.
pub(super) fn signed_in(claims: &Claims, close_after: Option<Duration>) -> Page {
    let script = close_after.map(|wait| format!("setTimeout(() => window.close(), {})", wait.as_millis()));
    page(
        "Signed in",
        &format!(
            "<p>You signed in as <strong>{}</strong>.</p><p>Said by {}.</p>\
             <p>You can close this page and go back to where you were.</p>",
            escape(claims.name()),
            escape(&claims.issuer),
        ),
        script.as_deref(),
    )
}

/// The login did not work out; the program says why.
pub(super) fn failed() -> Page {
    page("Not signed in", "<p>The login failed. The program that opened this page says why.</p>", None)
}

/// Something that is not part of the login.
pub(super) fn stray() -> Page {
    page("Nothing here", "<p>This is not part of the login in progress.</p>", None)
}

fn page(title: &str, body: &str, script: Option<&str>) -> Page {
    let mut policy = "default-src 'none'".to_owned();
    let mut closing = String::new();
    if let Some(script) = script {
        let hash = base64(digest(&SHA256, script.as_bytes()).as_ref());
        policy += &format!("; script-src 'sha256-{hash}'");
        closing = format!("<script>{script}</script>");
    }
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>countersign: {title}</title></head>\
         <body><h1>{title}</h1>{body}{closing}</body></html>\n"
    );
    Page { html, policy }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Claims, signed_in};

    fn claims() -> Claims {
        Claims {
            issuer: "https://issuer.example/?a&b".to_owned(),
            subject: "s".to_owned(),
            email: Some("<script>alert('x')</script>\"@example.org".to_owned()),
            audience: Vec::new(),
            expires: 0,
        }
    }

    #[test]
    fn the_one_script_closes_the_page_and_is_named_by_its_hash() {
        let page = signed_in(&claims(), Some(Duration::from_secs(6)));
        assert_eq!(page.html.matches("<script").count(), 1);
        assert!(page.html.contains("<script>setTimeout(() => window.close(), 6000)</script>"));
        // printf %s 'setTimeout(() => window.close(), 6000)' | openssl dgst -sha256 -binary | base64
        let hash = "Kd9bKX/wk+VDJ4Fsy2/l1r8Qy4f1/eDYI4NHDoh5LDA=";
        assert_eq!(page.policy, format!("default-src 'none'; script-src 'sha256-{hash}'"));
        let still = signed_in(&claims(), None);
        assert_eq!((still.html.matches("<script").count(), &*still.policy), (0, "default-src 'none'"));
    }

    #[test]
    fn names_cannot_bring_markup() {
        let page = signed_in(&claims(), None).html;
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;@example.org"), "{page}");
        assert!(page.contains("https://issuer.example/?a&amp;b"), "{page}");
    }
}
