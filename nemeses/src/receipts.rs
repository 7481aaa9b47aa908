//! Receipts of several nodes as one.

use serde_json::Value;
use squall_checkers::Receipt;

/// `n1: pid 17 gone; n2: pid 12 gone`: confirmed if each is. Measurements keep apart by node.
pub(crate) fn join(names: &[String], receipts: Vec<Receipt>) -> Receipt {
    let evidence: Vec<String> =
        names.iter().zip(&receipts).map(|(name, receipt)| format!("{name}: {}", receipt.evidence)).collect();
    let confirmed = !receipts.is_empty() && receipts.iter().all(|receipt| receipt.confirmed);
    let measured = names.iter().zip(receipts).filter(|(_, receipt)| !receipt.measured.is_empty());
    Receipt {
        confirmed,
        evidence: if evidence.is_empty() { "no node".to_owned() } else { evidence.join("; ") },
        measured: measured.map(|(name, receipt)| (name.clone(), Value::Object(receipt.measured))).collect(),
    }
}
