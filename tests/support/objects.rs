//! Objects and signatures changed by hand, as somebody with bad intentions would.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cms::{content_info::ContentInfo, signed_data::SignedData};
use der::{Any, Decode as _, Encode as _};

/// `object` with the header `name: value` added behind its other headers, folded as git folds it.
pub fn insert_header(object: &[u8], name: &str, value: &[u8]) -> Vec<u8> {
    let end = object.windows(2).position(|pair| pair == b"\n\n").expect("headers end") + 1;
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    let folded = String::from_utf8(value.to_vec()).unwrap().replace('\n', "\n ");
    [&object[..end], format!("{name} {folded}\n").as_bytes(), &object[end..]].concat()
}

/// A signed commit without its signature header, and its armor with a line feed at the end.
pub fn remove_signature(object: &[u8], header: &str) -> (Vec<u8>, Vec<u8>) {
    let begin = format!("\n{header} ");
    let start = find(object, begin.as_bytes()).expect("the commit is signed") + 1;
    let end = "\n -----END SIGNED MESSAGE-----\n";
    let end = start + find(&object[start..], end.as_bytes()).expect("the armor ends") + end.len();
    let folded = std::str::from_utf8(&object[start + begin.len() - 1..end]).unwrap();
    let armor = folded.replace("\n ", "\n").into_bytes();
    ([&object[..start], &object[end..]].concat(), armor)
}

/// The same armor around a CMS that `change` has changed.
pub fn rewrite_cms(armor: &[u8], change: impl FnOnce(&mut SignedData)) -> Vec<u8> {
    let text = std::str::from_utf8(armor).unwrap();
    let base64: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut info = ContentInfo::from_der(&STANDARD.decode(base64).unwrap()).unwrap();
    let mut signed: SignedData = info.content.decode_as().unwrap();
    change(&mut signed);
    info.content = Any::encode_from(&signed).unwrap();
    countersign::signature::armor::encode(&info.to_der().unwrap())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
