//! What stands where nothing does.

use countersign::{
    hook::Standing,
    object::ObjectId,
    repository::{ReferenceError, ReferenceValue},
};
use gix::bstr::BStr;

/// Nothing stands, and nothing was accepted.
pub struct Nothing;

impl Standing for Nothing {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        Ok(ReferenceValue { names: vec![name.to_owned()], id: None })
    }

    fn is_accepted(&self, _: &[u8; 32], _: ObjectId) -> bool {
        false
    }
}
