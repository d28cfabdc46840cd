//! A distinguished name (RFC 5280 §4.1.2.4) as text for people; never for comparing.

use super::der::{self, DerError, ObjectIdentifier, Tag};

/// The most attributes that are read.
const MAXIMUM_ATTRIBUTES: usize = 64;

/// The names of attribute types (RFC 4514 §3, and those that GnuPG uses besides).
const TYPES: [(ObjectIdentifier, &str); 14] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.4"), "SN"),
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "SerialNumber"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "STREET"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.12"), "T"),
    (ObjectIdentifier::new_unwrap("2.5.4.42"), "GN"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1"), "EMail"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"), "UID"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"), "DC"),
];

/// Type and value of each attribute of a Name (DER), the last first as RFC 4514 writes them. An unknown
/// type is its dotted number, a value that is no text its hexadecimal digits after `#`.
///
/// # Errors
/// Not a Name.
pub fn attributes(name: &[u8]) -> Result<Vec<(String, String)>, DerError> {
    let mut sequence = der::only(name, Tag::Sequence)?.walk();
    let mut attributes = Vec::new();
    while !sequence.is_empty() {
        let mut set = sequence.expect(Tag::Set)?.walk();
        while !set.is_empty() {
            let mut attribute = set.expect(Tag::Sequence)?.walk();
            let kind = attribute.expect(Tag::ObjectIdentifier)?.value;
            let value = attribute.any()?;
            attribute.finish()?;
            let text = match value.tag {
                Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
                    std::str::from_utf8(value.value).ok().map(str::to_owned)
                }
                _ => None,
            };
            let text = text.unwrap_or_else(|| format!("#{}", hex::encode_upper(value.raw)));
            attributes.push((type_name(kind)?, text));
            if attributes.len() > MAXIMUM_ATTRIBUTES {
                return Err(DerError);
            }
        }
    }
    attributes.reverse();
    Ok(attributes)
}

fn type_name(kind: &[u8]) -> Result<String, DerError> {
    if let Some((_, name)) = TYPES.iter().find(|(identifier, _)| identifier.as_bytes() == kind) {
        return Ok((*name).to_owned());
    }
    ObjectIdentifier::from_bytes(kind).map(|identifier| identifier.to_string()).map_err(|_| DerError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attribute_comes_first_and_what_is_no_text_is_shown_as_bytes() {
        let name = hex::decode(
            "302b310d300b060355040a0c04436f7270310c300a06035504030c0341ff42310c300a06035504611303414243",
        );
        let pair = |kind: &str, value: &str| (kind.to_owned(), value.to_owned());
        assert_eq!(
            attributes(&name.unwrap()),
            Ok(vec![pair("2.5.4.97", "ABC"), pair("CN", "#0C0341FF42"), pair("O", "Corp")])
        );
    }
}
