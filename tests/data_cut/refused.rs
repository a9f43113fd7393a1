//! Cuts that are refused or given up, and leave nothing.

use super::*;

#[test]
fn an_open_database_is_not_cut_as_if_it_were_stopped() {
    for engine in chain::ALL {
        let place = Place::new();
        engine.fill(&place.data(), 100, &[]);
        let writer = engine.start(&place.data(), &["calm"]);
        let mut control = Control::unlimited();
        let mut cut = Cut::prepare(
            place.source(),
            &place.store(),
            options("one", None),
            &mut control,
        )
        .unwrap();
        let refused = cut.cold(true, &mut control).unwrap_err();
        // A clean MANIFEST or log may be refused first, since the writer is in the middle of one.
        assert!(
            matches!(
                refused,
                Error::InUse { .. } | Error::Damaged { .. } | Error::Io { .. }
            ),
            "{refused}"
        );
        drop(cut);
        writer.stop();
        take(&place.source(), &place.store(), "one", None).unwrap();
    }
}

#[test]
fn a_cut_that_runs_out_of_time_or_is_dropped_leaves_nothing() {
    let place = Place::new();
    Engine::LevelDb.fill(&place.data(), 500, &[]);
    let mut control = Control::unlimited();
    let mut cut = Cut::prepare(
        place.source(),
        &place.store(),
        options("one", None),
        &mut control,
    )
    .unwrap();
    cut.warm(&mut control).unwrap();
    let mut budget = Control::unlimited().within(std::time::Duration::ZERO);
    assert!(matches!(
        cut.cold(true, &mut budget),
        Err(Error::Interrupted(_))
    ));
    drop(cut);
    assert_eq!(store_entries(&place.store()), ["lock"]);
    let mut cut = Cut::prepare(
        place.source(),
        &place.store(),
        options("one", None),
        &mut control,
    )
    .unwrap();
    cut.warm(&mut control).unwrap();
    cut.abandon(&mut control).unwrap();
    assert_eq!(store_entries(&place.store()), ["lock"]);
}

#[test]
fn two_cuts_at_once_and_a_name_that_is_taken_are_refused() {
    let place = Place::new();
    Engine::LevelDb.fill(&place.data(), 100, &[]);
    let mut control = Control::unlimited();
    let first = Cut::prepare(
        place.source(),
        &place.store(),
        options("one", None),
        &mut control,
    )
    .unwrap();
    let second = Cut::prepare(
        place.source(),
        &place.store(),
        options("two", None),
        &mut control,
    )
    .unwrap_err();
    assert!(matches!(second, Error::Busy { .. }), "{second}");
    drop(first);
    take(&place.source(), &place.store(), "one", None).unwrap();
    let again = take(&place.source(), &place.store(), "one", None).unwrap_err();
    assert!(matches!(again, Error::Exists { .. }), "{again}");
    assert!(place.snapshot("one").exists());
}
