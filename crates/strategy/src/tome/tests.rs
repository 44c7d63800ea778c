//! Tomes: what is read, and what each error says.

use super::*;

fn shipped() -> Vec<(String, String)> {
    let folder = format!("{}/../../config/strategies", env!("CARGO_MANIFEST_DIR"));
    let mut tomes: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    tomes.sort();
    tomes
}

fn error_of(from: &str, to: &str) -> String {
    let (name, text) =
        shipped().into_iter().find(|(name, _)| name == "gamma_scalper_sim.json").unwrap();
    assert!(text.contains(from), "{from}");
    Tome::parse(&name, &text.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn every_shipped_tome_is_valid() {
    let tomes = shipped();
    assert!(tomes.len() >= 8);
    for (name, text) in tomes {
        let tome = Tome::parse(&name, &text).unwrap();
        assert_eq!(format!("{}.json", tome.id), name);
    }
}

#[test]
fn errors_name_the_file_the_field_and_what_is_allowed() {
    assert_eq!(
        error_of("\"days_min\": 5", "\"days_min\": 50"),
        "gamma_scalper_sim.json: parameters.days_min is 50, allowed is 0 to 45"
    );
    assert_eq!(
        error_of("\"schema_version\": 1", "\"schema_version\": 2"),
        "gamma_scalper_sim.json: schema_version is `2`, allowed is 1"
    );
    assert_eq!(
        error_of("\"fresh_share_min\": 0.3", "\"fresh_share_min\": 30"),
        "gamma_scalper_sim.json: conditions.fresh_share_min is 30, allowed is 0 to 1"
    );
    assert_eq!(
        error_of("\"id\": \"gamma_scalper_sim\"", "\"id\": \"other\""),
        "gamma_scalper_sim.json: id is `other`, allowed is `gamma_scalper_sim`, the name of the \
         file"
    );
    assert_eq!(
        error_of("\"units\": 3", "\"units\": 3, \"entry_edge_standard_errors_min\": -101"),
        "gamma_scalper_sim.json: parameters.entry_edge_standard_errors_min is -101, allowed is \
         -100 to 100"
    );
    let unknown = error_of("\"units\"", "\"unit\"");
    assert!(unknown.starts_with("gamma_scalper_sim.json: parameters: unknown field `unit`"));
    let kind = error_of("\"kind\": \"gamma_scalper\"", "\"kind\": \"scalper\"");
    assert!(kind.contains("expected `gamma_scalper` or `credit_spread`"), "{kind}");
    assert!(error_of("{", "").starts_with("gamma_scalper_sim.json: tome: "));
}

#[test]
fn the_fingerprint_follows_parameters_and_version_only() {
    let (name, text) =
        shipped().into_iter().find(|(name, _)| name == "gamma_scalper_sim.json").unwrap();
    let print = |from: &str, to: &str| {
        Tome::parse(&name, &text.replacen(from, to, 1)).unwrap().fingerprint()
    };
    let own = print("", "");
    assert_eq!(own, print("\"hedge\"", "\"hold\""));
    assert_ne!(own, print("\"units\": 3", "\"units\": 4"));
    assert_ne!(own, print("\"version\": 1", "\"version\": 2"));
    let asked = "\"units\": 3, \"entry_edge_standard_errors_min\": -1.5";
    assert_ne!(own, print("\"units\": 3", asked));
    // A certificate given before the key existed still speaks of the tome without it.
    let unasked = "\"units\": 3, \"entry_edge_standard_errors_min\": null";
    assert_eq!(own, print("\"units\": 3", unasked));
}
