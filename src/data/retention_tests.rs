use proptest::prelude::*;

use super::*;

fn candidate(number: usize, days: Option<u64>, good: bool, bytes: u64) -> Candidate {
    Candidate {
        name: format!("s{number}").parse().unwrap(),
        age: days.map(|days| Duration::from_secs(days * 86_400)),
        good,
        bytes,
    }
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (prop::option::of(0u64..100), any::<bool>(), 0u64..1000);
    prop::collection::vec(one, 0..12).prop_map(|list| {
        let numbered = list.into_iter().enumerate();
        numbered
            .map(|(number, (days, good, bytes))| candidate(number, days, good, bytes))
            .collect()
    })
}

fn rules() -> impl Strategy<Value = Retention> {
    (
        prop::option::of(0usize..6),
        prop::option::of(0u64..100),
        0u64..5000,
        0usize..4,
    )
        .prop_map(|(keep_last, days, min_free, min_verified)| Retention {
            keep_last,
            max_age: days.map(|days| Duration::from_secs(days * 86_400)),
            min_free,
            min_verified,
        })
}

proptest! {
    #[test]
    fn the_minimum_of_good_ones_stays(candidates in candidates(), rules in rules(), free in 0u64..5000) {
        let removals = plan(&candidates, &rules, free);
        let good = candidates.iter().filter(|candidate| candidate.good).count();
        let stay = candidates
            .iter()
            .filter(|candidate| candidate.good && !removals.iter().any(|removal| removal.name == candidate.name))
            .count();
        prop_assert!(stay >= good.min(rules.min_verified));
    }

    #[test]
    fn nothing_good_goes_without_a_rule_and_nothing_goes_twice(candidates in candidates(), rules in rules(), free in 0u64..5000) {
        let removals = plan(&candidates, &rules, free);
        for (at, removal) in removals.iter().enumerate() {
            prop_assert!(!removals[..at].iter().any(|other| other.name == removal.name));
            let place = candidates.iter().position(|candidate| candidate.name == removal.name).unwrap();
            let candidate = &candidates[place];
            let newer = candidates[place + 1..].iter().filter(|candidate| candidate.good).count();
            let justified = match removal.reason {
                Reason::Bad => !candidate.good,
                Reason::Count => newer >= rules.keep_last.unwrap(),
                Reason::Age => candidate.age.unwrap() > rules.max_age.unwrap(),
                Reason::Space => free < rules.min_free,
            };
            prop_assert!(justified, "{removal:?}");
        }
    }

    #[test]
    fn a_second_look_finds_nothing_more(candidates in candidates(), rules in rules(), free in 0u64..5000) {
        let removals = plan(&candidates, &rules, free);
        let left: Vec<Candidate> = candidates
            .iter()
            .filter(|candidate| !removals.iter().any(|removal| removal.name == candidate.name))
            .cloned()
            .collect();
        let freed: u64 = candidates.iter().map(|candidate| candidate.bytes).sum::<u64>()
            - left.iter().map(|candidate| candidate.bytes).sum::<u64>();
        prop_assert_eq!(plan(&left, &rules, free + freed), []);
    }
}

#[test]
fn the_oldest_go_first_for_space_and_only_as_many_as_it_takes() {
    let list: Vec<_> = (0..5)
        .map(|number| candidate(number, None, true, 100))
        .collect();
    let rules = Retention {
        keep_last: None,
        max_age: None,
        min_free: 250,
        min_verified: 1,
    };
    let gone: Vec<_> = plan(&list, &rules, 100)
        .into_iter()
        .map(|removal| removal.name.to_string())
        .collect();
    assert_eq!(gone, ["s0", "s1"]);
}

#[test]
fn the_last_good_one_survives_every_rule() {
    let list = [
        candidate(0, Some(90), true, 1),
        candidate(1, Some(1), false, 1),
    ];
    let rules = Retention {
        keep_last: Some(0),
        max_age: Some(Duration::ZERO),
        min_free: u64::MAX,
        min_verified: 1,
    };
    let removals = plan(&list, &rules, 0);
    assert_eq!(removals.len(), 1);
    assert_eq!(removals[0].reason, Reason::Bad);
}

#[test]
fn bad_ones_stay_while_there_is_nothing_else() {
    let list = [candidate(0, None, false, 1), candidate(1, None, false, 1)];
    assert_eq!(plan(&list, &Retention::default(), 0), []);
}
