//! Removes operations and faults from a failing plan until each that is left is needed for the failure.

use crate::plan::{Item, Plan};

/// Returns the smallest plan that `fails`, found by removing ever smaller parts of its items (delta debugging).
pub(crate) fn shrink(plan: &Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
    let mut smallest = plan.clone();
    let mut size = smallest.items.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut is_smaller = false;
        while start < smallest.items.len() {
            let end = (start + size).min(smallest.items.len());
            let items: Vec<Item> =
                smallest.items[..start].iter().chain(&smallest.items[end..]).cloned().collect();
            let candidate = Plan { items, ..smallest.clone() };
            if fails(&candidate) {
                smallest = candidate;
                is_smaller = true;
            } else {
                start = end;
            }
        }
        size = if is_smaller && size == 1 { 1 } else { size / 2 };
    }
    smallest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;

    #[test]
    fn only_what_is_needed_for_the_failure_is_left() {
        let plan = Plan::of_seed(3, 24, Fault::ALL);
        assert!(plan.items.len() > 8);
        let wanted = [1, plan.items.len() - 2].map(|index| format!("{:?}", plan.items[index]));
        let fails = |plan: &Plan| {
            wanted.iter().all(|wanted| plan.items.iter().any(|item| format!("{item:?}") == *wanted))
        };
        let shrunk = shrink(&plan, fails);
        let left: Vec<String> = shrunk.items.iter().map(|item| format!("{item:?}")).collect();
        assert_eq!(left, wanted);
    }
}
