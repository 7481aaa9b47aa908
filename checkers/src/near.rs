//! Binary search in what is mostly searched in order.

/// The first of `items` for which `before` is false, where it is true for all before that one: looked for around the hint, and
/// then farther and farther away.
pub(crate) fn partition_near<T>(items: &[T], hint: usize, before: impl Fn(&T) -> bool) -> usize {
    let mut near = 2;
    loop {
        let high = hint.saturating_add(near).min(items.len());
        let low = hint.saturating_sub(near).min(high);
        let at = low + items[low..high].partition_point(&before);
        if (at > low || low == 0) && (at < high || high == items.len()) {
            return at;
        }
        near *= 8;
    }
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
