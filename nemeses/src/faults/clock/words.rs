//! How offsets are told.

/// With milliseconds.
pub(super) fn seconds(ns: i64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}

pub(super) fn ahead(ns: i64) -> String {
    if ns < 0 { format!("{} behind", seconds(-ns)) } else { format!("{} ahead", seconds(ns)) }
}
