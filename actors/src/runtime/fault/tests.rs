//! Rules of the gate: probability, budget, end, permission.

use super::*;

const NOW: ProcessTime = ProcessTime::ZERO;

fn board(seed: u64) -> (FaultBoard, RolePath, Arc<Gate>) {
    let granted = Permission::Granted { max_ttl: Duration::from_secs(60) };
    let board = FaultBoard::new(granted, seed);
    let path = RolePath::from("desk");
    let gate = board.gate(&path, true);
    (board, path, gate)
}

fn rule(fault: Fault, ppm: u32, budget: u32) -> Rule {
    Rule { fault, ppm, budget, until: NOW + Duration::from_secs(10) }
}

fn strikes(gate: &Gate, draws: usize) -> Vec<usize> {
    (0..draws).filter(|_| gate.draw(NOW, |_| true).is_some()).collect()
}

#[test]
fn the_budget_is_spent_exactly_and_disarms_the_gate() {
    let (board, path, gate) = board(1);
    board.arm(&path, rule(Fault::Drop, 100_000, 50), NOW).unwrap();
    assert!(gate.is_armed());
    assert_eq!(strikes(&gate, 20_000).len(), 50);
    assert!(!gate.is_armed());
    assert_eq!(board.list(NOW), []);
}

#[test]
fn the_probability_holds_and_repeats_with_the_seed() {
    let draws = |seed| {
        let (board, path, gate) = board(seed);
        board.arm(&path, rule(Fault::Kill, 100_000, u32::MAX), NOW).unwrap();
        strikes(&gate, 10_000)
    };
    let first = draws(7);
    assert!((900..1100).contains(&first.len()), "{}", first.len());
    assert_eq!(first, draws(7));
    assert_ne!(first, draws(8));
}

#[test]
fn a_rule_ends_at_its_time() {
    let (board, path, gate) = board(1);
    board.arm(&path, rule(Fault::Kill, CERTAIN_PPM, 9), NOW).unwrap();
    assert_eq!(gate.draw(NOW + Duration::from_secs(9), |_| true), Some(Fault::Kill));
    assert_eq!(gate.draw(NOW + Duration::from_secs(10), |_| true), None);
    assert!(!gate.is_armed());
}

#[test]
fn an_ineligible_fault_keeps_its_budget() {
    let (board, path, gate) = board(1);
    board.arm(&path, rule(Fault::Drop, CERTAIN_PPM, 1), NOW).unwrap();
    assert_eq!(gate.draw(NOW, |fault| fault != Fault::Drop), None);
    assert_eq!(gate.draw(NOW, |_| true), Some(Fault::Drop));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let (board, path, _) = board(1);
    let good = rule(Fault::Kill, 1, 1);
    for bad in [
        Rule { ppm: 0, ..good },
        Rule { ppm: CERTAIN_PPM + 1, ..good },
        Rule { budget: 0, ..good },
        Rule { until: NOW, ..good },
        Rule { until: NOW + Duration::from_secs(61), ..good },
    ] {
        assert!(matches!(board.arm(&path, bad, NOW), Err(FaultError::BadRule { .. })), "{bad:?}");
    }
    let nobody = RolePath::from("nobody");
    assert_eq!(board.arm(&nobody, good, NOW), Err(FaultError::UnknownRole(nobody)));
    let supervisor = RolePath::from("root");
    board.gate(&supervisor, false);
    let drop = rule(Fault::Drop, 1, 1);
    assert!(matches!(board.arm(&supervisor, drop, NOW), Err(FaultError::BadRule { .. })));
    assert!(board.arm(&supervisor, good, NOW).is_ok());
    let refusing = FaultBoard::new(Permission::Refused, 1);
    refusing.gate(&path, true);
    assert_eq!(refusing.arm(&path, good, NOW), Err(FaultError::Refused));
    assert_eq!(refusing.kill(&path), Err(FaultError::Refused));
}

#[test]
fn clearing_disarms_one_or_all() {
    let (board, path, gate) = board(1);
    let id = board.arm(&path, rule(Fault::Kill, 1, 1), NOW).unwrap();
    board.arm(&path, rule(Fault::Panic, 1, 1), NOW).unwrap();
    assert!(board.clear(id));
    assert!(!board.clear(id));
    assert_eq!(board.list(NOW).len(), 1);
    assert_eq!(board.clear_all(), 1);
    assert!(!gate.is_armed());
}
