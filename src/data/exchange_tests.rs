use super::*;

struct Pairing {
    root: tempfile::TempDir,
}

impl Pairing {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for (tree, files) in [
            ("live", &["old", "both", "dir/x"][..]),
            ("staged", &["new", "both", "dir/y"]),
        ] {
            fs::create_dir_all(root.path().join(tree).join("dir")).unwrap();
            for file in files {
                crate::durable::write(&root.path().join(tree).join(file), tree.as_bytes(), 0o644)
                    .unwrap();
            }
        }
        Self { root }
    }

    fn live(&self) -> PathBuf {
        self.root.path().join("live")
    }

    fn staged(&self) -> PathBuf {
        self.root.path().join("staged")
    }

    fn journal(&self) -> PathBuf {
        self.root.path().join("exchange.json")
    }

    fn begin(&self, scope: &Scope) -> Exchange {
        Exchange::begin(&self.journal(), &self.live(), &self.staged(), scope).unwrap()
    }

    fn picture(&self) -> Vec<String> {
        let tree = tree::Tree::walk(&self.live(), &|_| false, &Control::unlimited()).unwrap();
        let files = tree
            .entries
            .iter()
            .filter(|entry| entry.node == tree::Node::File);
        files
            .map(|entry| {
                format!(
                    "{}={}",
                    entry.path,
                    fs::read_to_string(entry.path.below(&self.live())).unwrap()
                )
            })
            .collect()
    }
}

const OLD: [&str; 3] = ["both=live", "dir/x=live", "old=live"];
const NEW: [&str; 3] = ["both=staged", "dir/y=staged", "new=staged"];

#[test]
fn an_exchange_is_known_again_after_a_boot_that_gave_its_disk_another_number() {
    let pairing = Pairing::new();
    pairing.begin(&Scope::Whole).commit().unwrap();
    let mut plan: serde_json::Value =
        serde_json::from_slice(&fs::read(pairing.journal()).unwrap()).unwrap();
    // As it stands between the exchange and its last record.
    plan["done"] = false.into();
    for tree in ["live", "staged"] {
        plan["pairs"][0][tree]["device"] = 4711.into();
    }
    let text = serde_json::to_vec(&plan).unwrap();
    crate::durable::write(&pairing.journal(), &text, 0o600).unwrap();

    let mut exchange = Exchange::pending(&pairing.journal()).unwrap().unwrap();
    assert!(!exchange.is_torn());
    exchange.commit().unwrap();
    assert_eq!(pairing.picture(), NEW);
    exchange.undo().unwrap();
    assert_eq!(pairing.picture(), OLD);
}

#[test]
fn torn_is_what_is_neither_the_one_nor_the_other() {
    let pairing = Pairing::new();
    let mut exchange = pairing.begin(&Scope::Entries);
    assert!(!exchange.is_torn());
    let moved = |from: PathBuf, to: PathBuf| fs::rename(from.join("old"), to.join("old")).unwrap();
    moved(pairing.live(), pairing.staged());
    assert!(exchange.is_torn());
    moved(pairing.staged(), pairing.live());
    exchange.commit().unwrap();
    assert!(!exchange.is_torn());
    fs::remove_file(pairing.live().join("new")).unwrap();
    assert!(!exchange.is_torn(), "the workload removed it");
}

#[test]
fn forward_back_and_forward_again() {
    for scope in [Scope::Whole, Scope::Entries] {
        let pairing = Pairing::new();
        let mut exchange = pairing.begin(&scope);
        assert_eq!(pairing.picture(), OLD);
        exchange.commit().unwrap();
        assert_eq!(pairing.picture(), NEW);
        exchange.commit().unwrap();
        assert_eq!(pairing.picture(), NEW);
        exchange.undo().unwrap();
        assert_eq!(pairing.picture(), OLD);
        exchange.commit().unwrap();
        exchange.finish(&mut Control::unlimited()).unwrap();
        assert_eq!(pairing.picture(), NEW);
        assert!(!pairing.staged().exists());
        assert!(!pairing.journal().exists());
    }
}

