//! Who writes which key.

use crate::registers::Sessions;

/// The writes of each key, grouped by session, in session order.
pub(crate) struct Writers {
    /// Key `k` has the groups `groups[starts[k]..starts[k + 1]]`.
    starts: Vec<u32>,
    groups: Vec<(u32, u32)>,
    writes: Vec<u32>,
}

impl Writers {
    pub(crate) fn new(kv: &Sessions) -> Writers {
        let mut writes: Vec<u32> =
            (0..kv.ops.len() as u32).filter(|&op| kv.ops[op as usize].is_write()).collect();
        let key = |op: u32| kv.ops[op as usize].key;
        let session = |op: u32| kv.ops[op as usize].session;
        // Ids ascend within a session and sessions ascend with ids: a stable sort by key keeps both.
        writes.sort_by_key(|&op| key(op));
        let (mut starts, mut groups) = (vec![0u32], Vec::new());
        for (at, &op) in writes.iter().enumerate() {
            let fresh = at == 0 || key(writes[at - 1]) != key(op);
            if fresh {
                starts.resize(key(op) as usize + 1, groups.len() as u32);
            }
            if fresh || session(writes[at - 1]) != session(op) {
                groups.push((at as u32, 0));
            }
            groups.last_mut().expect("just pushed").1 = at as u32 + 1;
        }
        starts.resize(kv.keys + 1, groups.len() as u32);
        Writers { starts, groups, writes }
    }

    /// For each session that writes `key`, its writes in session order.
    pub(crate) fn of(&self, key: u32) -> impl Iterator<Item = &[u32]> {
        let range = self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize;
        self.groups[range].iter().map(|&(from, to)| &self.writes[from as usize..to as usize])
    }
}
