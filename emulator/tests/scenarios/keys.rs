//! API keys on their way to an edge whose store does not take them.

use reqwest::StatusCode;
use streamio_core::ports::pending_replications::PendingReplications as _;
use streamio_emulator::cloud::NewKey;

use crate::verdict::verdict;
use crate::world::{PATIENCE, World};

async fn asked_with(world: &World, key: &NewKey) -> StatusCode {
    let request = world.http.get(format!("{}/videos", world.cloud.api()));
    request.header("x-api-key", key.api_key.reveal()).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_reaches_the_edge_although_its_store_refuses_at_first() {
    let world = World::start().await;
    world.cloud.kv().refuse(4);
    let key = world.cloud.create_project("other").await.unwrap();
    assert_eq!(asked_with(&world, &key).await, StatusCode::OK);
    verdict(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_the_edge_store_refuses_blocks_nothing_and_is_put_later() {
    let world = World::start().await;
    let key = world.cloud.create_project("other").await.unwrap();
    assert_eq!(asked_with(&world, &key).await, StatusCode::OK);
    world.cloud.kv().refuse(usize::MAX);
    world.cloud.revoke_key(&key).await.unwrap();
    // A batch that fails would come again and again, and all behind it would wait.
    tokio::time::timeout(PATIENCE, world.cloud.mappings().views.caught_up())
        .await
        .expect("nothing is held up");
    assert_eq!(world.cloud.views().pending(9).await.unwrap(), std::slice::from_ref(&key.project_id));
    world.cloud.kv().refuse(0);
    world
        .until("the revoked key is refused", async || {
            asked_with(&world, &key).await == StatusCode::UNAUTHORIZED
        })
        .await;
    verdict(world).await;
}
