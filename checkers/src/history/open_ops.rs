use std::collections::HashMap;

/// Ids below this have a slot in a table. Processes are numbered from 0, so nearly all do.
const DENSE_MAX: u32 = 1 << 16;

/// What each process has open, by process id.
#[derive(Clone, Debug)]
pub(super) struct OpenOps<T> {
    dense: Vec<Option<T>>,
    sparse: HashMap<u32, T>,
}

impl<T> Default for OpenOps<T> {
    fn default() -> OpenOps<T> {
        OpenOps { dense: Vec::new(), sparse: HashMap::new() }
    }
}

impl<T> OpenOps<T> {
    /// Opens an operation; returns the one that was open.
    pub(super) fn insert(&mut self, process: u32, op: T) -> Option<T> {
        if process >= DENSE_MAX {
            return self.sparse.insert(process, op);
        }
        let slot = process as usize;
        if slot >= self.dense.len() {
            self.dense.resize_with(slot + 1, || None);
        }
        self.dense[slot].replace(op)
    }

    /// Closes what the process has open.
    pub(super) fn remove(&mut self, process: u32) -> Option<T> {
        if process >= DENSE_MAX {
            return self.sparse.remove(&process);
        }
        self.dense.get_mut(process as usize)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_huge_ids_alike() {
        let mut open = OpenOps::default();
        for id in [0, 7, DENSE_MAX, u32::MAX] {
            assert_eq!(open.remove(id), None);
            assert_eq!(open.insert(id, 1), None);
            assert_eq!(open.insert(id, 2), Some(1));
            assert_eq!(open.remove(id), Some(2));
            assert_eq!(open.remove(id), None);
        }
    }
}
