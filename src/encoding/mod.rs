//! Byte-level parts that every format shares: DER as slices of the input, SHA-256.
//!
//! Strict by construction: lengths and tags must be DER, and nothing may be left over. The one exception
//! has its own module and ends in DER.

pub mod ber;
pub mod cms;
pub mod der;
pub mod name;
pub mod x509;

/// SHA-256 over several slices, as if they were one.
#[must_use]
pub fn sha256(segments: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for segment in segments {
        context.update(segment);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
