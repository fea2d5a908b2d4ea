//! What is attached together is detached together.

use super::*;

fn planned(rule: Option<usize>, pair: u32, thinning: u8, class: Class) -> Planned {
    Planned {
        label: String::new(),
        offset: 0,
        depth: 0,
        semaphore: 0,
        class,
        shape: Shape {
            pair,
            thinning,
            ..Shape::default()
        },
        is_begin: false,
        role: 0,
        name: String::new(),
        values: Vec::new(),
        rule,
        unread: Vec::new(),
    }
}

const EMULATED: Class = Class::Emulated;

#[test]
fn each_function_and_pair_by_a_rule_is_detached_by_itself_and_the_rest_never() {
    let all = [
        planned(Some(0), 7, thinning::ENTER, EMULATED),
        planned(None, 1, thinning::BEGIN, EMULATED),
        planned(Some(1), 3, thinning::BEGIN, EMULATED),
        planned(Some(0), 7, thinning::EXIT, EMULATED),
        planned(Some(1), 3, thinning::END, EMULATED),
        planned(Some(2), 0, thinning::EACH, EMULATED),
        planned(None, 0, thinning::LANDED, Class::Stepped),
        planned(Some(0), 7, thinning::EXIT, EMULATED),
    ];
    let groups = groups(&all);
    let places = |group: &Group<'_>| -> Vec<usize> {
        let at = |one: &&Planned| all.iter().position(|other| std::ptr::eq(*one, other));
        group.planned.iter().filter_map(at).collect()
    };
    let all: Vec<_> = groups.iter().map(|g| (places(g), g.weight)).collect();
    assert_eq!(
        all,
        [(vec![2, 4], 1), (vec![0, 3, 7], 1), (vec![1, 5, 6], 0),]
    );
}

#[test]
fn a_pair_is_as_heavy_as_its_heaviest_place() {
    let all = [
        planned(Some(0), 7, thinning::ENTER, EMULATED),
        planned(Some(0), 7, thinning::EXIT, Class::Stepped),
        planned(Some(0), 8, thinning::ENTER, EMULATED),
    ];
    let heavy = if is_virtual() { STEPPED_WEIGHT } else { 1 };
    let weights: Vec<u8> = groups(&all).iter().map(|group| group.weight).collect();
    assert_eq!(weights, [heavy, 1]);
}

#[test]
fn what_has_nothing_to_attach_has_no_group() {
    assert!(groups(&[]).is_empty());
}
