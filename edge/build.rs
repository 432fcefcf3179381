//! Makes the JSON that `GET /openapi.json` serves from `openapi.yaml`, so that there is one text and no YAML parser in
//! the running service.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=openapi.yaml");
    let yaml = fs::read_to_string("openapi.yaml").expect("openapi.yaml lies beside the manifest");
    let description: serde_json::Value = serde_norway::from_str(&yaml).expect("openapi.yaml is YAML");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("openapi.json"), description.to_string()).expect("OUT_DIR is writable");
}
