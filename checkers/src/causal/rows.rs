//! Many vectors of one width, which are taken and given back.

use crate::{Budget, Lease, Spent};

/// Vectors of `u32` that lie one after the other. One that is taken is all zero.
pub(super) struct Rows<'a> {
    /// Numbers in a row; those in use are as many as were asked for.
    stride: usize,
    width: usize,
    all: Vec<u32>,
    free: Vec<u32>,
    lease: Lease<'a>,
    /// Bytes that the lease holds besides.
    fixed: usize,
    most: usize,
}

impl<'a> Rows<'a> {
    /// None so far, of a width of probably no more than `width`. The lease holds `fixed` more bytes, for others.
    pub(super) fn new(width: usize, fixed: usize, budget: &'a Budget) -> Result<Rows<'a>, Spent> {
        // Of very many sessions, most share their columns.
        let stride = if width <= 256 { width } else { 64 };
        let lease = budget.lease(fixed)?;
        Ok(Rows { stride, width: 0, all: Vec::new(), free: Vec::new(), lease, fixed, most: 0 })
    }

    /// A row of zeros.
    pub(super) fn take(&mut self) -> Result<u32, Spent> {
        if let Some(row) = self.free.pop() {
            self.of_whole(row).fill(0);
            return Ok(row);
        }
        let row = self.count() as u32;
        let len = self.all.len() + self.stride.max(1);
        if len > self.all.capacity() {
            self.grow(len.max(self.all.capacity() + self.all.capacity() / 2))?;
        }
        self.all.resize(len, 0);
        Ok(row)
    }

    fn grow(&mut self, len: usize) -> Result<(), Spent> {
        // Old and new are held while they are moved.
        let bytes = (self.all.capacity() + len) * size_of::<u32>();
        self.lease.resize(self.fixed + bytes)?;
        self.all.reserve_exact(len - self.all.len());
        self.most = self.most.max(bytes);
        self.lease.resize(self.fixed + self.all.capacity() * size_of::<u32>())
    }

    fn count(&self) -> usize {
        self.all.len() / self.stride.max(1)
    }

    /// Gives a row back.
    pub(super) fn give(&mut self, row: u32) {
        self.free.push(row);
    }

    /// Makes room for `width` columns in every row.
    pub(super) fn widen(&mut self, width: usize) -> Result<(), Spent> {
        self.width = width;
        if width <= self.stride {
            return Ok(());
        }
        let (old, rows) = (self.stride.max(1), self.count());
        let stride = 2 * width;
        let bytes = (self.all.capacity() + rows * stride) * size_of::<u32>();
        self.lease.resize(self.fixed + bytes)?;
        let mut all = vec![0; rows * stride];
        for (new, row) in all.chunks_exact_mut(stride).zip(self.all.chunks_exact(old)) {
            new[..old].copy_from_slice(row);
        }
        (self.all, self.stride, self.most) = (all, stride, self.most.max(bytes));
        self.lease.resize(self.fixed + self.all.capacity() * size_of::<u32>())
    }

    fn at(&self, row: u32) -> usize {
        row as usize * self.stride.max(1)
    }

    /// The columns in use of a row.
    #[inline]
    pub(super) fn of(&self, row: u32) -> &[u32] {
        let at = self.at(row);
        &self.all[at..at + self.width]
    }

    #[inline]
    pub(super) fn of_mut(&mut self, row: u32) -> &mut [u32] {
        let at = self.at(row);
        &mut self.all[at..at + self.width]
    }

    fn of_whole(&mut self, row: u32) -> &mut [u32] {
        let at = self.at(row);
        &mut self.all[at..at + self.stride.max(1)]
    }

    /// Raises each number of `into` to that of `from`.
    #[inline]
    pub(super) fn join(&mut self, into: u32, from: u32) {
        let (into, from) = self.two(into, from);
        for (mine, theirs) in into.iter_mut().zip(from) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// Copies `from` into `into`.
    pub(super) fn copy(&mut self, into: u32, from: u32) {
        let (into, from) = self.two(into, from);
        into.copy_from_slice(from);
    }

    /// Two different rows, the first to be changed.
    fn two(&mut self, into: u32, from: u32) -> (&mut [u32], &[u32]) {
        let (a, b, width) = (self.at(into), self.at(from), self.width);
        if a < b {
            let (low, high) = self.all.split_at_mut(b);
            (&mut low[a..a + width], &high[..width])
        } else {
            let (low, high) = self.all.split_at_mut(a);
            (&mut high[..width], &low[b..b + width])
        }
    }

    /// The most bytes held at once.
    pub(super) fn most(&self) -> usize {
        self.most
    }
}
