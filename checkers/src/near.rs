//! Binary search in what is mostly searched in order.

/// The first of `items` for which `before` is false, where it is true for all before that one; looks near the hint first.
pub(crate) fn partition_near<T>(items: &[T], hint: usize, before: impl Fn(&T) -> bool) -> usize {
    const NEAR: usize = 16;
    let high = hint.saturating_add(NEAR).min(items.len());
    let low = hint.saturating_sub(NEAR).min(high);
    let near = low + items[low..high].partition_point(&before);
    let first = near > low || low == 0;
    let last = near < high || high == items.len();
    if first && last { near } else { items.partition_point(before) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_partition_point_whatever_the_hint() {
        for len in [0, 1, 20, 100] {
            let items: Vec<usize> = (0..len).collect();
            for at in 0..=len {
                for hint in 0..len + 20 {
                    assert_eq!(partition_near(&items, hint, |&item| item < at), at);
                }
            }
        }
    }
}
