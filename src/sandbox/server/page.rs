//! The few pages that people see, with everything that comes from outside escaped.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

/// Nothing is loaded and no script runs; a form may lead back to a program on this machine (by no address of IPv6:
/// a source cannot be written as one).
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                      form-action 'self' http://localhost:* http://127.0.0.1:*";

/// A page; `body` is HTML, made with [`escape`].
pub(super) fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>countersign sandbox</title>\
         <style>body{{font:1rem/1.5 sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}}\
         input,button{{font:inherit;padding:.3rem .6rem}}</style></head>\n\
         <body><h1>countersign sandbox</h1>\n{body}\n\
         <p><small>For trials and tests: whoever reaches this page may log in as anybody.</small></p>\
         </body></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, html).into_response()
}

/// A page that says one thing.
pub(super) fn message(status: StatusCode, text: &str) -> Response {
    page(status, &format!("<p>{}</p>", escape(text)))
}

/// Text as HTML shows it, in content and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
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
