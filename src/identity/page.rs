//! The pages that a browser shows at the end of a login. No scripts, nothing loaded, all text escaped.

use super::token::Claims;

/// Who has signed in, plainly, so that a wrong account is noticed.
pub(super) fn signed_in(claims: &Claims) -> String {
    page(
        "Signed in",
        &format!(
            "<p>You signed in as <strong>{}</strong>.</p><p>Said by {}.</p>\
             <p>You can close this page and go back to where you were.</p>",
            escape(claims.name()),
            escape(&claims.issuer),
        ),
    )
}

/// The login did not work out; the program says why.
pub(super) fn failed() -> String {
    page("Not signed in", "<p>The login failed. The program that opened this page says why.</p>")
}

/// Something that is not part of the login.
pub(super) fn stray() -> String {
    page("Nothing here", "<p>This is not part of the login in progress.</p>")
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>countersign: {title}</title></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    )
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
    use super::{Claims, signed_in};

    #[test]
    fn names_cannot_bring_markup() {
        let page = signed_in(&Claims {
            issuer: "https://issuer.example/?a&b".to_owned(),
            subject: "s".to_owned(),
            email: Some("<script>alert('x')</script>\"@example.org".to_owned()),
            audience: Vec::new(),
            expires: 0,
        });
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;@example.org"), "{page}");
        assert!(page.contains("https://issuer.example/?a&amp;b"), "{page}");
    }
}