#[test]
fn only_what_is_meant_changes_places() {
    let pairing = Pairing::new();
    let mut exchange = pairing.begin(&Scope::Only(vec!["dir".parse().unwrap()]));
    exchange.commit().unwrap();
    assert_eq!(pairing.picture(), ["both=live", "dir/y=staged", "old=live"]);
}

#[test]
fn an_exchange_that_stopped_after_any_step_is_finished_either_way() {
    // Three pairs and a fourth name: so many renames, of which `done` happened before the power cut.
    for done in 0..=4 {
        for goal in [Goal::Forward, Goal::Back] {
            let pairing = Pairing::new();
            let mut exchange = pairing.begin(&Scope::Entries);
            (exchange.plan.goal, exchange.plan.done) = (Goal::Forward, false);
            exchange.record().unwrap();
            for pair in exchange.plan.pairs.iter().take(done) {
                let (live, staged) = (
                    pair.path.below(&pairing.live()),
                    pair.path.below(&pairing.staged()),
                );
                pair.exchange(&live, &staged, true).unwrap();
            }
            drop(exchange);
            let mut found = Exchange::pending(&pairing.journal()).unwrap().unwrap();
            if goal == Goal::Back {
                found.undo().unwrap();
                assert_eq!(pairing.picture(), OLD);
            } else {
                found.resume(&mut Control::unlimited()).unwrap().unwrap();
                assert_eq!(pairing.picture(), NEW);
            }
        }
    }
}

#[test]
fn a_workload_that_ran_on_the_new_entries_does_not_stop_the_way_back() {
    let pairing = Pairing::new();
    let mut exchange = pairing.begin(&Scope::Entries);
    exchange.commit().unwrap();
    fs::remove_file(pairing.live().join("new")).unwrap();
    crate::durable::write(&pairing.live().join("both"), b"rewritten", 0o644).unwrap();
    crate::durable::write(&pairing.live().join("later"), b"made since", 0o644).unwrap();
    drop(exchange);
    let mut found = Exchange::pending(&pairing.journal()).unwrap().unwrap();
    found.undo().unwrap();
    assert_eq!(pairing.picture(), OLD);
    found.commit().unwrap();
    assert_eq!(
        pairing.picture(),
        ["both=rewritten", "dir/y=staged", "later=made since"]
    );
}

#[test]
fn an_interrupted_removal_goes_on() {
    let pairing = Pairing::new();
    let mut exchange = pairing.begin(&Scope::Whole);
    exchange.commit().unwrap();
    exchange.plan.goal = Goal::Discard;
    exchange.record().unwrap();
    fs::rename(pairing.staged(), tree::discard_name(&pairing.staged())).unwrap();
    let found = Exchange::pending(&pairing.journal()).unwrap().unwrap();
    assert!(found.resume(&mut Control::unlimited()).unwrap().is_none());
    assert!(!tree::discard_name(&pairing.staged()).exists());
    assert!(!pairing.journal().exists());
    assert_eq!(pairing.picture(), NEW);
}

#[test]
fn a_live_directory_that_is_not_there_yet_is_made_by_it() {
    let pairing = Pairing::new();
    fs::remove_dir_all(pairing.live()).unwrap();
    let mut exchange = pairing.begin(&Scope::Whole);
    exchange.commit().unwrap();
    assert_eq!(pairing.picture(), NEW);
    exchange.undo().unwrap();
    assert!(!pairing.live().exists());
}

#[test]
fn a_tree_that_someone_else_moved_is_not_exchanged() {
    let pairing = Pairing::new();
    let mut exchange = pairing.begin(&Scope::Whole);
    fs::rename(pairing.live(), pairing.root.path().join("elsewhere")).unwrap();
    fs::create_dir(pairing.live()).unwrap();
    assert!(matches!(exchange.commit(), Err(Error::Place { .. })));
}

#[test]
fn a_second_exchange_waits_for_the_first() {
    let pairing = Pairing::new();
    let exchange = pairing.begin(&Scope::Whole);
    let second = Exchange::begin(
        &pairing.journal(),
        &pairing.live(),
        &pairing.staged(),
        &Scope::Whole,
    );
    assert!(matches!(second, Err(Error::Pending { .. })));
    drop(exchange);
}
