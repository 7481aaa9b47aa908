//! Isolation of transactions over registers, without a version order.

use crate::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    Vec::new()
}
