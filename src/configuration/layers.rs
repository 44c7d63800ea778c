//! Two YAML files as one: the environment's on top of the main one, key by key.
//!
//! Lists and plain values are replaced, maps are merged. The layers stay known, so that an error in
//! the merged whole can name the file that it stands in.

use super::ConfigurationError;
use crate::cli::Environment;
use serde::de::DeserializeOwned;
use serde_norway::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The two files and what they give together.
pub(super) struct Layers {
    main_file: PathBuf,
    environment_file: PathBuf,
    environment: Value,
    merged: Value,
}

impl Layers {
    /// Reads both files.
    pub(super) fn read(folder: &Path, name: Environment) -> Result<Self, ConfigurationError> {
        let main_file = folder.join("main.yaml");
        let environment_file = folder.join("environment").join(format!("{}.yaml", name.name()));
        let mut merged = read_map(&main_file)?;
        let environment = read_map(&environment_file)?;
        merge(&mut merged, &environment);
        Ok(Self { main_file, environment_file, environment, merged })
    }

    /// Reads the merged whole into strict types.
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigurationError> {
        serde_path_to_error::deserialize(self.merged.clone()).map_err(|error| {
            let key = error.path().to_string();
            let reason = error.into_inner().to_string();
            self.wrong(&key, reason)
        })
    }

    /// The error of a key, naming the file that has it (the environment's, if both do).
    pub(super) fn wrong(&self, key: &str, reason: String) -> ConfigurationError {
        let file =
            if has(&self.environment, key) { &self.environment_file } else { &self.main_file };
        ConfigurationError::Key { file: file.clone(), key: key.to_owned(), reason }
    }

    /// The hash of the merged keys, whatever their order in the files, and of the files that they
    /// name.
    pub(super) fn fingerprint(&self, files: &BTreeMap<String, String>) -> String {
        let mut hasher = blake3::Hasher::new();
        hash_value(&self.merged, &mut hasher);
        for (name, text) in files {
            hash_bytes(name.as_bytes(), &mut hasher);
            hash_bytes(text.as_bytes(), &mut hasher);
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn read_map(file: &Path) -> Result<Value, ConfigurationError> {
    let text = super::text(file)?;
    let syntax = |reason| ConfigurationError::Syntax { file: file.to_owned(), reason };
    let value: Value = serde_norway::from_str(&text).map_err(|error| syntax(error.to_string()))?;
    if value.is_mapping() {
        Ok(value)
    } else {
        Err(syntax("the file is not a map of keys, look at config/main.yaml of the release".into()))
    }
}

fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Mapping(base), Value::Mapping(over)) => {
            for (key, value) in over {
                match base.get_mut(key) {
                    Some(below) => merge(below, value),
                    None => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Whether `key`, a path such as `limits.stress.spot_moves[2]`, stands in `layer`.
fn has(layer: &Value, key: &str) -> bool {
    let mut at = layer;
    for part in key.split('.') {
        let mut names = part.split('[');
        let Some(below) = names.next().and_then(|name| at.get(name)) else { return false };
        at = below;
        for number in names {
            let row = number.trim_end_matches(']').parse::<usize>().ok();
            let Some(below) = row.and_then(|row| at.get(row)) else { return false };
            at = below;
        }
    }
    true
}

fn hash_bytes(bytes: &[u8], hasher: &mut blake3::Hasher) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// Each value with its kind and length, so that no two different trees give the same bytes.
fn hash_value(value: &Value, hasher: &mut blake3::Hasher) {
    match value {
        Value::Null => hash_bytes(b"null", hasher),
        Value::Bool(flag) => hash_bytes(if *flag { b"true" } else { b"false" }, hasher),
        Value::Number(number) => {
            hash_bytes(b"number", hasher);
            hash_bytes(number.to_string().as_bytes(), hasher);
        }
        Value::String(text) => {
            hash_bytes(b"text", hasher);
            hash_bytes(text.as_bytes(), hasher);
        }
        Value::Sequence(items) => {
            hash_bytes(b"list", hasher);
            hasher.update(&(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hash_value(item, hasher));
        }
        Value::Mapping(map) => {
            hash_bytes(b"map", hasher);
            hasher.update(&(map.len() as u64).to_le_bytes());
            let sorted: BTreeMap<String, &Value> =
                map.iter().map(|(key, value)| (format!("{key:?}"), value)).collect();
            for (key, value) in sorted {
                hash_bytes(key.as_bytes(), hasher);
                hash_value(value, hasher);
            }
        }
        Value::Tagged(tagged) => {
            hash_bytes(tagged.tag.to_string().as_bytes(), hasher);
            hash_value(&tagged.value, hasher);
        }
    }
}
