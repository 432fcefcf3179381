//! Random media files, and laws that hold for each of them. A seed gives the same file again.
//!
//! `STREAMIO_MEDIA_FUZZ_SEED` is the seed of the first file, each further file has the next one. `STREAMIO_MEDIA_FUZZ_SECONDS` is the
//! time to spend. `cargo xtask media-fuzz` sets both.

mod containers;
mod damage;
mod laws;
mod recipe;

use std::time::{Duration, Instant};

use recipe::Recipe;

use super::harness::WorkerHarness;

/// Time for the automatic tests.
const SECONDS: u64 = 60;
/// The first seed of the automatic tests: always the same, so that a failure is caused by a change of the code.
const SEED: u64 = 1;
/// Broken laws after which the run ends.
const MAX_BROKEN: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_media_obeys_the_laws() {
    let variable = |name: &str, default| {
        std::env::var(name)
            .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: not a number: {text}")))
    };
    let first = variable("STREAMIO_MEDIA_FUZZ_SEED", SEED);
    let time = Duration::from_secs(variable("STREAMIO_MEDIA_FUZZ_SECONDS", SECONDS));
    let started_at = Instant::now();
    let (mut made, mut broken, mut seed) = (0, Vec::new(), first);
    while started_at.elapsed() < time && broken.len() < MAX_BROKEN {
        let recipe = Recipe::draw(seed);
        println!("seed {seed}: {recipe}");
        match tokio::spawn(run(recipe.clone())).await {
            Ok(Ok(was_made)) => made += u64::from(was_made),
            Ok(Err(law)) => broken.push(format!("seed {seed}: {recipe}\n  {law}")),
            Err(error) => broken.push(format!("seed {seed}: {recipe}\n  {error}")),
        }
        if let Some(last) = broken.last().filter(|last| last.starts_with(&format!("seed {seed}:"))) {
            println!("{last}");
        }
        seed += 1;
    }
    let total = seed - first;
    println!(
        "{made} of {total} files were made, from seed {first} on, in {} s",
        started_at.elapsed().as_secs()
    );
    assert!(broken.is_empty(), "{} of {made} files break a law:\n{}", broken.len(), broken.join("\n"));
    assert!(made * 10 >= total * 8, "FFmpeg could make only {made} of {total} files");
}

/// Makes one file, runs a worker on it, and checks the laws. `Ok(false)` if FFmpeg cannot make such a file.
async fn run(recipe: Recipe) -> Result<bool, String> {
    let harness = WorkerHarness::measured();
    let Some(file) = recipe.make(&harness.clips()) else { return Ok(false) };
    let bytes = recipe.damage.apply(std::fs::read(&file).unwrap());
    // Kept before the worker runs: a law may also be broken by a panic.
    let kept = std::env::temp_dir().join(format!("media-{}.bin", recipe.seed));
    let keeps = std::env::var_os("STREAMIO_MEDIA_FUZZ_KEEP").is_some();
    if keeps {
        std::fs::write(&kept, &bytes).unwrap();
    }
    let job = harness.upload("clip.bin", &bytes).await;
    let started_at = Instant::now();
    let outcome = harness.run(&job).await;
    let law = laws::check(&recipe, &file, &harness, &job, outcome, started_at.elapsed()).await;
    if keeps && law.is_ok() {
        std::fs::remove_file(&kept).unwrap();
    }
    law.map(|()| true)
}
