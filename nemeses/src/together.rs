//! Faults that strike the same nodes at once.

use serde::{Deserialize, Serialize};

/// The operation that [`Chaos`](crate::Chaos) itself answers: several faults on the same nodes, which are chosen once.
pub(crate) const TOGETHER: &str = "together";

/// What it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Together {
    /// A [`NodeSpec`](crate::NodeSpec) as text.
    pub(crate) nodes: String,
    /// Kinds of fault, each with what stands before the nodes in its value: nothing, or `loss=20%@`.
    pub(crate) faults: Vec<(String, String)>,
}
